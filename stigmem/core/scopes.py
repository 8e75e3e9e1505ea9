"""The four scopes and what may cross a node's boundary (federation 5).

Sets of scopes as sorted tuples and the two gates, egress and ingress. Who is asking, and which peer row
applies, is decided by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal

__all__ = ["SCOPES", "Scope", "crossing", "is_scope", "ordered"]

Scope = Literal["local", "team", "company", "public"]
SCOPES: Final = ("local", "team", "company", "public")
_RANK: Final = {name: rank for rank, name in enumerate(SCOPES)}


def is_scope(text: object) -> bool:
    """Whether this is one of the four names; anything that is no text is not."""
    return isinstance(text, str) and text in _RANK


def ordered(scopes: Iterable[str]) -> tuple[str, ...]:
    """Known scopes once each, narrowest first, so that a set of scopes has one form."""
    return tuple(sorted({scope for scope in scopes if scope in _RANK}, key=_RANK.__getitem__))


def crossing(*grants: Iterable[str], allow_team: bool) -> tuple[str, ...]:
    """Scopes that every grant contains and that may cross a link at all.

    `local` never crosses; `team` only when this node's operator allows it *and* every grant lists it.
    """
    try:
        return _crossing(grants, allow_team=allow_team)
    except TypeError:  # a grant that is no tuple
        return _crossing(tuple(map(tuple, grants)), allow_team=allow_team)


@lru_cache(maxsize=256)
def _crossing(grants: tuple[Iterable[str], ...], *, allow_team: bool) -> tuple[str, ...]:
    # Asked twice a pull, with the same few grants.
    common = set(SCOPES).intersection(*grants)
    common.discard("local")
    if not allow_team:
        common.discard("team")
    return ordered(common)
