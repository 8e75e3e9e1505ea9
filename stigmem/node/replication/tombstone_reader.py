"""Reading the tombstones of one peer.

The answer to every pull says, in a header, how many tombstones and revocations the peer would tell us; without any
there is no header, and nothing of this costs anything. As long as that is more than was read, the reader asks for the
rest, before the page that came with it is taken in: what a tombstone covers and what it erases come in this order over
one link. How far a peer was read is not stored; after a start all of its tombstones are read once, and are known.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Rejection
from stigmem.core.records import PeerRow
from stigmem.core.wire import Response
from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.ports import Unreachable
from stigmem.node.replication.peer_client import PeerClient
from stigmem.node.replication.tombstone_ingest import IngestTombstones, TombstoneJudge

__all__ = ["TOMBSTONES_HEADER", "TombstoneReader"]

TOMBSTONES_HEADER: Final = "stigmem-tombstones"


class _Page(msgspec.Struct):
    tombstones: list[Any]
    revocations: list[Any]
    next: int


class TombstoneReader:
    """How far the tombstones of a peer have been read."""

    def __init__(self, *, client: PeerClient, mailbox: Mailbox, judge: TombstoneJudge) -> None:
        self._client = client
        self._mailbox = mailbox
        self._judge = judge
        self._told = 0
        """How many the peer has."""
        self._read = 0
        self._waits = False
        """Whether something of it can be taken only later: then it is read again in the next drain."""

    def begin(self) -> None:
        """A drain begins."""
        if self._waits:
            self._read, self._waits = 0, False

    def heard(self, response: Response) -> None:
        """The peer answered a pull."""
        text = response.headers.get(TOMBSTONES_HEADER, "")
        self._told = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if self._told < self._read:  # its disk was lost, or what crosses this link was narrowed
            self._read = 0

    @property
    def is_behind(self) -> bool:
        """Whether the peer has tombstones that were not read."""
        return self._told > self._read

    async def catch_up(self, row: PeerRow) -> None:
        """Read the rest. Raises as `PeerClient.ask`, and Unreachable when it could not be stored."""
        while self.is_behind:
            target = f"/v1/federation/tombstones?after={self._read}&limit={limits.TOMBSTONES_PER_PAGE_MAX}"
            response = await self._client.ask(row, target)
            try:
                page = msgspec.json.decode(response.body, type=_Page)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise Rejection("page_malformed", f"the tombstones of a peer are malformed: {error}") from error
            records = [*page.tombstones, *page.revocations][: 2 * limits.TOMBSTONES_PER_PAGE_MAX]
            try:
                waiting = await self._mailbox.submit(IngestTombstones(self._judge, row.peer_id, records))
            except NotStored as failure:
                raise Unreachable("not_stored", failure.message) from failure
            self._waits = self._waits or bool(waiting)
            if page.next <= self._read:  # it said that there is more, and shows none
                self._read = self._told
            self._read = max(self._read, page.next)
