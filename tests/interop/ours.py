"""Our node as people run it: a process of its own, told and asked by its command line and over HTTP.

Nothing here reaches into the node; what tests want to know, they ask it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from stigmem.core.keys import ED25519, encode_base64
from stigmem.core.manifest import certified_node_id
from tests.interop.processes import NodeProcess, plain_environment

__all__ = ["OurNode"]

_PERMISSIONS: Final = "admin,read,write,instruction:write,federate,admin:federation,audit.read"
_ROOT: Final = Path(__file__).parents[2]


class OurNode(NodeProcess):
    """One node of ours, with authentication on."""

    ready = "/readyz"

    def __init__(self, directory: Path, *, seed: bytes, ahead_s: int = 0, **settings: str) -> None:
        """`ahead_s`: how far its wall clock is ahead of this machine's."""
        super().__init__(directory, "")
        self._program = [sys.executable, "-m", *(("tests.interop.ahead", str(ahead_s)) if ahead_s else ("stigmem",))]
        self.signer = ED25519.signer(seed)
        self.node_id = certified_node_id(self.signer.public_key)
        self.data = directory / "data"
        self._settings = {
            "STIGMEM_PORT": str(self.port),
            "STIGMEM_DATA_DIR": str(self.data),
            "STIGMEM_FEDERATION_ENABLED": "true",
            "STIGMEM_FEDERATION_PRIVKEY": encode_base64(seed),
            "STIGMEM_FEDERATION_PULL_INTERVAL_S": "0.5",
        } | {f"STIGMEM_{name.upper()}": value for name, value in settings.items()}

    def start(self, *, seconds: float = 30.0) -> None:
        """Start it and wait so long for it; the first time, its administrator's key is made before."""
        if not self.key:
            made = self.command("auth", "create-key", "--entity", "user:ops", "--permissions", _PERMISSIONS, "--json")
            self.key = str(json.loads(made)["raw_key"])
            self.http.headers["authorization"] = f"Bearer {self.key}"
        self.launch([*self._program, "serve"], self._environment(), seconds=seconds)

    def _environment(self) -> dict[str, str]:
        return plain_environment(PYTHONPATH=str(_ROOT), **self._settings)

    def command(self, *arguments: str) -> str:
        """Run a command of ours with its settings and return what it printed; it must succeed."""
        done = subprocess.run(
            [*self._program, *arguments],
            env=self._environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"stigmem {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def register_at(self, url: str, key: str) -> None:
        """Declare itself to another node."""
        self.command("federation", "register-peer", "--remote-url", url, "--scopes", "company,public", "--api-key", key)

    def approve(self, node_id: str, fingerprint: str) -> None:
        """Approve a peer that has declared itself here."""
        self.command("federation", "approve", node_id, "--fingerprint", fingerprint)

    def peer(self, node_id: str) -> dict[str, Any]:
        """The row of a peer."""
        rows = self.ask("GET", "/v1/federation/peers", 200)["peers"]
        found: dict[str, Any] = next(row for row in rows if row["node_id"] == node_id)
        return found
