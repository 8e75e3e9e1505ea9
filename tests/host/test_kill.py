"""SIGKILL at random instants, fifty times over, and at every step of a commit: a node of the real world keeps every
promise that it made.

The body is tests.host.ordeal, which the laboratory goes through as well (tests/parity/test_kill_parity.py).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import trio

from stigmem.core.audit import AuditRow
from stigmem.core.keys import ED25519
from stigmem.core.records import Record
from stigmem.core.wire import JSON_TYPE, Request, Response
from stigmem.host.control import socket_address
from stigmem.host.datadir import database_of, read_only
from stigmem.host.rows import AUDIT_COLUMNS, LOADERS
from stigmem.host.run import Deployed
from tests.host.nodes import node_at
from tests.host.ordeal import Subject, ordeal
from tests.host.steps import STEPS
from tests.host.test_federation import FEDERATED, introduce

KILLS = 50
ROUNDS = 2
_BOOT_S = 20.0
_AUDIT = f"SELECT {AUDIT_COLUMNS} FROM audit ORDER BY seq"  # noqa: S608 - a constant of ours


class Stable:
    """The program that forks nodes."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STIGMEM_")}
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.host.stable"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        assert self._program.stdout is not None
        assert self._program.stdin is not None
        self._out, self._in = self._program.stdout, self._program.stdin

    def start(self, *command: str) -> int:
        """Run a command, and wait until the node says that its facts are loaded; its process."""
        self._in.write(json.dumps(command).encode() + b"\n")
        self._in.flush()
        process, loaded = 0, False
        while not (process and loaded):
            line = self._out.readline().decode()
            assert line, "the stable is gone"
            if line.startswith("process "):
                process = int(line.split()[1])
            loaded = loaded or " loaded in " in line
        return process

    def close(self) -> None:
        self._in.close()
        self._out.close()
        self._program.wait(10)


class Process:
    """A node that is a process of its own; its peer lives in this one."""

    def __init__(self, stable: Stable, directory: Path, port: int, victim: Deployed, peer: Deployed) -> None:
        self.node_id, self.peer_id = victim.identity.node_id, peer.identity.node_id
        self.peer_signer = ED25519.signer(peer.identity.seed)
        self._stable = stable
        self._directory = directory
        self._port = port
        self._peer = peer
        self._pid = 0
        self.before: tuple[str, ...] = ()
        """Words that come before the command, for the stable."""
        self._console = ""
        self._opened = ExitStack()

    async def boot(self) -> None:
        command = (
            "serve", "--data-dir", str(self._directory), "--port", str(self._port), "--no-auth-required",
            "--federation-enabled", "--federation-pull-interval-s", "0.05", "--federation-pull-wait-s", "1",
            "--log-level", "error",
        )  # fmt: skip
        command = (*self.before, *command)
        with trio.fail_after(_BOOT_S):
            self._pid = await trio.to_thread.run_sync(self._stable.start, *command, abandon_on_cancel=True)
        self._console = self._opened.enter_context(socket_address(self._directory))

    async def ask(self, request: Request, *, operator: bool = True) -> Response | None:
        try:
            if operator:
                stream = await trio.open_unix_socket(self._console)
            else:
                stream = await trio.open_tcp_stream("127.0.0.1", self._port)
            return await _exchange(stream, request)
        except OSError:
            return None

    async def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    async def pause(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def together(self, clients: Sequence[Callable[[], Awaitable[None]]]) -> None:
        async with trio.open_nursery() as crowd:
            for client in clients:
                crowd.start_soon(client)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def peer_writes(self, body: dict[str, Any]) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", self._peer.port)
        answer = await _exchange(stream, Request("POST", "/v1/facts", JSON_TYPE, msgspec.json.encode(body)))
        assert answer is not None
        assert answer.status == 201, answer.body

    def peer_wrote(self) -> list[str]:
        return [fact.id for fact in self._peer.node.state.ledger.log if fact.origin == self.peer_id]

    def disk(self) -> list[Record]:
        with closing(read_only(database_of(self._directory))) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN")
            rows: list[Record] = [AuditRow(*row) for row in connection.execute(_AUDIT)]
            for loader in LOADERS:
                if loader.what != "audit":
                    rows += [loader.read(row) for row in connection.execute(loader.query)]
        return rows

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._opened.close()


async def _exchange(stream: trio.SocketStream, request: Request) -> Response | None:
    """The whole answer to a request on a connection of its own; None when it broke off. Raises OSError."""
    fields = request.headers | {"host": "localhost", "connection": "close", "content-length": str(len(request.body))}
    head = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    async with stream:
        try:
            await stream.send_all("\r\n".join([*head, "", ""]).encode() + request.body)
            said = b"".join([part async for part in stream])
        except trio.BrokenResourceError:
            return None
    first, _, body = said.partition(b"\r\n\r\n")
    lines = first.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    if len(body) < int(headers.get("content-length", "0" if " 204 " in lines[0] else "1")):
        return None
    return Response(int(lines[0].split()[1]), headers, body)


class AtEachStep(Process):
    """A process that ends by itself, at one step of a commit after the other."""

    lives = 0

    async def boot(self) -> None:
        rounds, step = divmod(self.lives, len(STEPS))
        self.before = ("--die-at", STEPS[step], str(20 + 9 * rounds)) if rounds < ROUNDS else ()
        self.lives += 1
        await super().boot()

    async def kill(self) -> None:
        """Wait until it has ended; the clients go on and bring it there."""
        with trio.fail_after(_BOOT_S):
            while _runs(self._pid):
                await trio.sleep(0.005)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def process(tmp_path: Path, kind: type[Process]) -> AsyncIterator[Process]:
    with closing(Stable()) as stable, closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        async with node_at(tmp_path / "peer", **FEDERATED) as peer:
            async with node_at(tmp_path / "victim", port=port, **FEDERATED) as victim:
                await introduce(victim, peer)
                await introduce(peer, victim)
                subject = kind(stable, tmp_path / "victim", port, victim, peer)
            with closing(subject):
                yield subject


@pytest.mark.slow
async def test_a_process_killed_at_any_instant_has_kept_its_promises(tmp_path: Path) -> None:
    async with process(tmp_path, Process) as subject:
        checked: Subject = subject
        promises = await ordeal(checked, Random(20_261), KILLS)
    assert len(promises.writes) > 3 * KILLS
    assert len(promises.batches) > KILLS
    assert len(promises.tokens) > KILLS / 2
    assert len(promises.seen) > KILLS / 4
    assert promises.taken > KILLS
    assert len(promises.keys) > KILLS / 5
    assert len(promises.revoked) > KILLS / 10
    assert promises.cut > KILLS, "kills must hit requests that are under way"


@pytest.mark.slow
async def test_a_process_killed_at_every_step_of_a_commit_has_kept_its_promises(tmp_path: Path) -> None:
    async with process(tmp_path, AtEachStep) as subject:
        checked: Subject = subject
        promises = await ordeal(checked, Random(8_007), ROUNDS * len(STEPS))
    assert len(promises.writes) > ROUNDS * len(STEPS)
    assert promises.cut > ROUNDS * len(STEPS), "kills must hit requests that are under way"
