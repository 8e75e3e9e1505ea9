"""An agent's key in a file, and a signature made with it: what a command line needs to speak in an agent's name.

The file is JSON, private to its owner, and the only place where the private half is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from stigmem.core.attestation import Attestation, KeyStatement, sign_fact
from stigmem.core.errors import Rejection, StigmemError
from stigmem.core.fact import derivation, place
from stigmem.core.hlc import Stamp
from stigmem.core.keys import ED25519, Signer, decode_base64
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise
from stigmem.core.values import parse_value
from stigmem.host.files import write_private

__all__ = ["AgentFile", "BadAgentFile", "read_agent_file", "signed_body", "write_agent_file"]

_WINDOW_US: Final = 300_000_000
"""How long a signature is good: five minutes are enough for a slow node and a clock that is a little off."""


class BadAgentFile(StigmemError):
    """What is no key of an agent; the message is one sentence for the user."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_agent_file", message)


class AgentFile(msgspec.Struct, kw_only=True):
    """The private half of an agent's key, and under which id its node knows the public one. `seed`: 32 bytes as
    base64url."""

    entity_uri: str
    key_id: str
    public_key: str
    seed: str

    @property
    def signer(self) -> Signer:
        """Raises ValueError for a seed that is none."""
        return ED25519.signer(decode_base64(self.seed))


def read_agent_file(path: Path) -> AgentFile:
    """The key in a file. Raises BadAgentFile."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=AgentFile)
        if found.signer.public_key != found.public_key:
            raise BadAgentFile(f"{path}: the private half is not that of the public key")
    except OSError as error:
        raise BadAgentFile(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadAgentFile(f"{path} is no key of an agent: {error}") from error
    return found


def write_agent_file(path: Path, agent: AgentFile) -> None:
    """Raises OSError."""
    write_private(path, msgspec.json.format(msgspec.json.encode(agent), indent=1) + b"\n")


def signed_body(body: Mapping[str, Any], agent: AgentFile, *, node_id: str, nonce: str, now_us: int) -> dict[str, Any]:
    """The body of `POST /v1/facts` with an attestation of all of it. Raises Rejection or Refusal for a body that the
    node would not take either."""
    value = body["value"]
    typed = parse_value(value["type"], value.get("v"), value.get("interpret_as"))
    source = normalise(body["source"])
    if source != agent.entity_uri:
        raise Rejection("attestation_invalid", f"this key is of {agent.entity_uri}, which is not the source")
    fact = msgspec.structs.replace(
        place(Stamp(0), node_id), entity=normalise(body["entity"]), relation=body["relation"], scope=body["scope"],
        source=source, kind=typed.kind, text=typed.text, interpret_as=typed.interpret_as,
        confidence=body["confidence"] + 0.0, valid_until=body.get("valid_until"),
        derived_from=derivation(body.get("derived_from", [])),
    )  # fmt: skip
    begins, ends = format_us(now_us), format_us(now_us + _WINDOW_US)
    key = KeyStatement(key_id=agent.key_id, entity_uri=source, public_key=agent.public_key, registered_at=begins)
    draft = Attestation(
        key=key, signature="", nonce=nonce, issued_at=begins, expires_at=ends, garden=body.get("garden_id")
    )
    signature = sign_fact(fact, draft, agent.signer).signature
    said = {"key_id": agent.key_id, "signature": signature, "nonce": nonce, "issued_at": begins, "expires_at": ends}
    return {**body, "attestation": said}
