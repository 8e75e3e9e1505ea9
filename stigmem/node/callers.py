"""Who asks: a local principal that holds an API key, or a peer that presented a token (http-api 4, federation 2.6).

Values only. How a principal is recognised is `stigmem.node.api.api_keys`, how a peer is `stigmem.node.api.peer_auth`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

from stigmem.core.errors import Refusal
from stigmem.core.records import PeerRow
from stigmem.core.scopes import SCOPES

__all__ = ["ANONYMOUS", "PERMISSIONS", "Caller", "PeerCaller", "Permission", "Principal"]

Permission = Literal["read", "write", "instruction:write", "federate", "admin", "admin:federation", "audit.read"]
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)
"""Every permission that a key can hold (http-api 4.2); none implies another."""


class Principal(NamedTuple):
    """A local caller: identity, permissions (none implies another) and readable and writable scopes."""

    entity_uri: str
    permissions: frozenset[str]
    scopes: frozenset[str] = frozenset(SCOPES)
    key_id: str = ""
    """Index of the key it came with; empty for who needs none (the anonymous caller, the operator at the machine)."""

    def need(self, permission: str) -> None:
        """Raises Refusal 403 unless the principal holds the permission."""
        if permission not in self.permissions:
            text = permission if ":" in permission else f"{permission} permission"
            raise Refusal(403, "permission_required", f"{text} required")

    def need_scope(self, scope: str) -> None:
        """Raises Refusal 403 unless the key may touch the scope."""
        if scope not in self.scopes:
            raise Refusal(403, "scope_not_allowed", f"this key may not touch scope {scope}", field="scope")


class PeerCaller(NamedTuple):
    """An authenticated peer and the scopes that its request may touch."""

    row: PeerRow
    scopes: tuple[str, ...]


Caller = Principal | PeerCaller

ANONYMOUS: Final = Principal("anon:trusted", frozenset({"read", "write", "federate"}))
"""Every caller without a key, where the operator switched authentication off."""
