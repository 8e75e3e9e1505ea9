"""Which peer ends a wait for which facts: what a question says of origins, what is served for it, and who becomes the
one that brings an origin's facts."""

from __future__ import annotations

import msgspec

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.node.replication.first_peers import FirstPeers, origin_tag, tags_of
from stigmem.node.replication.page_server import PageServer
from stigmem.node.replication.pull_request import AlreadyHeldHint
from tests.builders import T0_MS
from tests.node.api import page_server
from tests.node.test_already_held_hint import PEER, PEER_ID, SELF, THIRD, grow, ledger_of, relayed

FOURTH = "stigmem:node:fourth"


def told(first: FirstPeers, peer: str) -> frozenset[str]:
    return tags_of(first.elsewhere(peer))


def test_who_brings_a_fact_of_an_origin_first_is_the_one_for_it_and_the_others_are_told_so() -> None:
    first = FirstPeers()
    assert first.elsewhere("b") == ""
    first.brought("b", ["a"], "")
    assert told(first, "b") == frozenset()
    assert told(first, "c") == {origin_tag("a")}
    first.brought("c", ["a"], "")
    assert told(first, "b") == frozenset(), "a race between two that were told nothing changes nothing"


def test_who_was_told_elsewhere_and_brought_the_fact_all_the_same_takes_over() -> None:
    first = FirstPeers()
    first.brought("b", ["a", "x"], "")
    first.brought("c", ["a"], first.elsewhere("c"))
    assert told(first, "b") == {origin_tag("a")}
    assert told(first, "c") == {origin_tag("x")}


def test_a_peer_is_never_told_that_what_it_writes_itself_comes_from_elsewhere() -> None:
    first = FirstPeers()
    first.brought("b", ["a"], "")
    assert told(first, "a") == frozenset()
    first.brought("a", ["a"], "")
    assert told(first, "b") == {origin_tag("a")}


def test_a_peer_that_holds_no_question_brings_nothing_first() -> None:
    first = FirstPeers()
    first.brought("b", ["a"], "")
    first.brought("c", ["x"], "")
    first.rests("b")
    assert told(first, "c") == frozenset()
    assert told(first, "b") == {origin_tag("x")}


def test_the_newest_origins_are_named_and_the_oldest_forgotten() -> None:
    first = FirstPeers()
    first.brought("b", [f"origin {number}" for number in range(limits.ELSEWHERE_ORIGINS_MAX + 10)], "")
    named = first.elsewhere("c").split(",")
    assert len(named) == limits.ELSEWHERE_NAMED_MAX
    assert named[-1] == origin_tag(f"origin {limits.ELSEWHERE_ORIGINS_MAX + 9}")
    assert tags_of(first.elsewhere("c")) == frozenset(named), "what we say is what we read"


def test_a_header_that_is_longer_than_ours_says_nothing() -> None:
    assert tags_of(",".join(["00000000"] * limits.ELSEWHERE_NAMED_MAX)) != frozenset()
    assert tags_of(",".join(["00000000"] * (limits.ELSEWHERE_NAMED_MAX + 1))) == frozenset()
    assert tags_of("") == frozenset()


# --- what is served for it ---


def other(number: int) -> Fact:
    return msgspec.structs.replace(relayed(number), received_from=FOURTH)


def of_fourth(number: int) -> Fact:
    made = relayed(number)
    changed = msgspec.structs.replace(made, origin=FOURTH, received_from=FOURTH)
    return msgspec.structs.replace(changed, id=changed.certified_id())


def page(
    server: PageServer, cursor: str | None, *, held: str = "", elsewhere: str = ""
) -> tuple[list[str], str | None]:
    hints = {"held": frozenset(held.split(",")), "elsewhere": tags_of(elsewhere)}
    found = msgspec.json.decode(server.page(PEER, ("public",), cursor, 100, T0_MS, **hints).body)
    return [entry["fact"]["value"]["v"] for entry in found["facts"]], found["cursor"]


def test_facts_that_come_from_elsewhere_end_no_wait_and_are_left_out_but_never_passed() -> None:
    ledger = ledger_of(relayed(1))
    server = page_server(ledger, SELF)
    _, cursor = page(server, None)
    grow(ledger, relayed(2))
    tags = tags_of(origin_tag(THIRD))
    assert server.has_news_after(PEER, ("public",), 1)
    assert not server.has_news_after(PEER, ("public",), 1, elsewhere=tags)
    assert page(server, cursor, elsewhere=origin_tag(THIRD)) == ([], cursor)
    assert page(server, cursor)[0] == ["text 2"], "who does not name it gets it by the next question"


def test_what_ends_a_wait_is_served_beyond_what_was_left_out_and_comes_once_if_it_is_named() -> None:
    ledger = ledger_of(relayed(1))
    server = page_server(ledger, SELF)
    _, cursor = page(server, None)
    grow(ledger, relayed(2), of_fourth(3))
    assert server.has_news_after(PEER, ("public",), 1, elsewhere=tags_of(origin_tag(THIRD)))
    texts, after = page(server, cursor, elsewhere=origin_tag(THIRD))
    assert (texts, after) == (["text 3"], cursor)
    named = ",".join(fact.id for fact in ledger.log[1:])
    texts, after = page(server, after, held=named, elsewhere=origin_tag(THIRD))
    assert texts == []
    assert after != cursor
    assert page(server, after) == ([], after)


def test_facts_that_are_not_public_come_from_nobody_else_and_end_a_wait() -> None:
    ledger = ledger_of(relayed(1))
    server = page_server(ledger, SELF)
    mine = msgspec.structs.replace(relayed(2), origin=THIRD, scope="company", received_from=None)
    grow(ledger, mine)
    both = ("company", "public")
    assert server.has_news_after(PEER, both, 1, elsewhere=tags_of(origin_tag(THIRD)))


def test_a_question_that_speaks_of_origins_names_also_what_the_peer_itself_brought() -> None:
    ledger = ledger_of()
    hint = AlreadyHeldHint(ledger)
    theirs = msgspec.structs.replace(relayed(1), received_from=PEER_ID)
    grow(ledger, theirs, relayed(2))
    assert hint.names(PEER_ID) == ledger.log[1].id
    assert hint.names(PEER_ID, with_its_own=True).split(",") == [fact.id for fact in ledger.log]
