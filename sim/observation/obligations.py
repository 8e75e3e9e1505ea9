"""What a victim owes for the pages it took: an audit row for each bad fact, a place for each good one.

Only pages that a victim is known to have stored count: its next request comes with their cursor. A page that
was lost on the wire, or in a crash, makes no debt.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Obligation", "Obligations"]


class Obligation(NamedTuple):
    """One fact of one page: the codes of which one must be audited, or none when the fact must be held."""

    victim: str
    fact_id: str
    codes: tuple[str, ...]


class Obligations:
    """Debts from a script's announcement over the page that carried it to the victim's receipt."""

    def __init__(self) -> None:
        self._announced: dict[tuple[str, str], Obligation] = {}
        """What the latest version of a fact is worth to a victim, however often it is served."""
        self._served: dict[tuple[str, str], list[Obligation]] = {}
        self._due: dict[tuple[str, str, tuple[str, ...]], Obligation] = {}
        self.receipts: dict[str, int] = {}
        """Victim -> pages that it is known to have stored since it knows us."""

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
            for obligation in page:
                self._due[obligation] = obligation

    def due(self) -> list[Obligation]:
        """Every debt of pages that were received."""
        return list(self._due.values())
