"""Ten thousand idle connections, and a process without a file left, seen from outside."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.interop.processes import free_port, plain_environment, until

IDLE = 10_000
ROOT = Path(__file__).parents[3]
CROWD = """
import socket, sys, time
port, count = int(sys.argv[1]), int(sys.argv[2])
held = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(count)]
print("there", flush=True)
sys.stdin.read()
"""


@contextmanager
def node(directory: Path, connections_max: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    command = [
        sys.executable, "-m", "stigmem", "serve", "--data-dir", str(directory / "data"), "--port", str(port),
        "--no-auth-required", "--connections-max", str(connections_max), "--log-level", "error",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=plain_environment(PYTHONPATH=str(ROOT)), stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url), "the node answers", 120.0)
        yield process, url
    finally:
        process.kill()
        process.wait()


def answers(url: str, path: str = "/healthz") -> bool:
    try:
        return httpx.get(url + path, trust_env=False, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def crowd(url: str, count: int) -> Iterator[None]:
    """So many connections from another process, which say nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", CROWD, url.rpartition(":")[2], str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        yield
    finally:
        process.kill()
        process.wait()


def files_of(process: subprocess.Popen[bytes]) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


@pytest.mark.slow
def test_ten_thousand_idle_connections_are_held_and_everybody_else_is_served(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 300:
        pytest.skip(f"this machine allows a process {hard} open files, and {IDLE} connections need more")
    with node(tmp_path, IDLE + 100) as (process, url), crowd(url, IDLE):
        until(lambda: files_of(process) > IDLE, "all of them are accepted", 120.0)
        for _ in range(20):
            assert answers(url)
        assert answers(url, "/v1/facts")
        assert files_of(process) > IDLE, "nobody had to make room"


def test_health_checks_are_answered_when_the_process_has_no_file_left(tmp_path: Path) -> None:
    if not hasattr(resource, "prlimit"):
        pytest.skip("this machine cannot change the limits of a running process")
    with node(tmp_path, 500) as (process, url):
        few = files_of(process) + 20
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (few, few))
        with crowd(url, 200):  # most of them wait in the queue of the listener
            for path in ("/healthz", "/readyz", "/healthz"):
                until(lambda path=path: answers(url, path), f"{path} is answered", 60.0)  # type: ignore[misc]
            assert files_of(process) <= few
        assert process.poll() is None
        assert answers(url, "/v1/facts")
