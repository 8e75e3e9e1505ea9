"""Pullers: one task per approved peer that reads it to the end, rests, and reads it again.

Theory
------
Replication here is pulling. A node asks each of its peers for the facts after a cursor, has every entry checked, and
lets the writer store the page; nobody keeps a list of who has what. Four classes share the work:

* `Pullers` starts and stops a puller when the row of a peer changes, and wakes one when its peer is heard from. A peer
  that was approved is asked at once: what both operators see within two round trips of the second approval is that the
  second node pulls, and that the first one, which was told "not approved" so far, hears of it and pulls too;
* `Puller` decides *when*: it drains the peer, rests for what `PullBackoff` says, and turns every way in which a drain
  can end into a rest. Each has its own task, so a slow, lying or unreachable peer delays nobody else;
* `PeerReader` decides *what*: the cursor to ask with, and what a page means for the next question;
* `PageIntake` (`page_intake`) has a page checked and stored.

A drain, as one story:

    Puller._drain          PeerReader.pull            PageIntake             the writer
    keys that are wanting
    ask with a cursor  ->  GET /v1/federation/facts?cursor=...&limit=...
                           decode the page
                           empty, and nothing to
                           store: done
                           otherwise            ->    signatures, hashes
                                                ->                           IngestPage: facts, dead letters, audit
                           <- PageIngested                                   rows and the cursor in one commit
    MORE: ask again; NEWS: ask again at once, the peer holds the answer until there is some; REST: the drain is over;
    REPEATED: nothing in it was new here, so the same as NEWS while the bound on repetitions allows it, else REST

Invariants:

* P1. A page, its cursor, its rejections and its audit rows are one commit. So a crash anywhere loses at most the work
  of one page, and never a fact: the cursor that is stored never lies beyond facts that are not.
* P2. The cursor that a page began with (`begun`) must still be the stored one when the page is staged. An operator or
  a key that became known may have set it back meanwhile (`stigmem.node.resync`); then the page's facts are taken, its
  cursor is not, and reading starts where the cursor was set back to.
* P3. A page on which something was refused for the first time is read again, at most twice (`page_intake`): a bit
  may have flipped on the way. What is refused again for the same reason is passed by the cursor. Only on the last
  attempt is the sender charged with what is refused: by then something else was wrong each time, which wires do not do.
* P4. A drain takes at most PULL_PAGES_PER_DRAIN_MAX pages, so that a peer that pours out facts lets this puller see a
  revocation. A page that says "more" without moving its cursor or showing an entry ends the drain.
* P5. An empty page is not committed when its cursor is the stored one, or when the stored one was stored less than
  CURSOR_UNSTORED_NS ago by a peer whose cursors can be trusted to come again. This is what makes a quiet federation
  cheap: its pulls write nothing.
* P6. A puller that was stopped does nothing any more once its current `await` returns. A peer that is revoked and
  approved again gets a new one, and the old one's reports go nowhere (`PeerProgress`).
* P7. While a page that says "more" is checked and stored, the next one is asked for (`page_ahead`): never more than
  one, never after the last page that a drain may take, and only toward peers of ours: what others make of two questions
  at a time is not known. Nor after a page of more than _AHEAD_BYTES_MAX, two of which would be held at a time.

Example. North's cursor for south is `s:7` when a drain begins. South has 150 facts after it and a page limit of 100:

    pull 1   cursor s:7    100 entries, has_more    stored with cursor s:107      MORE, south is behind since now
    pull 2   cursor s:107   50 entries              stored with cursor s:157      REST, south is no longer behind
             asked while pull 1 was checked

Had the 30th entry of pull 1 failed its content id, the other 99 would be stored, the bad one recorded and audited, and
the cursor would stay at s:7. The page comes again, 99 of it as plain repetitions that cost a comparison each. The bad
entry is refused for the same reason as before, and the cursor moves on; had it been a flipped bit, the fact would now
be stored and its dead letter cleared.

A wart: peers of dialect 0.5 compare stamps as text and so skip facts. `StampCursor` reads back minutes behind their
cursor now and then, and that is why the cursor asked with (`cursor`) and the one in the journal (`stored`) are two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from stigmem.core import limits
from stigmem.core.declaration import ACTIVE, CERTIFYING
from stigmem.core.errors import Rejection
from stigmem.core.ingest import PeerLink
from stigmem.core.page import Page, decode_page
from stigmem.core.records import PeerRow
from stigmem.node.membership.handshake import Handshakes
from stigmem.node.membership.origin_keys import OriginKeys
from stigmem.node.ports import Clock, Unreachable
from stigmem.node.replication.backoff import PullBackoff
from stigmem.node.replication.first_peers import ELSEWHERE_HEADER, FirstPeers
from stigmem.node.replication.lag import LagMonitor, PeerProgress
from stigmem.node.replication.page_ahead import Answer, PageAhead, Question
from stigmem.node.replication.page_ingest import PageIngested
from stigmem.node.replication.page_intake import PageIntake
from stigmem.node.replication.peer_client import NotApproved, PeerClient, Throttled
from stigmem.node.replication.pull_request import HOLDING_HEADER, AlreadyHeldHint, target
from stigmem.node.replication.stamp_cursor import StampCursor
from stigmem.node.replication.tombstone_reader import TombstoneReader
from stigmem.node.state import NodeState
from stigmem.node.transaction import PeerChanged

__all__ = ["Next", "PageRead", "PeerReader", "Puller", "Pullers"]

_AHEAD_BYTES_MAX: Final = 4_194_304
"""After a longer page the next one is not asked for ahead. Pages of ordinary facts have a tenth of it."""


class Next(Enum):
    """What follows a page."""

    REST = "rest"
    MORE = "more"
    NEWS = "news"
    """Ask again at once: the peer holds the answer until there is something to tell."""
    REPEATED = "repeated"
    """As NEWS, but of the page nothing was new, so that there is a bound on how often this may follow itself."""


class PageRead(NamedTuple):
    """What came of one question."""

    follows: Next
    origins: tuple[str, ...] = ()
    """Of public facts that were new here."""
    told: str = ""
    """What the question had said of origins that come from elsewhere."""


class PeerReader:
    """Reads one page after the other of one peer, and remembers how far it is."""

    def __init__(
        self,
        peer_id: str,
        *,
        client: PeerClient,
        intake: PageIntake,
        state: NodeState,
        clock: Clock,
        progress: PeerProgress,
        tombstones: TombstoneReader,
    ) -> None:
        self._peer_id = peer_id
        self._client = client
        self._tombstones = tombstones
        self._intake = intake
        self._state = state
        self._clock = clock
        self._progress = progress
        self._stamp_cursor = StampCursor(clock.monotonic_ns())
        self._hint = AlreadyHeldHint(state.ledger)
        self._ahead = PageAhead(clock)
        self._stored_ns = clock.monotonic_ns()
        """When the cursor was stored last."""
        self._waits_until_us = 0
        """When the peer may bring more again, on the wall clock, if a page had to wait."""

    async def begin(self, row: PeerRow) -> None:
        """A drain begins: see to keys that are wanting, and to where reading goes on."""
        self._progress.next_pull_ns = None
        await self._intake.prepare(row)
        self._tombstones.begin()
        self._stamp_cursor.begin(self._stored(), self._clock.monotonic_ns())

    def interrupted(self, silence: Unreachable) -> None:
        """The peer did not answer."""
        self._stamp_cursor.interrupted()
        self._progress.failed(silence.code, silence.message, self._clock.monotonic_ns(), answered=False)

    def throttled(self) -> None:
        """The peer asked us to come back later."""
        self._progress.failed("throttled", "it asked to come back later", self._clock.monotonic_ns(), answered=True)

    def not_approved(self) -> None:
        """The peer's operator has not approved this node yet."""
        self._progress.not_approved(self._clock.monotonic_ns())

    def rests(self, rest_ns: int) -> None:
        """The drain has ended, and the next one begins after `rest_ns`."""
        self._ahead.end()
        self._progress.next_pull_ns = self._clock.monotonic_ns() + rest_ns

    def refused(self, rejection: Rejection) -> None:
        """The peer's answer was no page: told once, until a page is good or is bad in another way."""
        self._progress.failed(rejection.code, rejection.message, self._clock.monotonic_ns(), answered=True)
        self._intake.refused(rejection)

    def waits_ns(self, row: PeerRow) -> int:
        """For how long a quota leaves no room for facts of this peer; 0 when there is some."""
        now_us, intake = self._clock.wall_ns() // 1_000, self._state.intake
        if now_us < self._waits_until_us <= intake.ends_us(now_us) or intake.is_spent(row.node_id, now_us):
            return (intake.ends_us(now_us) - now_us) * 1_000
        self._waits_until_us = 0
        return 0

    def _limit(self, row: PeerRow, more: int = 0) -> int:
        """How many facts to ask for: no more than the peer's quota leaves when `more` were taken. One when it leaves
        none: nothing of it is kept, and yet tombstones, and that the peer is there, are told with every answer."""
        limit = self._client.backoff.limit
        if not self._state.intake.limits.any:
            return limit
        room = self._state.intake.room_facts(row.node_id, self._clock.wall_ns() // 1_000)
        return 1 if self.waits_ns(row) else max(1, min(limit, limit if room is None else room - more))

    async def pull(self, row: PeerRow, elsewhere: str, *, may_go_on: bool) -> PageRead:
        """One page, and what follows it. `elsewhere`: what a question that waits says of origins
        (`stigmem.node.replication.first_peers`). `may_go_on`: whether this drain may take a page more. Raises
        Unreachable, Rejection, Throttled or NotApproved."""
        client = self._client
        held = self._state.cursors.get(self._peer_id)
        stored, was_drained = (None, False) if held is None else (held.cursor, held.drained)
        cursor = self._stamp_cursor.start(stored)
        wait_s, had_waited = client.wait_s(row), self.waits_ns(row) > 0
        # A disk may have been lost: with `echo` what only peers still hold of ours comes back.
        echo = held is not None and not was_drained and row.dialect == CERTIFYING
        answer = await self._ahead.take(cursor, echo=echo)
        if answer is None:
            answer = await self._ask(row, Question(cursor, self._limit(row), echo, wait_s, elsewhere if wait_s else ""))
        now_ns, page, question = self._clock.monotonic_ns(), answer.page, answer.question
        waited = question.wait_s > 0 and answer.took_ns >= int(question.wait_s * 5e8)  # half: the wire takes time too
        self._progress.page_came(now_ns)
        if self._tombstones.is_behind:
            await self._tombstones.catch_up(row)
        self._intake.came()
        self._hint.answered(answer.asked_seq)
        if not page.entries and was_drained and self._may_pass(row, stored, cursor, page, now_ns):
            client.backoff.page(0)
            self._progress.behind_since_ns = None
            self._stamp_cursor.arrived(stored, page.cursor or cursor, now_ns, drained=True)
            # An empty answer at once to a question that may wait is not worth asking again before our time.
            return PageRead(Next.NEWS if waited else Next.REST)
        if may_go_on and page.has_more and page.entries and page.cursor not in (None, cursor):
            self._ask_ahead(row, page, echo=not was_drained)
        before = self._state.ledger.last_seq
        ingested = await self._store(row, page, stored, catching_up=self._stamp_cursor.whole or not was_drained)
        ends = had_waited or ingested.waits
        if ingested.waits:
            self._waits_until_us = self._state.intake.ends_us(self._clock.wall_ns() // 1_000)
        moved = page.cursor is not None and page.cursor != cursor and not ingested.page_retry
        news = Next.REST
        if waited or (wait_s > 0 and ingested.stored > 0 and not ingested.page_retry):
            news = Next.NEWS
        elif wait_s > 0 and page.entries:
            news = Next.REPEATED
        follows = self._after(page, ingested, moved=moved, news=news)
        return PageRead(
            Next.REST if ends else follows,
            self._origins(row, before) if wait_s else (),
            question.elsewhere,
        )

    async def _ask(self, row: PeerRow, question: Question) -> Answer:
        """One request. Raises Unreachable, Rejection, Throttled or NotApproved."""
        asked_ns, asked_seq = self._clock.monotonic_ns(), self._state.ledger.last_seq
        asked = target(question.limit, question.cursor, question.wait_s, echo=question.echo)
        response = await self._client.ask(row, asked, question.wait_s, self._hints(row, question.elsewhere))
        self._tombstones.heard(response)
        took_ns = self._clock.monotonic_ns() - asked_ns
        return Answer(decode_page(response.body, row.dialect, question.limit), question, asked_seq, took_ns)

    def _ask_ahead(self, row: PeerRow, page: Page, *, echo: bool) -> None:
        """Have the page after this one asked for while this one is checked. Without a wait: the peer has said that
        there is more, so it has nothing to wait for."""
        if row.dialect == CERTIFYING and sum(map(len, page.entries)) <= _AHEAD_BYTES_MAX:
            question = Question(page.cursor, self._limit(row, more=len(page.entries)), echo)
            self._ahead.ask(question, partial(self._ask, row))

    def _origins(self, row: PeerRow, before: int) -> tuple[str, ...]:
        """Those of the public facts that the peer brought since a sequence number."""
        begin = max(before, self._state.ledger.last_seq - limits.HOLDING_LOOKED_AT_MAX)
        new = (
            fact.origin for fact in self._state.ledger.exported(("public",), begin) if fact.received_from == row.node_id
        )
        return tuple(dict.fromkeys(new))

    def _after(self, page: Page, ingested: PageIngested, *, moved: bool, news: Next) -> Next:
        clean = self._client.backoff.page(len(page.entries), ingested.peer_errors)
        if not page.has_more:
            self._progress.behind_since_ns = None
        elif self._progress.behind_since_ns is None and moved:
            self._progress.behind_since_ns = self._clock.monotonic_ns()
        if not clean or ingested.deferred_full:
            return Next.REST
        if ingested.page_retry:
            return Next.MORE
        if page.has_more:  # one that says "more" without moving or showing anything would have us ask for ever
            return Next.MORE if moved and page.entries else Next.REST
        return news

    async def _store(self, row: PeerRow, page: Page, begun: str | None, *, catching_up: bool) -> PageIngested:
        """Have a page taken, and its cursor in place of `begun`. Raises as `PageIntake.store` does."""
        link = PeerLink(row.node_id, row.dialect, self._client.scopes(row), catching_up)
        now_ms, drained = self._clock.wall_ns() // 1_000_000, not page.has_more
        kept = self._stamp_cursor.store(begun, page.cursor, now_ms, drained=drained)
        ingested = await self._intake.store(row, link, page, begun, kept)
        if not ingested.page_retry:
            self._stored_ns = self._clock.monotonic_ns()
            self._stamp_cursor.arrived(kept, page.cursor, self._stored_ns, drained=drained)
        return ingested

    def _hints(self, row: PeerRow, elsewhere: str) -> dict[str, str]:
        """What the peer need not send us, and what it need not end a wait for; nothing to one that would not be told of
        it anyway."""
        if row.dialect != CERTIFYING or "public" not in self._client.scopes(row):
            return {}
        hints = {
            HOLDING_HEADER: self._hint.names(row.node_id, with_its_own=bool(elsewhere)),
            ELSEWHERE_HEADER: elsewhere,
        }
        return {header: text for header, text in hints.items() if text}

    def _may_pass(self, row: PeerRow, stored: str | None, cursor: str | None, page: Page, now_ns: int) -> bool:
        """Whether an empty page needs no commit: its cursor may wait for the next one that does, if one was stored
        before (a cursor that is set back to the beginning must be told from that one)."""
        if page.cursor is None or page.cursor == cursor:
            return True
        lately = stored is not None and now_ns - self._stored_ns < limits.CURSOR_UNSTORED_NS
        return lately and not page.has_more and row.dialect == CERTIFYING

    def _stored(self) -> str | None:
        held = self._state.cursors.get(self._peer_id)
        return held.cursor if held is not None else None


class Puller:
    """The task of one peer: drains it and rests, until it is stopped or the peer is not active any more."""

    def __init__(
        self,
        peer_id: str,
        *,
        reader: PeerReader,
        backoff: PullBackoff,
        state: NodeState,
        clock: Clock,
        handshakes: Handshakes,
        first_peers: FirstPeers,
    ) -> None:
        self._peer_id = peer_id
        self._reader = reader
        self.backoff = backoff
        self._state = state
        self._clock = clock
        self._handshakes = handshakes
        self._first_peers = first_peers
        self._wake = clock.signal()
        self._is_stopped = False
        self._was_heard = False
        """Whether the peer asked something of us since this drain began."""

    def wake(self) -> None:
        """The peer was heard from: if we gave up on it for a while, try now."""
        self._was_heard = True
        if self.backoff.waiting_for_peer:
            self._wake.set()

    def stop(self) -> None:
        """The peer is not active any more: end after what is being awaited."""
        self._is_stopped = True
        self._wake.set()

    async def run(self, *, at_once: bool = False) -> None:
        """Drain, rest, and drain again; ends when the peer is not active any more. `at_once`: the peer was approved a
        moment ago, and somebody waits to see what it has."""
        if at_once:
            self.backoff.out_of_step()
        else:
            await self._wake.wait(self.backoff.first_rest_ns())
        while True:
            row = self._state.peers.get(self._peer_id)
            if row is None or row.status != ACTIVE or self._is_stopped:
                return
            rest_ns = await self._drain(row)
            self._first_peers.rests(row.node_id)
            self._reader.rests(rest_ns)
            await self._wake.wait(rest_ns)

    async def _read(self, row: PeerRow, *, may_go_on: bool) -> Next:
        """One page; what follows it."""
        elsewhere = self._first_peers.elsewhere(row.node_id)
        read = await self._reader.pull(row, elsewhere, may_go_on=may_go_on)
        self._first_peers.brought(row.node_id, read.origins, read.told)
        if read.follows is not Next.REPEATED:
            return read.follows
        return Next.NEWS if self.backoff.may_repeat(self._clock.monotonic_ns()) else Next.REST

    async def _drain(self, row: PeerRow) -> int:
        """Read pages until the end or a reason to stop; the rest before the next drain, in ns."""
        reader = self._reader
        self._was_heard = False
        try:
            await reader.begin(row)
            left = limits.PULL_PAGES_PER_DRAIN_MAX
            while left and not self._is_stopped:
                follows = await self._read(row, may_go_on=left > 1)
                if follows is Next.REST:
                    break
                left -= follows is Next.MORE
            waits_ns = reader.waits_ns(row)
            return self.backoff.until_quota(waits_ns) if waits_ns else self.backoff.after_success()
        except Unreachable as silence:
            reader.interrupted(silence)
            return self.backoff.after_silence()
        except NotApproved:
            reader.not_approved()
            rest_ns = self.backoff.until_approved()
            # Its question and its refusal may have crossed on the way, and then it has approved us since.
            return 0 if self._was_heard else rest_ns
        except Throttled as throttled:
            reader.throttled()
            return self.backoff.after_refusal(throttled.retry_after_s)
        except Rejection as rejection:
            reader.refused(rejection)
            if rejection.code in ("page_version", "page_malformed"):
                await self._handshakes.ask_dialect(row)
            return self.backoff.after_refusal(None)


class Pullers:
    """The pullers of a node, one for each active peer."""

    def __init__(
        self,
        build: Callable[[str, PeerProgress], Puller],
        *,
        clock: Clock,
        lag: LagMonitor,
        origin_keys: OriginKeys,
        federation: bool,
    ) -> None:
        """`build` makes the puller of a peer id. `federation`: whether there are any at all."""
        self._build = build
        self._clock = clock
        self._lag = lag
        self._origin_keys = origin_keys
        self._federation = federation
        self._running: dict[str, Puller] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __getitem__(self, peer_id: str) -> Puller:
        return self._running[peer_id]

    def start(self, rows: Iterable[PeerRow]) -> None:
        """The node begins, with these peers: each active one is read after a first rest."""
        for row in rows:
            self._follow(row, at_once=False)

    def peer_changed(self, notice: PeerChanged) -> None:
        """A peer row was committed: start or stop its puller. One that became active is asked at once."""
        self._follow(notice.row, at_once=True)

    def _follow(self, row: PeerRow, *, at_once: bool) -> None:
        running = self._running.get(row.peer_id)
        if row.status == ACTIVE and self._federation:
            if running is None:
                puller = self._running[row.peer_id] = self._build(row.peer_id, self._lag.watch(row.peer_id))
                self._clock.spawn("puller", partial(puller.run, at_once=at_once))
                self._clock.spawn("fetch-manifest", partial(self._origin_keys.bind, row))
        elif running is not None:
            del self._running[row.peer_id]
            self._lag.forget(row.peer_id)
            running.stop()

    def peer_seen(self, peer_id: str) -> None:
        """An authenticated request of a peer came: it is there, so its puller need not wait any longer."""
        self._lag.heard(peer_id, self._clock.monotonic_ns())
        puller = self._running.get(peer_id)
        if puller is not None:
            puller.wake()
