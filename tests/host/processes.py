"""`stigmem serve` as a process of its own whose streams are the test's to spoil, and ways to look at it from outside.

Nothing here waits for an answer that may never come: every wait has an end, and names what did not happen.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

__all__ = ["ENVIRONMENT", "ask", "command", "free_port", "run", "started", "stopped_cleanly", "until"]

_PATIENCE_S = 30.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("STIGMEM_")}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "stigmem", *words]


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    given: dict[str, Any] = {"env": ENVIRONMENT, "capture_output": True, "text": True, "timeout": _PATIENCE_S}
    return subprocess.run(command(*words), check=False, **(given | options))


@contextmanager
def started(directory: Path, port: int, *options: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A node's process with the streams given; killed at the end if it still runs."""
    words = command("serve", "--port", str(port), "--data-dir", str(directory), *options)
    with subprocess.Popen(words, env=ENVIRONMENT, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(port: int, target: str, method: str = "GET", **options: Any) -> int:
    """The status of an answer; raises OSError when there is none within five seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(connection):
        connection.request(method, target, **options)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def until(what: str, holds: Callable[[], object]) -> None:
    """Wait for it; raises AssertionError with `what` when it never happens."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"it never happened that {what}")


def stopped_cleanly(process: subprocess.Popen[bytes]) -> int:
    """The exit status after SIGTERM."""
    process.send_signal(signal.SIGTERM)
    return process.wait(_PATIENCE_S)
