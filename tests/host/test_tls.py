"""TLS: 1.3, certificates from the operator's own authorities, who the peer is, and renewal without a restart."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trio

from stigmem.core.wire import Request, Response
from stigmem.host.app import App
from stigmem.host.client import HttpTransport
from stigmem.host.http import limits
from stigmem.host.settings import HostSettings
from stigmem.host.sources import BadSettings
from stigmem.host.tls import Certificates, certificate_uris
from stigmem.node.ports import Unreachable
from tests.host.authority import Authority
from tests.host.nodes import node_at

NORTH, SOUTH = "stigmem:node:north", "stigmem:node:south"
SECOND_NS = 1_000_000_000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def _short_farewells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_S", 0.2)


def transport(settings: HostSettings, *expected: str) -> HttpTransport:
    certificates = Certificates(settings)
    return HttpTransport(lambda: certificates.client, "any", lambda _: expected)


async def get(transport: HttpTransport, port: int, scheme: str = "https") -> Response:
    try:
        return await transport.request(f"{scheme}://127.0.0.1:{port}", Request("GET", "/healthz"), SECOND_NS, 10_000)
    finally:
        await transport.aclose()


async def refused(transport: HttpTransport, port: int, scheme: str = "https") -> str:
    with pytest.raises(Unreachable) as found:
        await get(transport, port, scheme)
    return found.value.code


def caller(authority: Authority, directory: Path, *uris: str) -> HostSettings:
    return HostSettings(data_dir=directory, **authority.files("caller", *uris))


async def test_a_node_speaks_tls_to_whoever_trusts_its_authority(authority: Authority, tmp_path: Path) -> None:
    files = authority.files("north", NORTH)
    async with node_at(tmp_path / "d", **files) as node:
        assert (await get(transport(caller(authority, tmp_path, SOUTH)), node.port)).status == 200
        assert await refused(transport(HostSettings()), node.port) == "tls"
        assert await refused(transport(HostSettings()), node.port, "http") in ("broken_answer", "refused")


async def test_nothing_below_tls_1_3_is_spoken(authority: Authority, tmp_path: Path) -> None:
    async with node_at(tmp_path / "d", **authority.files("north")) as node:
        old = ssl.create_default_context(cafile=str(authority.bundle))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", node.port, ssl_context=old)
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)


async def test_a_certificate_of_a_strange_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    strange = Authority(tmp_path, "strange")
    files = strange.files("strange-cert", SOUTH) | {"tls_ca_bundle": str(authority.bundle)}
    async with node_at(tmp_path / "d", **authority.files("north", NORTH)) as node:
        assert await refused(transport(HostSettings(**files)), node.port) in ("tls", "broken_answer")


async def test_the_callers_certificate_reaches_the_node_as_a_marker(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    exchange = App.exchange

    async def noting(self: App, request: Request) -> Response:
        seen.append(request.headers.get("x-stigmem-internal-peer-uri"))
        return await exchange(self, request)

    monkeypatch.setattr(App, "exchange", noting)
    async with node_at(tmp_path / "d", **authority.files("north", NORTH)) as node:
        await get(transport(caller(authority, tmp_path, SOUTH, "https://south.example")), node.port)
        without = HostSettings(tls_cert_path="", tls_ca_bundle=str(authority.bundle))
        await get(transport(without), node.port)
    async with node_at(tmp_path / "e") as node:
        await get(transport(HostSettings()), node.port, "http")
    # With mutual TLS the marker is always there, empty without a certificate; without it there is none to trust.
    assert seen == [f"{SOUTH} https://south.example", "", None]


async def test_a_peer_is_known_by_the_node_id_in_its_certificate(authority: Authority, tmp_path: Path) -> None:
    here = caller(authority, tmp_path, SOUTH)
    async with node_at(tmp_path / "d", **authority.files("north", NORTH)) as node:
        assert (await get(transport(here, NORTH), node.port)).status == 200
        assert (await get(transport(here, "stigmem:node:other", NORTH), node.port)).status == 200
        assert await refused(transport(here, "stigmem:node:other"), node.port) == "san_mismatch"
    async with node_at(tmp_path / "e", **authority.files("nameless")) as node:
        assert await refused(transport(here, NORTH), node.port) == "san_mismatch"


async def test_whoever_is_no_peer_is_known_by_the_hosts_name(authority: Authority, tmp_path: Path) -> None:
    elsewhere = authority.ca.issue_cert("elsewhere.example")
    files = authority.files("north")
    Path(files["tls_cert_path"]).write_bytes(elsewhere.cert_chain_pems[0].bytes())
    elsewhere.private_key_pem.write_to_path(files["tls_key_path"])
    async with node_at(tmp_path / "d", **files) as node:
        assert await refused(transport(caller(authority, tmp_path)), node.port) == "tls"


async def test_renewed_certificates_are_used_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    here = caller(authority, tmp_path, SOUTH)
    files = authority.files("north", NORTH)
    reports: list[object] = []
    async with node_at(tmp_path / "d", **files) as node:
        assert await refused(transport(here, "stigmem:node:renewed"), node.port) == "san_mismatch"
        authority.files("north", "stigmem:node:renewed")
        for path in files.values():
            os.utime(path, ns=(1, 1))
        node.certificates.look(reports.append)
        assert reports == [None]
        assert (await get(transport(here, "stigmem:node:renewed"), node.port)).status == 200
        node.certificates.look(reports.append)
        assert reports == [None]


async def test_files_that_cannot_be_used_leave_the_old_ones_in_use(authority: Authority, tmp_path: Path) -> None:
    here = caller(authority, tmp_path, SOUTH)
    files = authority.files("north", NORTH)
    reports: list[object] = []
    async with node_at(tmp_path / "d", **files) as node:
        Path(files["tls_cert_path"]).write_text("half a certificate")
        node.certificates.look(reports.append)
        assert isinstance(reports[0], BadSettings)
        node.reload_certificates()
        assert (await get(transport(here, NORTH), node.port)).status == 200


def test_files_that_are_no_certificates_are_told_by_name(authority: Authority, tmp_path: Path) -> None:
    settings = HostSettings(**authority.files("north"))
    for member, text in (
        ("tls_cert_path", "absent.pem"),
        ("tls_key_path", str(authority.bundle)),
        ("tls_ca_bundle", "absent.pem"),
    ):
        with pytest.raises(BadSettings) as found:
            Certificates(replace(settings, **{member: text}))
        assert text in found.value.message


def test_only_uris_are_taken_from_a_certificate() -> None:
    found = {"subjectAltName": (("DNS", "a.example"), ("URI", NORTH), ("URI", SOUTH), ("IP Address", "127.0.0.1"))}
    assert certificate_uris(found) == (NORTH, SOUTH)
    assert certificate_uris({}) == ()
    assert certificate_uris(None) == ()


async def test_a_handshake_that_is_never_finished_is_cut_off(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_S", 0.1)
    async with node_at(tmp_path / "d", **authority.files("north")) as node:
        stream = await trio.open_tcp_stream("127.0.0.1", node.port)
        with trio.fail_after(5):
            assert await stream.receive_some(10) == b""
        await stream.aclose()


async def test_a_browser_without_a_certificate_is_served(authority: Authority, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(authority.bundle))
    async with node_at(tmp_path / "d", **authority.files("north", NORTH)) as node:
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            assert (await client.get(f"https://127.0.0.1:{node.port}/healthz")).status_code == 200
