"""A cursor is only good for the history it was made from; any other history is read from its beginning."""

from __future__ import annotations

import msgspec

from stigmem.core.declaration import ACTIVE, CERTIFYING
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.records import PeerRow
from tests.builders import T0_MS, fact
from tests.node.api import page_server

SEED = bytes(32)
PEER = PeerRow("p", "stigmem:node:peer", "http://peer.sim", "key", ("public",), ACTIVE, CERTIFYING)


def history(*numbers: int) -> Ledger:
    ledger = Ledger()
    for seq, number in enumerate(numbers, 1):
        ledger.add(msgspec.structs.replace(one(number), seq=seq))
    return ledger


def one(number: int) -> Fact:
    return fact(number, f"text {number}", origin="stigmem:node:a")


def served(ledger: Ledger, cursor: str | None) -> tuple[list[str], str | None]:
    """What a node with this history serves after a cursor, and the next cursor."""
    server = page_server(ledger, "stigmem:node:a")
    page = msgspec.json.decode(server.page(PEER, ("public",), cursor, 100, T0_MS).body)
    return [entry["fact"]["value"]["v"] for entry in page["facts"]], page["cursor"]


def test_a_cursor_goes_on_where_it_was_after_a_restart() -> None:
    _, cursor = served(history(1, 2, 3), None)
    assert served(history(1, 2, 3, 4), cursor)[0] == ["text 4"]


def test_a_cursor_of_a_longer_past_starts_from_the_beginning() -> None:
    _, cursor = served(history(1, 2, 3), None)
    assert served(history(4), cursor)[0] == ["text 4"]


def test_a_number_that_stands_for_another_fact_now_starts_from_the_beginning() -> None:
    _, cursor = served(history(1, 2, 3), None)
    assert served(history(4, 1, 2, 3), cursor)[0] == ["text 4", "text 1", "text 2", "text 3"]


def test_the_same_fact_at_the_same_place_of_another_past_does_too() -> None:
    _, cursor = served(history(1, 2, 3), None)
    assert served(history(4, 5, 3), cursor)[0] == ["text 4", "text 5", "text 3"]
