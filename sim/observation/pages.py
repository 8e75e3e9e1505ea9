"""Which pages of facts passed on each link lately, for whoever asks why a copy is missing.

Kept are the last pages with entries of every reader at every server, as the place from which each was asked and the end
of its bytes, in which its cursor stands; they are read only when somebody asks.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from stigmem.core.wire import Request, Response

__all__ = ["PageLog", "PagePassed"]

_PULL: Final = "/v1/federation/facts?"
_KEPT: Final = 200
_TAIL_BYTES: Final = 400
_EMPTY: Final = b'"facts":[]'
_CURSOR: Final = re.compile(rb'"cursor":"([^"\\]*)"')


class PagePassed(NamedTuple):
    """A page with entries that a server put on the wire: when, after which cursor ("" for the beginning), the cursor at
    its end ("" where it cannot be told), and how many bytes it had."""

    at_ns: int
    after: str
    upto: str
    size: int


class PageLog:
    """The last pages on every link."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], deque[tuple[int, str, bytes, int]]] = {}

    def passed(self, server: str, reader: str, at_ns: int, request: Request, response: Response) -> None:
        """A server is about to answer a reader; only pages with entries are kept."""
        if response.status != 200 or not request.target.startswith(_PULL):
            return
        body = response.body
        if body.startswith(_EMPTY, 1):
            return
        pages = self._pages.get((server, reader))
        if pages is None:
            pages = self._pages[server, reader] = deque(maxlen=_KEPT)
        pages.append((at_ns, request.target, body[-_TAIL_BYTES:], len(body)))

    def of(self, server: str, reader: str) -> Iterator[PagePassed]:
        """The last pages on a link, the latest first."""
        for at_ns, target, tail, size in reversed(self._pages.get((server, reader), ())):
            after = parse_qs(target.partition("?")[2]).get("cursor", [""])[0]
            found = _CURSOR.findall(tail)
            yield PagePassed(at_ns, after, found[-1].decode() if found else "", size)
