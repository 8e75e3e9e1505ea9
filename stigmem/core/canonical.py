"""Bytes that are hashed or signed, per dialect.

Everything here turns plain data into one exact byte string. The reference calls it RFC 8785 and does
something else in three places (research/ecosystem.md, section 4), so each form has a name of its own and
vectors behind it; spec/canonical.md lists who uses which.
"""

from __future__ import annotations

import hashlib
import json
from json.encoder import encode_basestring as quote
from typing import Any, Final

__all__ = ["compact", "escaped", "quote", "sha256_hex"]


_compact: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def compact(value: Any) -> bytes:
    """JSON with sorted keys, no spaces and non-ASCII as raw UTF-8: content ids, chains, manifests, envelopes.

    Raises ValueError for NaN, infinities and lone surrogates.
    """
    return _compact.encode(value).encode()


def escaped(value: Any) -> bytes:
    r"""As `compact`, but non-ASCII as \uXXXX escapes: peer declarations only (federation 2.1). Raises ValueError for
    NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of some bytes, as `sha256:` and 64 lower-case hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
