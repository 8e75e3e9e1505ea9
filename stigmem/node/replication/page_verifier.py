"""Checking what a peer served before the writer sees it: entry by entry, away from the writer's turn.

Signatures are what replication costs: one Ed25519 verification takes as long as twenty deliveries. So they are made in
the puller's task, which lets others work every few entries, and never in the writer's turn; and only once for a fact,
since an entry that repeats a fact held, byte for byte in what counts, is recognised before any of it is verified. Where
the Context has more than one thread for signatures, those of a longer page are all checked first, in all of them; the
checks below then find the answers there, and are the same.

    decode -> a plain repetition? -> is the origin's key known? -> hash, signature, grants, names -> Arrival
                 left out               it came with the origin's first fact;
                                        else ask the peer for it, once a minute

`EntryVerifier` has the checks that need nothing but the entry; pushes and deferred facts go through it too.
`PageVerifier` adds what concerns one peer: repetitions, and the keys of origins whose facts the peer relays. Whatever
an entry holds, the outcome is an Arrival: nothing here raises for what a peer sent, except where the peer itself must
be asked and does not answer, and nothing here changes the ledger.

A key may be wrong instead of missing: when a signature does not fit a key that somebody vouched for, the peer that
serves the fact is asked whom it takes the origin for (`_doubt`); which of two keys stands is decided elsewhere
(`stigmem.node.membership.origin_keys`).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from stigmem.core import limits
from stigmem.core.declaration import CERTIFYING
from stigmem.core.errors import Rejection
from stigmem.core.ingest import IngestPolicy, PeerLink, is_repeat, signed_part, verify
from stigmem.core.keys import KnownSignatures, Suite
from stigmem.core.page import Page, PageEntry, decode_entry, entry_name, has_attestation, has_manifest
from stigmem.core.records import PeerRow
from stigmem.node.events import NodeEvents
from stigmem.node.membership.origin_keys import OriginKeys
from stigmem.node.ports import Clock, Signatures, Signed, Unreachable
from stigmem.node.replication.page_ingest import Arrival, Refused
from stigmem.node.replication.peer_client import PeerClient, Throttled
from stigmem.node.state import NodeState

__all__ = ["EntryVerifier", "PageVerifier"]

_ENTRIES_PER_CHECKPOINT: Final = 25
_ENTRIES_FOR_THREADS: Final = 16
"""A page of fewer is checked sooner than a thread begins."""
_ORIGINS_PER_DRAIN: Final = 10
"""Keys that are asked for again at the beginning of a drain: a peer that names thousands of made-up origins must not
have us ask for all of them before we read its facts."""
_PATIENCE: Final = 2
"""Pages that are put off because their sender did not answer who an origin is; then the page goes on without it."""


class EntryVerifier:
    """The stateless checks of single entries, whoever brought them."""

    def __init__(self, policy: IngestPolicy, events: NodeEvents) -> None:
        self.policy = policy
        self._events = events

    def with_suite(self, suite: Suite) -> EntryVerifier:
        """The same checks with signatures checked by another suite."""
        return EntryVerifier(self.policy._replace(suite=suite), self._events)

    def verify_raw(self, link: PeerLink, raw: bytes) -> Arrival:
        """The outcome for an entry as it came."""
        try:
            return self.verify(link, raw, decode_entry(raw, link.dialect))
        except Rejection as rejection:
            return Arrival(raw, Refused(entry_name(raw), rejection))
        except Exception as bug:
            return self.not_understood(raw, bug)

    def verify(self, link: PeerLink, raw: bytes, entry: PageEntry) -> Arrival:
        """The outcome for an entry that could be read. May raise what is a bug of ours: see `not_understood`."""
        try:
            candidate = verify(entry, link, self.policy)
            if not candidate.fact.timestamp:  # an instant that has no text would fail every later reading of the fact
                raise Rejection("malformed_fact", "timestamp lies outside the calendar", field="timestamp")
            return Arrival(raw, candidate)
        except (ArithmeticError, RecursionError, ValueError) as error:
            rejection = Rejection("malformed_fact", f"a member of the fact is out of range: {error}")
        except Rejection as found:
            rejection = found
        return Arrival(raw, Refused(entry_name(raw), rejection, origin_of(entry, link)))

    def not_understood(self, raw: bytes, bug: Exception) -> Arrival:
        """The outcome for an entry that met a bug of ours, which must cost one fact and not the node."""
        self._events.bug(bug)
        rejection = Rejection("malformed_fact", f"this node met a bug with it: {bug}")
        return Arrival(raw, Refused(entry_name(raw), rejection))


def origin_of(entry: PageEntry, link: PeerLink) -> str:
    """Who is said to have written an entry."""
    return entry.origin.node_id if entry.origin is not None else link.sender


class PageVerifier:
    """Checks one peer's pages, and sees to the keys of the origins whose facts are in them."""

    def __init__(
        self,
        *,
        verifier: EntryVerifier,
        state: NodeState,
        origin_keys: OriginKeys,
        clock: Clock,
        client: PeerClient,
        signatures: Signatures,
    ) -> None:
        self._signatures = signatures
        self._verifier = verifier
        self._state = state
        self._origin_keys = origin_keys
        self._clock = clock
        self._client = client
        self._asked: dict[str, tuple[int, int]] = {}
        """Origin -> when to ask for its key again on the monotonic clock, and how often no answer came."""

    @property
    def policy(self) -> IngestPolicy:
        """The rules that pages are checked by."""
        return self._verifier.policy

    async def prepare(self, row: PeerRow) -> None:
        """Before a drain: fetch the peer's own manifest where that is due, and keys that are wanting."""
        await self._origin_keys.bind(row)
        await self._seek_origins(row)

    async def inspect(self, row: PeerRow, link: PeerLink, page: Page) -> list[Arrival]:
        """What is to be done with each entry, plain repetitions left out.

        Raises Unreachable or Throttled when the peer must be asked for an origin's key and does not answer.
        """
        await self._learn_from(row, link, page)
        verifier = await self._with_signatures(link, page)
        arrivals: list[Arrival] = []
        for number, raw in enumerate(page.entries):
            if number % _ENTRIES_PER_CHECKPOINT == _ENTRIES_PER_CHECKPOINT - 1:
                await self._clock.checkpoint()
            arrival = await self._check(row, link, raw, verifier)
            if arrival is not None:
                arrivals.append(arrival)
        return arrivals

    async def _with_signatures(self, link: PeerLink, page: Page) -> EntryVerifier:
        """The checks of entries, with the answers for the signatures of a longer page."""
        signatures, policy = self._signatures, self._verifier.policy
        if signatures.threads == 1 or len(page.entries) < _ENTRIES_FOR_THREADS:
            return self._verifier
        wanted: dict[Signed, None] = {}
        for number, raw in enumerate(page.entries):
            if number % _ENTRIES_PER_CHECKPOINT == _ENTRIES_PER_CHECKPOINT - 1:
                await self._clock.checkpoint()
            try:
                entry = decode_entry(raw, link.dialect)
            except Rejection:
                continue  # told when it is its turn
            part = signed_part(entry, link, policy)
            if part is not None and self._state.ledger.held(origin_of(entry, link), str(entry.fact.id)) is None:
                wanted[part] = None
        asked = list(wanted)
        answers = await signatures.check(policy.suite, asked)
        return self._verifier.with_suite(KnownSignatures(policy.suite, dict(zip(asked, answers, strict=True))))

    async def _check(self, row: PeerRow, link: PeerLink, raw: bytes, verifier: EntryVerifier) -> Arrival | None:
        """The outcome of the stateless checks; None for a plain repetition."""
        try:
            entry = decode_entry(raw, link.dialect)
            if is_repeat(entry, link, self._state.ledger) and not self._brings_attestation(entry, link):
                return None
        except Rejection as rejection:
            return Arrival(raw, Refused(entry_name(raw), rejection))
        except Exception as bug:
            return self._verifier.not_understood(raw, bug)
        origin = origin_of(entry, link)
        if origin != link.sender and self._origin_keys.key_of(origin) is None:
            await self._learn(row, origin)
        try:
            arrival = verifier.verify(link, raw, entry)
        except Exception as bug:
            return self._verifier.not_understood(raw, bug)
        if isinstance(arrival.outcome, Refused) and arrival.outcome.rejection.code == "origin_sig_invalid":
            await self._doubt(row, origin)
        return arrival

    def _brings_attestation(self, entry: PageEntry, link: PeerLink) -> bool:
        """Whether an entry says that a fact was signed which is held as one that nobody signed: a relay may have left
        that out."""
        if not has_attestation(entry):
            return False
        return not self._state.attestations.knows(origin_of(entry, link), str(entry.fact.id))

    # --- keys of origins ---

    async def _learn_from(self, row: PeerRow, link: PeerLink, page: Page) -> None:
        """Take in the keys of unknown origins whose manifests came with their first facts, in one commit for all."""
        if link.dialect != CERTIFYING:
            return
        found: dict[str, bytes] = {}
        for raw in filter(has_manifest, page.entries):
            try:
                entry = decode_entry(raw, link.dialect)
            except Rejection:
                continue  # told when it is its turn
            origin, manifest = origin_of(entry, link), bytes(entry.origin_manifest)
            is_wanted = origin not in found and origin != link.sender and self._origin_keys.key_of(origin) is None
            if is_wanted and manifest != b"null" and len(manifest) <= limits.MANIFEST_CHARS_MAX:
                found[origin] = manifest
        await self._origin_keys.learn_all(list(found.items()), row)

    async def _seek_origins(self, row: PeerRow) -> None:
        """Ask the peer again for some origins whose facts had to be refused because nobody knew their keys."""
        now_ns = self._clock.monotonic_ns()
        awaited = self._state.awaiting.get(row.peer_id, {})
        due = [origin for origin in awaited if self._asked.get(origin, (0, 0))[0] <= now_ns]
        for origin in due[:_ORIGINS_PER_DRAIN]:
            try:
                await self._learn(row, origin)
            except (Unreachable, Throttled):
                return  # its pages may come all the same

    async def _doubt(self, row: PeerRow, origin: str) -> None:
        """A signature does not fit a key that somebody vouched for: hear whom this peer takes the origin for."""
        held = self._state.origins.get(origin)
        if held is not None and held.how == "vouched" and origin != row.node_id:
            await self._learn(row, origin)

    async def _learn(self, row: PeerRow, origin: str) -> None:
        """Fetch the manifest of an origin from the peer that serves its facts."""
        now_ns = self._clock.monotonic_ns()
        again_ns, failures = self._asked.get(origin, (0, 0))
        if again_ns > now_ns or not 0 < len(origin) <= limits.NODE_ID_CHARS_MAX:
            return
        self._asked.pop(origin, None)
        if len(self._asked) >= limits.UNKNOWN_ORIGINS_MAX:
            del self._asked[next(iter(self._asked))]
        rest_ns = now_ns + limits.UNKNOWN_ORIGIN_REST_NS
        self._asked[origin] = (rest_ns, 0)
        try:
            response = await self._client.ask(row, f"/v1/federation/manifest/{quote(origin, safe='')}")
        except Rejection:
            return
        except (Unreachable, Throttled):
            if failures < _PATIENCE:
                self._asked[origin] = (now_ns, failures + 1)
                raise
            return
        await self._origin_keys.learn(origin, response.body, row)
