"""Nodes as processes of this machine: started, waited for until they answer, stopped and killed.

What a node is told and asked is in `ours` and `reference`; here are processes, ports and deadlines.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

__all__ = ["NodeProcess", "free_port", "plain_environment", "until"]


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def plain_environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of other nodes."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STIGMEM_") and k != "PYTHONPATH"}
    return kept | more


def until(reached: Callable[[], Any], what: str, seconds: float) -> Any:
    """What `reached` returns once it is true; asks again and again, and fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := reached()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)
    return found


class NodeProcess:
    """A node on a port of its own, with a directory of its own and an administrator's key."""

    ready = "/healthz"
    """The path that answers 200 once the node can be used."""

    def __init__(self, directory: Path, key: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.key = key
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(
            base_url=self.url, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=30.0
        )
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, command: Sequence[str], environment: Mapping[str, str], *, seconds: float = 30.0) -> None:
        """Start it and wait until it answers."""
        with (self.directory / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.directory, env=dict(environment), stdout=log, stderr=log, start_new_session=True
            )
        until(self._answers, f"{self.directory.name} answers on {self.url}", seconds)

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            said = (self.directory / "log.txt").read_text()[-2000:]
            raise AssertionError(f"{self.directory.name} ended with status {self._process.returncode}: {said}")
        try:
            return self.http.get(self.ready).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        """The process, which must run."""
        assert self._process is not None
        return self._process.pid

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process if it runs, and wait for that."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(15)

    def close(self) -> None:
        """End the process and the connections to it."""
        self.end()
        self.http.close()

    # --- facts, spoken the same way to either node ---

    def ask(self, method: str, path: str, expect: int, **body: Any) -> Any:
        """The JSON of an answer that must have this status."""
        answer = self.http.request(method, path, json=body or None)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def put(self, subject: str, kind: str, content: Any, **more: Any) -> dict[str, Any]:
        """Assert one fact and return its record."""
        fact = {
            "entity": subject, "relation": "memory:role", "source": "agent:interop", "scope": "public",
            "value": {"type": kind, "v": content}, "confidence": 1.0,
        }  # fmt: skip
        found: dict[str, Any] = self.ask("POST", "/v1/facts", 201, **(fact | more))
        return found

    def facts(self, **filters: Any) -> list[dict[str, Any]]:
        """Every fact that the filters let through, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            query = {"limit": 500, "include_contradicted": "true", "include_expired": "true"} | filters
            if cursor:
                query["cursor"] = cursor
            answer = self.http.get("/v1/facts", params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["facts"]
            cursor = page["cursor"]
            if not cursor or not page["facts"]:
                return found

    def has(self, fact_id: str) -> bool:
        """Whether the node shows this fact."""
        return self.http.get(f"/v1/facts/{fact_id}").status_code == 200
