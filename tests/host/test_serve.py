"""`stigmem serve` as a process, and the commands that look at a data directory from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from stigmem.core.fact import Fact
from stigmem.core.hlc import Stamp
from stigmem.core.records import ClockMark
from stigmem.host.cli import main
from stigmem.host.journal import SqliteJournal
from tests.host.nodes import filled, node_at, numbered, opened
from tests.host.processes import ENVIRONMENT, ask, command, free_port, run, started, stopped_cleanly, until


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process, and what it said until it was ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STIGMEM_")}
    command = [sys.executable, "-m", "stigmem", "serve", "--port", "0", "--data-dir", str(directory), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(5)]
        try:
            yield process, said
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_says_where_it_is_and_stops_cleanly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    with serving(tmp_path) as (process, said):
        assert said[0].startswith("stigmem ")
        assert said[1].startswith("listening on 127.0.0.1:")
        assert f"data in {tmp_path}: 0 facts loaded in" in said[2]
        assert "stigmem auth create-key --entity user:you" in said[4]
        assert main(["serve", "--port", "0", "--data-dir", str(tmp_path)]) == 1
        assert f"another process has the data directory {tmp_path} open" in capsys.readouterr().err
        assert (
            main(["auth", "create-key", "--entity", "a:b", "--permissions", "read", "--data-dir", str(tmp_path)]) == 0
        )
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "stopping" in err
    assert "Traceback" not in err
    assert not (tmp_path / "control.sock").exists()
    assert not (tmp_path / "stigmem.db-wal").exists(), "a clean stop leaves one file"


def test_a_signal_while_the_journal_is_read_stops_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await trio.sleep_forever()

    monkeypatch.setattr("stigmem.host.run._load", read)
    assert main(["serve", "--port", "0", "--data-dir", str(tmp_path)]) == 0
    assert "stopped while the journal was read" in capsys.readouterr().err
    assert not (tmp_path / "control.sock").exists()
    with opened(tmp_path) as journal:
        assert journal.count() == 0


def test_a_taken_port_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        assert main(["serve", "--port", port, "--data-dir", str(tmp_path)]) == 1
    expected = f"cannot listen on 127.0.0.1, port {port}: another program listens there; choose another --port\n"
    assert capsys.readouterr().err == expected


def test_every_line_of_a_json_log_is_json_from_the_first_to_the_last(tmp_path: Path) -> None:
    """The first and the last words were sentences."""
    port = free_port()
    with started(
        tmp_path, port, "--log-style", "json", "--no-auth-required", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        until("the node was ready", lambda: ask(port, "/readyz") == 200)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, b"")
    events = [json.loads(line) for line in err.splitlines()]
    assert [event["event"] for event in events] == ["listening", "ready", "note", "stopping", "stopped"]
    assert (events[0]["port"], events[1]["facts"]) == (port, 0)
    assert "authentication is off" in events[2]["remark"]


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (
            ("--host", "0.0.0.0", "--no-auth-required"),
            2,
            "without authentication a node may listen on this machine only",
        ),
        (("--log-level", "shrill"), 2, "is not one of"),
        (("--tls-cert-path", "none.pem", "--tls-key-path", "none.key"), 2, "cannot be used"),
        (("--host", "192.0.2.1"), 1, "no interface of this machine has that address"),
    ],
)
def test_a_refused_start_leaves_no_directory_and_says_why_in_json(
    tmp_path: Path, options: tuple[str, ...], status: int, sentence: str
) -> None:
    """It left a data directory with a fresh key, which belonged to no node."""
    directory = tmp_path / "new"
    refused = run("serve", "--port", "0", "--data-dir", str(directory), "--log-style", "json", *options)
    assert (refused.returncode, refused.stdout) == (status, "")
    (event,) = [json.loads(line) for line in refused.stderr.splitlines()]
    assert (event["event"], event["exit_status"]) == ("not started", status)
    assert sentence in event["reason"]
    assert not directory.exists()


def test_a_start_on_a_taken_port_leaves_no_directory(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        refused = run("serve", "--port", port, "--data-dir", str(tmp_path / "new"))
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("words", [("--help",), ("serve", "--help"), ("fact", "query", "--help"), ("config", "show")])
def test_a_reader_that_leaves_early_sees_no_traceback(words: tuple[str, ...]) -> None:
    """`stigmem --help | head -1` ended with a traceback and status 70."""
    with subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("program", ["stigmem", "sim"])
@pytest.mark.parametrize("library", ["cyclopts", "trio", "msgspec", "stigmem.core", "stigmem.host", "sim.cli"])
def test_a_ctrl_c_while_libraries_load_shows_no_traceback(tmp_path: Path, program: str, library: str) -> None:
    """In the first tenth of a second it did."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED.format(library))
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    words = [sys.executable, "-m", program, "--help"]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert "Traceback" not in ended.stderr
    assert ended.returncode in (0, 130)  # 0 when it does not load that library


ROOT = Path(__file__).resolve().parent.parent.parent
INTERRUPTED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""


# --- tail ---


def stored(journal: SqliteJournal, facts: list[Fact]) -> None:
    journal.write(facts)


def test_tail_shows_what_was_stored_since_an_instant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, 4)
    since = "2000-01-01T00:00:00Z"
    assert main(["tail", "--since", since, "--limit", "4", "--json", "--data-dir", str(tmp_path)]) == 0
    values = [json.loads(line)["value"]["v"] for line in capsys.readouterr().out.splitlines()]
    assert values == ["value 1", "value 2", "value 3", "value 4"]
    wanted = ("--entity", "user:PERSON-3", "--limit", "1")
    assert main(["tail", "--since", since, *wanted, "--data-dir", str(tmp_path)]) == 0
    assert "user:person-3  memory:role = value 3  [public]" in capsys.readouterr().out


async def test_tail_follows_facts_as_they_are_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, 2)
    tail = ["tail", "--limit", "2", "--interval", "0.05", "--json", "--data-dir", str(tmp_path)]
    with opened(tmp_path) as journal:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, main, tail)
            out, number = "", 2
            while out.count("\n") < 2:  # whatever is stored before it looks for the first time, it does not show
                number += 1
                stored(journal, numbered(1, start=number))
                await trio.sleep(0.06)
                out += capsys.readouterr().out
    shown = [json.loads(line)["value"]["v"] for line in out.splitlines()]
    first = int(shown[0].split()[1])
    assert first > 2
    assert shown == [f"value {first}", f"value {first + 1}"]


async def test_tail_asks_a_node_far_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, 3)
    async with node_at(tmp_path) as node:
        tail = ["tail", "--limit", "3", "--since", "2000-01-01T00:00:00Z", "--url", node.url, "--json"]
        assert await trio.to_thread.run_sync(main, tail) == 0
    assert [json.loads(line)["value"]["v"] for line in capsys.readouterr().out.splitlines()] == [
        "value 1", "value 2", "value 3",
    ]  # fmt: skip


# --- doctor and audit verify ---


def findings(directory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = main(["doctor", "--json", "--data-dir", str(directory)])
    return status, {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)}


def audit(directory: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["audit", "verify", "--data-dir", str(directory), *options])
    said = capsys.readouterr()
    return status, said.out + said.err


def changed(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "stigmem.db", isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_sound_directory_has_nothing_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, 3)
    status, found = findings(tmp_path, capsys)
    assert status == 0
    assert "3 rows in one chain, 3 facts agree with it" in found["audit log"]["sentence"]
    assert {finding["grade"] for finding in found.values()} <= {"ok", "note"}
    assert audit(tmp_path, capsys)[0] == 0


def test_the_doctor_sees_a_running_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> tuple[int, dict[str, Any]]:
        async with node_at(tmp_path):
            return await trio.to_thread.run_sync(findings, tmp_path, capsys)

    status, found = trio.run(run)
    assert (status, '{"status":"ready"}' in found["process"]["sentence"]) == (0, True)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE audit SET subject = 'user:other' WHERE seq = 2", "row 2 was changed after it was written"),
        ("DELETE FROM audit WHERE seq = 2", "a row is missing after row 1"),
        ("DELETE FROM facts WHERE seq = 2", "was written, says the log, and is gone"),
    ],
)
def test_a_change_behind_the_nodes_back_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], statement: str, expected: str
) -> None:
    filled(tmp_path, 3)
    changed(tmp_path, statement)
    status, said = audit(tmp_path, capsys)
    assert (status, expected in said) == (1, True), said


def test_an_altered_audit_row_is_noticed_by_the_node_that_starts_on_it(tmp_path: Path) -> None:
    filled(tmp_path, 450)
    changed(tmp_path, "UPDATE audit SET subject = 'user:other' WHERE seq = 333")
    port = free_port()
    with started(tmp_path, port, "--log-style", "json", stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            event = json.loads(line)
            if event["event"] == "the audit log was altered":
                break
        assert event["finding"] == "the row after row 332 was changed after it was written"
        assert ask(port, "/healthz") == 200, "what the node serves is not made of audit rows"
        assert stopped_cleanly(process) == 0


def test_rows_cut_off_the_end_show_against_a_head_kept_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(tmp_path, 3)
    head = audit(tmp_path, capsys)[1].split("head ")[1].split()[0]
    assert audit(tmp_path, capsys, "--head", head)[0] == 0
    changed(tmp_path, "DELETE FROM audit WHERE seq = 3")
    changed(tmp_path, "DELETE FROM facts WHERE seq = 3")
    assert audit(tmp_path, capsys)[0] == 0
    status, said = audit(tmp_path, capsys, "--head", head)
    assert (status, "row 3 with that hash is not in the log" in said) == (1, True)


def test_a_clock_that_was_set_back_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fact,) = filled(tmp_path, 1)
    with opened(tmp_path) as journal:
        journal.write([ClockMark(Stamp(fact.stamp << 1))])
    status, found = findings(tmp_path, capsys)
    assert (status, found["clock"]["grade"]) == (1, "bad")
    assert "it was set back" in found["clock"]["sentence"]
