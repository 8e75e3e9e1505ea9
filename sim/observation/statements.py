"""What hostile peers signed, kept until one of them contradicts itself (`stigmem.core.evidence`).

Looked at is every page that a hostile peer answers with, before the wire can change it. Of each (origin, id) the first
signed statement is kept; another one with another content id makes a pair. Signatures are checked when the run is over,
and only those of pairs: what does not hold under the peer's key is told as unsigned, and so is a fact of dialect 0.5
that changed, which nobody signs.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stigmem.core.envelope import Origin
from stigmem.core.evidence import EntryStatement, Evidence, NoEvidence, verify_evidence
from stigmem.core.keys import Suite
from stigmem.core.wire import Response

__all__ = ["Statements"]

_PAIRS_MAX: Final = 1_000
"""So many pairs are kept of a run; the rest would show the same."""


class _Record(msgspec.Struct):
    id: str
    cid: str | None = None
    valid_until: str | None = None


class _SignedEntry(msgspec.Struct):
    fact: _Record
    origin: Origin
    origin_sig: str


class _Page(msgspec.Struct):
    facts: list[msgspec.Raw]


_pages: Final = msgspec.json.Decoder(_Page)
_signed: Final = msgspec.json.Decoder(_SignedEntry)
_bare: Final = msgspec.json.Decoder(_Record)


class Statements:
    """The statements of one run."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, str, str], EntryStatement] = {}
        """(key, origin, tenant, id) -> what was said first."""
        self._pairs: dict[tuple[str, str, str, str], EntryStatement] = {}
        """The same -> what was said first of what contradicts it."""
        self._bare: dict[tuple[str, str], str | None] = {}
        self._changed: dict[tuple[str, str], None] = {}
        """(peer, id) of unsigned facts that were given two contents."""

    def passed(self, peer: str, public_key: str, answer: Response | None) -> None:
        """A hostile peer of this name and key answers a pull."""
        if answer is None or answer.status != 200:
            return
        try:
            items = _pages.decode(answer.body).facts
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return  # no page: nothing is said
        for item in items:
            self._look(peer, public_key, bytes(item))

    def _look(self, peer: str, public_key: str, item: bytes) -> None:
        try:
            signed = _signed.decode(item)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._look_at_unsigned(peer, item)
            return
        fact, origin = signed.fact, signed.origin
        if fact.cid is None:
            return
        said = EntryStatement(
            origin=origin, fact_id=fact.id, cid=fact.cid, valid_until=fact.valid_until, signature=signed.origin_sig
        )
        name = (public_key, origin.node_id, origin.tenant, fact.id)
        first = self._first.setdefault(name, said)
        if first.cid != said.cid and len(self._pairs) < _PAIRS_MAX:
            self._pairs.setdefault(name, said)

    def _look_at_unsigned(self, peer: str, item: bytes) -> None:
        try:
            fact = _bare.decode(item)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return
        if self._bare.setdefault((peer, fact.id), fact.cid) != fact.cid:
            self._changed[peer, fact.id] = None

    def evidence(self, suite: Suite) -> tuple[list[bytes], list[str]]:
        """The files of evidence, and a sentence for each contradiction that nobody can be shown to have signed."""
        files: list[bytes] = []
        unsigned = [f"{peer} gave the fact {fact_id} two contents in pages that are not signed"
                    for peer, fact_id in self._changed]  # fmt: skip
        for name, second in self._pairs.items():
            found = Evidence(
                kind="entries",
                suite=_suite_name(suite),
                public_key=name[0],
                statements=[_plain(self._first[name]), _plain(second)],
            )
            try:
                verify_evidence(found, suite)
            except (NoEvidence, ValueError) as error:
                unsigned.append(f"the fact {name[3]} of {name[1]} was given two contents, and nobody is shown: {error}")
                continue
            files.append(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        return files, unsigned


def _suite_name(suite: Suite) -> Any:
    return suite.name


def _plain(statement: EntryStatement) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(statement)
    return found
