"""What victims must do with the facts that hostile peers serve: refuse each bad one and audit it, keep each good one.

Only pages that a victim is known to have stored count: its next request comes with their cursor. A page that was lost
on the wire, or in a crash, obliges nobody.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Obligation", "Obligations"]


class Obligation(NamedTuple):
    """One fact of one page of the hostile peer named: the codes of which one must be audited, or none when the fact
    must be kept."""

    peer: str
    victim: str
    fact_id: str
    codes: tuple[str, ...]


class Obligations:
    """The obligations to one hostile peer: announced by its script, carried by a page, due when the victim has it."""

    def __init__(self, *, are_due: bool = True) -> None:
        """Without `are_due` receipts are counted and nothing is ever due: on a wire that flips bits a good fact may
        arrive as a bad one."""
        self.are_due = are_due
        self._announced: dict[tuple[str, str], Obligation] = {}
        """What the latest version of a fact is worth to a victim, however often it is served."""
        self._served: dict[tuple[str, str], list[Obligation]] = {}
        self._due: dict[Obligation, None] = {}
        self.receipts: dict[str, int] = {}
        """Victim -> pages that it is known to have stored since it knows the peer."""

    def announce(self, obligation: Obligation) -> None:
        """A fact that a script is about to serve."""
        self._announced[obligation.victim, obligation.fact_id] = obligation

    def serve(self, victim: str, cursor: str, names: list[str]) -> None:
        """A page with these facts is on its way under a cursor."""
        found = [self._announced.get((victim, name)) for name in names]
        self._served[victim, cursor] = [obligation for obligation in found if obligation is not None]

    def receive(self, victim: str, cursor: str) -> None:
        """The victim asked for what comes after a cursor: it has stored that page."""
        page = self._served.pop((victim, cursor), None)
        if page is not None:
            self.receipts[victim] = self.receipts.get(victim, 0) + 1
            if self.are_due:
                self._due.update(dict.fromkeys(page))

    def due(self) -> list[Obligation]:
        """Every obligation of pages that were received."""
        return list(self._due)
