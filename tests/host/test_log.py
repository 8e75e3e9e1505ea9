"""The log: a node that cannot tell what it does goes on doing it, and nobody fills the log from outside."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog

from stigmem.host.log_limiter import KINDS_MAX, LogLimiter
from stigmem.host.log_queue import LineQueue, QueuedStream
from stigmem.host.logs import configure_logs
from tests.host.processes import ask, command, free_port, run, started, stopped_cleanly, until

NOT_THERE = "/v1/recall"
"""An operation that is answered 501, and so with a line in the log."""


def is_ready(port: int) -> bool:
    return ask(port, "/readyz") == 200


def makes_lines(port: int, count: int = 30) -> None:
    for _ in range(count):
        ask(port, NOT_THERE)


# --- streams that cannot be written ---


def test_a_node_whose_readers_went_away_goes_on(tmp_path: Path) -> None:
    """`stigmem serve 2>&1 | head -1` ended the node with status 141."""
    port = free_port()
    with started(tmp_path, port, "--log-level", "debug", stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"stigmem ")
        process.stdout.close()
        until("the node was ready", lambda: is_ready(port))
        makes_lines(port)
        assert ask(port, "/healthz") == 200
        assert stopped_cleanly(process) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_node_whose_logs_disk_is_full_goes_on(tmp_path: Path) -> None:
    port = free_port()
    with Path("/dev/full").open("wb") as full:
        with started(tmp_path, port, "--log-level", "debug", stdout=full, stderr=full) as process:
            until("the node was ready", lambda: is_ready(port))
            makes_lines(port)
            assert ask(port, "/healthz") == 200
            assert stopped_cleanly(process) == 0


def test_a_node_whose_log_nobody_reads_goes_on(tmp_path: Path) -> None:
    """A full pipe held `/healthz` for good."""
    port = free_port()
    out, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
    with started(tmp_path, port, "--log-level", "debug", stdout=into, stderr=into) as process:
        os.close(into)
        until("the node was ready", lambda: is_ready(port))
        makes_lines(port, 200)
        assert ask(port, "/healthz") == 200
        assert stopped_cleanly(process) == 0
    os.close(out)


def test_a_node_without_standard_streams_writes_its_log_into_no_file_of_its_own(tmp_path: Path) -> None:
    """With `2>&-` the next file that was opened would have had number 2."""
    port = free_port()
    words = " ".join(command("serve", "--port", str(port), "--data-dir", str(tmp_path), "--log-level", "debug"))
    with subprocess.Popen(["sh", "-c", f"exec {words} >&- 2>&- <&-"]) as process:
        try:
            until("the node was ready", lambda: is_ready(port))
            makes_lines(port)
            assert stopped_cleanly(process) == 0
        finally:
            process.kill()
    assert run("doctor", "--data-dir", str(tmp_path)).returncode == 0
    assert (tmp_path / "lock").read_bytes() == b""


def test_a_refusal_that_cannot_be_told_has_its_status_all_the_same(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        assert run("fact", "query", "--data-dir", str(tmp_path), capture_output=False, stderr=full).returncode == 2
        assert run("serve", "--port", "x", capture_output=False, stdout=full, stderr=full).returncode == 2


# --- the queue ---


class Reader:
    """Takes lines when it is let."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.waits = threading.Event()
        self.fails = False
        self.said: list[str] = []

    def write(self, text: str) -> None:
        self.waits.set()
        assert self.may.wait(10)
        if self.fails:
            raise OSError("no space left")
        self.said.append(text)


def queue_to(reader: Reader, now: list[float] | None = None) -> LineQueue:
    clock = now or [0.0]
    return LineQueue(reader.write, lambda count: f"{count} lines were dropped\n", now_s=lambda: clock[0])


def test_lines_that_find_no_room_are_counted_and_told_when_somebody_reads_again() -> None:
    reader = Reader()
    queue = queue_to(reader)
    queue.put("first\n")
    assert reader.waits.wait(10)
    for number in range(10_005):
        queue.put(f"{number}\n")
    assert queue.dropped == 5
    reader.may.set()
    queue.close(10)
    text = "".join(reader.said)
    assert text.startswith("first\n0\n1\n2\n")
    assert text.count("\n") == 10_002
    assert text.count("5 lines were dropped\n") == 1


def test_lines_that_cannot_be_written_are_counted_and_told_once_a_minute() -> None:
    reader, now = Reader(), [1000.0]
    queue = queue_to(reader, now)
    reader.fails = True
    reader.may.set()
    for _ in range(3):
        queue.put("lost\n")
    until("the lines were given up", lambda: queue.dropped == 3)
    reader.fails = False
    now[0] += 61
    queue.put("found\n")
    until("it was told", lambda: len(reader.said) == 2)
    queue.close(10)
    assert reader.said == ["found\n", "3 lines were dropped\n"]


def test_the_end_does_not_wait_for_whoever_does_not_read() -> None:
    reader = Reader()
    queue = queue_to(reader)
    queue.put("nobody reads this\n")
    assert reader.waits.wait(10)
    queue.close(0.01)
    queue.put("too late\n")
    assert queue.dropped == 1
    reader.may.set()


def test_a_line_goes_into_the_queue_whole_however_it_is_written(tmp_path: Path) -> None:
    reader = Reader()
    reader.may.set()
    queue = queue_to(reader)
    with (tmp_path / "file").open("w") as file:
        stream = QueuedStream(file, queue)
        print("a", "b", file=stream, flush=False)
        stream.write("c")
        stream.write("d\ne")
        stream.flush()
        assert (stream.fileno(), stream.isatty()) == (file.fileno(), False)
    queue.close(10)
    assert "".join(reader.said) == "a b\ncd\ne"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_line_raises_nothing_whatever_is_in_it(capsys: pytest.CaptureFixture[str], style: Any) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    configure_logs(style, "info")
    log = structlog.get_logger()
    log.info("a name of a file", name="caf\udce9", what=object(), broken=Broken())
    log.info("a name of a file", name="caf\udce9", keys={1: 2, (3, 4): 5}, data=b"\xff")
    configure_logs("console", "error")
    assert capsys.readouterr().err.count("\n") == 2


# --- the limiter ---


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **details: self.told.append((level, event, details))


def limiter() -> tuple[LogLimiter, Lines, list[float]]:
    lines, now = Lines(), [0.0]
    return LogLimiter(lines, lambda: now[0]), lines, now


def test_one_line_a_minute_and_kind_with_a_count() -> None:
    limited, lines, now = limiter()
    for number in range(500):
        limited.tell("refused token", key="expired", subject=f"peer {number}")
        limited.tell("refused token", key="forged", subject="x")
    assert lines.told == [
        ("info", "refused token", {"subject": "peer 0"}),
        ("info", "refused token", {"subject": "x"}),
    ]
    now[0] = 59.0
    limited.flush()
    assert len(lines.told) == 2
    now[0] = 60.0
    limited.flush()
    assert lines.told[2:] == [
        ("info", "refused token", {"subject": "peer 499", "times": 499}),
        ("info", "refused token", {"subject": "x", "times": 499}),
    ]
    now[0] = 180.0
    limited.flush()
    limited.tell("refused token", key="expired", subject="late")
    assert lines.told[4:] == [("info", "refused token", {"subject": "late"})]


def test_what_is_counted_is_told_with_the_next_of_its_kind_or_at_the_end() -> None:
    limited, lines, now = limiter()
    limited.tell("a", n=1)
    limited.tell("a", n=2)
    now[0] = 61.0
    limited.tell("a", n=3)
    assert lines.told[1:] == [("info", "a", {"n": 3, "times": 2})]
    limited.tell("a", n=4)
    limited.flush(all_of_them=True)
    assert lines.told[2:] == [("info", "a", {"n": 4})]


def test_a_traceback_is_shown_once_for_each_kind_of_bug() -> None:
    limited, lines, now = limiter()
    bug = RuntimeError("oh")
    for minute in range(3):
        now[0] = 61.0 * minute
        limited.tell("a bug", key="x.py:1", level="error", bug=bug)
    assert [("exc_info" in details) for _, _, details in lines.told] == [True, False, False]


def test_names_that_a_stranger_could_choose_fill_nothing() -> None:
    limited, lines, _ = limiter()
    for number in range(KINDS_MAX + 100):
        limited.tell(f"event {number}", text="x" * 10_000)
    assert len(lines.told) == KINDS_MAX + 1
    assert lines.told[-1][1] == "other events"
    assert len(lines.told[-1][2]["text"]) < 600


def test_a_stranger_writes_a_few_lines_however_often_it_tries(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, port, "--log-style", "json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until("the node was ready", lambda: is_ready(port))
        makes_lines(port, 100)
        for number in range(40):
            sends(port, f"G\x00T /{number} HTTP/9.{number}\r\n\x80: {number}\r\n\r\n".encode("latin-1"))
            sends(port, b"\x16\x03\x01" + os.urandom(200))
            sends(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(300))
        assert ask(port, "/healthz") == 200
        assert stopped_cleanly(process) == 0
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert "Traceback" not in said
    lines = [json.loads(line) for line in said.splitlines()]
    kinds = [(line["event"], line.get("reason"), line.get("status")) for line in lines]
    assert {kind: kinds.count(kind) for kind in kinds if kinds.count(kind) > 3} == {}
    assert len(lines) < 30


def sends(port: int, data: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as connection:
        connection.sendall(data)
