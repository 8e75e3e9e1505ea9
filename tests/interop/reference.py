"""The published reference node: its settings, its keys and its side of the handshake.

A black box: everything here goes through its HTTP interface, its command line and its documented variables.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec

from stigmem.core.keys import ED25519, encode_base64, fingerprint
from stigmem.core.manifest import make_manifest
from tests.interop.processes import NodeProcess, plain_environment

__all__ = ["ReferenceNode"]

_PERMISSIONS: Final = "admin,write,read,instruction:write,federate,admin:federation,audit.read"


class ReferenceNode(NodeProcess):
    """One reference node, of the environment given."""

    def __init__(self, environment: Path, directory: Path, *, seed: bytes, federated: bool = True) -> None:
        super().__init__(directory, f"key-of-{directory.name}-".ljust(40, "x"))
        self._bin = environment / "bin"
        self.signer = ED25519.signer(seed)
        self.node_id = f"stigmem:node:{directory.name}"
        self.environment = plain_environment(
            STIGMEM_HOST="127.0.0.1",
            STIGMEM_PORT=str(self.port),
            STIGMEM_NODE_URL=self.url,
            STIGMEM_NODE_ID=self.node_id,
            STIGMEM_DB_PATH=str(directory / "stigmem.db"),
            STIGMEM_TL_LOCAL_PATH=str(directory / "tl.jsonl"),
            STIGMEM_RATE_LIMIT_WRITE_PER_HOUR="0",
            STIGMEM_RATE_LIMIT_READ_PER_HOUR="0",
            STIGMEM_RATE_LIMIT_DISABLED_ACK="1",
        )
        if federated:
            self.environment |= {
                "STIGMEM_FEDERATION_ENABLED": "true",
                "STIGMEM_FEDERATION_INSECURE": "1",
                "STIGMEM_FEDERATION_PULL_INTERVAL_S": "1",
                "STIGMEM_FEDERATION_PUBKEY": self.signer.public_key,
                "STIGMEM_FEDERATION_PRIVKEY": encode_base64(seed),
            }

    def start(self) -> None:
        """Start it; the first time, its tables are made and then its administrator's key."""
        first = not (self.directory / "stigmem.db").exists()
        self.launch([str(self._bin / "stigmem-node")], self.environment, seconds=60.0)
        if first:
            done = self._command("auth", "bootstrap-key", "--key", self.key, "--permissions", _PERMISSIONS)
            assert done.returncode == 0, done.stderr

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it in this way and start it again."""
        self.end(how)
        self.start()

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._bin / "stigmem"), *arguments], env=self.environment, cwd=self.directory, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip

    # --- its side of a handshake ---

    def register_at(self, url: str, key: str) -> None:
        """Declare itself to another node by its own command line, which exits with 1 on the normal answer."""
        done = self._command(
            "federation", "register-peer", "--remote-url", url, "--local-url", self.url, "--scopes", "company,public",
            "--api-key", key,
        )  # fmt: skip
        assert "pending_approval" in done.stdout + done.stderr, done.stdout + done.stderr

    def approve(self, node_id: str, public_key: str) -> None:
        """Approve a peer that has declared itself here."""
        peer = next(p for p in self.ask("GET", "/v1/federation/peers", 200)["peers"] if p["node_id"] == node_id)
        body = {"pubkey_fingerprint": fingerprint(public_key)}
        self.ask("POST", f"/v1/federation/peers/{peer['peer_id']}/approve", 200, **body)

    def publish_manifest(self) -> None:
        """Dialect 2.1: say under its federation key who it is, before anybody approves it."""
        manifest = make_manifest(
            self.signer, entity_uri=self.url, entities=(self.url, self.node_id), issued_at="2026-01-01T00:00:00Z",
            expires_at="2027-06-01T00:00:00Z",
        )  # fmt: skip
        body: dict[str, Any] = msgspec.to_builtins(manifest)
        self.ask("PUT", "/v1/federation/manifest", 200, **body)
