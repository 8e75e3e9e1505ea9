"""Pulled pages and their entries as received: shapes, decoded one entry at a time.

Bytes in, loosely typed structs out, and a Rejection per entry that cannot be read, so that one bad entry never
costs its neighbours. Whether a well-formed entry is acceptable is `stigmem.core.ingest`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.envelope import Origin
from stigmem.core.errors import Rejection

__all__ = [
    "Page",
    "PageEntry",
    "WireFact",
    "decode_entry",
    "decode_page",
    "entry_name",
    "has_attestation",
    "has_manifest",
]


class WireValue(msgspec.Struct):
    """The `value` member as received; `stigmem.core.values` checks it."""

    type: str
    v: Any = None
    interpret_as: str | None = None


class WireFact(msgspec.Struct, kw_only=True):
    """The members of a FactRecord that a receiver uses; nobody relies on the others, which are ignored."""

    id: str | UnsetType = UNSET
    entity: str
    relation: str
    value: WireValue
    source: str
    timestamp: str
    hlc: str | None = None
    valid_until: str | None = None
    confidence: float
    scope: str
    cid: str | None = None
    derived_from: list[dict[str, Any]] | None = None
    garden_id: Any = None


class PageEntry(msgspec.Struct, kw_only=True):
    """One fact as it came: with its origin and signature in dialect 2.1, bare in dialect 0.5."""

    fact: WireFact
    origin: Origin | None = None
    origin_sig: str | None = None
    attestation: msgspec.Raw = msgspec.Raw(b"null")
    """What the fact's agent signed, as JSON (`stigmem.core.attestation`); `null` in nearly every entry."""
    origin_manifest: msgspec.Raw = msgspec.Raw(b"null")
    """The manifest of the origin as JSON, for who does not know its key; `null` in nearly every entry."""


class Page(msgspec.Struct):
    """A page taken apart: raw entries (at most the limit asked for), where to go on, whether there is more."""

    entries: list[bytes]
    cursor: str | None
    has_more: bool


class _RawPage(msgspec.Struct):
    facts: list[msgspec.Raw]
    v: Any = None
    cursor: str | None = None
    has_more: bool = False


_NOTHING: Final = msgspec.Raw()
_Entries: Final = msgspec.defstruct(
    "_Entries",
    [(f"entry_{number}", msgspec.Raw, _NOTHING) for number in range(limits.PAGE_LIMIT_MAX)],
    array_like=True,
    module=__name__,
)
"""An array of which only so many elements are taken: the others are passed over and never become objects. A list would
hold each of the ten million that fit into a hostile page, which took seconds and a gigabyte."""


class _RawLongPage(msgspec.Struct):
    facts: _Entries  # type: ignore[valid-type]  # made above
    v: Any = None
    cursor: str | None = None
    has_more: bool = False


_pages: Final = msgspec.json.Decoder(_RawPage)
_long_pages: Final = msgspec.json.Decoder(_RawLongPage)
_LONG_BYTES: Final = 262_144
"""From here on a page is read by the way that is bounded; the other is quicker with a few entries."""
_entries: Final = msgspec.json.Decoder(PageEntry)
_facts: Final = msgspec.json.Decoder(WireFact)
_anything: Final = msgspec.json.Decoder()
_WITHOUT_MANIFEST: Final = b'"origin_manifest":null,"origin_key_proof":null}'
_KNOWN_BYTES_MAX: Final = 4_096
"""The longest entry that is remembered as read."""
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def decode_page(body: bytes, dialect: str, limit: int) -> Page:
    """Take a page apart. `dialect`: `0.5`, `2.1` or `2.1+`; `limit`: how many entries were asked for, more are dropped.
    Raises Rejection `page_version`, `page_malformed` or `cursor_malformed`."""
    try:
        raw = _pages.decode(body) if len(body) <= _LONG_BYTES else _decode_long(body)
    except _UNREADABLE as error:
        raise Rejection("page_malformed", f"the page is not of the agreed shape: {error}") from error
    if dialect != "0.5" and raw.v != 2:
        raise Rejection("page_version", "a page of dialect 2.1 says v: 2")
    if dialect == "0.5" and raw.v == 2:
        raise Rejection("page_version", "a page of dialect 0.5 has no v: this peer was registered as what it is not")
    if raw.cursor is not None and len(raw.cursor) > limits.CURSOR_CHARS_MAX:
        raise Rejection("cursor_malformed", f"a cursor has at most {limits.CURSOR_CHARS_MAX} characters")
    return Page([bytes(entry) for entry in raw.facts[:limit]], raw.cursor, raw.has_more)


def _decode_long(body: bytes) -> _RawPage:
    page = _long_pages.decode(body)
    entries = [entry for entry in msgspec.structs.astuple(page.facts) if entry is not _NOTHING]
    return _RawPage(entries, page.v, page.cursor, page.has_more)


def decode_entry(raw: bytes, dialect: str) -> PageEntry:
    """Read one entry; raises Rejection `malformed_fact`, `entry_incomplete` or `id_required`. Entries are shared
    between callers, who must not change them."""
    if len(raw) <= _KNOWN_BYTES_MAX:
        return _read_known(raw, dialect)
    if len(raw) <= limits.FACT_BYTES_MAX + limits.MANIFEST_CHARS_MAX + limits.ATTESTATION_BYTES_MAX:
        entry = _read(raw, dialect)
        beside = len(bytes(entry.origin_manifest)) + len(bytes(entry.attestation)) * has_attestation(entry)
        if len(raw) - beside <= limits.FACT_BYTES_MAX:
            return entry
    raise Rejection("malformed_fact", f"a fact has at most {limits.FACT_BYTES_MAX} bytes as JSON")


def has_attestation(entry: PageEntry) -> bool:
    """Whether an entry says that its fact was signed by its agent; nothing of it is checked."""
    return bytes(entry.attestation) != b"null"


def has_manifest(raw: bytes) -> bool:
    """Whether an entry may carry its origin's manifest; False for those that end as ours do without one."""
    return not raw.endswith(_WITHOUT_MANIFEST)


def _read(raw: bytes, dialect: str) -> PageEntry:
    try:
        entry = PageEntry(fact=_facts.decode(raw)) if dialect == "0.5" else _entries.decode(raw)
    except _UNREADABLE as error:
        if dialect != "0.5":
            _check_complete(raw)
        raise Rejection("malformed_fact", f"the fact is not of the agreed shape: {error}") from error
    if dialect != "0.5" and (entry.origin is None or not entry.origin_sig):
        raise Rejection("entry_incomplete", "an entry needs fact, origin and origin_sig")
    if entry.fact.id is UNSET or not entry.fact.id:
        raise Rejection("id_required", "a fact needs an id", field="id")
    return entry


# Every neighbour brings the same entry, byte for byte; nobody changes what was read.
_read_known = lru_cache(maxsize=1_024)(_read)


def _check_complete(raw: bytes) -> None:
    found = _lenient(raw)
    if not isinstance(found, dict) or not all(found.get(name) for name in ("fact", "origin", "origin_sig")):
        raise Rejection("entry_incomplete", "an entry needs fact, origin and origin_sig")
    if isinstance(found["fact"], dict) and not found["fact"].get("id"):
        raise Rejection("id_required", "a fact needs an id", field="id")


def entry_name(raw: bytes) -> str:
    """A name for an entry in dead letters and audit rows: its fact id if it has one, else a hash of its bytes."""
    found = _lenient(raw) if len(raw) <= limits.FACT_BYTES_MAX else _name_of_long(raw)
    if isinstance(found, dict):
        fact = found.get("fact", found)
        if isinstance(fact, dict) and isinstance(fact.get("id"), str):
            return str(fact["id"])[: limits.FACT_ID_CHARS_MAX]
    return "sha256:" + hashlib.sha256(raw).hexdigest()


class _Named(msgspec.Struct):
    id: msgspec.Raw | UnsetType = UNSET
    fact: msgspec.Raw | UnsetType = UNSET


_named: Final = msgspec.json.Decoder(_Named)


def _name_of_long(raw: bytes) -> dict[str, Any] | None:
    """What of an entry beyond every bound tells its name: no more of it becomes objects."""
    try:
        outer = _named.decode(raw)
        inner = outer if outer.fact is UNSET else _named.decode(outer.fact)
    except _UNREADABLE:
        return None
    name = b"" if inner.id is UNSET else bytes(inner.id)
    return {"id": _lenient(name)} if len(name) <= limits.FACT_BYTES_MAX else None


def _lenient(raw: bytes) -> Any:
    try:
        return _anything.decode(raw)
    except _UNREADABLE:
        return None
