"""Attester: facts in the name of an agent, with what the agent signed, with something like it, or with nothing.

A node takes an attestation for what it verified, and for nothing else (`attestation_invalid`,
`attestation_key_expired`); where a scope enforces attestations it takes no fact of an agent without one
(`attestation_required`). Elsewhere the facts are taken, and what stood beside them is not. The good ones among them are
kept in either case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PageEntry, PeerEnv
from stigmem.core.attestation import Attestation, KeyStatement, signed_bytes, statement_bytes
from stigmem.core.fact import Fact
from stigmem.core.keys import encode_base64
from stigmem.core.timestamps import format_us

__all__ = ["Attester"]

_AGENT: Final = "agent:scout"
_MINUTE_US: Final = 60_000_000


def _signed(peer: PeerEnv, fact: Fact, *, life_us: int = _MINUTE_US, **stated: Any) -> Attestation:
    """What the agent signs, whose key the peer has and speaks for. `stated`: members of what the peer says of it."""
    at_us = fact.timestamp_us
    said = {"entity_uri": _AGENT, "registered_at": format_us(at_us - _MINUTE_US)} | stated
    key = KeyStatement(key_id="scout", public_key=peer.public_key, **said)
    key = msgspec.structs.replace(key, signature=encode_base64(peer.sign(statement_bytes(key, peer.node_id))))
    draft = Attestation(
        key=key, signature="", nonce=peer.uuid(), issued_at=format_us(at_us - 1), expires_at=format_us(at_us + life_us)
    )
    return msgspec.structs.replace(draft, signature=encode_base64(peer.sign(signed_bytes(fact, draft))))


def _of_other_words(peer: PeerEnv, fact: Fact) -> Attestation:
    return _signed(peer, msgspec.structs.replace(fact, text="what the agent said"))


def _by_nobody(peer: PeerEnv, fact: Fact) -> Attestation:
    return msgspec.structs.replace(_signed(peer, fact), signature=encode_base64(peer.rng.randbytes(64)))


def _of_no_key(peer: PeerEnv, fact: Fact) -> Attestation:
    """A key of which the origin has not said whose it is."""
    good = _signed(peer, fact)
    key = msgspec.structs.replace(good.key, signature=encode_base64(peer.rng.randbytes(64)))
    return msgspec.structs.replace(good, key=key)


def _of_another(peer: PeerEnv, fact: Fact) -> Attestation:
    return _signed(peer, fact, entity_uri="agent:other")


def _too_late(peer: PeerEnv, fact: Fact) -> Attestation:
    return _signed(peer, fact, life_us=0)


def _under_an_old_key(peer: PeerEnv, fact: Fact) -> Attestation:
    return _signed(peer, fact, expires_at=format_us(fact.timestamp_us))


_BAD: Final[dict[str, tuple[Callable[[PeerEnv, Fact], Attestation], str]]] = {
    "other words": (_of_other_words, "attestation_invalid"),
    "nobody": (_by_nobody, "attestation_invalid"),
    "no key": (_of_no_key, "attestation_invalid"),
    "another": (_of_another, "attestation_invalid"),
    "too late": (_too_late, "attestation_invalid"),
    "an old key": (_under_an_old_key, "attestation_key_expired"),
}


@kind("attester")
class Attester(Adversary):
    """Facts of an agent with a good attestation, with none, and with one of other words, by nobody, of a key that
    nobody vouches for, of another agent, out of its window, and under a key that had ended."""

    def entries(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        enforces = peer.settings(victim).attestation_mode("public") == "enforce"
        good, bare = self._fact(peer, "signed"), self._fact(peer, "nothing")
        peer.expect(victim, good.id)
        peer.expect(victim, bare.id, *(["attestation_required"] if enforces else []))
        found: list[PageEntry] = [self._entry(peer, good, _signed(peer, good)), peer.entry(bare)]
        for what, (make, code) in _BAD.items():
            fact = self._fact(peer, what)
            peer.expect(victim, fact.id, *([code] if enforces else []))
            found.append(self._entry(peer, fact, make(peer, fact)))
        garbled = self._fact(peer, "garbled")
        peer.expect(victim, garbled.id, *(["attestation_invalid"] if enforces else []))
        return [*found, peer.entry(garbled) | {"attestation": [7]}]

    def _fact(self, peer: PeerEnv, what: str) -> Fact:
        relation = f"sim:said:{what.replace(' ', '-')}-{peer.served}"
        return peer.fact("stigmem://sim.example/dam", relation, f"{what} {peer.served}", source=_AGENT)

    def _entry(self, peer: PeerEnv, fact: Fact, attestation: Attestation) -> PageEntry:
        return peer.entry(fact) | {"attestation": msgspec.to_builtins(attestation)}
