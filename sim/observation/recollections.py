"""What agents recalled, and how much of what had been said about a subject by then that was.

Told by workloads whose agents recall (`Clients.said`, `Clients.recalled` in `sim.ports`). A finding counts as said from
its acknowledgement on, wherever it was written; whether the one who asks could know of it is what the curve shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = ["Recollection", "Recollections"]


class Recollection(NamedTuple):
    """One recall, by an agent of `team` at `node`: of what its own team and others had said about the subject, how much
    the answer had."""

    at_ns: int
    team: str
    node: str
    own_said: int
    own_found: int
    others_said: int
    others_found: int


class Recollections:
    """Keeps what was said about which subject, and every recall."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.taken: list[Recollection] = []
        self._now_ns = now_ns
        self._said: dict[str, dict[str, str]] = {}

    def said(self, team: str, subject: str, fact_id: str) -> None:
        """A team's finding about a subject was acknowledged."""
        self._said.setdefault(subject, {})[fact_id] = team

    def recalled(self, team: str, node: str, subject: str, fact_ids: Iterable[str]) -> None:
        """An agent of a team was answered with these facts when it asked about a subject."""
        said = self._said.get(subject, {})
        found = [said[fact_id] for fact_id in dict.fromkeys(fact_ids) if fact_id in said]
        own, own_found = sum(each == team for each in said.values()), sum(each == team for each in found)
        self.taken.append(
            Recollection(
                at_ns=self._now_ns(),
                team=team,
                node=node,
                own_said=own,
                own_found=own_found,
                others_said=len(said) - own,
                others_found=len(found) - own_found,
            )
        )
