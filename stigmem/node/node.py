"""A node: which parts make it, in what order they start, and the one way in for requests.

This is the composition root. Build a `Node` on a Context, `load` it, `start` it, give requests to `offer`; nothing in
`stigmem.node` imports this module, every part takes what it uses by name, and whoever wonders what a part can touch
reads its constructor here. There is no other difference between a deployed and a simulated node than the Context.

    offer -> mailbox -> writer -> transaction -> journal -> state -> replies -> notices
                ^                                                                  |
                |         pullers (one a peer)    timers    long polls    <--------+
                +--------------+--------------------+----------+
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stigmem.core import limits
from stigmem.core.errors import JournalCorrupt
from stigmem.core.hlc import stamp_wall_ms
from stigmem.core.ingest import IngestPolicy
from stigmem.core.ledger import UNHASHED_MAX
from stigmem.core.wire import BodyBound, Request, Response
from stigmem.node.api import (
    agent_keys,
    aliases,
    audit,
    batch,
    cards,
    clock,
    conflicts,
    decay,
    events,
    facts,
    federation,
    gardens,
    intents,
    keys,
    lint,
    manifests,
    not_implemented,
    origins,
    peers,
    push,
    quarantine,
    recall,
    schemas,
    subscriptions,
    synthesis,
    tombstones,
    upkeep,
)
from stigmem.node.api.api_keys import ApiKeys
from stigmem.node.api.background import Background
from stigmem.node.api.call import Call, Dispatcher
from stigmem.node.api.feedback_guard import FeedbackGuard
from stigmem.node.api.head_admission import HeadAdmission
from stigmem.node.api.jobs import Jobs
from stigmem.node.api.meanings import Meanings
from stigmem.node.api.peer_auth import PeerAuthenticator, bearer
from stigmem.node.api.points_of_time import PointsOfTime
from stigmem.node.api.read_indexes import ReadIndexes
from stigmem.node.api.reading import Reader
from stigmem.node.api.routes import ROUTER
from stigmem.node.api.routing import BoundHandler, bind
from stigmem.node.callers import ANONYMOUS, Principal
from stigmem.node.cursors import CursorCodec, PageCursorCodec
from stigmem.node.decay import Sweeper
from stigmem.node.erasure import Eraser
from stigmem.node.events import NodeEvents
from stigmem.node.following.streams import FactStreams
from stigmem.node.following.subscriptions import Signing
from stigmem.node.following.webhooks import Post, Webhook, Webhooks
from stigmem.node.identity import Identity
from stigmem.node.mailbox import Mailbox
from stigmem.node.membership.clock_check import ClockCheck
from stigmem.node.membership.handshake import Handshakes
from stigmem.node.membership.origin_keys import OriginKeys
from stigmem.node.ports import Context
from stigmem.node.quotas import Quotas
from stigmem.node.replication.backoff import PullBackoff
from stigmem.node.replication.deferred import DeferredFacts
from stigmem.node.replication.first_peers import FirstPeers
from stigmem.node.replication.lag import LagMonitor, PeerProgress
from stigmem.node.replication.long_polls import LongPolls
from stigmem.node.replication.page_intake import PageIntake
from stigmem.node.replication.page_server import PageServer
from stigmem.node.replication.page_verifier import EntryVerifier, PageVerifier
from stigmem.node.replication.peer_client import PeerClient
from stigmem.node.replication.puller import PeerReader, Puller, Pullers
from stigmem.node.replication.tombstone_ingest import TombstoneJudge
from stigmem.node.replication.tombstone_reader import TombstoneReader
from stigmem.node.settings import NodeSettings
from stigmem.node.state import NodeState
from stigmem.node.timers import Timers
from stigmem.node.transaction import (
    Command,
    DeadlineAdded,
    FactsAdded,
    GardenFactsAdded,
    PeerChanged,
    SubscriptionChanged,
    TombstonesAdded,
    Transaction,
)
from stigmem.node.trusted_clock import TrustedClock
from stigmem.node.writer import Writer

__all__ = ["ROUTER", "Node"]

T = TypeVar("T")


class Node:
    """One node on one Context."""

    def __init__(self, settings: NodeSettings, context: Context, events: NodeEvents | None = None) -> None:
        """`events`: who is told what happens; without it only bugs are remembered."""
        self.clock = clock = TrustedClock(context.clock)
        self.settings = settings
        self.context = context = context._replace(clock=clock)
        self.events = events or NodeEvents()
        self.identity = Identity(settings, context.entropy)
        self.node_id = self.identity.node_id
        self.signer = self.identity.signer
        self.state = NodeState(settings, clock)
        self.mailbox = Mailbox(clock, settings.mailbox_messages_max)
        self._salts = context.entropy.stream("audit")
        self._chance_of_erasure = context.entropy.stream("erasure")
        self.quotas = Quotas()
        self.cursors = CursorCodec(settings.seed)
        self._api_keys = ApiKeys(settings.seed)
        self.eraser = Eraser(state=self.state, mailbox=self.mailbox, journal=context.journal, clock=clock)
        self.sweeper = Sweeper(
            node_id=self.node_id,
            policies=self.state.decay,
            settings=settings,
            ledger=self.state.ledger,
            clock=clock,
            mailbox=self.mailbox,
        )
        self._build_following()
        self._build_membership()
        self._build_replication()
        self._dispatcher = Dispatcher(
            router=ROUTER,
            handlers=self._build_handlers(),
            api_keys=self._api_keys,
            peer_auth=PeerAuthenticator(identity=self.identity, quotas=self.quotas),
            events=self.events,
        )
        self._head_admission = HeadAdmission(
            settings=settings,
            state=self.state,
            api_keys=self._api_keys,
            router=ROUTER,
            node_id=self.identity.node_id,
        )
        self.timers = Timers(
            clock=clock,
            state=self.state,
            deferred=self._deferred,
            long_polls=self.long_polls,
            quotas=self.quotas,
            mailbox=self.mailbox,
        )
        self.writer = Writer(
            mailbox=self.mailbox,
            state=self.state,
            begin=self._begin,
            journal=context.journal,
            events=self.events,
        )
        self.writer.subscribe(PeerChanged, self.pullers.peer_changed)
        self.writer.subscribe(SubscriptionChanged, self.webhooks.subscription_changed)
        self.writer.subscribe(DeadlineAdded, lambda _: self.timers.wake())
        self.writer.subscribe(FactsAdded, self._facts_added)
        self.writer.subscribe(TombstonesAdded, lambda _: self._tombstones_added())
        self.writer.subscribe(GardenFactsAdded, lambda _: self.streams.facts_added())
        self.long_polls.subscribe(self.timers.wake)

    # --- building ---

    def _begin(self) -> Transaction:
        """The transaction of a batch that begins now."""
        clock = self.clock
        now_ns, monotonic_ns = clock.wall_ns(), clock.monotonic_ns()
        return Transaction(
            self.state, self.settings, now_ns, monotonic_ns, salts=self._salts, clock_lead_ns=clock.lead_ns
        )

    def _build_following(self) -> None:
        context = self.context
        self.streams = FactStreams(clock=context.clock, entropy=context.entropy, state=self.state, cursors=self.cursors)
        self._signing = Signing(self.settings.seed)
        post = Post(
            clock=context.clock,
            entropy=context.entropy,
            transport=context.transport,
            mailbox=self.mailbox,
            state=self.state,
            signing=self._signing,
            auth_required=self.settings.auth_required,
        )
        self.webhooks = Webhooks(lambda subscription_id: Webhook(subscription_id, post), context.clock)

    def _build_membership(self) -> None:
        context, settings = self.context, self.settings
        self.handshakes = Handshakes(
            identity=self.identity,
            settings=settings,
            clock=context.clock,
            transport=context.transport,
            mailbox=self.mailbox,
        )
        self.origin_keys = OriginKeys(
            identity=self.identity,
            settings=settings,
            state=self.state,
            clock=context.clock,
            transport=context.transport,
            mailbox=self.mailbox,
        )
        self.policy = IngestPolicy(
            node_id=self.identity.node_id,
            suite=settings.suite,
            key_of=self.origin_keys.key_of,
            local_sources=lambda source: source in self.state.key_holders,
            owned_sources_only=settings.owned_sources_only,
            attestation_mode=settings.attestation_mode,
            skew_future_ms=settings.skew_future_ms,
            skew_past_ms=settings.skew_past_ms,
        )

        self._clock_check = check = ClockCheck(
            clock=self.clock, state=self.state, transport=context.transport, mailbox=self.mailbox
        )
        self.clock.on_doubt, self.clock.on_return = check.begin, check.returned

    def _build_replication(self) -> None:
        clock = self.context.clock
        self.page_server = PageServer(
            self.state.ledger,
            self.identity,
            PageCursorCodec(self.settings.seed),
            self.state.manifest_of,
            self.state.attestations.leaving,
        )
        self.tombstone_judge = TombstoneJudge(identity=self.identity, entropy=self._chance_of_erasure)
        self.long_polls = LongPolls(self.mailbox)
        self.lag = LagMonitor()
        self._first_peers = FirstPeers()
        self._verifier = EntryVerifier(self.policy, self.events)
        self._deferred = DeferredFacts(
            state=self.state, settings=self.settings, verifier=self._verifier, mailbox=self.mailbox, clock=clock
        )
        self.pullers = Pullers(
            self._build_puller,
            clock=clock,
            lag=self.lag,
            origin_keys=self.origin_keys,
            federation=self.settings.federation,
        )

    def _build_puller(self, peer_id: str, progress: PeerProgress) -> Puller:
        context, clock = self.context, self.context.clock
        entropy = context.entropy.stream(f"pull {self.state.peers[peer_id].node_id}")
        backoff = PullBackoff(self.settings, entropy)
        client = PeerClient(
            identity=self.identity,
            settings=self.settings,
            clock=clock,
            transport=context.transport,
            backoff=backoff,
            entropy=entropy,
        )
        verifier = PageVerifier(
            verifier=self._verifier,
            state=self.state,
            origin_keys=self.origin_keys,
            clock=clock,
            client=client,
            signatures=context.signatures,
        )
        reader = PeerReader(
            peer_id,
            client=client,
            intake=PageIntake(peer_id, verifier=verifier, mailbox=self.mailbox),
            state=self.state,
            clock=clock,
            progress=progress,
            tombstones=TombstoneReader(client=client, mailbox=self.mailbox, judge=self.tombstone_judge),
        )
        return Puller(
            peer_id,
            reader=reader,
            backoff=backoff,
            state=self.state,
            clock=clock,
            handshakes=self.handshakes,
            first_peers=self._first_peers,
        )

    def _build_handlers(self) -> dict[str, BoundHandler]:
        context, identity, quotas, cursors = self.context, self.identity, self.quotas, self.cursors
        guard = FeedbackGuard()
        background = Background(clock=context.clock, quotas=quotas, events=self.events)
        return {
            **bind(batch.OPERATIONS, batch.BatchApi(identity=identity, quotas=quotas, guard=guard)),
            **bind(
                events.OPERATIONS, events.EventsApi(identity=identity, quotas=quotas, streams=self.streams, guard=guard)
            ),
            **bind(gardens.OPERATIONS, gardens.GardensApi(identity=identity, quotas=quotas)),
            **bind(quarantine.OPERATIONS, quarantine.QuarantineApi(identity=identity, quotas=quotas)),
            **bind(agent_keys.OPERATIONS, agent_keys.AgentKeysApi(identity=identity, quotas=quotas)),
            **bind(keys.OPERATIONS, keys.KeysApi(api_keys=self._api_keys, quotas=quotas, entropy=context.entropy)),
            **bind(
                audit.OPERATIONS,
                audit.AuditApi(
                    journal=context.journal,
                    clock=context.clock,
                    state=self.state,
                    quotas=quotas,
                    cursors=cursors,
                    background=background,
                ),
            ),
            **bind(
                peers.OPERATIONS,
                peers.PeersApi(identity=identity, quotas=quotas, handshakes=self.handshakes, lag=self.lag),
            ),
            **bind(
                federation.OPERATIONS,
                federation.FederationApi(
                    identity=identity,
                    quotas=quotas,
                    page_server=self.page_server,
                    lag=self.lag,
                    long_polls=self.long_polls,
                    pullers=self.pullers,
                ),
            ),
            **bind(
                push.OPERATIONS,
                push.PushApi(
                    quotas=quotas,
                    verifier=self._verifier,
                    mailbox=self.mailbox,
                    background=background,
                    pullers=self.pullers,
                    clock=context.clock,
                ),
            ),
            **bind(clock.OPERATIONS, clock.ClockApi(clock=self.clock, quotas=quotas, node_id=self.node_id)),
            **bind(origins.OPERATIONS, origins.OriginsApi(identity=identity)),
            **bind(upkeep.OPERATIONS, upkeep.UpkeepApi(quotas=quotas)),
            **bind(manifests.OPERATIONS, manifests.ManifestsApi(identity=identity, quotas=quotas)),
            **self._build_reading_handlers(guard, background),
            **bind(
                subscriptions.OPERATIONS,
                subscriptions.SubscriptionsApi(
                    identity=identity,
                    quotas=quotas,
                    cursors=cursors,
                    signing=self._signing,
                    webhooks=self.webhooks,
                ),
            ),
            **self._build_erasure_handlers(),
            **bind(not_implemented.OPERATIONS, not_implemented.NotImplementedApi()),
        }

    def _build_erasure_handlers(self) -> dict[str, BoundHandler]:
        api = tombstones.TombstonesApi(
            identity=self.identity,
            quotas=self.quotas,
            judge=self.tombstone_judge,
            entropy=self._chance_of_erasure,
        )
        return bind(tombstones.OPERATIONS, api)

    def _build_reading_handlers(self, guard: FeedbackGuard, background: Background) -> dict[str, BoundHandler]:
        """Handlers of what is derived from facts for readers."""
        identity, quotas, clock = self.identity, self.quotas, self.context.clock
        indexes = ReadIndexes(ledger=self.state.ledger, clock=clock)
        points = PointsOfTime(cursors=self.cursors, background=background, clock=clock)
        reader = Reader(
            quotas=quotas,
            background=background,
            indexes=indexes,
            confidence=self.sweeper.confidence,
            points=points,
        )
        jobs = Jobs(identity=identity, clock=clock, events=self.events)
        meanings = Meanings(meaning=self.context.meaning, clock=clock, on_failure=self.events.meaning_failed)
        return {
            **bind(
                facts.OPERATIONS,
                facts.FactsApi(identity=identity, quotas=quotas, cursors=self.cursors, guard=guard, points=points),
            ),
            **bind(
                conflicts.OPERATIONS,
                conflicts.ConflictsApi(identity=identity, quotas=quotas, cursors=self.cursors, points=points),
            ),
            **bind(
                recall.OPERATIONS,
                recall.RecallApi(identity=identity, reader=reader, guard=guard, meanings=meanings),
            ),
            **bind(cards.OPERATIONS, cards.CardsApi(reader=reader, cursors=self.cursors)),
            **bind(synthesis.OPERATIONS, synthesis.SynthesisApi(reader=reader)),
            **bind(lint.OPERATIONS, lint.LintApi(reader=reader, jobs=jobs)),
            **bind(aliases.OPERATIONS, aliases.AliasesApi(reader=reader)),
            **bind(
                intents.OPERATIONS,
                intents.IntentsApi(identity=identity, quotas=quotas, guard=guard, reader=reader, cursors=self.cursors),
            ),
            **bind(schemas.OPERATIONS, schemas.SchemasApi(reader=reader)),
            **bind(decay.OPERATIONS, decay.DecayApi(reader=reader, jobs=jobs, sweeper=self.sweeper)),
        }

    @property
    def bugs(self) -> list[Exception]:
        """Bugs of the node's own that it met; each cost one answer or one fact."""
        return self.events.bugs

    # --- life ---

    async def load(self, progress: Callable[[int], None] | None = None) -> int:
        """Rebuild the state from the journal; the number of records. `progress` is called after each batch with the
        number so far. Raises JournalCorrupt."""
        loaded = 0
        async for records in self.context.journal.load():
            try:
                self.state.apply_all(records)
            except ValueError as error:
                raise JournalCorrupt(f"a record does not follow from those before it: {error}") from error
            loaded += len(records)
            if progress is not None:
                progress(loaded)
        # No stamp is issued twice, whatever the wall clock says now: the clock resumes at its high-water mark.
        self.clock.start_from(stamp_wall_ms(self.state.stamp), self.state.doubted_line_ms)
        self.state.advance(self.clock.wall_ns() // 1_000)
        while self.state.slots_to_rederive:
            self.state.rederive(limits.TURN_REDERIVED_WORDS_MAX)
        return loaded

    def start(self) -> None:
        """Set every part going; the state must be loaded."""
        self.start_writer()
        if self.state.doubted_line_ms:
            self._clock_check.go_on()
        self.context.clock.spawn("keeper", self.timers.run)
        self.pullers.start(list(self.state.peers.values()))
        if self.sweeper.is_wanted:
            self.clock.spawn("decay", self.sweeper.keep)
        self.webhooks.start(list(self.state.subscriptions.values()))
        self.eraser.start()
        if self.state.ledger.unhashed > UNHASHED_MAX:
            self.context.clock.spawn("content-ids", self._hash_contents)

    async def _hash_contents(self) -> None:
        """Hash what a start left, so many facts at a time, so that nobody has to wait for it who asks by content id.
        With rests: whoever asks anything else waits for one slice, and not for one at each step of a request."""
        while self.state.ledger.hash_some(limits.TURN_HASHED_MAX):
            await self.context.clock.sleep(limits.TURN_HASHED_REST_NS)

    def start_writer(self) -> None:
        """Set only the writer going: requests and commands are answered, and nothing happens by itself. For a command
        that opens the data of a node that does not run."""
        self.context.clock.spawn("writer", self.writer.run)

    # --- ways in ---

    def offer(self, request: Request, answer: Callable[[Response], None], principal: Principal | None = None) -> None:
        """Take a request; `answer` is called once, at once when the mailbox is full, else from a turn.

        `principal` is for carriers inside this process that have authenticated their caller themselves.
        """
        call = Call(self._dispatcher, request, answer, principal)
        if not self.mailbox.offer(call):
            call.refuse_busy()

    def admit_head(self, head: Request) -> BodyBound:
        """How long the body of this head may be, before it is read. Changes nothing and decides nothing final; see
        `stigmem.node.api.head_admission`."""
        return self._head_admission.bound(head, self.context.clock.wall_ns())

    def caller_of(self, request: Request) -> Principal | None:
        """Who sends a request, by its key; None for nobody that is known. For carriers that answer something
        themselves: changes nothing, and the first time that a key is shown costs 20 ms."""
        secret, now_us = bearer(request), self.context.clock.wall_ns() // 1_000
        if secret and (found := self._api_keys.who(secret, self.state.keys, now_us)) is not None:
            return found
        return None if self.settings.auth_required else ANONYMOUS

    def withdraw(self, answer: Callable[[Response], None]) -> None:
        """The caller of a request that was offered with this `answer` has gone. A request under way goes on, and is
        answered to nobody; one that waits for news gives its place back."""
        self.long_polls.withdraw(answer)

    async def submit(self, command: Command[T]) -> T:
        """Have the writer take a command that is no request; its result once it is durable. Raises NotStored."""
        return await self.mailbox.submit(command)

    def release_long_polls(self) -> None:
        """Answer every pull that waits for news, with what there is, and end every stream of events: the node is about
        to stop."""
        self.long_polls.release_all()
        self.streams.end()

    def _tombstones_added(self) -> None:
        self.page_server.forget()
        self.eraser.tombstones_added()
        self.long_polls.release(self.clock.monotonic_ns(), news=True)

    def _facts_added(self, notice: FactsAdded) -> None:
        if self.long_polls:
            self.long_polls.release(notice.monotonic_ns, news=True)
        self.streams.facts_added()
        self.webhooks.facts_added()
