"""What a node that runs on a data directory says of itself, asked in a moment and without an event loop.

Commands need its settings before they know how to reach it in any other way: whether it speaks TLS, which authorities
it trusts, what it is called. Guessing them from the environment of the command was wrong as soon as the node had been
started with flags.
"""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import Any, Final

import msgspec

from stigmem.host.control import SETTINGS_PATH, socket_address

__all__ = ["running_settings"]

_TIMEOUT_S: Final = 5.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._address)


def running_settings(directory: Path) -> dict[str, Any] | None:
    """The settings of the node that runs on a data directory; None when none answers there."""
    if not (directory / "control.sock").exists():
        return None
    with socket_address(directory) as address:
        connection = _Connection(address)
        try:
            connection.request("GET", SETTINGS_PATH)
            answer = connection.getresponse()
            body = answer.read()
            return dict(msgspec.json.decode(body)) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, msgspec.MsgspecError, TypeError, ValueError):
            return None  # it has just stopped, is about to start, or is of another version
        finally:
            connection.close()
