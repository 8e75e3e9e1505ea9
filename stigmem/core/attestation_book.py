"""Which facts of a node are attested: what stands beside them, and the first use of each nonce.

An index over `AttestedFact` records, kept by the node's state. Verifying came before (`stigmem.core.attestation`). What
it answers is a function of the set of records it was given: a record that comes later, also one of an older fact, gives
the same answers as if it had come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from stigmem.core.attestation import Attestation
from stigmem.core.fact import Fact
from stigmem.core.records import AttestedFact

__all__ = ["AttestationBook"]

_Place: TypeAlias = tuple[int, str]
"""Stamp and id of a fact: which of two came first at their origin."""


class AttestationBook:
    """The attestations beside the facts of a node, its gardens' included."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], AttestedFact] = {}
        self._uses: dict[tuple[str, str, str], list[_Place]] = {}
        """(key, origin, nonce) -> the facts that carry it, nearly always one."""
        self.gone: dict[tuple[str, str], AttestedFact] = {}
        """Beside facts that are to be forgotten and may still be in the journal, by origin and id."""

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[AttestedFact]:
        return iter(self._records.values())

    def apply(self, record: AttestedFact, *, is_erased: bool) -> None:
        """Take in a record; the first one beside a fact stays. `is_erased`: its fact is to be forgotten."""
        name = (record.origin, record.fact_id)
        if record.attestation is None:
            self.gone.pop(name, None)
            self._remove(name)
        elif is_erased:
            self.gone[name] = record
        elif name not in self._records:
            self._add(name, record)

    def forget(self, fact: Fact) -> None:
        """The fact is to be forgotten, and what stands beside it with it."""
        record = self._remove((fact.origin, fact.id))
        if record is not None:
            self.gone[fact.origin, fact.id] = record

    def restore(self, fact: Fact) -> None:
        """The fact was kept under a legal hold and is there again."""
        record = self.gone.pop((fact.origin, fact.id), None)
        if record is not None:
            self._add((fact.origin, fact.id), record)

    def beside(self, fact: Fact) -> Attestation | None:
        """What stands beside a fact, a replay included."""
        if not self._records:  # most nodes have none, and this is asked of each fact that is shown
            return None
        record = self._records.get((fact.origin, fact.id))
        return None if record is None else record.attestation

    def knows(self, origin: str, fact_id: str) -> bool:
        """Whether something stands beside the fact that this origin gave this id."""
        return (origin, fact_id) in self._records

    def leaving(self, fact: Fact) -> Attestation | None:
        """What goes with a fact to peers: the whole form, which they can verify."""
        found = self.beside(fact)
        return found if found is not None and found.form == "whole" and found.garden is None else None

    def is_attested(self, fact: Fact) -> bool | None:
        """Whether the source of a fact was verified to have said it; None where nobody claims so. In the published
        form it was when the key is that of the source."""
        record = self._records.get((fact.origin, fact.id)) if self._records else None
        if record is None or record.attestation is None:
            return None
        if record.attestation.form == "lines":
            return fact.source == record.attestation.key.entity_uri
        return min(self._uses[_use(record, record.attestation)]) == (record.stamp, record.fact_id)

    def first_use(self, public_key: str, origin: str, nonce: str) -> str | None:
        """The id of the fact that a nonce was used for first; None for a new nonce."""
        places = self._uses.get((public_key, origin, nonce))
        return None if places is None else min(places)[1]

    def _add(self, name: tuple[str, str], record: AttestedFact) -> None:
        self._records[name] = record
        if record.attestation is not None and record.attestation.form == "whole":
            self._uses.setdefault(_use(record, record.attestation), []).append((record.stamp, record.fact_id))

    def _remove(self, name: tuple[str, str]) -> AttestedFact | None:
        record = self._records.pop(name, None)
        if record is not None and record.attestation is not None and record.attestation.form == "whole":
            use = _use(record, record.attestation)
            self._uses[use].remove((record.stamp, record.fact_id))
            if not self._uses[use]:
                del self._uses[use]
        return record


def _use(record: AttestedFact, attestation: Attestation) -> tuple[str, str, str]:
    return (attestation.key.public_key, record.origin, attestation.nonce)
