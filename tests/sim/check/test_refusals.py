"""Debts to requests: a refusal has the code that it is owed and its row in the audit log, once, or is counted."""

from __future__ import annotations

from typing import Any

import pytest

from sim.simulation.simulation import Simulation
from stigmem.core.errors import Rejection
from stigmem.node.api import peer_auth
from stigmem.node.api.peer_auth import PeerAuthenticator
from stigmem.node.quotas import Quotas
from stigmem.node.transaction import Transaction
from tests.sim.hostile import adversary, failures, run_simulation
from tests.sim.small_runs import result_of

Patch = pytest.MonkeyPatch
NAME = "refusals-audited"
ABUSE = adversary("token-abuser", tokens=20)


def abused(table: str = ABUSE, **keys: Any) -> Simulation:
    return run_simulation(table, federation="push = true", signatures="stand-in", **keys)


def caught(saying: str, table: str = ABUSE) -> None:
    found = failures(abused(table))
    assert list(found) == [NAME]
    assert saying in found[NAME]


@pytest.mark.parametrize(
    "table",
    [ABUSE, adversary("stranger", requests=8), adversary("registration-abuser", period="3s")],
    ids=["token-abuser", "stranger", "registration-abuser"],
)
def test_every_refusal_that_is_owed_is_paid_and_on_record(table: str) -> None:
    simulation = abused(table)
    assert failures(simulation) == {}
    said = result_of(simulation, NAME)
    assert not said.vacuous
    assert not said.detail.endswith(" 0 of them owed")


def test_a_stop_that_loses_what_was_counted_is_no_alarm() -> None:
    crash = '[[fault]]\nkind = "crash"\nnode = "north"\nat = "40s"\nfor = "5s"\n'
    simulation = abused(adversary("stranger", peers=["north"], requests=20) + crash)
    assert failures(simulation) == {}


def test_a_refusal_with_another_code_is_caught(monkeypatch: Patch) -> None:
    honest = peer_auth.check_token

    def check(*args: Any, **keys: Any) -> Any:
        try:
            return honest(*args, **keys)
        except Rejection as rejection:
            code = "invalid_token" if rejection.code == "token_expired" else rejection.code
            raise Rejection(code, rejection.message) from rejection

    monkeypatch.setattr(peer_auth, "check_token", check)
    caught(
        "north: refused a token with an end forty seconds ago of mallory as 'invalid_token' and owes it token_expired"
    )


def test_a_refusal_without_its_row_is_caught(monkeypatch: Patch) -> None:
    honest = PeerAuthenticator._audit_refusal

    def audit(self: PeerAuthenticator, txn: Transaction, peer_id: str, rejection: Rejection) -> None:
        if rejection.code != "invalid_sub":
            honest(self, txn, peer_id, rejection)

    monkeypatch.setattr(PeerAuthenticator, "_audit_refusal", audit)
    caught("tokens without a row and counted")


def test_a_refusal_that_exceeds_the_ration_and_is_not_counted_is_caught(monkeypatch: Patch) -> None:
    honest = Quotas.may_audit

    def may_audit(self: Quotas, who: str, monotonic_ns: int) -> bool:
        before = self.suppressed
        allowed = honest(self, who, monotonic_ns)
        self.suppressed = before
        return allowed

    monkeypatch.setattr(Quotas, "may_audit", may_audit)
    caught("tokens without a row and counted 0", adversary("stranger", requests=20))


def test_a_refusal_with_two_rows_is_caught(monkeypatch: Patch) -> None:
    honest = PeerAuthenticator._audit_refusal

    def audit(self: PeerAuthenticator, txn: Transaction, peer_id: str, rejection: Rejection) -> None:
        honest(self, txn, peer_id, rejection)
        if rejection.code == "invalid_sub":
            txn.audit("rejected_token", peer_id, reason=rejection.code)

    monkeypatch.setattr(PeerAuthenticator, "_audit_refusal", audit)
    caught("rows rejected_token (invalid_sub) for", adversary("token-abuser", tokens=1, period="3s"))


def test_a_token_of_a_peer_that_nobody_approved_is_owed_its_refusal(monkeypatch: Patch) -> None:
    def unauthorised(detail: str, txn: Transaction) -> Any:
        return honest("peer not here" if detail == "peer_not_approved" else detail, txn)

    honest = peer_auth._unauthorised
    monkeypatch.setattr(peer_auth, "_unauthorised", unauthorised)
    caught("owes it peer_not_approved", adversary("registration-abuser", period="3s"))
