"""Two nodes on this machine, over HTTP and TLS: from the first handshake to facts on both sides."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from stigmem.core.audit import AuditRow
from stigmem.core.keys import ED25519, encode_base64
from stigmem.core.manifest import certified_node_id
from stigmem.core.token import mint
from stigmem.host.cli import main
from stigmem.host.datadir import database_of, read_only
from stigmem.host.http import limits as http_limits
from stigmem.host.rows import AUDIT_COLUMNS
from stigmem.host.run import Deployed
from tests.host.authority import Authority
from tests.host.nodes import assertion, client_of, node_at

FEDERATED = {"federation_enabled": True, "federation_pull_interval_s": 0.05, "federation_pull_wait_s": 5.0}


async def run(*tokens: str) -> int:
    """A command line, in a thread: it has an event loop of its own."""
    return await trio.to_thread.run_sync(main, list(tokens))


async def until(reached: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that tasks of this process bring about."""
    with trio.fail_after(seconds):
        while not reached():
            await trio.sleep(0.005)


@asynccontextmanager
async def pair(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Deployed, Deployed]]:
    async with node_at(tmp_path / "north", **FEDERATED, **settings) as north:
        async with node_at(tmp_path / "south", **FEDERATED, **settings) as south:
            yield north, south


async def introduce(here: Deployed, there: Deployed, *options: str) -> None:
    """Register one node at the other and approve it there."""
    directory = str(here.settings.data_dir)
    assert await run("federation", "register-peer", "--remote-url", there.url, "--data-dir", directory, *options) == 0
    fingerprint = here.identity.fingerprint
    approve = ("federation", "approve", here.identity.node_id, "--fingerprint", fingerprint)
    assert await run(*approve, "--data-dir", str(there.settings.data_dir)) == 0


async def test_two_nodes_exchange_facts_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with pair(tmp_path) as (north, south):
        await introduce(north, south)
        said = capsys.readouterr().err
        assert "waits for approval (pending_approval)" in said
        assert north.identity.fingerprint in said
        assert "federation approve" in said
        await introduce(south, north)
        async with client_of(north) as one, client_of(south) as two:
            first = (await one.post("/v1/facts", json=assertion(1))).json()["id"]
            second = (await two.post("/v1/facts", json=assertion(2))).json()["id"]
            await until(
                lambda: bool(south.node.state.ledger.find(first)) and bool(north.node.state.ledger.find(second))
            )
            found = (await two.get(f"/v1/facts/{first}")).json()
            assert found["origin_node_id"] == north.identity.node_id
            text = (await two.get("/metrics")).text
    assert f'stigmem_federation_ingress_total{{node="{found["received_from"]}",status="accepted"}} 1.0' in text
    assert "stigmem_federation_egress_total" in text


async def test_with_waiting_pulls_news_arrives_at_once(tmp_path: Path) -> None:
    async with pair(tmp_path) as (north, south):
        await introduce(north, south)
        await introduce(south, north)
        await until(lambda: len(north.node.long_polls) == 1 and len(south.node.long_polls) == 1)
        async with client_of(north) as one:
            begin = trio.current_time()
            made = (await one.post("/v1/facts", json=assertion(1))).json()["id"]
            await until(lambda: bool(south.node.state.ledger.find(made)))
            assert trio.current_time() - begin < 2.0


async def test_a_pull_that_waits_gives_its_place_back_when_its_caller_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_limits, "LOOK_S", 0.05)
    monkeypatch.setattr(http_limits, "HALF_CLOSED_S", 0.1)
    async with pair(tmp_path) as (north, south):
        await introduce(south, north)
        token = mint(
            ED25519.signer(south.identity.seed), issuer=south.identity.node_id, audience=north.identity.node_id,
            scopes=("public",), nonce="once", now_ms=time.time_ns() // 1_000_000,
        )  # fmt: skip
        stream = await trio.open_tcp_stream("127.0.0.1", north.port)
        head = f"GET /v1/federation/facts?wait=30 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
        await stream.send_all(head.encode())
        await until(lambda: len(north.node.long_polls) == 1)
        assert len(north.server) == 1
        await stream.aclose()
        await until(lambda: len(north.node.long_polls) == 0 and len(north.server) == 0)


async def test_a_node_that_waits_for_news_elsewhere_stops_without_delay(tmp_path: Path) -> None:
    async with pair(tmp_path) as (north, south):
        await introduce(north, south)
        await introduce(south, north)
        await until(lambda: len(north.node.long_polls) == 1 and len(south.node.long_polls) == 1)
        begin = trio.current_time()
    assert trio.current_time() - begin < 3.0


async def test_a_second_registration_says_how_things_stand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with pair(tmp_path) as (north, south):
        register = ("federation", "register-peer", "--remote-url", south.url, "--data-dir", str(tmp_path / "north"))
        assert await run(*register) == 0
        capsys.readouterr()
        assert await run(*register) == 0
        assert "pending_approval" in capsys.readouterr().err
        await introduce_again(north, south)
        capsys.readouterr()
        assert await run(*register) == 0
        assert "has approved this node already" in capsys.readouterr().err


async def introduce_again(here: Deployed, there: Deployed) -> None:
    approve = ("federation", "approve", here.identity.node_id, "--fingerprint", here.identity.fingerprint)
    assert await run(*approve, "--data-dir", str(there.settings.data_dir)) == 0


async def test_a_wrong_fingerprint_approves_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with pair(tmp_path) as (north, south):
        directory = str(tmp_path / "south")
        await run("federation", "register-peer", "--remote-url", south.url, "--data-dir", str(tmp_path / "north"))
        approve = ("federation", "approve", north.identity.node_id, "--data-dir", directory)
        assert await run(*approve, "--fingerprint", "sha256:" + "0" * 64) == 2
        assert "fingerprint mismatch" in capsys.readouterr().err
        assert await run("federation", "peers", "--json", "--data-dir", directory) == 0
        assert '"pending_approval"' in capsys.readouterr().out


async def test_revoking_ends_the_exchange(tmp_path: Path) -> None:
    async with pair(tmp_path) as (north, south):
        await introduce(north, south)
        await introduce(south, north)
        await until(lambda: len(south.node.pullers) == 1)
        assert await run("federation", "revoke", north.identity.node_id, "--data-dir", str(tmp_path / "south")) == 0
        await until(lambda: not south.node.pullers)


REFUSALS: dict[str, tuple[Sequence[str], str]] = {
    "not running": (("--remote-url", "http://127.0.0.1:1"), "is not running"),
    "no such scope": (("--remote-url", "http://127.0.0.1:1", "--scopes", "world"), "not world"),
}


@pytest.mark.parametrize(("options", "expected"), REFUSALS.values(), ids=REFUSALS)
async def test_registering_makes_no_sense_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: Sequence[str], expected: str
) -> None:
    async with node_at(tmp_path):
        pass
    assert await run("federation", "register-peer", *options, "--data-dir", str(tmp_path)) in (1, 2)
    assert expected in capsys.readouterr().err


async def test_a_node_that_is_not_found_at_its_own_address_is_told_before_it_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with pair(tmp_path) as (_, south):
        register = ("federation", "register-peer", "--remote-url", south.url, "--data-dir", str(tmp_path / "north"))
        assert await run(*register, "--local-url", "http://127.0.0.1:1") == 1
        assert "does not answer at http://127.0.0.1:1" in capsys.readouterr().err
        assert await run(*register, "--local-url", south.url) == 1
        assert "is another node" in capsys.readouterr().err
        assert not south.node.state.peers


async def test_a_key_is_asked_for_where_the_other_node_wants_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with node_at(tmp_path / "north", **FEDERATED) as north:
        async with node_at(tmp_path / "south", **FEDERATED, auth_required=True) as south:
            register = ("federation", "register-peer", "--remote-url", south.url, "--data-dir", str(tmp_path / "north"))
            assert await run(*register) == 1
            assert "with --api-key" in capsys.readouterr().err
            made = ("auth", "create-key", "--entity", "user:north", "--permissions", "federate")
            assert await run(*made, "--data-dir", str(tmp_path / "south")) == 0
            secret = capsys.readouterr().out.strip()
            assert await run(*register, "--api-key", secret) == 0
            assert north.identity.node_id in [row.node_id for row in south.node.state.peers.values()]


# --- mutual TLS ---


def identified(authority: Authority, directory: Path, seed: bytes, *named: str) -> dict[str, Any]:
    """Settings of a node whose certificate names it, or whoever is given instead."""
    node_id = certified_node_id(ED25519.signer(seed).public_key)
    files = authority.files(directory.name, *(named or (node_id,)))
    return FEDERATED | files | {"federation_privkey": encode_base64(seed)}


async def test_with_mutual_tls_peers_are_known_by_their_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    north_settings = identified(authority, tmp_path / "north", b"n" * 32)
    south_settings = identified(authority, tmp_path / "south", b"s" * 32)
    async with node_at(tmp_path / "north", **north_settings) as north:
        async with node_at(tmp_path / "south", **south_settings) as south:
            assert north.url.startswith("https://")
            await introduce(north, south, "--config", str(_file(tmp_path, "north", north_settings)))
            await introduce(south, north, "--config", str(_file(tmp_path, "south", south_settings)))
            async with _secure_client(north, authority) as one:
                made = (await one.post("/v1/facts", json=assertion(1))).json()["id"]
            await until(lambda: bool(south.node.state.ledger.find(made)))


async def test_a_peer_whose_certificate_names_another_node_gets_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    north_settings = identified(authority, tmp_path / "north", b"n" * 32)
    south_settings = identified(authority, tmp_path / "south", b"s" * 32)
    async with node_at(tmp_path / "north", **north_settings) as north:
        async with node_at(tmp_path / "south", **south_settings) as south:
            await introduce(north, south, "--config", str(_file(tmp_path, "north", north_settings)))
            await introduce(south, north, "--config", str(_file(tmp_path, "south", south_settings)))
            # South's key is stolen: whoever has it has a certificate of the same authority, for another name.
            authority.files("south", "stigmem:node:thief")
            south.reload_certificates()
            async with _secure_client(north, authority) as one:
                made = (await one.post("/v1/facts", json=assertion(1))).json()["id"]
            await until(lambda: any(row.event == "san_mismatch" for row in read_audit(tmp_path / "north")))
            assert not south.node.state.ledger.find(made)


def _file(tmp_path: Path, name: str, settings: dict[str, Any]) -> Path:
    """A settings file for the command line."""
    path = tmp_path / f"{name}.toml"
    lines = [
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in settings.items()
    ]
    path.write_text("\n".join(lines))
    return path


def _secure_client(node: Deployed, authority: Authority) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(authority.bundle))
    return httpx.AsyncClient(base_url=node.url, verify=context, trust_env=False)


def read_audit(directory: Path) -> list[AuditRow]:
    with closing(read_only(database_of(directory))) as connection:
        query = f"SELECT {AUDIT_COLUMNS} FROM audit ORDER BY seq"  # noqa: S608 - a constant of ours
        return [AuditRow(*row) for row in connection.execute(query)]


async def test_facts_are_there_as_soon_as_both_operators_have_approved_whatever_the_interval(tmp_path: Path) -> None:
    slow = {"federation_enabled": True, "federation_pull_interval_s": 600.0, "federation_pull_wait_s": 0.0}
    async with node_at(tmp_path / "north", **slow) as north, node_at(tmp_path / "south", **slow) as south:
        async with client_of(north) as one, client_of(south) as two:
            first = (await one.post("/v1/facts", json=assertion(1))).json()["id"]
            second = (await two.post("/v1/facts", json=assertion(2))).json()["id"]
            await introduce(north, south)
            waiting = south.node.pullers[next(iter(south.node.state.peers))]
            await until(lambda: waiting.backoff.waiting_for_peer)
            text = (await two.get("/metrics")).text
            assert "stigmem_pull_failures_total{" not in text, "a peer that has not approved yet is no failure"
            await introduce(south, north)
            await until(
                lambda: bool(south.node.state.ledger.find(first)) and bool(north.node.state.ledger.find(second))
            )
