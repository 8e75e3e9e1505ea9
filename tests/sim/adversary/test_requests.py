"""Requests that no node may serve: wrong tokens, strangers, false declarations. The honest node refuses each as it
should; nodes without one control are caught, and it is told what they did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import pytest

from sim.adversary import registration_abuser, stranger, token_abuser
from sim.check import CHECKERS, Checker, Served
from sim.check.refusals import Refusals
from sim.check.unapproved import Unapproved
from sim.runner import run_plan
from sim.simulation.simulation import Simulation
from stigmem.core import limits
from stigmem.core.audit import AuditRow
from stigmem.core.declaration import verify_declaration
from stigmem.core.keys import Suite
from stigmem.core.records import PeerRow
from stigmem.core.token import Claims, Token, check_token
from stigmem.node.api import peer_auth
from stigmem.node.api.peer_auth import PeerAuthenticator
from stigmem.node.membership import handshake
from stigmem.node.quotas import Quotas
from tests.sim.hostile import Reader, adversary, assert_unharmed, failures, make_simulation, run_simulation

Patch = pytest.MonkeyPatch
PUSH = "push = true"
WITHOUT_REFUSALS = [checker for checker in CHECKERS if checker is not Refusals]
WITHOUT_UNAPPROVED = [checker for checker in WITHOUT_REFUSALS if checker is not Unapproved]
"""Who is served is judged by `approved-only` and `refusals-audited` too, which see an answer before its peer does."""
Check = Callable[..., Claims]


def watched(table: str, **keys: Any) -> Simulation:
    readers: list[Reader] = []
    simulation = run_simulation(table, before=lambda simulation: readers.append(Reader(simulation)), **keys)
    assert_unharmed(simulation, readers[0], receipts=0)
    return simulation


def caught(table: str, saying: str, **keys: Any) -> None:
    found = failures(run_simulation(table, federation=PUSH, **{"checkers": WITHOUT_REFUSALS, **keys}))
    assert list(found) == ["hostile-requests"]
    assert saying in found["hostile-requests"]


# --- token-abuser ---


def test_every_wrong_token_is_refused_and_the_right_ones_are_not() -> None:
    simulation = watched(adversary("token-abuser", tokens=20, peers=["north", "south"]), federation=PUSH)
    statuses: dict[str, set[int]] = {}
    for what, status in simulation.adversaries["mallory"].memory(token_abuser.Presented):
        statuses.setdefault(what, set()).add(status)
    assert len(statuses) > 200
    assert statuses["an end ten seconds ago"] == statuses["nbf 7"] == {200, 202}
    assert statuses["an end forty seconds ago"] == statuses["HS256 by the public key"] == statuses["exp NaN"] == {401}
    assert statuses['scopes ["x"]'] == {403}
    assert simulation.rejections["token_lifetime_exceeded"] > 1


def test_one_nonce_under_two_keys_is_taken_once() -> None:
    tables = [adversary("token-abuser", node=name, tokens=250, period="10s") for name in ("mallory", "eve")]
    simulation = watched("\n".join(tables), signatures="stand-in")
    what = "a nonce that another uses"
    first, second = (simulation.adversaries[name].memory(token_abuser.Presented) for name in ("mallory", "eve"))
    assert (what, 401) not in first
    assert (what, 200) not in second
    assert first[what, 200] == second[what, 401] > 2


def test_a_wrong_clock_of_the_victim_or_a_wire_that_flips_bits_accuses_nobody() -> None:
    step = '[[fault]]\nkind = "clock-step"\nat = "20s"\nby = "50s"\nnode = "north"\n'
    corrupt = '[[fault]]\nkind = "corrupt"\nat = "20s"\nfor = "30s"\nshare = 0.1\n'
    pause = '[[fault]]\nkind = "pause"\nat = "40s"\nfor = "20s"\nnode = "south"\n'
    table = adversary("token-abuser", tokens=40, peers=["north", "south"])
    for fault in (step, corrupt, pause):
        assert failures(run_simulation(table, fault, signatures="stand-in")) == {}


def blind_to_alg(honest: Check, token: Token, *args: Any, **keys: Any) -> Claims:
    if token.header["alg"] == "none":
        return msgspec.convert(token.payload, Claims)
    return honest(token, *args, **keys)


def blind_to_audience(honest: Check, token: Token, *args: Any, **keys: Any) -> Claims:
    return honest(token, *args, **keys | {"audience": token.payload.get("sub")})


def without_leeway(honest: Check, token: Token, *args: Any, **keys: Any) -> Claims:
    return honest(token, *args, **keys | {"now_ms": keys["now_ms"] + limits.TOKEN_LEEWAY_MS})


@pytest.mark.parametrize(
    ("careless", "saying"),
    [
        (blind_to_alg, "a token with no algorithm was accepted"),
        (blind_to_audience, "a token with another audience was accepted"),
        (without_leeway, "a token with an end ten seconds ago was refused as 'token_expired' and not as no refusal"),
    ],
)
def test_a_node_that_is_careless_with_tokens_is_caught(
    careless: Callable[..., Claims], saying: str, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(peer_auth, "check_token", lambda *args, **keys: careless(check_token, *args, **keys))
    caught(adversary("token-abuser", tokens=200), saying)


@pytest.mark.parametrize(
    ("bound", "saying"),
    [
        ("TOKEN_LIFE_MS", "a token with a life of ten years was accepted"),
        ("TOKEN_IAT_AGE_MS_MAX", "a token with a beginning 25 hours ago was refused as 'token_lifetime_exceeded'"),
    ],
)
def test_a_bound_of_tokens_that_is_not_kept_is_caught(bound: str, saying: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(limits, bound, 10**15)
    caught(adversary("token-abuser", tokens=200), saying)


# --- stranger ---


def test_strangers_are_served_nothing_and_fill_no_log() -> None:
    simulation = watched(adversary("stranger", peers=["north", "south"], requests=60), federation=PUSH)
    answers = simulation.adversaries["mallory"].memory(stranger.Answers)
    assert sum(answers.values()) > 9_000
    assert {status for _, status in answers} <= {401, 403, 404, 405}
    assert len({what for what, _ in answers}) == 6
    minutes = 2 * (90 / 60 + 1)
    assert 50 < simulation.rejections["peer_not_found"] <= minutes * limits.STRANGER_AUDIT_ROWS_PER_MINUTE


def test_a_node_that_serves_whoever_asks_is_caught(monkeypatch: Patch) -> None:
    honest = PeerAuthenticator.peer

    def peer(self: PeerAuthenticator, txn: Any, request: Any) -> Any:
        if "authorization" not in request.headers:
            return peer_auth.PeerCaller(next(iter(txn.state.peers.values())), ("public",))
        return honest(self, txn, request)

    monkeypatch.setattr(PeerAuthenticator, "peer", peer)
    sentence = "a stranger with nothing was answered 200 to /v1/federation/facts?limit=500"
    caught(adversary("stranger"), sentence, checkers=WITHOUT_UNAPPROVED)
    result = run_plan(make_simulation(adversary("stranger"), federation=PUSH).plan, keep_going=True)
    assert result.verdict == "fail"
    broken = {check.name: check.detail for check in result.checks if check.ok is False}
    assert sentence in broken["hostile-requests"]
    assert "whose status is unknown" in broken["approved-only"]


# --- registration-abuser ---


def test_false_declarations_are_rejected_and_a_true_one_waits_for_a_person() -> None:
    table = adversary("registration-abuser", peers=["north", "south"], period="6s")
    simulation = watched(table, duration="3m", signatures="stand-in", rate="20/m")
    declared = simulation.adversaries["mallory"].memory(registration_abuser.Declared)
    assert [what for what, state in declared if state == "pending_approval"] == ["the truth"]
    assert {state for what, state in declared if what == "a list at the address"} == {"rejected"}
    assert {state for what, state in declared if what == "silence at the address"} == {"rejected"}
    assert {state for what, state in declared if what.startswith("the id of")} == {"409"}
    assert simulation.rejections["peer_not_approved"] >= 2


def test_who_declares_the_id_of_a_node_before_it_comes_does_not_keep_it_out() -> None:
    join = '[[fault]]\nkind = "join"\nnode = "west"\nat = "40s"\n'
    readers: list[Reader] = []
    simulation = run_simulation(
        adversary("registration-abuser", peers=["north", "south"], period="1s"),
        join,
        before=lambda simulation: readers.append(Reader(simulation)),
        signatures="stand-in",
    )
    assert failures(simulation) == {}
    assert simulation.observed.unlinked() == []


def blind_to_the_document(*args: Any, **_: Any) -> None:
    """Believes whatever an address serves, and whatever a declaration says."""


def blind_to_signatures(declaration: Any, discovery: Any, suite: Any, **keys: Any) -> None:
    verify_declaration(declaration, discovery, Unverified(suite), **keys)


def blind_to_ids(declaration: Any, discovery: Any, suite: Any, **keys: Any) -> None:
    if discovery is not None:
        discovery = msgspec.structs.replace(discovery, node_id=declaration.node_id)
    verify_declaration(declaration, discovery, suite, **keys)


class Unverified:
    """A suite that finds every signature good."""

    def __init__(self, suite: Suite) -> None:
        self.signer = suite.signer

    def verify(self, *_: Any) -> bool:
        return True


@pytest.mark.parametrize(
    ("careless", "saying"),
    [
        (blind_to_the_document, "a declaration with"),
        (blind_to_signatures, "a declaration with scopes changed after signing is pending"),
        (blind_to_ids, "a declaration with another node id at the address is pending"),
    ],
)
def test_a_node_that_is_careless_with_declarations_is_caught(
    careless: Callable[..., None], saying: str, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(handshake, "verify_declaration", careless)
    caught(adversary("registration-abuser", period="1s", at="20s"), saying)


def test_a_node_that_serves_who_was_never_approved_is_caught(monkeypatch: Patch) -> None:
    honest = PeerAuthenticator._registered

    def registered(self: PeerAuthenticator, txn: Any, token: Token) -> PeerRow:
        row = txn.state.peer_of(token.issuer)
        return honest(self, txn, token) if row is None else row

    monkeypatch.setattr(PeerAuthenticator, "_registered", registered)
    saying = "a token of a peer that nobody approved was accepted"
    caught(adversary("registration-abuser", period="1s", at="20s"), saying, checkers=WITHOUT_UNAPPROVED)


# --- what they may have a node write ---


@pytest.mark.parametrize("kind", ["stranger", "token-abuser"])
def test_a_node_that_audits_whatever_it_refuses_is_caught(kind: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Quotas, "may_audit", lambda *_: True)
    found = failures(run_simulation(adversary(kind), federation=PUSH, signatures="stand-in"))
    assert list(found) == ["bounded-queues"]
    assert "than 30 at once and 30 a minute, which is the ration" in found["bounded-queues"]


class Refusals(Checker):
    """Counts what a node answered 401 to a token that it could read and that names somebody."""

    name = "refusals-counted"
    counts: ClassVar[Counter[str]] = Counter()

    def on_response(self, served: Served) -> None:
        detail = msgspec.json.decode(served.response.body).get("detail") if served.response.status == 401 else None
        if detail not in (None, "peer token required", "malformed token", "invalid_iss"):
            self.counts[served.machine] += 1


@pytest.mark.parametrize("kind", ["stranger", "token-abuser", "replayer"])
def test_each_refused_token_is_audited_once_or_counted(kind: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Refusals, "counts", Counter())
    table = adversary(kind, peers=["north", "south"], period="2s")
    simulation = run_simulation(table, checkers=[*CHECKERS, Refusals], signatures="stand-in", federation=PUSH)
    assert failures(simulation) == {}
    for name in ("north", "south"):
        rows = [row for batch in simulation.machines[name].disk.batches() for row in batch if isinstance(row, AuditRow)]
        refused = [row for row in rows if row.event in ("rejected_token", "replay_attempt")]
        counted = [msgspec.json.decode(row.detail)["count"] for row in rows if row.event == "strangers_suppressed"]
        uncounted = simulation.machines[name].node.quotas.suppressed  # type: ignore[union-attr]
        assert len(refused) + sum(counted) + uncounted == Refusals.counts[name] > 80


# --- none of them blames a node for what the world did ---

NEW = ("token-abuser", "stranger", "registration-abuser", "gapper", "withholder", "resurrector", "equivocator")
FAULTS = """
[[fault]]
kind = "random-crashes"
at = "10s"
rate = "6/m"
down = "2s"

[[fault]]
kind = "pause"
at = "30s"
for = "8s"
node = "north"

[[fault]]
kind = "wipe"
at = "45s"
node = "south"
down = "3s"

[[fault]]
kind = "slow"
at = "50s"
for = "20s"
by = "6s"

[[fault]]
kind = "duplicate"
at = "70s"
share = 0.2

[[workload]]
kind = "retractions"
rate = "20/m"
"""


@pytest.mark.parametrize("seed", [5, 6])
def test_crashes_pauses_and_slow_links_make_no_node_guilty(seed: int) -> None:
    tables = [adversary(kind, node=f"m-{kind}", peers=["north", "south"]) for kind in NEW]
    simulation = run_simulation(*tables, FAULTS, signatures="stand-in", seed=seed, settle="5m", rate="20/m")
    assert failures(simulation) == {}
    assert simulation.converged_at is not None
