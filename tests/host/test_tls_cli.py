"""The command line and TLS: it sees what the running node sees, and says why TLS failed."""

from __future__ import annotations

import json
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

from stigmem.host.certificate import Certificate, own_certificate
from stigmem.host.cli import main
from stigmem.host.run import Deployed
from stigmem.host.running import running_settings
from stigmem.host.settings import SETTINGS, HostSettings
from stigmem.host.tls_errors import tls_reason
from tests.host.authority import Authority
from tests.host.nodes import node_at
from tests.host.test_federation import FEDERATED


@pytest.fixture(autouse=True)
def _quiet_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STIGMEM_")]:
        monkeypatch.delenv(name)


async def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    status = await trio.to_thread.run_sync(main, list(words))
    said = capsys.readouterr()
    return status, said.out + said.err


async def findings(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    _, said = await run(capsys, "doctor", "--json", "--data-dir", "d")
    return {finding["subject"]: finding for finding in json.loads(said)}


async def test_the_doctor_looks_at_the_certificate_of_the_node_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended with "handshake not done yet", and said "TLS off" of a node that had been started with flags."""
    authority = Authority(tmp_path)
    async with node_at(tmp_path / "d", **authority.files("north")):
        found = await findings(capsys)
        assert found["TLS"]["grade"] == "ok"
        assert "north.pem ends" in found["TLS"]["sentence"]
        assert "those of the node that runs" in found["settings"]["sentence"]
    assert (await findings(capsys))["TLS"]["sentence"] == "off", "nobody is there who could tell"


async def test_the_doctor_says_whom_the_certificate_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = Authority(tmp_path)
    async with node_at(tmp_path / "d", **FEDERATED, **authority.files("north", "stigmem:node:other")):
        found = await findings(capsys)
    assert found["TLS"]["grade"] == "bad"
    assert "names stigmem:node:other, and peers require stigmem:node:" in found["TLS"]["sentence"]


async def test_commands_take_the_settings_of_the_node_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node_at(tmp_path / "d", node_id="stigmem:node:by-flag", log_level="error") as node:
        _, said = await run(capsys, "federation", "identity", "--only", "node_id", "--data-dir", "d")
        assert said == "stigmem:node:by-flag\n"
        monkeypatch.setenv("STIGMEM_NODE_ID", "stigmem:node:of-this-shell")
        _, said = await run(capsys, "federation", "identity", "--only", "node_id", "--data-dir", "d")
        assert said == "stigmem:node:by-flag\n"
        assert (await told(node))["port"] == node.port
    _, said = await run(capsys, "federation", "identity", "--only", "node_id", "--data-dir", "d")
    assert said == "stigmem:node:of-this-shell\n"


async def told(node: Deployed) -> dict[str, Any]:
    """What it says at its control socket."""
    return await trio.to_thread.run_sync(running_settings, node.settings.data_dir) or {}


async def test_what_a_running_node_tells_has_no_secret_and_paths_that_mean_the_same_everywhere(tmp_path: Path) -> None:
    secret = "A" * 43
    async with node_at(Path("d"), federation_privkey=secret) as node:
        found = await told(node)
    assert secret not in json.dumps(found)
    assert set(found) == {name for name, setting in SETTINGS.items() if not setting.secret}
    assert found["data_dir"] == str(tmp_path / "d")


# --- why TLS failed ---


async def test_registering_says_why_tls_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It said "ConnectError"."""
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    async with node_at(tmp_path / "d", **FEDERATED) as here, node_at(tmp_path / "e", **theirs.files("e")) as there:
        register = ("federation", "register-peer", "--data-dir", "d", "--remote-url")
        status, said = await run(capsys, *register, f"https://127.0.0.1:{there.port}")
        assert status == 1
        assert "TLS failed: self-signed certificate in certificate chain; its authority must be one that" in said
        status, said = await run(capsys, *register, f"https://127.0.0.1:{here.port}")
        assert (status, "it does not speak TLS there; is the address an http one?" in said) == (1, True)
        status, said = await run(capsys, "fact", "query", "--url", f"https://127.0.0.1:{there.port}")
        assert (status, "TLS failed: self-signed certificate" in said) == (1, True)
    assert ours.bundle.exists()


def test_the_reason_is_found_however_deep_it_lies() -> None:
    inner = ssl.SSLError(1, "x")
    middle, outer = OSError("middle"), ValueError("outer")
    middle.__cause__, outer.__context__ = inner, middle
    inner.__context__ = outer  # a circle ends
    assert tls_reason(outer) is not None
    assert tls_reason(ValueError("none")) is None
    assert tls_reason(None) is None


# --- certificates ---


def test_a_certificate_is_read_without_anybody_who_vouches_for_it(tmp_path: Path) -> None:
    files = Authority(tmp_path).files("north", "stigmem:node:north") | {"tls_ca_bundle": ""}
    found = own_certificate(HostSettings(**files))
    assert found.uris == ("stigmem:node:north",)
    assert found.ends > datetime.now(UTC)


def test_days_left_are_whole_days_and_negative_when_there_are_none() -> None:
    ends = datetime(2030, 1, 10, tzinfo=UTC)
    found = Certificate(ends, ())
    assert found.days_left(ends - timedelta(days=21)) == 21
    assert found.days_left(ends - timedelta(hours=1)) == 0
    assert found.days_left(ends + timedelta(seconds=1)) < 0
