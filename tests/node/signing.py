"""What an agent does to sign a write, as a client would: the body of a request with its attestation."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stigmem.core.attestation import Attestation, KeyStatement, sign_fact
from stigmem.core.fact import derivation, place
from stigmem.core.hlc import Stamp
from stigmem.core.keys import ED25519, Signer
from stigmem.core.timestamps import format_us
from stigmem.core.values import parse_value

__all__ = ["AGENT", "NONCE", "attested"]

AGENT: Final = ED25519.signer(b"a" * 32)
NONCE: Final = "0123456789abcdef"


def attested(
    body: dict[str, Any], *, node_id: str, now_ms: int, key_id: str, nonce: str = NONCE, signer: Signer = AGENT,
    life_s: int = 60,
) -> dict[str, Any]:  # fmt: skip
    """The body of a write with the attestation of its agent for this node, from now on."""
    value = parse_value(body["value"]["type"], body["value"].get("v"), body["value"].get("interpret_as"))
    fact = msgspec.structs.replace(
        place(Stamp(0), node_id), entity=body["entity"], relation=body["relation"], scope=body["scope"],
        source=body["source"], kind=value.kind, text=value.text, interpret_as=value.interpret_as,
        confidence=body.get("confidence", 1.0), valid_until=body.get("valid_until"),
        derived_from=derivation(body.get("derived_from", [])),
    )  # fmt: skip
    begins, ends = (format_us((now_ms + after_s * 1_000) * 1_000) for after_s in (0, life_s))
    key = KeyStatement(key_id=key_id, entity_uri=body["source"], public_key=signer.public_key, registered_at=begins)
    draft = Attestation(
        key=key, signature="", nonce=nonce, issued_at=begins, expires_at=ends, garden=body.get("garden_id")
    )
    return body | {
        "attestation": {
            "key_id": key_id, "signature": sign_fact(fact, draft, signer).signature, "nonce": nonce,
            "issued_at": begins, "expires_at": ends,
        }
    }  # fmt: skip
