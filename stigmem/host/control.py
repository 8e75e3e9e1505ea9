"""The control socket: the person at the machine speaks to a running node without a key.

A Unix socket in the data directory, which only the node's own user can open: whoever can read the journal and the
federation key needs no further proof. It carries the same operations as HTTP, as the operator, and two more views.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import trio

from stigmem.core.records import KeyRow
from stigmem.core.timestamps import format_us
from stigmem.core.wire import Request, Response, json_response
from stigmem.node.api.api_keys import key_name
from stigmem.node.callers import PERMISSIONS, Principal
from stigmem.node.node import Node

__all__ = ["KEYS_PATH", "OPERATOR", "SETTINGS_PATH", "listen_at", "operator_view", "socket_address"]

OPERATOR: Final = Principal("system:operator", frozenset(PERMISSIONS))
"""The person at the machine's own console."""
KEYS_PATH: Final = "/operator/keys"
SETTINGS_PATH: Final = "/operator/settings"
_PATH_BYTES_MAX: Final = 100
"""Addresses of Unix sockets have room for about this many bytes."""


def operator_view(node: Node, request: Request, settings: dict[str, Any] | None = None) -> Response | None:
    """What only the operator can see, or None when the node answers: every key, whosever it is, and the settings of the
    process."""
    if request.method != "GET":
        return None
    if request.target == SETTINGS_PATH and settings is not None:
        return json_response(200, settings)
    if request.target == KEYS_PATH:
        return json_response(200, [_key(row) for row in node.state.keys.values()])
    return None


def _key(row: KeyRow) -> dict[str, Any]:
    return {
        "id": key_name(row.verifier),
        "entity_uri": row.entity_uri,
        "permissions": sorted(row.permissions),
        "allowed_scopes": list(row.scopes),
        "description": row.description,
        "created_at": format_us(row.created_us),
        "expires_at": None if row.expires_us is None else format_us(row.expires_us),
    }


@contextmanager
def socket_address(directory: Path) -> Iterator[str]:
    """A name of the socket that is short enough, whatever the directory's is."""
    path = str(directory / "control.sock")
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield path
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{handle}/control.sock"
    finally:
        os.close(handle)


async def listen_at(directory: Path) -> trio.SocketListener:
    """Listen on the control socket of a data directory whose lock this process holds. Raises OSError."""
    bound = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_address(directory) as address:
        if os.path.exists(address):  # noqa: ASYNC240, PTH110 - a name in memory; left by a process that was killed
            os.unlink(address)  # noqa: PTH108
        mask = os.umask(0o177)
        try:
            await bound.bind(address)
        finally:
            os.umask(mask)
    bound.listen(16)
    return trio.SocketListener(bound)
