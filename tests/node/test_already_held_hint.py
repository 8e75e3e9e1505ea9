"""What a pull names as held is not served again, nothing else is left out for it, and it names nothing but what its
reader may know."""

from __future__ import annotations

import msgspec

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE, CERTIFYING
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.records import PeerRow
from stigmem.node.replication.pull_request import AlreadyHeldHint, held_by_asker
from tests.builders import SLOT, T0_MS, fact
from tests.node.api import page_server

SEED = bytes(32)
SELF, PEER_ID, THIRD = "stigmem:node:a", "stigmem:node:peer", "stigmem:node:third"
PEER = PeerRow("p", PEER_ID, "http://peer.sim", "key", ("company", "public"), ACTIVE, CERTIFYING)


def relayed(number: int, **changes: object) -> Fact:
    """A certified public fact of a third node that came from there."""
    made = fact(number, f"text {number}", origin=THIRD)
    return msgspec.structs.replace(
        made, received_from=THIRD, signature=bytes(64), entity_uri="http://third.sim", grant="public", **changes
    )


def ledger_of(*facts: Fact) -> Ledger:
    ledger = Ledger()
    grow(ledger, *facts)
    return ledger


def grow(ledger: Ledger, *facts: Fact) -> None:
    for each in facts:
        ledger.add(msgspec.structs.replace(each, seq=ledger.last_seq + 1))


def served(ledger: Ledger, cursor: str | None = None, held: frozenset[str] = frozenset()) -> tuple[list[str], str]:
    server = page_server(ledger, SELF)
    page = msgspec.json.decode(server.page(PEER, ("public",), cursor, 100, T0_MS, held=held).body)
    return [entry["fact"]["value"]["v"] for entry in page["facts"]], page["cursor"]


def test_what_is_named_is_left_out_and_the_cursor_passes_it() -> None:
    ledger = ledger_of(relayed(1), relayed(2), relayed(3))
    texts, cursor = served(ledger, held=frozenset({ledger.log[1].id}))
    assert texts == ["text 1", "text 3"]
    assert served(ledger, cursor) == ([], cursor)
    everything = frozenset(each.id for each in ledger.log)
    texts, cursor = served(ledger, held=everything)
    assert texts == []
    grow(ledger, relayed(4))
    assert served(ledger, cursor)[0] == ["text 4"], "a page that left everything out moves the cursor all the same"


def test_an_id_that_commits_to_nothing_is_served_whoever_names_it() -> None:
    mine = msgspec.structs.replace(fact(1, "text 1", origin=SELF), certified=False)
    ledger = ledger_of(mine)
    assert served(ledger, held=frozenset({mine.id}))[0] == ["text 1"]


def test_names_are_those_of_public_facts_taken_from_others() -> None:
    ledger = ledger_of(relayed(1))
    holding = AlreadyHeldHint(ledger)
    assert holding.names(PEER_ID) == "", "what was there before is the peer's to serve or not"
    company = msgspec.structs.replace(fact(4, origin=THIRD, slot=(*SLOT[:2], "company")), received_from=THIRD)
    own, theirs, new = fact(2, "text 2", origin=SELF), relayed(3), relayed(5)
    theirs = msgspec.structs.replace(theirs, received_from=PEER_ID)
    grow(ledger, own, theirs, company, new)
    assert holding.names(PEER_ID) == new.id


def test_a_fact_is_named_for_two_pulls() -> None:
    ledger = ledger_of()
    holding = AlreadyHeldHint(ledger)
    grow(ledger, relayed(1))
    for _ in range(2):
        assert holding.names(PEER_ID) == ledger.log[0].id
        assert holding.names(PEER_ID) == ledger.log[0].id, "a pull that got no answer does not count"
        holding.answered(ledger.last_seq)
    assert holding.names(PEER_ID) == ""


def test_of_a_flood_the_newest_are_named_and_the_header_can_be_read() -> None:
    ledger = ledger_of()
    holding = AlreadyHeldHint(ledger)
    grow(ledger, *(relayed(number) for number in range(1, limits.HOLDING_LOOKED_AT_MAX + 50)))
    header = holding.names(PEER_ID)
    newest = [each.id for each in ledger.log[-limits.HOLDING_NAMED_MAX :]]
    assert header.split(",") == newest
    assert held_by_asker(header) == frozenset(newest)


def test_a_header_longer_than_ours_names_nothing() -> None:
    assert held_by_asker("x" * (limits.HOLDING_CHARS_MAX + 1)) == frozenset()
    assert held_by_asker("") == frozenset()
