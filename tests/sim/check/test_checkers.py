"""Every property broken on purpose, in a real simulation, and the checker that sees it; and trouble that is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

import stigmem.core.ingest
import stigmem.core.one_value
from sim.check import CHECKERS
from sim.check.past import Past
from sim.check.queues import Queues
from sim.check.refusals import Refusals
from sim.check.tokens import Tokens
from sim.observation.node_view import NodeView
from sim.ports import Observed
from sim.simulation.simulation import Simulation
from sim.world.rules import Cut
from stigmem.core import hlc, limits
from stigmem.core.audit import AuditRow
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.fact import Fact, record_of
from stigmem.core.ingest import IngestPolicy
from stigmem.core.ledger import Ledger
from stigmem.core.nonces import NonceTable
from stigmem.core.past import PastFacts, PointOfTime
from stigmem.core.records import PeerRow
from stigmem.core.token import Token
from stigmem.core.wire import Request, Response, json_response
from stigmem.node.api.peer_auth import PeerAuthenticator
from stigmem.node.node import Node
from stigmem.node.replication import page_ingest, page_server, page_verifier, puller
from stigmem.node.replication.backoff import PullBackoff
from stigmem.node.replication.page_ingest import Ingestion
from stigmem.node.replication.page_server import PageCursorCodec, PageServer, ServedPage
from stigmem.node.replication.pull_request import AlreadyHeldHint
from stigmem.node.replication.puller import Next, PeerReader, Puller
from stigmem.node.replication.stamp_cursor import StampCursor
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction
from tests.sim.hostile import SECOND, adversary, failures, run_simulation

LOCAL_WRITES = '[[workload]]\nkind = "contradictions"\nrate = "1/s"\nscope = "local"\n'
COMPANY_WRITES = '[[workload]]\nkind = "contradictions"\nrate = "1/s"\nscope = "company"\n'
PROBES = '[[workload]]\nkind = "probe"\nperiod = "10s"\n'
CRASH = '[[fault]]\nkind = "crash"\nnode = "north"\nat = "40s"\nfor = "5s"\n'
MINDS = '[[workload]]\nkind = "updaters"\nrate = "30/m"\n'
Patch = pytest.MonkeyPatch


def node_of(simulation: Simulation, name: str) -> Node:
    node = simulation.machines[name].node
    assert node is not None
    return node


def later(simulation: Simulation, at_s: float, action: Callable[[], object]) -> None:
    simulation.world.at(int(at_s * SECOND), lambda _: action())


def caught(*parts: str, by: str, saying: str, **keys: Any) -> None:
    """Run with something broken and see that the property, and no other, is said not to hold."""
    found = failures(run_simulation(*parts, signatures="stand-in", **keys))
    assert list(found) == [by]
    assert saying in found[by]


# --- what is written stays ---


def test_a_disk_that_loses_what_it_had_synced_is_caught() -> None:
    def lose(simulation: Simulation) -> None:
        later(simulation, 42, lambda: simulation.machines["north"].disk.frames.__delitem__(slice(-12, None)))

    caught(CRASH, by="durability", saying="is gone after boot 2", before=lose)


def test_an_acknowledgement_before_the_commit_is_caught() -> None:
    def lie(simulation: Simulation) -> None:
        machine = simulation.machines["south"]
        honest = machine.local

        def local(request: Request, answer: Callable[[Response], None], *principal: Any) -> bool:
            if request.method == "POST":
                answer(json_response(201, {"id": "made-up"}))
                return True
            return honest(request, answer, *principal)

        later(simulation, 30, lambda: setattr(machine, "local", local))

    caught(by="durability", saying="acknowledged before it was durable", before=lie)


def test_a_fact_stored_twice_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(page_verifier, "is_repeat", lambda *_: False)
    monkeypatch.setattr(page_ingest, "admit", lambda candidate, *_: candidate.fact)
    monkeypatch.setattr(PageServer, "start", lambda *_: 0)
    store = Transaction.store  # facts that are alike in all but the number are the only ones that a ledger can sort
    monkeypatch.setattr(
        Transaction,
        "store",
        lambda txn, fact, cid=None: store(txn, msgspec.structs.replace(fact, signature=b""), cid),
    )
    caught(by="no-duplicates", saying="stored twice")


def test_a_second_answer_to_one_request_is_caught(monkeypatch: Patch) -> None:
    def twice(simulation: Simulation) -> None:
        machine = simulation.machines["south"]
        watch, told = machine._events, machine._events.answered

        def answered(machine: Any, asker: str, request: Request, response: Response) -> None:
            if simulation.world.now > 30 * SECOND:
                told(machine, asker, request, json_response(507, {"detail": "full"}))
            told(machine, asker, request, response)

        monkeypatch.setattr(watch, "answered", answered)

    caught(by="no-server-errors", saying="twice: 507, and 200 later", before=twice)


# --- nothing changes ---


def test_a_copy_that_was_changed_is_caught(monkeypatch: Patch) -> None:
    honest = Transaction.store

    def store(txn: Transaction, fact: Fact, cid: str | None = None) -> Fact:
        changed = fact.received_from is not None and fact.text.endswith("7")
        return honest(txn, msgspec.structs.replace(fact, text="something else") if changed else fact, cid)

    monkeypatch.setattr(Transaction, "store", store)
    caught(by="no-mutation", saying="is not what")


def test_a_change_in_memory_is_caught() -> None:
    def change(simulation: Simulation) -> None:
        def rewrite() -> None:
            log = node_of(simulation, "west").state.ledger.log
            log[3] = msgspec.structs.replace(log[3], timestamp_us=log[3].timestamp_us + 1)

        later(simulation, 89, rewrite)

    found = failures(run_simulation(signatures="stand-in", before=change))
    assert "west: fact" in found["no-mutation"]


# --- nothing leaks ---


def showing(pick: Callable[[Simulation, Node], Fact | None], **changes: Any) -> Callable[[Simulation], None]:
    """Have north add a fact that it should not serve (or not like this) to its pages from 30 s on."""

    def prepare(simulation: Simulation) -> None:
        def patch() -> None:
            node = node_of(simulation, "north")
            honest = node.page_server.page

            def page(*args: Any, **keys: Any) -> ServedPage:
                served = honest(*args, **keys)
                fact = pick(simulation, node)
                if fact is None:
                    return served
                body = msgspec.json.decode(served.body)
                record = msgspec.json.decode(msgspec.json.encode(record_of(fact, fact.cid8))) | changes
                origin = {
                    "node_id": fact.origin,
                    "tenant": "default",
                    "allowed_scopes": [record["scope"]],
                    "allowed_tenants": ["default"],
                }
                body["facts"].append({"fact": record, "origin": origin, "origin_sig": "AAAA"})
                return served._replace(body=msgspec.json.encode(body))

            node.page_server.page = page  # type: ignore[method-assign]

        later(simulation, 30, patch)

    return prepare


def one(**wanted: Any) -> Callable[[Simulation, Node], Fact | None]:
    def pick(simulation: Simulation, node: Node) -> Fact | None:
        own = wanted.get("own", True)
        senders = (
            simulation.name_of_node if wanted.get("honest") else {fact.received_from for fact in node.state.ledger.log}
        )
        return next(
            (
                fact
                for fact in node.state.ledger.log
                if fact.scope == wanted.get("scope", "public")
                and (fact.received_from is None) == own
                and bool(fact.quarantine) == wanted.get("held_back", False)
                and fact.received_from in (None, *senders)
            ),
            None,
        )

    return pick


@pytest.mark.parametrize(
    ("pick", "changes", "saying"),
    [
        (one(scope="local"), {}, "a local fact left its node (L1)"),
        (one(), {"garden_id": "garden"}, "garden_id (L2, L10)"),
        (one(scope="company", own=False), {}, "a received company fact was served on (L3)"),
        (one(held_back=True, own=False), {"value": {"type": "string", "v": "x"}}, "held back was served (L4)"),
        (
            one(),
            {"value": {"type": "string", "v": "x", "interpret_as": "instruction"}},
            "an instruction left its node (L4)",
        ),
        (one(), {"derived_from": [{"fact_id": "x"}]}, "a derived fact left its node (L4)"),
        (one(), {"entity": "stigmem:conflict:x"}, "a reserved fact left its node (L6)"),
        (one(), {"relation": "stigmem:received_from"}, "a reserved fact left its node (L6)"),
        (one(scope="company"), {"scope": "public"}, "its scope was rewritten from company (L9)"),
        (one(), {"source_trust": 0.5, "received_from": "x"}, "received_from, source_trust (L2, L10)"),
        (one(), {"contradicted": True}, "contradicted (L2, L10)"),
        (one(), {"id": "no such fact"}, "the node serves what it does not hold"),
        (one(own=False, honest=True), {}, "it went back to where it came from"),
    ],
    ids=lambda value: None if callable(value) or isinstance(value, dict) else value,
)
def test_a_page_that_shows_too_much_is_caught(pick: Any, changes: dict[str, Any], saying: str) -> None:
    caught(
        adversary("instruction"),
        LOCAL_WRITES,
        COMPANY_WRITES,
        by="no-leaks",
        saying=saying,
        before=showing(pick, **changes),
    )


def test_a_scope_that_the_link_does_not_grant_is_caught() -> None:
    link = '[[link]]\nbetween = ["north", "south"]\nscopes = ["public"]\n'
    caught(
        link,
        COMPANY_WRITES,
        by="no-leaks",
        saying="scope company may not cross this link",
        before=showing(one(scope="company")),
    )


def test_a_refusal_that_names_a_fact_is_caught() -> None:
    def gossip(simulation: Simulation) -> None:
        def patch() -> None:
            node = node_of(simulation, "north")
            secret = node.state.ledger.log[0].id
            node.offer = lambda request, answer, *_: answer(json_response(403, {"detail": f"not {secret}"}))  # type: ignore[method-assign]

        later(simulation, 30, patch)

    caught(by="no-leaks", saying="an answer that is no page names fact", before=gossip)


def test_a_fact_taken_in_from_outside_the_grant_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(stigmem.core.ingest, "check_scope", lambda *_: None)
    caught(adversary("overreach"), by="no-leaks", saying="took a local fact from mallory")


def test_a_cursor_that_counts_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(PageCursorCodec, "_blind", lambda _, mark: f"s:{mark}")
    monkeypatch.setattr(PageCursorCodec, "_seq", lambda _, text: int(text.removeprefix("s:")))
    caught(by="cursors-silent", saying="show how many facts lie between them (L1)")


def test_a_cursor_that_moves_for_hidden_facts_is_caught(monkeypatch: Patch) -> None:
    honest = PageServer.page

    def page(server: PageServer, *args: Any, **keys: Any) -> ServedPage:
        served = honest(server, *args, **keys)
        moved = server._cursors.blind(server._mark(server._ledger.last_seq))
        body = msgspec.json.decode(served.body) | {"cursor": moved}
        return served._replace(body=msgspec.json.encode(body), cursor=moved)

    monkeypatch.setattr(PageServer, "page", page)
    caught(
        LOCAL_WRITES,
        by="cursors-silent",
        saying="the cursor moved though nothing for this peer was written (L1)",
        rate="1/m",
    )


def test_more_that_counts_hidden_facts_is_caught(monkeypatch: Patch) -> None:
    honest = PageServer.page

    def page(server: PageServer, *args: Any, **keys: Any) -> ServedPage:
        served = honest(server, *args, **keys)
        body = msgspec.json.decode(served.body)
        body["has_more"] = bool(body["facts"]) and server.start(served.cursor, ()) < server._ledger.last_seq
        return served._replace(body=msgspec.json.encode(body))

    monkeypatch.setattr(PageServer, "page", page)
    caught(LOCAL_WRITES, by="cursors-silent", saying="has_more promised facts that the peer may not see (L8)")


def test_a_cursor_behind_a_hidden_fact_is_caught_on_a_page_with_facts_too(monkeypatch: Patch) -> None:
    honest = PageServer.page

    def page(server: PageServer, *args: Any, **keys: Any) -> ServedPage:
        served = honest(server, *args, **keys)
        body = msgspec.json.decode(served.body)
        if body["facts"]:
            body["cursor"] = server._cursors.blind(server._mark(server._ledger.last_seq))
        return served._replace(body=msgspec.json.encode(body), cursor=body["cursor"])

    monkeypatch.setattr(PageServer, "page", page)
    caught(LOCAL_WRITES, by="cursors-silent", saying="stands at a fact that is not for this peer (L1)")


def test_a_name_is_no_excuse_for_hidden_facts_behind_it(monkeypatch: Patch) -> None:
    """What a peer says to hold may be passed, and not what comes after that and is not for it."""
    honest = PageServer.page

    def page(server: PageServer, *args: Any, **keys: Any) -> ServedPage:
        served = honest(server, *args, **keys)
        if served.facts or not keys["held"] or served.cursor == args[2]:
            return served
        moved = server._cursors.blind(server._mark(server._ledger.last_seq))
        return served._replace(body=msgspec.json.encode({"v": 2, "facts": [], "cursor": moved, "has_more": False}))

    monkeypatch.setattr(PageServer, "page", page)
    caught(LOCAL_WRITES, by="cursors-silent", saying="the cursor moved though nothing for this peer", duration="3m")


def test_a_puller_that_names_what_is_not_for_everybody_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr("stigmem.node.replication.pull_request._SCOPES", ("company", "public"))
    monkeypatch.setattr(
        AlreadyHeldHint, "names", lambda holding, *_, **__: ",".join(fact.id for fact in holding._ledger.log[-9:])
    )
    caught(LOCAL_WRITES, COMPANY_WRITES, by="cursors-silent", saying="which is not for everybody (L1)")


def test_a_server_that_leaves_out_what_was_not_named_is_caught(monkeypatch: Patch) -> None:
    honest = page_server._goes_to

    def goes_to(peer: PeerRow, fact: Fact, held: frozenset[str], *, echo: bool = False) -> bool:
        return honest(peer, fact, held, echo=echo) and not (held and fact.text.endswith("7"))

    monkeypatch.setattr(page_server, "_goes_to", goes_to)
    caught(by="cursors-silent", saying="which is for the peer and is not in it", duration="3m")


def test_a_cursor_in_memory_that_outlives_what_was_taken_is_caught(monkeypatch: Patch) -> None:
    """A puller that lets every page pass without storing it, and reads on behind it."""
    monkeypatch.setattr(PeerReader, "_may_pass", lambda *_: True)
    honest = PageServer.page

    def page(server: PageServer, *args: Any, **keys: Any) -> ServedPage:
        served = honest(server, *args, **keys)
        if served.facts != 1:
            return served
        body = msgspec.json.decode(served.body) | {"facts": [], "has_more": False}
        return served._replace(body=msgspec.json.encode(body), facts=0)

    monkeypatch.setattr(PageServer, "page", page)
    found = failures(run_simulation(signatures="stand-in", settle="2m"))
    assert {"convergence", "cursors-silent"} & set(found)


# --- stamps ---


def test_a_stamp_issued_again_is_caught(monkeypatch: Patch) -> None:
    def tick(txn: Transaction) -> Any:
        txn.stamp = hlc.stamp(max(txn.now_ms // 1_000 * 1_000, txn.stamp >> 20), 0)
        return txn.stamp

    monkeypatch.setattr(Transaction, "tick", tick)
    caught(by="causality", saying="was issued at or below an earlier one")


def test_a_clock_that_ignores_what_it_saw_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Transaction, "observe", lambda *_, **__: None)
    slow = '[[clock]]\nnode = "north"\noffset = "-4s"\n'
    caught(
        slow,
        by="causality",
        saying="is not after a stamp that was seen before it",
        network="duplicate = 0.0",
        rate="2/s",
    )


def test_a_clock_that_follows_a_boast_is_caught(monkeypatch: Patch) -> None:
    def observe(txn: Transaction, remote: Any, **_: Any) -> None:
        txn.stamp = hlc.receive(txn.stamp, remote, txn.now_ms, 10**9)

    monkeypatch.setattr(Transaction, "observe", observe)
    caught(adversary("clock-pusher", beyond=False), by="drag-bound", saying="the drag bound is 5000 ms")


def test_a_stamp_taken_in_beyond_the_skew_bound_is_caught(monkeypatch: Patch) -> None:
    honest = page_ingest.admit

    def admit(candidate: Any, ledger: Any, link: Any, policy: IngestPolicy, now_ms: int) -> Fact | None:
        return honest(candidate, ledger, link, policy._replace(skew_future_ms=10**9), now_ms)

    monkeypatch.setattr(page_ingest, "admit", admit)
    caught(adversary("clock-pusher"), by="skew-bound", saying="the bound is 300000 ms")


# --- the audit log ---


def without(event: str) -> Callable[..., AuditRow | None]:
    honest = Transaction.audit

    def audit(txn: Transaction, name: str, *args: Any, **keys: Any) -> AuditRow | None:
        return None if name == event else honest(txn, name, *args, **keys)

    return audit


@pytest.mark.parametrize(
    ("kind", "event", "saying"),
    [
        ("pusher", "fact_write", "local writes have 0 audit rows"),
        ("pusher", "page_accepted", "the audit log counts 0"),
        ("hasher", "federation_integrity_rejected", "(cid_mismatch) was not audited"),
        ("instruction", "instruction_quarantined", "not each has its instruction_quarantined row"),
    ],
)
def test_a_missing_audit_row_is_caught(kind: str, event: str, saying: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Transaction, "audit", without(event))
    caught(adversary(kind), by="audit", saying=saying)


def test_a_conflict_of_keys_without_its_audit_row_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Transaction, "audit", without("origin_key_conflict"))
    caught(
        adversary("false-voucher", origin="west"),
        by="audit",
        saying="the rejection of origin:stigmem://west.sim (origin_key_conflict) was not audited",
        topology="line",
        federation='node_ids = "named"\norigin_keys = "vouched"',
    )


def test_a_rejection_audited_each_time_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(NodeState, "_letter", lambda *_: None)
    caught(adversary("hasher"), by="audit", saying="was audited twice")


def test_a_bad_fact_dropped_in_silence_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Ingestion, "reject", lambda *_: None)
    caught(adversary("overreach"), by="audit", saying="and audited nothing")


def test_a_rewritten_audit_row_is_caught(monkeypatch: Patch) -> None:
    honest = Transaction.audit

    def audit(txn: Transaction, *args: Any, **keys: Any) -> AuditRow:
        row = honest(txn, *args, **keys)
        txn.records[-1] = msgspec.structs.replace(row, subject="nobody")
        return row

    monkeypatch.setattr(Transaction, "audit", audit)
    caught(by="audit", saying="does not have the hash of its content")


def test_an_audit_row_out_of_the_chain_is_caught(monkeypatch: Patch) -> None:
    honest = Transaction.audit

    def audit(txn: Transaction, *args: Any, **keys: Any) -> AuditRow:
        row = honest(txn, *args, **keys)
        if row.seq == 20:
            txn.records.pop()
        return row

    monkeypatch.setattr(Transaction, "audit", audit)
    found = failures(run_simulation(signatures="stand-in"))
    assert list(found) == ["audit"]


def test_an_audit_log_that_lost_its_end_is_caught() -> None:
    def lose(simulation: Simulation) -> None:
        def cut() -> None:
            disk = simulation.machines["south"].disk
            has_rows = [any(isinstance(record, AuditRow) for record in batch) for batch in disk.batches()]
            del disk.frames[max(at for at, found in enumerate(has_rows) if found) :]

        later(simulation, 42, cut)

    crash = CRASH.replace("north", "south")
    caught(crash, by="audit", saying="rows and has", before=lose, rate="1/m")


# --- requests ---


def test_an_answer_that_is_an_error_of_the_node_is_caught() -> None:
    def break_down(simulation: Simulation) -> None:
        def patch() -> None:
            node_of(simulation, "west").offer = lambda request, answer, *_: answer(Response(500))  # type: ignore[method-assign]

        later(simulation, 20, patch)

    caught(by="no-server-errors", saying="answered 500", before=break_down)


def test_a_token_accepted_twice_is_caught(monkeypatch: Patch) -> None:
    spend = NonceTable.spend

    def careless(table: NonceTable, nonce: str, *args: Any) -> Any:
        return spend(table, f"{nonce}{len(table)}", *args)

    monkeypatch.setattr(NonceTable, "spend", careless)
    caught(adversary("replayer"), by="tokens-once", saying="accepted a spent token of mallory")


def test_a_spent_token_accepted_with_a_push_is_caught(monkeypatch: Patch) -> None:
    peer, spend, reserve, pushes = PeerAuthenticator.peer, NonceTable.spend, Transaction.try_reserve, [False]

    def routed(self: PeerAuthenticator, txn: Transaction, request: Request) -> Any:
        pushes[0] = request.method == "POST"
        return peer(self, txn, request)

    def careless(table: NonceTable, nonce: str, *args: Any) -> Any:
        return spend(table, f"{nonce}{len(table)}" if pushes[0] else nonce, *args)

    monkeypatch.setattr(PeerAuthenticator, "peer", routed)
    monkeypatch.setattr(Transaction, "try_reserve", lambda *given: pushes[0] or reserve(*given))
    monkeypatch.setattr(NonceTable, "spend", careless)
    abuser = adversary("token-abuser", tokens=250, period="10s")
    saying = "accepted a spent token of mallory for /v1/federation/facts/push"
    caught(abuser, federation="push = true", by="tokens-once", saying=saying)


def test_a_replay_seen_by_the_replayer_alone_is_caught(monkeypatch: Patch) -> None:
    spend = NonceTable.spend
    monkeypatch.setattr(NonceTable, "spend", lambda table, nonce, *args: spend(table, f"{nonce}{len(table)}", *args))

    blind = [checker for checker in CHECKERS if checker is not Tokens]
    caught(adversary("replayer"), by="hostile-requests", saying="was accepted", checkers=blind)


# --- bounds ---


@pytest.mark.parametrize(
    ("grow", "saying"),
    [
        (
            lambda node: node.state.letters.update(
                x={str(n): ("c",) for n in range(limits.DEAD_LETTERS_PER_PEER_MAX + 1)}
            ),
            "dead letters",
        ),
        (lambda node: node.state.deferred.update({("x", str(n)): None for n in range(9_000)}), "deferred facts"),
        (lambda node: setattr(node.mailbox, "longest", 100_000), "messages in the mailbox"),
        (lambda node: node.long_polls._waiting.extend([None] * 99), "held pulls"),
        (lambda node: node.state.origins.update({str(n): None for n in range(limits.ORIGINS_MAX + 9)}), "origins"),
        (
            lambda node: node.state.nonces._spent.update({bytes(str(n), "ascii"): "" for n in range(999_999)}),
            "spent nonces",
        ),
    ],
    ids=["letters", "deferred", "mailbox", "held pulls", "origins", "nonces"],
)
def test_a_queue_that_grows_past_its_bound_is_caught(grow: Callable[[Node], object], saying: str) -> None:
    class Grown:
        """What may be seen of a run, where a queue grows right before a checker looks at it, so that nothing else
        stumbles over what was put there."""

        def __init__(self, observed: Observed) -> None:
            self._observed = observed

        def __getattr__(self, name: str) -> Any:
            return getattr(self._observed, name)

        def node(self, name: str) -> NodeView | None:
            if self._observed.now_ns > 30 * SECOND:
                grow(node_of(runs[0], name))
            return self._observed.node(name)

    runs: list[Simulation] = []
    others = [checker for checker in CHECKERS if checker is not Queues]
    caught(
        by="bounded-queues",
        saying=saying,
        before=runs.append,
        checkers=[lambda observed: Queues(cast("Observed", Grown(observed))), *others],
    )


# --- hostile peers ---


def read_one_after_the_other(monkeypatch: Patch, node: str) -> None:
    """As in a single loop over all peers."""
    honest = Puller._drain
    waiting: list[object] = []

    async def drain(puller: Puller, row: Any) -> int:
        while waiting and puller._reader._client._identity.entity_uri == f"http://{node}.sim":
            await puller._clock.sleep(SECOND)
        waiting.append(puller)
        try:
            return await honest(puller, row)
        finally:
            waiting.remove(puller)

    monkeypatch.setattr(Puller, "_drain", drain)


def test_a_node_that_lets_one_peer_hold_up_another_is_caught(monkeypatch: Patch) -> None:
    read_one_after_the_other(monkeypatch, "north")
    caught(
        adversary("staller", ways=["late"]),
        by="one-bad-peer",
        saying="with hostile peers about",
        federation='pull_timeout = "20s"',
    )


SLOW_LINK = '[[link]]\nbetween = ["north", "west"]\nlatency = "17.5s"\n'
PATIENCE = 'pull_timeout = "60s"\ndiscovery_timeout = "60s"'


def test_a_slow_link_that_holds_up_another_is_caught_also_when_nobody_is_hostile(monkeypatch: Patch) -> None:
    read_one_after_the_other(monkeypatch, "north")
    found = failures(run_simulation(SLOW_LINK, federation=PATIENCE, signatures="stand-in", duration="5m", settle="5m"))
    assert "north: did not read south for" in found["one-bad-peer"]


def test_a_slow_link_alone_raises_no_alarm() -> None:
    simulation = run_simulation(SLOW_LINK, federation=PATIENCE, signatures="stand-in", duration="5m", settle="5m")
    assert failures(simulation) == {}
    isolation = next(checker for checker in simulation.checkers if checker.name == "one-bad-peer")
    assert isolation.judged > 100  # type: ignore[attr-defined]


def test_a_page_dropped_for_one_bad_fact_is_caught(monkeypatch: Patch) -> None:
    honest = Ingestion.take

    def take(ingestion: Ingestion, arrival: Any) -> Fact | None:
        is_bad = [isinstance(each.outcome, page_ingest.Refused) for each in ingestion._page.arrivals]
        if any(is_bad) and not isinstance(arrival.outcome, page_ingest.Refused):
            return None
        return honest(ingestion, arrival)

    monkeypatch.setattr(Ingestion, "take", take)
    caught(adversary("hasher"), by="bad-facts-alone", saying="lost a good fact among the bad")


def test_a_fact_that_disappears_without_a_conflict_is_caught() -> None:
    def hide(simulation: Simulation) -> None:
        def patch() -> None:
            ledger = node_of(simulation, "south").state.ledger
            victim = next(
                fact
                for fact in ledger.log
                if fact.scope == "public" and not ledger.contradicted(fact) and ledger.live(fact)
            )
            honest = ledger.overridden
            ledger.overridden = lambda fact: fact.id == victim.id or honest(fact)  # type: ignore[method-assign]

        later(simulation, 89, patch)

    caught(adversary("pusher"), PROBES, by="no-silent-erasure", saying="and no conflict tells of it", before=hide)


def test_a_node_on_which_a_claimed_name_counts_as_the_author_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(stigmem.core.one_value, "author_of", lambda word: (word.source, ""))
    claims = adversary("impersonator", peers=["south"], ways=["supersede"])
    found = failures(run_simulation(claims, PROBES, signatures="stand-in"))
    assert "was ended by a hostile one" in found["no-silent-erasure"]


# --- at the end ---


def test_a_fact_withheld_from_one_node_for_ever_is_caught(monkeypatch: Patch) -> None:
    honest = page_ingest.admit

    def admit(candidate: Any, ledger: Any, link: Any, policy: Any, now_ms: int) -> Fact | None:
        if candidate.fact.text.endswith("says 5") and candidate.fact.scope == "public" and policy.node_id.endswith(""):
            raise Rejection("malformed_fact", "we do not like it")
        return honest(candidate, ledger, link, policy, now_ms)

    monkeypatch.setattr(page_ingest, "admit", admit)
    caught(by="convergence", saying="copies are missing", settle="20s")


def test_a_missing_copy_is_told_with_what_each_neighbour_could_have_served(monkeypatch: Patch) -> None:
    honest = page_ingest.admit

    def admit(candidate: Any, ledger: Any, link: Any, policy: Any, now_ms: int) -> Fact | None:
        if candidate.fact.text.endswith("says 5"):
            raise Rejection("malformed_fact", "we do not like it")
        return honest(candidate, ledger, link, policy, now_ms)

    monkeypatch.setattr(page_ingest, "admit", admit)
    told = failures(run_simulation(signatures="stand-in", settle="20s"))["convergence"]
    assert re.search(r"refused it \(malformed_fact\)", told)
    assert re.search(r"(\w+) holds it at place (\d+) of \d+, and \w+ has read to place \d+, past it", told)
    assert re.search(r"the last page that passed it left \w+ at \S+, from place \d+ to \d+, [\d,]+ bytes", told)


SEVERED = frozenset((a, b) for other in ("north", "west") for a, b in (("south", other), (other, "south")))


def test_a_missing_copy_behind_a_cut_is_told_with_how_far_the_reader_came() -> None:
    def cut(simulation: Simulation) -> None:
        later(simulation, 30, lambda: simulation.network.add_rule(Cut("cut", SEVERED)))

    told = failures(run_simulation(signatures="stand-in", settle="20s", before=cut))["convergence"]
    assert re.search(r"holds it at place \d+ of \d+, and \w+ has read to place \d+, not yet so far", told)


def test_a_fact_that_vanishes_from_a_ledger_is_caught() -> None:
    def lose(simulation: Simulation) -> None:
        def patch() -> None:
            ledger = node_of(simulation, "west").state.ledger
            gone = next(fact for fact in ledger.log if fact.received_from is not None and not ledger.contradicted(fact))
            ledger.log[ledger.log.index(gone)] = ledger.log[0]  # as long as it was: pages look facts up by their place

        later(simulation, 89.9, patch)

    blind = [checker for checker in CHECKERS if checker is not Past]  # which misses the fact before the end
    caught(PROBES, by="convergence", saying="does not hold it any more", before=lose, checkers=blind)


def test_a_conflict_that_a_ledger_forgot_is_caught() -> None:
    def forget(simulation: Simulation) -> None:
        def patch() -> None:
            for name in simulation.plan.nodes:
                contested = node_of(simulation, name).state.ledger.contested
                contested.pop(min(contested))

        later(simulation, 89.9, patch)

    caught(by="conflict-agreement", saying="differ on whether", before=forget)


def test_expiry_that_never_happens_is_caught(monkeypatch: Patch) -> None:
    """A node that applies expiry when it boots, and never again."""
    honest = Ledger.advance

    def advance(ledger: Ledger, now_us: int) -> None:
        if not ledger.log:
            honest(ledger, now_us)

    monkeypatch.setattr(Ledger, "advance", advance)
    caught(
        '[[workload]]\nkind = "expiring"\nrate = "20/m"\nlife = "20s"\n',
        by="conflict-agreement",
        saying="a fact's time has passed on the node's own clock, and it still stands",
        duration="2m",
    )


def test_a_conflict_that_is_not_listed_is_caught() -> None:
    def hide(simulation: Simulation) -> None:
        def patch() -> None:
            book = node_of(simulation, "north").state.conflicts
            honest = book.all
            book.all = lambda: honest()[1:]  # type: ignore[method-assign]

        later(simulation, 60, patch)

    caught(by="conflict-agreement", saying="is not listed", before=hide)


def test_nodes_that_tell_different_conflicts_are_caught() -> None:
    def twist(simulation: Simulation) -> None:
        def patch() -> None:
            book = node_of(simulation, "south").state.conflicts
            honest = book.all
            book.all = lambda: [msgspec.structs.replace(c, fact_a=c.fact_b, fact_b=c.fact_a) for c in honest()]  # type: ignore[method-assign]

        later(simulation, 60, patch)

    caught(by="conflict-agreement", saying="do not see the same conflicts", before=twist)


# --- in measure, and with whom somebody approved ---


def test_a_reader_that_hardly_rests_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(PullBackoff, "after_success", lambda _: SECOND // 2)
    caught(by="economy", saying="to its end 19 times in")


@pytest.mark.parametrize(
    ("way", "rest"), [("silence", "after_silence"), ("503", "after_refusal"), ("429-at-once", "after_refusal")]
)
def test_a_reader_that_asks_more_and_more_of_one_that_turns_it_away_is_caught(
    monkeypatch: Patch, way: str, rest: str
) -> None:
    monkeypatch.setattr(PullBackoff, rest, lambda *_: SECOND // 10)
    caught(adversary("staller", peers=["north"], ways=[way]), by="economy", saying="though it had been turned away")


def test_a_reader_that_asks_for_one_place_without_a_rest_is_caught(monkeypatch: Patch) -> None:
    honest = PeerReader._after
    monkeypatch.setattr(PeerReader, "_after", lambda *given, **keys: honest(*given, **keys) and Next.MORE)
    liar = adversary("page-liar", peers=["north"], lies=["cursor-same"], always=True)
    caught(liar, by="economy", saying="for one place 8 times without a rest")


def test_a_reader_that_begins_anew_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(StampCursor, "start", lambda *_: None)
    caught(by="economy", saying="from its beginning, though it has stored how far it was")


def test_an_id_that_commits_to_nothing_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(page_ingest, "CERTIFYING", "another")
    thief = adversary("id-thief", peers=["north"], steal=False)
    caught(thief, by="no-leaks", saying="whose ids commit to their facts, and this one does not")


def test_more_of_a_page_than_was_asked_for_is_caught(monkeypatch: Patch) -> None:
    honest = puller.decode_page
    monkeypatch.setattr(puller, "decode_page", lambda body, dialect, _: honest(body, dialect, 10_000))
    liar = adversary("page-liar", peers=["north"], lies=["excess"])
    caught(liar, by="hostile-requests", saying="facts of a page beyond as many as it had asked for")


def test_a_node_that_serves_whoever_has_registered_is_caught(monkeypatch: Patch) -> None:
    def registered(_: PeerAuthenticator, txn: Transaction, token: Token) -> PeerRow:
        row = txn.state.peer_of(token.issuer)
        if row is None:
            raise Refusal(401, "peer not registered", "peer not registered", style="text")
        return row

    monkeypatch.setattr(PeerAuthenticator, "_registered", registered)
    abuser = adversary("registration-abuser", peers=["north"], period="1s")
    blind = [checker for checker in CHECKERS if checker is not Refusals]  # which was owed a refusal
    caught(abuser, by="approved-only", saying="served mallory, whose status is pending", checkers=blind)


def test_a_node_that_tells_its_past_by_the_present_instant_is_caught(monkeypatch: Patch) -> None:
    honest = PastFacts.live

    def live(past: PastFacts, fact: Fact) -> bool:
        return honest(past, fact) and not past.ledger.overridden(fact)

    monkeypatch.setattr(PastFacts, "live", live)
    caught(MINDS, by="past", saying="does not know any more what it answered at")


def test_a_past_in_which_later_words_speak_is_caught(monkeypatch: Patch) -> None:
    def holds(point: PointOfTime, fact: Fact) -> bool:
        return fact.seq <= point.seq

    monkeypatch.setattr(PointOfTime, "holds", holds)
    caught(MINDS, by="past", saying="than its words say")


def test_every_checker_is_broken_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    elsewhere = {
        "refusals-audited": "check/test_refusals.py", "recovery": "check/test_recovery.py",
        "forgotten": "test_erased_everywhere.py", "lag-labels": "check/test_recovery.py",
    }  # fmt: skip
    missing = {checker.name for checker in CHECKERS if f'by="{checker.name}"' not in text}
    assert missing == set(elsewhere)
    for name, file in elsewhere.items():
        there = (Path(__file__).parents[1] / file).read_text(encoding="utf-8")
        assert name in there, f"{file} breaks no property of {name}"
