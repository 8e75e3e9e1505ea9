"""Counting what nodes take of answers that are longer than was asked for.

Of every answer of a hostile peer the facts beyond as many as were asked for are remembered. When the node asks that
peer again, and at the end of the run, it is seen which of them it has stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from sim.adversary.base import limit_of
from sim.check import Asked

__all__ = ["PageExcess"]


class PageExcess:
    """The count of one run."""

    def __init__(self, holds: Callable[[str, str, str], bool]) -> None:
        """`holds`: whether a node holds a fact of a hostile peer, by their names and the fact's id."""
        self._holds = holds
        self._taken = 0
        self._beyond: dict[tuple[str, str], list[str]] = {}

    def asked(self, asked: Asked) -> None:
        """A node asked a hostile peer, whose answer is made and not yet on the wire."""
        self._settle(asked.node, asked.peer)
        if asked.answer is not None:
            self._beyond[asked.node, asked.peer] = _ids(asked.answer.body)[limit_of(asked.request) :]

    def count(self) -> int:
        """How many were taken in all; for the end of the run."""
        for node, peer in list(self._beyond):
            self._settle(node, peer)
        return self._taken

    def _settle(self, node: str, peer: str) -> None:
        beyond = self._beyond.pop((node, peer), [])
        self._taken += sum(self._holds(node, peer, fact_id) for fact_id in beyond)


def _ids(body: bytes) -> list[str]:
    """The ids of the facts on a page of either dialect, "" where there is none; nothing when it is no page."""
    try:
        page: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
    items = page.get("facts") if isinstance(page, dict) else None
    return [_id(item) for item in items] if isinstance(items, list) else []


def _id(item: Any) -> str:
    """Of an entry of dialect 2.1, or of a bare record of 0.5."""
    record = item.get("fact", item) if isinstance(item, dict) else None
    found = record.get("id") if isinstance(record, dict) else None
    return found if isinstance(found, str) else ""
