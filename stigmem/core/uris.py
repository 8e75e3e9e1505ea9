"""Entity and source URIs: normalisation and the reserved namespaces (http-api 2.1-2.4).

Text in, text out. No percent-decoding, no look-up, no existence check; normalising twice changes nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from stigmem.core import limits
from stigmem.core.errors import Refusal, invalid

__all__ = [
    "RESOLUTION_PREFIX",
    "VOID_PREFIX",
    "is_system",
    "normalise",
    "normalise_filter",
    "relation_warnings",
    "reserved_source",
]

RESOLUTION_PREFIX: Final = "stigmem:resolution:"
VOID_PREFIX: Final = RESOLUTION_PREFIX + "stigmem:void:"
"""Records that void facts (`stigmem.core.voiding`)."""
_FORMAL: Final = re.compile(r"stigmem://([^/]+)/([^/]+)/(.+)", re.DOTALL)
_SPACE: Final = re.compile(r"\s+")


@lru_cache(maxsize=65_536)
def normalise(text: str) -> str:
    """The stored form of an entity or source: lower case, white space folded to hyphens. Applying it twice changes
    nothing.

    Raises Refusal 422 for an empty or over-long text and 400 `invalid_entity_uri` for a blank one.
    """
    _check_length(text)
    stored = _fold(text)
    _check_length(stored)  # lower case may be longer than what it was made from, and peers take no more than this
    return stored


def _check_length(text: str) -> None:
    if not text:
        raise invalid("entity", "an entity URI has at least one character", kind="string_too_short", given=text)
    if len(text) > limits.URI_CHARS_MAX:
        raise invalid("entity", f"an entity URI has at most {limits.URI_CHARS_MAX} characters", kind="string_too_long")


def _fold(text: str) -> str:
    trimmed = text.strip()
    if not trimmed:
        raise Refusal(400, "invalid_entity_uri", "invalid_entity_uri: entity URI must not be blank")
    formal = _FORMAL.fullmatch(trimmed)
    if formal is None:
        return _SPACE.sub("-", trimmed.lower())
    authority, kind, name = (part.strip() for part in formal.groups())
    if not (authority and kind and name):
        raise Refusal(
            400,
            "invalid_entity_uri",
            "invalid_entity_uri: a formal URI needs authority, type and id",
        )
    return f"stigmem://{authority.lower()}/{kind.lower()}/{_SPACE.sub('-', name.lower())}"


def normalise_filter(text: str) -> str:
    """As `normalise`, for query filters: what cannot be normalised is matched as it stands."""
    try:
        return normalise(text)
    except Refusal:
        return text


def is_system(text: str) -> bool:
    """Whether an entity or relation lies in the reserved `stigmem:` space (`stigmem://` is ordinary)."""
    return text.startswith("stigmem:") and not text.startswith("stigmem://")


def reserved_source(source: str) -> bool:
    """Sources that only a node itself may use."""
    return source.startswith("system:")


def relation_warnings(relation: str) -> list[str]:
    """Remarks on a relation's name, one sentence each; a relation is never refused for them (http-api 2.4)."""
    if is_system(relation):
        return [f"relation '{relation}' uses the reserved system prefix 'stigmem:'"]
    if ":" not in relation:
        return [f"bare relation '{relation}': prefer a namespaced name such as 'memory:{relation}'"]
    return []
