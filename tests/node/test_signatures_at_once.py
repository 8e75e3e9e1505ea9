"""Signatures that are checked in threads: the same answers, in the same order, and the same outcome of a page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from stigmem.core.ingest import IngestPolicy, PeerLink, VerifiedFact, signed_part
from stigmem.core.keys import ED25519, KnownSignatures, Suite, encode_base64
from stigmem.core.page import Page, decode_entry
from stigmem.core.records import PeerRow
from stigmem.host.context import HostSignatures
from stigmem.node.events import NodeEvents
from stigmem.node.ports import OneThread, Signed
from stigmem.node.replication.page_ingest import Refused
from stigmem.node.replication.page_verifier import EntryVerifier, PageVerifier
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.testing import ManualClock
from tests.builders import fact
from tests.core.received import ORIGIN, OURS, Draft

SIGNER, OTHER = ED25519.signer(bytes(32)), ED25519.signer(b"x" * 32)
LINK = PeerLink(ORIGIN, "2.1+", ("company", "public"))
POLICY = IngestPolicy(OURS, ED25519, lambda origin: SIGNER.public_key, lambda source: False)
ROW = PeerRow("p", ORIGIN, "http://origin.example", SIGNER.public_key, ("company", "public"), "active", "2.1+")


class Counted:
    """Two threads that are none, and what they were asked."""

    threads = 2

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def check(self, suite: Suite, signed: Sequence[Signed]) -> Sequence[bool]:
        self.asked.append(len(signed))
        return [suite.verify(*each) for each in signed]


class Keys:
    """Every origin's key is known."""

    def key_of(self, origin: str) -> str:
        return SIGNER.public_key

    async def learn_all(self, manifests: object, by: object) -> None:
        return None


def entry(number: int, *, forged: bool = False) -> bytes:
    made = Draft.of(fact(number, f"value {number}", origin=ORIGIN)).entry("2.1+")
    origin = decode_entry(msgspec.json.encode(made), "2.1+")
    part = signed_part(origin, LINK, POLICY)
    assert part is not None
    made["origin_sig"] = encode_base64((OTHER if forged else SIGNER).sign(part[1]))
    return msgspec.json.encode(made)


async def outcomes(entries: list[bytes], signatures: object) -> list[str]:
    """The id of each fact that passed, or the code it was refused with."""
    state = NodeState(NodeSettings(seed=bytes(32)), Clock())  # type: ignore[arg-type]
    verifier = PageVerifier(
        verifier=EntryVerifier(POLICY, NodeEvents()), state=state, origin_keys=Keys(),  # type: ignore[arg-type]
        clock=Clock(), client=None, signatures=signatures,  # type: ignore[arg-type]
    )  # fmt: skip
    arrivals = await verifier.inspect(ROW, LINK, Page(entries, None, has_more=False))
    return [
        each.outcome.fact.id if isinstance(each.outcome, VerifiedFact) else each.outcome.rejection.code
        for each in arrivals
        if isinstance(each.outcome, (VerifiedFact, Refused))
    ]


class Clock(ManualClock):
    """A clock that lets others work at once."""

    async def checkpoint(self) -> None:
        return None


async def test_a_long_page_comes_out_alike_however_its_signatures_were_checked() -> None:
    entries = [entry(number, forged=number % 7 == 3) for number in range(1, 61)]
    entries[20] = b"{}"
    alone = await outcomes(entries, OneThread())
    threads = Counted()
    assert await outcomes(entries, threads) == alone
    assert threads.asked == [59]
    assert await outcomes(entries, HostSignatures()) == alone
    assert alone.count("origin_sig_invalid") == 9
    assert alone.count("entry_incomplete") == 1


async def test_a_short_page_is_not_worth_a_thread() -> None:
    threads = Counted()
    await outcomes([entry(number) for number in range(1, 16)], threads)
    assert threads.asked == []
    await outcomes([entry(number) for number in range(1, 17)], threads)
    assert threads.asked == [16]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50, 51])
async def test_answers_of_threads_come_in_the_order_of_the_question(count: int) -> None:
    signed = [(SIGNER.public_key, b"%d" % n, SIGNER.sign(b"%d" % (n - n % 3))) for n in range(count)]
    assert await HostSignatures().check(ED25519, signed) == [n % 3 == 0 for n in range(count)]
    assert await OneThread().check(ED25519, signed) == [n % 3 == 0 for n in range(count)]


def test_what_is_not_known_is_asked_of_the_suite() -> None:
    good = SIGNER.sign(b"said")
    known = KnownSignatures(ED25519, {(SIGNER.public_key, b"known", b"x"): True})
    assert known.verify(SIGNER.public_key, b"known", b"x")
    assert known.verify(SIGNER.public_key, b"said", good)
    assert not known.verify(SIGNER.public_key, b"other", good)
