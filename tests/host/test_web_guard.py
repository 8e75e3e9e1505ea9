"""Web pages: what a browser would send for a page that is not the node's own is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from stigmem.host.web_guard import web_refusal
from tests.host.nodes import assertion, client_of, node_at

JSON = {"content-type": "application/json"}


def status(auth_required: bool, headers: dict[str, str]) -> int | None:
    refused = web_refusal({"host": "127.0.0.1:8765"} | headers, auth_required=auth_required)
    return None if refused is None else refused.status


BODIES = {
    "application/json": None,
    "Application/JSON; charset=utf-8": None,
    "application/merge-patch+json": None,
    "text/plain": 415,
    "text/plain;charset=UTF-8": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "text/json": 415,
    "": 415,
    "application/jsonp": 415,
}


@pytest.mark.parametrize("auth_required", [True, False])
@pytest.mark.parametrize(("kind", "expected"), BODIES.items(), ids=BODIES)
@pytest.mark.parametrize("length", [{"content-length": "2"}, {"transfer-encoding": "chunked"}])
def test_a_body_that_is_not_json_is_refused(
    auth_required: bool, kind: str, expected: int | None, length: dict[str, str]
) -> None:
    """A text/plain POST of a foreign page wrote facts."""
    assert status(auth_required, {"content-type": kind} | length) == expected


def test_a_body_of_no_kind_is_what_a_page_can_send_without_asking() -> None:
    assert status(False, {"content-length": "2"}) == 415
    assert status(True, {"content-length": "2"}) is None


def test_a_request_without_a_body_needs_no_kind() -> None:
    for length in ({}, {"content-length": "0"}, {"content-length": "00"}):
        assert status(False, dict(length)) is None


HOSTS = {
    "localhost": None, "localhost:8765": None, "LOCALHOST:1": None, "node.localhost:8765": None, "127.0.0.1": None,
    "127.9.9.9:1": None, "[::1]": None, "[::1]:8765": None, "localhost.:8765": None, "[::ffff:127.0.0.1]:1": 403,
    "evil.example": 403, "evil.example:8765": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403,
    "evil@localhost": 403, "localhost@evil": 403, "localhost:x": 403, "localhost/": 403, "": 403, "0.0.0.0": 403,
    "192.168.1.2": 403, "[": 403, "localhost evil": 403, "notlocalhost": 403,
}  # fmt: skip


@pytest.mark.parametrize(("host", "expected"), HOSTS.items(), ids=HOSTS)
def test_without_authentication_only_names_of_this_machine_are_answered(host: str, expected: int | None) -> None:
    """A page on a name that was rebound to 127.0.0.1 read everything."""
    assert status(False, {"host": host}) == expected
    assert status(True, {"host": host}) is None


ORIGINS = [
    ({"origin": "http://127.0.0.1:8765"}, None),
    ({"origin": "https://127.0.0.1:8765"}, None),
    ({"origin": "http://127.0.0.1"}, 403),
    ({"origin": "http://127.0.0.1:3000"}, 403),
    ({"origin": "http://localhost:8765"}, 403),
    ({"origin": "https://evil.example"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": ""}, 403),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
    ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, 403),
    ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, None),
    ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, None),
    ({"sec-fetch-site": "none"}, None),
]


@pytest.mark.parametrize(("headers", "expected"), ORIGINS)
def test_without_authentication_other_pages_are_answered_nothing(headers: dict[str, str], expected: int | None) -> None:
    assert status(False, headers) == expected
    assert status(True, headers) is None


# --- at the port of a node ---


@pytest.mark.parametrize("auth_required", [True, False])
async def test_a_page_cannot_write_by_a_form(tmp_path: Path, auth_required: bool) -> None:
    form = {"content-type": "text/plain;charset=UTF-8"}
    async with node_at(tmp_path, auth_required=auth_required) as node, client_of(node) as client:
        refused = await client.post("/v1/facts", content=msgspec.json.encode(assertion()), headers=form)
        assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")
        assert len(node.node.state.ledger) == 0


@pytest.mark.parametrize(
    "path", ["/v1/facts", "/metrics", "/openapi.json", "/healthz", "/v1/federation/peers", "/none"]
)
async def test_a_page_on_a_rebound_name_reads_nothing(tmp_path: Path, path: str) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        refused = await client.get(path, headers={"host": f"rebound.example:{node.port}"})
        assert (refused.status_code, refused.json()["code"]) == (403, "foreign_host")
        assert (await client.get("/v1/facts", headers={"host": f"localhost:{node.port}"})).status_code == 200


async def test_a_page_of_another_origin_cannot_make_the_node_do_anything(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        foreign = {"origin": "https://evil.example"}
        assert (await client.post("/v1/facts", json=assertion(), headers=foreign)).status_code == 403
        assert (await client.post("/v1/federation/peers", json={}, headers=foreign)).status_code == 403
        asked = foreign | {"access-control-request-method": "POST"}
        preflight = await client.options("/v1/facts", headers=asked)
        assert preflight.status_code == 403
        assert not [name for name in preflight.headers if name.startswith("access-control")]
        own = {"origin": f"http://127.0.0.1:{node.port}"}
        assert (await client.post("/v1/facts", json=assertion(), headers=own)).status_code == 201
        assert len(node.node.state.ledger) == 1
