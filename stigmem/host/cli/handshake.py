"""Registering this node at another one: the declaration is made here, checked against what this node serves, and sent.

The other node fetches this node's discovery document before it answers, and an old one remembers a failure for ever:
so whatever can be seen to be wrong is found before anything is sent.
"""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple

import httpx
import msgspec

from stigmem.core.declaration import Discovery, declare
from stigmem.core.keys import ED25519
from stigmem.core.timestamps import format_us
from stigmem.host.cli.speech import Failed, Mistake
from stigmem.host.cli.where import Where
from stigmem.host.identity import Identity, read_identity
from stigmem.host.settings import HostSettings
from stigmem.host.tls import client_context
from stigmem.host.tls_errors import tls_reason

__all__ = ["Outcome", "register"]

_TIMEOUT_S: Final = 20.0
_BODY_BYTES_MAX: Final = 65_536
_WAITING: Final = ("pending_approval", "pending_verification", "pending_tl_proof")


class Outcome(NamedTuple):
    """What the other node made of the declaration."""

    status: str
    peer_id: str
    remote_url: str
    fingerprint: str
    said: str

    @property
    def good(self) -> bool:
        return self.status == "active" or self.status in _WAITING

    def lines(self) -> list[str]:
        """What the operator should know, a sentence a line."""
        if self.status == "active":
            return [f"{self.remote_url} has approved this node already"]
        if self.status in _WAITING:
            name = self.peer_id or "this node"
            return [
                f"{self.remote_url} knows this node now and waits for approval ({self.status})",
                f"there, somebody with the permission admin:federation approves peer {name} after comparing",
                f"  {self.fingerprint}",
                f"with: stigmem federation approve {self.peer_id or 'PEER_ID'} --fingerprint {self.fingerprint}",
                f"for facts to flow, {self.remote_url} must also register here and be approved",
            ]
        reason = self.said or "it could not fetch this node's address, or found another key there"
        return [f"{self.remote_url} refused this node ({self.status}): {reason}"]


async def register(
    where: Where, remote_url: str, local_url: str | None, scopes: tuple[str, ...], api_key: str | None
) -> Outcome:
    """Send this node's declaration to `remote_url`; raises Mistake or Failed when that makes no sense yet."""
    settings = where.settings
    identity = read_identity(settings)
    if identity is None:
        raise Failed("this node has no key yet; start it once with `stigmem serve --federation-enabled`")
    verify: Any = client_context(settings)
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, verify=verify) as client:
        here = (local_url or await _own_url(where, settings)).rstrip("/")
        await _check_own(client, here, identity)
        now_us = _now_us()
        declaration = declare(
            ED25519.signer(identity.seed), node_id=identity.node_id, node_url=here, scopes=scopes,
            signed_at=format_us(now_us),
        )  # fmt: skip
        key = api_key or os.environ.get("STIGMEM_API_KEY", "")
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        url = f"{remote_url}/v1/federation/peers"
        try:
            answer = await client.post(url, content=msgspec.json.encode(declaration), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Failed(f"{remote_url} cannot be reached: {_why(error)}") from error
    return _outcome(answer, remote_url, identity)


def _why(error: Exception) -> str:
    reason = tls_reason(error)
    return f"TLS failed: {reason}" if reason is not None else str(error) or type(error).__name__


def _now_us() -> int:
    import time

    return time.time_ns() // 1_000


async def _own_url(where: Where, settings: HostSettings) -> str:
    """The address that the running node gives for itself."""
    _ = where.directory
    async with where.connect() as place:
        if place.kind != "control":
            raise Failed(
                f"the node on {settings.data_dir} is not running; the other node fetches its address while it decides, "
                "so start it first"
            )
        found = await place.asker.ask("GET", "/.well-known/stigmem")
        return str(msgspec.json.decode(found.body)["node_url"])


async def _check_own(client: httpx.AsyncClient, here: str, identity: Identity) -> None:
    """This node answers at its address, as itself."""
    if not here.startswith(("http://", "https://")):
        raise Mistake(f"--local-url must be an http or https address, not {here!r}")
    try:
        answer = await client.get(f"{here}/.well-known/stigmem")
        found = msgspec.json.decode(answer.content[:_BODY_BYTES_MAX], type=Discovery)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        raise Failed(
            f"this node does not answer at {here}, where the other node will look for it: {_why(error)}"
        ) from error
    if found.federation_pubkey is None:
        raise Failed(f"federation is off at {here}; start the node with --federation-enabled")
    if (found.node_id, found.federation_pubkey) != (identity.node_id, identity.public_key):
        raise Failed(f"{here} is another node ({found.node_id}), not this one ({identity.node_id})")


def _outcome(answer: httpx.Response, remote_url: str, identity: Identity) -> Outcome:
    try:
        body = msgspec.json.decode(answer.content[:_BODY_BYTES_MAX])
    except msgspec.DecodeError:
        body = {}
    detail = body.get("detail", "") if isinstance(body, dict) else ""
    said = detail if isinstance(detail, str) else str(detail)
    if answer.status_code == 201 and isinstance(body, dict):
        return Outcome(str(body.get("status")), str(body.get("peer_id", "")), remote_url, identity.fingerprint, "")
    if answer.status_code == 409 and "status=" in said:
        status = said.partition("status=")[2].rstrip(") ")
        return Outcome(status, "", remote_url, identity.fingerprint, said)
    if answer.status_code in (401, 403):
        raise Failed(
            f"{remote_url} wants a key of its own with the permission federate ({said}); give it with --api-key"
        )
    raise Failed(f"{remote_url} answered {answer.status_code}: {said or answer.text[:200]}")
