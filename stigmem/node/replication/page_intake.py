"""The way of a page into the ledger: checked, stored with its cursor, and read again where something was refused in it.

`PageIntake` is the half of a reader that asks nobody. It has a page checked (`PageVerifier`) and stored (`IngestPage`),
and counts how often a page came again, which is invariant P3 of `stigmem.node.replication.puller`. The other half,
`PeerReader`, asks for pages and decides what one means for the next question.
"""

from __future__ import annotations

from typing import Final

from stigmem.core.errors import Rejection
from stigmem.core.ingest import PeerLink
from stigmem.core.page import Page
from stigmem.core.records import PeerRow
from stigmem.node.mailbox import Delivered, Mailbox, NotStored
from stigmem.node.ports import Unreachable
from stigmem.node.replication.page_ingest import IngestPage, PageIngested, PagePlace
from stigmem.node.replication.page_verifier import PageVerifier
from stigmem.node.transaction import Transaction

__all__ = ["PageIntake"]

_TIMES_RETRIED_MAX: Final = 2
"""How often a page is read again before what is wrong in it is taken for its sender's doing and not the wire's. Twice:
that a bit flips in a page is rare, that one does in three readings of the same page does not happen."""


class PageIntake:
    """Has the pages of one peer checked and stored."""

    def __init__(self, peer_id: str, *, verifier: PageVerifier, mailbox: Mailbox) -> None:
        self._peer_id = peer_id
        self._verifier = verifier
        self._mailbox = mailbox
        self._refused_for = ""
        """The code of the last answer that was no page; empty once a page was good."""
        self._retried: tuple[str | None, int] = ("", 0)
        """Where a page began that comes again because of what was refused in it, and how often it did."""

    async def prepare(self, row: PeerRow) -> None:
        """A drain begins: have keys asked for that are wanting. Raises what asking the peer raises."""
        await self._verifier.prepare(row)

    def came(self) -> None:
        """An answer was a page."""
        self._refused_for = ""

    def refused(self, rejection: Rejection) -> None:
        """An answer was no page: recorded once, until a page is good or is bad in another way."""
        if rejection.code != self._refused_for:
            self._refused_for = rejection.code
            self._mailbox.put(Delivered(_RecordPageRefused(self._peer_id, rejection)))

    async def store(
        self, row: PeerRow, link: PeerLink, page: Page, begun: str | None, kept: str | None
    ) -> PageIngested:
        """Have a page checked, and stored with the cursor `kept` in place of `begun`. Raises Unreachable when it could
        not be stored, and what asking for the key of an origin raises."""
        arrivals = await self._verifier.inspect(row, link, page)
        times = self._retried[1] if self._retried[0] == begun else 0
        place = PagePlace(begun, kept, drained=not page.has_more, last_attempt=times == _TIMES_RETRIED_MAX)
        command = IngestPage(self._peer_id, link, self._verifier.policy, arrivals, place)
        try:
            ingested = await self._mailbox.submit(command)
        except NotStored as failure:
            if isinstance(failure.staged, PageIngested):
                self._count_retry(begun, times, failure.staged)
            raise Unreachable("not_stored", failure.message) from failure
        if ingested is None:
            raise Unreachable("not_stored", "the peer was revoked meanwhile")
        self._count_retry(begun, times, ingested)
        return ingested

    def _count_retry(self, begun: str | None, times: int, ingested: PageIngested) -> None:
        if ingested.waits:  # that it comes again is nobody's fault
            return
        self._retried = (begun, min(times + 1, _TIMES_RETRIED_MAX)) if ingested.page_retry else ("", 0)


class _RecordPageRefused:
    """The command that notes an answer that was no page."""

    def __init__(self, peer_id: str, rejection: Rejection) -> None:
        self._peer_id = peer_id
        self._rejection = rejection

    def stage(self, txn: Transaction) -> None:
        txn.audit("page_refused", self._peer_id, reason=self._rejection.code, **self._rejection.detail)
