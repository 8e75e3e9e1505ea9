"""What this node serves to a peer: pages of facts in the peer's dialect, and how old they may be.

Pages are built from committed state, in the order of local sequence numbers, and every fact that may leave in the
peer's scopes is on exactly one page of a reading. Which peer asks and what it may see was decided before.

Cursors. A page ends with a cursor that the peer sends back to go on. It is a number that only this node can read
(`stigmem.node.cursors`), made of the local sequence number and a checksum over the ids of all facts up to it:

* the number alone would tell a peer how many facts it may not see (leak L1), so it is permuted under a key;
* a node that lost its disk, or went back to an old backup, gives the same numbers to other facts. The checksum shows
  that: a cursor of another past is read from the beginning, since facts that are read again cost little, and facts that
  are skipped are lost.

Peers of dialect 0.5 come with stamps instead; those are looked up (`Ledger.first_after_stamp`).

What is left out of a page, and yet passed by its cursor: what came from the peer or is its own (unless it asks with
`echo`, because it may have lost its disk), what it names as held already, what it could only misattribute,
and values of type json where it does not certify ids as we do.

Manifests. Who reads an origin's first fact needs its key, and asking for each cost as much as the page. So on a
page that begins before the first fact of an origin that is relayed, the origin's first entry carries its manifest
(`origin_manifest`), for peers that certify ids as we do; one that has lost its disk gets it again. Who learns no key
from it asks for the manifest.

Entries are encoded and signed once and kept, within a bound on their bytes, because every peer asks for the same recent
facts. A peer that cannot take stamps outside its bounds gets them clamped; such entries are made for each request.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import msgspec

from stigmem.core import hlc
from stigmem.core.attestation import Attestation
from stigmem.core.declaration import CERTIFYING
from stigmem.core.envelope import entry_json
from stigmem.core.fact import Fact, record_of
from stigmem.core.ledger import Ledger
from stigmem.core.records import PeerRow
from stigmem.core.scopes import SCOPES
from stigmem.node.cursors import PageCursorCodec
from stigmem.node.identity import Identity
from stigmem.node.replication.first_peers import origin_tag

__all__ = ["PageServer", "ServedPage", "narrow"]

_STAMPED: Final = re.compile(r"[0-9]{1,16}(\.[0-9]{1,9})?")
_DAY_MS: Final = 86_400_000
_OLDEST_SERVED_MS: Final = 29 * _DAY_MS
_FUTURE_SERVED_MS: Final = 60_000
"""Well inside what a subscriber of the reference takes (federation 3.6)."""
_CACHED_BYTES_MAX: Final = 8 * 1_048_576
"""Encoded entries kept for the next peer that asks; a bound on their number alone would let long values fill memory."""
_PAGE_CHARS_MAX: Final = 4 * 1_048_576
"""Value text in one page: however it is escaped, the page stays below what a receiver takes (RESPONSE_BYTES_MAX)."""
_CHECK_BITS: Final = 24
"""Of a cursor's 64: another past passes for this one once in sixteen million, and there is room for 2^40 facts."""
_NO_MANIFEST: Final = b'"origin_manifest":null,"origin_key_proof":null}'
_RELAYED: Final = ("public",)
_LAST: Final = b',"has_more":false}'
_json: Final = msgspec.json.Encoder().encode
_NONE: Final[frozenset[str]] = frozenset()


class ServedPage(NamedTuple):
    """A page for a peer."""

    body: bytes
    facts: int
    """How many facts it holds."""
    cursor: str | None
    """Where the next page begins; that of the request when the page is empty."""
    team_facts: int
    """How many of them are of scope team."""


class PageServer:
    """Serves pages; keeps a bounded cache of encoded entries, since peers ask for the same recent facts."""

    def __init__(
        self,
        ledger: Ledger,
        identity: Identity,
        cursors: PageCursorCodec,
        manifest_of: Callable[[str], str],
        attestation_of: Callable[[Fact], Attestation | None],
    ) -> None:
        """`manifest_of`: the JSON text of an origin's manifest, or an empty one. `attestation_of`: what goes with a
        fact to peers who know what that is."""
        self._attestation_of = attestation_of
        self._ledger = ledger
        self._manifest_of = manifest_of
        self._first_seq: dict[str, int] = {}
        """Origin -> sequence number of its first fact that is relayed."""
        self._looked_at = 0
        """Up to which number of those that may leave."""
        self._entity_uri = identity.entity_uri
        self._signer = identity.signer
        self._cursors = cursors
        self._sums = array("I", [0])
        """Sequence number -> checksum of the ids up to it."""
        self._cache: dict[int, bytes] = {}
        self._cached_bytes = 0

    @property
    def tombstones(self) -> int:
        """How many tombstones and revocations this node has."""
        return self._ledger.tombstones_known

    def forget(self) -> None:
        """Facts were erased: nothing that was made of them is kept."""
        self._cache.clear()
        self._cached_bytes = 0
        self._first_seq.clear()
        self._looked_at = 0

    def start(self, cursor: str | None, scopes: tuple[str, ...]) -> int:
        """The sequence number after which a page begins. What cannot be read starts from the beginning:
        facts read again cost little, facts skipped are lost."""
        if not cursor:
            return 0
        mark = self._cursors.seq(cursor)
        if mark is not None:
            seq = mark >> _CHECK_BITS
            return seq if 0 < seq <= self._ledger.last_seq and mark == self._mark(seq) else 0
        if _STAMPED.fullmatch(cursor):
            return self._ledger.first_after_stamp(scopes, hlc.parse_stamp(cursor))
        return 0

    def _mark(self, seq: int) -> int:
        # Everything up to it is part of a cursor: after a lost disk or an old backup the same number stands for
        # another past, and whoever reads on from there would miss what is new in it.
        log, sums = self._ledger.log, self._sums
        while len(sums) <= seq:
            sums.append(zlib.crc32(log[len(sums) - 1].id.encode("utf-8", "surrogatepass"), sums[-1]))
        return seq << _CHECK_BITS | sums[seq] >> 32 - _CHECK_BITS

    def has_news(
        self, peer: PeerRow, scopes: tuple[str, ...], cursor: str | None, held: frozenset[str] = _NONE
    ) -> bool:
        """Whether a page now would hold a fact."""
        return self.has_news_after(peer, scopes, self.start(cursor, scopes), held)

    def has_news_after(
        self,
        peer: PeerRow,
        scopes: tuple[str, ...],
        seq: int,
        held: frozenset[str] = _NONE,
        elsewhere: frozenset[str] = _NONE,
    ) -> bool:
        """Whether there is a fact for the peer after a sequence number, other than of origins whose facts it gets
        elsewhere."""
        if self._ledger.last_exported(scopes) <= seq:
            return False
        return any(
            _goes_to(peer, fact, held) and not _is_elsewhere(fact, elsewhere)
            for fact in self._ledger.exported(scopes, seq)
        )

    @property
    def last_seq(self) -> int:
        """The sequence number of the newest fact."""
        return self._ledger.last_seq

    def page(
        self,
        peer: PeerRow,
        scopes: tuple[str, ...],
        cursor: str | None,
        limit: int,
        now_ms: int,
        *,
        echo: bool = False,
        held: frozenset[str] = _NONE,
        elsewhere: frozenset[str] = _NONE,
    ) -> ServedPage:
        """One page after a cursor, in the peer's dialect; with `echo` also what came from the peer itself. `held`: ids
        of what it need not be sent. Facts of origins whose facts it gets `elsewhere` are left out and the cursor stays
        before the first of them: the next question names those that came."""
        after = last = self.start(cursor, scopes)
        bare = peer.dialect == "0.5"
        if self._ledger.last_exported(scopes) <= after:
            return ServedPage(_page_body(b"", cursor, more=False, bare=bare), 0, cursor, 0)
        chosen: list[Fact] = []
        manifests: dict[int, bytes] = {}
        more, size = False, 0
        stays = False
        with_manifests = peer.dialect == CERTIFYING
        told = {peer.node_id: None}  # who knows its own key
        for fact in self._ledger.exported(scopes, after):
            if _goes_to(peer, fact, held, echo=echo):
                if _is_elsewhere(fact, elsewhere):
                    stays = True
                    continue
                if len(chosen) == limit or size > _PAGE_CHARS_MAX:
                    more = not stays
                    break
                if with_manifests and fact.origin not in told and self._first_of(fact.origin) > after:
                    told[fact.origin] = None
                    manifest = manifests[fact.seq] = self._manifest_of(fact.origin).encode()
                    size += len(manifest)
                chosen.append(fact)
                size += len(fact.text)
            if not stays:
                last = fact.seq
        following = self._cursors.blind(self._mark(last)) if last > after else cursor
        render = (
            self._attested_entry if peer.dialect == CERTIFYING else partial(self._clamped, bare=bare, now_ms=now_ms)
        )
        entries = map(render, chosen)
        if manifests:
            entries = map(_with_manifest, entries, [manifests.get(fact.seq, b"") for fact in chosen])
        body = _page_body(b",".join(entries), following, more=more, bare=bare)
        return ServedPage(body, len(chosen), following, sum(fact.scope == "team" for fact in chosen))

    def _first_of(self, origin: str) -> int:
        """The sequence number of the first fact of an origin that is relayed; 0 when there is none."""
        if self._looked_at < self._ledger.last_exported(_RELAYED):
            for each in self._ledger.exported(_RELAYED, self._looked_at):
                if each.received_from is not None:
                    self._first_seq.setdefault(each.origin, each.seq)
                self._looked_at = each.seq
        return self._first_seq.get(origin, 0)

    def _attested_entry(self, fact: Fact) -> bytes:
        return self._entry(fact, self._attestation_of(fact))

    def _entry(self, fact: Fact, attestation: Attestation | None = None) -> bytes:
        name = fact.seq if attestation is None else -fact.seq
        entry = self._cache.get(name)
        if entry is None:
            entry = self._cache[name] = entry_json(fact, self._signer, self._entity_uri, attestation)
            self._cached_bytes += len(entry)
            while self._cached_bytes > _CACHED_BYTES_MAX:
                self._cached_bytes -= len(self._cache.pop(next(iter(self._cache))))
        return entry

    def _clamped(self, fact: Fact, *, bare: bool, now_ms: int) -> bytes:
        # A reference subscriber stalls for good on a stamp outside its bounds (federation 3.6).
        wall = min(max(fact.wall_ms, now_ms - _OLDEST_SERVED_MS), now_ms + _FUTURE_SERVED_MS)
        if wall != fact.wall_ms:
            fact = msgspec.structs.replace(fact, stamp=hlc.stamp(wall, 0))
        elif not bare:
            return self._entry(fact)
        if bare:
            return msgspec.json.encode(record_of(fact, fact.cid))
        return entry_json(fact, self._signer, self._entity_uri)


def _with_manifest(entry: bytes, manifest: bytes) -> bytes:
    """An entry with its origin's manifest in place of the null that every entry ends with."""
    if not manifest:
        return entry
    return b'%b"origin_manifest":%b,"origin_key_proof":null}' % (entry.removesuffix(_NO_MANIFEST), manifest)


def _page_body(facts: bytes, cursor: str | None, *, more: bool, bare: bool) -> bytes:
    head = b'{"facts":[' if bare else b'{"v":2,"facts":['
    return b"".join((head, facts, b'],"cursor":', _json(cursor), b',"has_more":true}' if more else _LAST))


def _is_elsewhere(fact: Fact, elsewhere: frozenset[str]) -> bool:
    """Whether a peer that said so gets the fact from somebody else: a public one, of one of these origins."""
    return bool(elsewhere) and fact.scope == "public" and origin_tag(fact.origin) in elsewhere


def _goes_to(peer: PeerRow, fact: Fact, held: frozenset[str], *, echo: bool = False) -> bool:
    """Whether a fact that may leave goes to this peer: no echo unless asked, nothing that it holds already (an id that
    commits to nothing may stand for another fact there), nothing that it would misattribute, and no value of a
    type that its dialect does not have: what it did with one would be its own guess."""
    if not echo and peer.node_id in (fact.origin, fact.received_from):
        return False
    if fact.id in held and fact.certified:
        return False
    if fact.kind == "json" and peer.dialect != CERTIFYING:
        return False
    return peer.dialect != "0.5" or fact.received_from is None


def narrow(scopes: tuple[str, ...], wanted: str | None) -> tuple[str, ...]:
    """The scopes of a request that asks for one of them, or for all."""
    return scopes if wanted is None else tuple(scope for scope in SCOPES if scope == wanted and scope in scopes)
