"""Content ids, and the fact id that commits to what they leave out.

Two content ids exist on the wire: seven fields (dialect 0.5, the Python client) and eight (dialect 2.1 adds
`interpret_as`). Both leave out the stamp, the time and the provenance, which therefore nobody signs; our fact
ids close that gap by being a hash over them, so a relay that alters a stamp is caught (spec/facts.md, 5).
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from stigmem.core.canonical import quote
from stigmem.core.values import Value, number_text

__all__ = ["CID_TEXT", "cid7", "cid8", "is_cid", "self_certifying_id", "uuid_from_hash"]

CID_TEXT: Final = re.compile(r"sha256:[0-9a-f]{64}")


def cid7(entity: str, relation: str, scope: str, source: str, value: Value, confidence: float) -> str:
    """Content id over seven fields (http-api 1.9); a confidence of -0.0 is 0.0, as it is stored."""
    text = (
        f'{{"confidence":{number_text(confidence + 0.0)},"entity":{quote(entity)},"relation":{quote(relation)},'
        f'"scope":{quote(scope)},"source":{quote(source)},"value_type":{quote(value.kind)},'
        f'"value_v":{quote(value.text)}}}'
    )
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=4_096)
def cid8(entity: str, relation: str, scope: str, source: str, value: Value, confidence: float) -> str:
    """Content id over eight fields: as `cid7` with `interpret_as` (federation, appendix B)."""
    text = (
        f'{{"confidence":{number_text(confidence + 0.0)},"entity":{quote(entity)},'
        f'"interpret_as":{quote(value.interpret_as)},"relation":{quote(relation)},'
        f'"scope":{quote(scope)},"source":{quote(source)},"value_type":{quote(value.kind)},'
        f'"value_v":{quote(value.text)}}}'
    )
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def is_cid(text: str) -> bool:
    """Whether the text has the form of a content id; upper-case hex is malformed."""
    return CID_TEXT.fullmatch(text) is not None


def uuid_from_hash(data: bytes) -> str:
    """The text of a UUID whose 122 free bits come from SHA-256, in the layout of version 4 that the contract asks for.

    Pseudo-random bits are what RFC 9562 section 5.4 wants; that they can be recomputed is our addition.
    """
    digits = hashlib.sha256(data).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def self_certifying_id(
    origin: str, stamp_text: str, timestamp: str, valid_until: str | None, content: str, derived: str
) -> str:
    """The id our nodes give a fact: a commitment to its eight-field content id, stamp, time and provenance.

    `stamp_text`: as `format_stamp` writes it. `timestamp`: ISO-8601 text of the write time. `valid_until`: the writer's
    own text, or None. `content`: the content id of eight fields. `derived`: provenance as canonical JSON, or empty.

    Whoever holds the fact can recompute it; whoever wants the same id on other content needs a second
    preimage of 122 bits of SHA-256.
    """
    return uuid_from_hash("\n".join((origin, stamp_text, timestamp, valid_until or "", content, derived)).encode())
