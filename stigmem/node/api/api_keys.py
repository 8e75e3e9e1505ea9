"""Local callers: API keys, permissions and the scopes a key may touch (http-api 4).

A secret is found by a keyed digest and checked against its Argon2id text once per process; after that the
digest alone recognises it, so that authentication costs microseconds. With authentication off every caller
without a key is `anon:trusted`.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import lru_cache
from typing import Final

from nacl import pwhash
from nacl.exceptions import InvalidkeyError

from stigmem.core import limits
from stigmem.core.content_id import uuid_from_hash
from stigmem.core.records import KeyRow
from stigmem.node.callers import Principal

__all__ = ["SALT_BYTES", "ApiKeys", "argon2id", "key_name"]

SALT_BYTES: Final = pwhash.argon2id.SALTBYTES
_OPERATIONS: Final = 2
_MEMORY_KIB: Final = 19_456
_HASH_BYTES: Final = 32


def argon2id(secret: str, salt: bytes) -> str:
    """The PHC text under which a secret is kept: Argon2id, t=2, 19 MiB (http-api 4.1). `salt`: SALT_BYTES of chance."""
    made = pwhash.argon2id.kdf(_HASH_BYTES, secret.encode(), salt, _OPERATIONS, _MEMORY_KIB * 1024)
    texts = (b64encode(part).rstrip(b"=").decode("ascii") for part in (salt, made))
    return "$".join(("", "argon2id", "v=19", f"m={_MEMORY_KIB},t={_OPERATIONS},p=1", *texts))


@lru_cache(maxsize=limits.KEYS_MAX)
def key_name(verifier: str) -> str:
    """The id by which people see a key. It follows from the salted verifier and not from the index, by which somebody
    who has this node's seed could try out secrets a million times faster than by Argon2id."""
    return uuid_from_hash(b"stigmem api key\n" + verifier.encode())


class ApiKeys:
    """Recognises the holders of API keys. Which keys there are is committed state and is handed in."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = hashlib.blake2b(pepper, digest_size=32, person=b"api key index").digest()
        self._checked: dict[str, str] = {}

    def digest(self, secret: str) -> str:
        """The keyed digest by which a secret is found; useless without this node's seed."""
        return hashlib.blake2b(secret.encode(), digest_size=16, key=self._pepper).hexdigest()

    def who(self, secret: str, keys: dict[str, KeyRow], now_us: int) -> Principal | None:
        """The principal of a secret, or None when no key that is valid at `now_us` has it. The first time in a process
        it costs 20 ms of Argon2id, after that microseconds."""
        digest = self.digest(secret)
        row = keys.get(digest)
        if row is None:
            self._checked.pop(digest, None)
        if row is None or row.has_expired(now_us):
            return None
        if self._checked.get(digest) != row.verifier:
            try:
                pwhash.verify(row.verifier.encode(), secret.encode())
            except InvalidkeyError:
                return None
            self._checked[digest] = row.verifier
        return Principal(row.entity_uri, frozenset(row.permissions), frozenset(row.scopes), row.key_id)
