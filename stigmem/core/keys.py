"""Signatures behind one small interface: real Ed25519, and a stand-in for long simulations.

Keys and signatures cross this boundary as unpadded base64url text, the only spelling on the wire
(federation 1.1). Key material is always an argument: nobody here makes randomness.
"""

from __future__ import annotations

import hashlib
from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Protocol

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

__all__ = [
    "ED25519",
    "STAND_IN",
    "Ed25519",
    "KnownSignatures",
    "Signer",
    "StandIn",
    "Suite",
    "decode_base64",
    "encode_base64",
    "fingerprint",
    "key_id",
]

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = crypto_sign_BYTES
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_PADDING: Final = (b"", b"===", b"==", b"=")


def encode_base64(data: bytes) -> str:
    """Unpadded base64url."""
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def decode_base64(text: str) -> bytes:
    """Bytes of base64 text, padded or not, in either alphabet; raises ValueError."""
    try:
        stripped = text.encode("ascii").rstrip(b"=")
        data = a2b_base64(stripped.translate(_TO_STANDARD) + _PADDING[len(stripped) % 4])
    except (Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error
    # The decoder skips foreign characters; a text that does not survive the round trip had some.
    if len(data) != len(stripped) * 3 // 4:
        raise ValueError("not base64")
    return data


def fingerprint(public_key: str) -> str:
    """What an operator compares out of band: a hash of the key's text, not of its bytes (federation 1.1)."""
    return "sha256:" + hashlib.sha256(public_key.encode()).hexdigest()


def key_id(public_key: str) -> str:
    """First 16 hex digits of the hash of the raw key, as manifests name keys (federation 1.5)."""
    return hashlib.sha256(decode_base64(public_key)).hexdigest()[:16]


class Signer(Protocol):
    """A private key. `public_key` is its public half as unpadded base64url; a signature has 64 raw bytes."""

    @property
    def public_key(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


class Suite(Protocol):
    """A signature scheme: makes signers from seeds of 32 bytes (another length raises ValueError) and checks
    signatures. `verify` never raises: whatever is malformed is not valid."""

    name: str

    def signer(self, seed: bytes) -> Signer: ...

    def verify(self, public_key: str, message: bytes, signature: bytes) -> bool: ...


@lru_cache(maxsize=1_024)
def _raw_key(public_key: str) -> bytes:
    return decode_base64(public_key)


class _Ed25519Signer:
    __slots__ = ("_secret", "public_key")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"an Ed25519 seed has {SEED_BYTES} bytes, this one has {len(seed)}")
        public, self._secret = crypto_sign_seed_keypair(seed)
        self.public_key = encode_base64(public)

    def sign(self, message: bytes) -> bytes:
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


class Ed25519:
    """Ed25519 (RFC 8032) through libsodium."""

    name = "ed25519"

    def signer(self, seed: bytes) -> Signer:
        return _Ed25519Signer(seed)

    def verify(self, public_key: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature is valid; malformed keys and signatures are simply not valid."""
        try:
            key = _raw_key(public_key)
            if len(key) != 32 or len(signature) != SIGNATURE_BYTES:
                return False
            crypto_sign_open(signature + message, key)
        except (BadSignatureError, ValueError):
            return False
        return True


class _StandInSigner:
    __slots__ = ("public_key",)

    def __init__(self, seed: bytes) -> None:
        self.public_key = encode_base64(hashlib.blake2b(seed, digest_size=32, person=b"stand-in key").digest())

    def sign(self, message: bytes) -> bytes:
        return _stand_in_mac(self.public_key, message)


def _stand_in_mac(public_key: str, message: bytes) -> bytes:
    return hashlib.blake2b(message, digest_size=SIGNATURE_BYTES, key=public_key.encode()[:64]).digest()


class StandIn:
    """A keyed hash in the place of signatures, fifty times cheaper: for simulations only.

    Anybody who knows the public key can forge it, so it shows the protocol's behaviour and no security.
    Lengths and spellings are those of Ed25519; the code above cannot tell them apart.
    """

    name = "stand-in"

    def signer(self, seed: bytes) -> Signer:
        return _StandInSigner(seed)

    def verify(self, public_key: str, message: bytes, signature: bytes) -> bool:
        return len(signature) == SIGNATURE_BYTES and signature == _stand_in_mac(public_key, message)


class KnownSignatures:
    """A suite that has the answers to some checks already; whatever else is asked, it asks another suite."""

    def __init__(self, suite: Suite, known: Mapping[tuple[str, bytes, bytes], bool]) -> None:
        """`known`: (public key, message, signature) -> whether that is valid in `suite`."""
        self.name = suite.name
        self.signer = suite.signer
        self._suite = suite
        self._known = known

    def verify(self, public_key: str, message: bytes, signature: bytes) -> bool:
        found = self._known.get((public_key, message, signature))
        return self._suite.verify(public_key, message, signature) if found is None else found


ED25519: Final[Suite] = Ed25519()
STAND_IN: Final[Suite] = StandIn()
