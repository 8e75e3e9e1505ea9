"""A node: which actors make it, in what order they start, and the one door through which requests come.

`Node` is all that the host and the simulator know of this package: build it on a Context, `start` it, give
requests to `offer`. There is no other difference between the two worlds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from stigmem.core.declaration import ACTIVE
from stigmem.core.errors import JournalCorrupt, Rejection
from stigmem.core.ingest import IngestPolicy
from stigmem.core.keys import Signer
from stigmem.core.manifest import certified_node_id, make_manifest
from stigmem.core.records import PeerRow
from stigmem.core.timestamps import format_us
from stigmem.core.wire import BodyBound, Request, Response
from stigmem.node.api.api_keys import ApiKeys, Principal
from stigmem.node.api.call import Call
from stigmem.node.api.feedback_guard import FeedbackGuard
from stigmem.node.api.head_admission import HeadAdmission
from stigmem.node.api.peer_auth import PeerAuthenticator
from stigmem.node.api.routes import ROUTER
from stigmem.node.cursors import CursorCodec
from stigmem.node.mailbox import Delivered, Mailbox
from stigmem.node.membership.handshake import Handshakes
from stigmem.node.ports import Context
from stigmem.node.quotas import Quotas
from stigmem.node.replication.lag import LagMonitor
from stigmem.node.replication.long_polls import LongPolls
from stigmem.node.replication.page_server import PageServer
from stigmem.node.replication.puller import Puller
from stigmem.node.responses import quota_exceeded
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.node.timers import Timers
from stigmem.node.transaction import DeadlineAdded, FactsAdded, PeerChanged, Transaction
from stigmem.node.writer import Writer

__all__ = ["ROUTER", "Node"]

_MANIFEST_LIFE_US = 365 * 86_400_000_000
_BUGS_KEPT = 100


class Node:
    """One node on one Context."""

    def __init__(self, settings: NodeSettings, context: Context) -> None:
        self.settings = settings
        self.context = context
        self.signer: Signer = settings.suite.signer(settings.seed)
        self.node_id = settings.node_id or certified_node_id(self.signer.public_key)
        self.entity_uri = settings.node_url
        self.state = NodeState(settings, context.clock)
        self.mailbox = Mailbox(context.clock, settings.mailbox_messages_max)
        self.router = ROUTER
        self.peer_auth = PeerAuthenticator(self.node_id)
        self.api_keys = ApiKeys(settings.seed)
        self._head_admission = HeadAdmission(
            settings=settings, state=self.state, api_keys=self.api_keys, router=self.router, node_id=self.node_id
        )
        self.quotas = Quotas()
        self.feedback_guard = FeedbackGuard()
        self.cursor_codec = CursorCodec(settings.seed)
        self.page_server = PageServer(self.state.ledger, self.node_id, self.entity_uri, self.signer, settings.seed)
        self.long_polls = LongPolls()
        self.last_cursor_sent: dict[str, str | None] = {}
        """Peer -> cursor of our last page to it: going on from there is free of charge."""
        self.writer = Writer(
            mailbox=self.mailbox,
            state=self.state,
            settings=settings,
            clock=context.clock,
            journal=context.journal,
            on_bug=self.report_bug,
        )
        self.timers = Timers(self)
        self.handshakes = Handshakes(self)
        self.pullers: dict[str, Puller] = {}
        self.lag = LagMonitor(self.pullers)
        self.writer.subscribe(PeerChanged, lambda notice: self.peer_changed(notice.row))
        self.writer.subscribe(DeadlineAdded, lambda _: self.timers.wake())
        self.writer.subscribe(FactsAdded, self._release_long_polls)
        self.bugs: list[Exception] = []
        """Bugs of ours that handlers met; each cost one 500. The host logs them, the simulator fails on them."""
        self.on_bug: Callable[[Exception], None] | None = None
        self.policy = IngestPolicy(
            node_id=self.node_id,
            suite=settings.suite,
            key_of=self._key_of,
            local_sources=self._is_local_source,
            owned_sources_only=settings.owned_sources_only,
            skew_future_ms=settings.skew_future_ms,
            skew_past_ms=settings.skew_past_ms,
        )

    # --- life ---

    async def load(self, progress: Callable[[int], None] | None = None) -> int:
        """Rebuild the state from the journal; the number of records. Raises JournalCorrupt."""
        loaded = 0
        async for batch in self.context.journal.load():
            for record in batch:
                try:
                    self.state.apply(record)
                except ValueError as error:
                    raise JournalCorrupt(
                        f"record {loaded + 1} does not follow from those before it: {error}"
                    ) from error
                loaded += 1
            if progress is not None:
                progress(loaded)
        # No stamp is issued twice, whatever the wall clock says now: the clock resumes at its high-water mark.
        self.state.ledger.advance(self.context.clock.wall_ns() // 1_000)
        return loaded

    def start(self) -> None:
        """Set the actors going; the state must be loaded."""
        clock = self.context.clock
        clock.spawn("writer", self.writer.run)
        clock.spawn("keeper", self.timers.run)
        for row in list(self.state.peers.values()):
            self.peer_changed(row)

    # --- the door ---

    def offer(self, request: Request, answer: Callable[[Response], None], principal: Principal | None = None) -> None:
        """Take a request; `answer` is called once, at once when the mailbox is full, else from a turn.

        `principal` is for carriers inside this process that have authenticated their caller themselves.
        """
        call = Call(self, request, answer, principal)
        if not self.mailbox.offer(call):
            call.refuse_busy()

    def admit_head(self, head: Request) -> BodyBound:
        """How long the body of this head may be, before it is read. Changes nothing and decides nothing final; see
        `stigmem.node.api.head_admission`."""
        return self._head_admission.bound(head, self.context.clock.wall_ns())

    def withdraw(self, answer: Callable[[Response], None]) -> None:
        """The caller of a request that was offered with this `answer` has gone. A request under way goes on, and is
        answered to nobody; one that waits for news gives its place back."""
        self.long_polls.withdraw(answer)

    # --- what the actors tell each other ---

    def peer_changed(self, row: PeerRow) -> None:
        """A peer row was committed: start or stop its puller."""
        running = self.pullers.get(row.peer_id)
        if row.status == ACTIVE and self.settings.federation:
            if running is None:
                puller = self.pullers[row.peer_id] = Puller(self, row.peer_id)
                self.context.clock.spawn("puller", puller.run)
                self.context.clock.spawn("fetch-manifest", partial(self.handshakes.bind, row))
        elif running is not None:
            del self.pullers[row.peer_id]
            running.stop()

    def _release_long_polls(self, notice: FactsAdded) -> None:
        if self.long_polls:
            for pull in self.long_polls.release(notice.monotonic_ns, news=True):
                self.mailbox.put(pull)

    def peer_seen(self, peer_id: str) -> None:
        """An authenticated request of a peer: it is there, so its puller need not wait any longer."""
        puller = self.pullers.get(peer_id)
        if puller is not None:
            puller.wake()

    def page_refused(self, peer_id: str, rejection: Rejection) -> None:
        """A peer's answer was no page."""
        self.mailbox.put(Delivered(_RecordPageRefused(peer_id, rejection)))

    def charge(self, txn: Transaction, principal: Principal, dimension: str) -> None:
        """Take one from a principal's bucket; raises Refusal 429."""
        per_s = txn.settings.write_per_s if dimension == "fact_write" else txn.settings.read_per_s
        if not (per_s and principal.key_id):  # whoever needs no key has no limit either (http-api 4.5)
            return
        wait_s = self.quotas.wait_s(dimension, principal.entity_uri, max(1.0, 60.0 * per_s), per_s, txn.monotonic_ns)
        if wait_s:
            if self.peer_auth.may_audit(principal.entity_uri, txn.monotonic_ns):
                txn.audit("quota_breach", principal.entity_uri, dimension=dimension)
            raise quota_exceeded(dimension, principal.entity_uri, wait_s)

    def report_bug(self, bug: Exception) -> None:
        """Remember a bug and tell whoever listens."""
        self.bugs.append(bug)
        del self.bugs[:-_BUGS_KEPT]
        if self.on_bug is not None:
            self.on_bug(bug)

    # --- identity ---

    def manifest(self, now_us: int) -> dict[str, Any]:
        """This node's manifest, as of now."""
        day_us = 86_400_000_000
        issued = now_us - now_us % day_us - day_us  # a day back, so that slow clocks do not find it early
        manifest = make_manifest(
            self.signer,
            entity_uri=self.entity_uri,
            entities=tuple(dict.fromkeys((self.entity_uri, self.node_id))),
            issued_at=format_us(issued),
            expires_at=format_us(issued + _MANIFEST_LIFE_US),
        )
        found: dict[str, Any] = msgspec.to_builtins(manifest)
        return found

    def new_uuid(self) -> str:
        """A random UUID (version 4)."""
        data = bytearray(self.context.entropy.token(16))
        data[6] = data[6] & 0x0F | 0x40
        data[8] = data[8] & 0x3F | 0x80
        text = data.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _key_of(self, origin: str) -> str | None:
        if origin == self.node_id:
            return self.signer.public_key
        return self.state.key_of_origin(origin) or None

    def _is_local_source(self, source: str) -> bool:
        return source in self.state.key_holders


class _RecordPageRefused:
    """The command that notes an answer that was no page; the puller tells it once, until a page is good again."""

    def __init__(self, peer_id: str, rejection: Rejection) -> None:
        self._peer_id = peer_id
        self._rejection = rejection

    def stage(self, txn: Transaction) -> None:
        txn.audit("page_refused", self._peer_id, reason=self._rejection.code, **self._rejection.detail)
