"""HTTP around a node: what is answered before the node, beside it, and by it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from openapi_spec_validator import validate

from stigmem.core import limits
from stigmem.core.wire import Request, Response
from stigmem.host.app import App
from stigmem.host.http import Caller
from stigmem.host.logs import configure_logs
from stigmem.host.observe import Observer
from stigmem.host.openapi import document
from stigmem.node.node import ROUTER
from stigmem.node.quotas import Quotas
from stigmem.node.settings import NodeSettings
from tests.host.nodes import assertion, client_of, node_at


async def test_a_fact_is_written_and_found(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        made = await client.post("/v1/facts", json=assertion(1))
        assert made.status_code == 201
        found = (await client.get("/v1/facts", params={"entity": "user:person-1"})).json()["facts"]
        assert [fact["id"] for fact in found] == [made.json()["id"]]
    async with node_at(tmp_path) as node, client_of(node) as client:
        assert node.facts == 1
        assert (await client.get(f"/v1/facts/{made.json()['id']}")).json()["value"]["v"] == "role 1"


async def test_addresses_reach_the_node_as_they_were_sent(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        made = (await client.post("/v1/facts", json=assertion(1, entity="stigmem://lab.example/device/a b"))).json()
        for written in (made["entity"], made["entity"].replace("/", "%2F")):
            found = await client.get(f"/v1/facts?entity={written}")
            assert found.json()["total"] == 1, found.text


async def test_nothing_is_said_to_strangers_where_keys_are_asked_for(tmp_path: Path) -> None:
    async with node_at(tmp_path, auth_required=True) as node, client_of(node) as client:
        for path in ("/v1/facts", "/v1/nothing"):
            refused = await client.get(path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/healthz")).json() == {"status": "ok"}


async def test_a_body_announced_too_large_is_refused_at_once(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        stream = await trio.open_tcp_stream("127.0.0.1", node.port)
        size = limits.REQUEST_BYTES_MAX + 1
        head = b"POST /v1/facts HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        await stream.send_all(head + b"content-length: %d\r\n\r\n" % size)
        answer = await stream.receive_some(65536)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"body_too_large" in answer
        await stream.aclose()


async def test_a_body_that_grows_too_large_is_refused(tmp_path: Path) -> None:
    async def chunks() -> Any:
        for _ in range(limits.REQUEST_BYTES_MAX // 1_000_000 + 2):
            yield bytes(1_000_000)

    async with node_at(tmp_path) as node, client_of(node) as client:
        kind = {"content-type": "application/json"}
        assert (await client.post("/v1/facts", content=chunks(), headers=kind)).status_code == 413


async def test_a_length_and_chunks_together_are_refused(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        stream = await trio.open_tcp_stream("127.0.0.1", node.port)
        await stream.send_all(
            b"POST /v1/facts HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        answer = b""
        while part := await stream.receive_some(65536):
            answer += part
        await stream.aclose()
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"ambiguous_length" in answer


# --- readiness ---


async def test_readiness_follows_the_life_of_the_process(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        node.enter("loading")
        refused = await client.get("/readyz")
        assert (refused.status_code, refused.json()) == (503, {"status": "loading"})
        assert (await client.get("/healthz")).status_code == 200
        busy = await client.get("/v1/facts")
        assert (busy.status_code, busy.json()["code"]) == (503, "loading")
        assert busy.headers["retry-after"] == "1"
        node.enter("stopping")
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/v1/facts")).status_code == 200  # what still comes is still answered


async def test_a_clock_in_doubt_is_told_at_readyz_and_in_a_metric_until_it_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        right = node.node.clock.machine_wall_ns
        monkeypatch.setattr(node.node.clock, "machine_wall_ns", lambda: right() + 86_400_000_000_000)
        refused = await client.get("/readyz")
        assert (refused.status_code, refused.json()["status"]) == (503, "clock_in_doubt")
        assert round(refused.json()["clock"]["lead_s"]) == 86_400
        assert "stigmem_clock_in_doubt 1.0" in (await client.get("/metrics")).text
        assert (await client.post("/v1/facts", json=assertion(1))).json()["code"] == "clock_in_doubt"
        node.node.clock.confirm("operator")
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        assert (await client.post("/v1/facts", json=assertion(1))).status_code == 201
        monkeypatch.undo()
        found = await client.get("/readyz")
        assert (found.status_code, round(found.json()["clock"]["own_stamps_ahead_s"], -1)) == (200, 86_400)
        ahead = re.search(r"\nstigmem_own_stamps_ahead_seconds (\S+)", (await client.get("/metrics")).text)
        assert ahead is not None
        assert round(float(ahead[1]), -1) == 86_400


# --- the application by itself ---


class Door:
    """A node that only takes requests."""

    def __init__(self, answer: Response | None) -> None:
        self.answer = answer
        self.settings = NodeSettings(seed=bytes(32))
        self.requests: list[Request] = []
        self.answers: list[Any] = []
        self.withdrawn: list[Any] = []

    def withdraw(self, answer: Any) -> None:
        self.withdrawn.append(answer)

    def offer(self, request: Request, answer: Any, principal: Any = None) -> None:
        self.requests.append(request)
        self.answers.append(answer)
        if self.answer is not None:
            answer(self.answer)


async def asked(door: Door, request: Request, caller: Caller = Caller()) -> Response:  # noqa: B008 - a value
    """What the application answers."""
    app = App(door, Observer())  # type: ignore[arg-type]
    app.stage = "ready"
    return await app.respond(request, caller)


async def test_markers_of_our_own_never_come_from_a_client() -> None:
    door = Door(Response(200))
    await asked(door, Request("POST", "/v1/x", {"x-stigmem-internal-peer-uri": "stigmem:node:liar", "x-other": "1"}))
    assert door.requests[0].headers == {"x-other": "1"}


@pytest.mark.parametrize(
    ("uris", "told"),
    [
        (("stigmem:node:a", "https://b.example"), "stigmem:node:a https://b.example"),
        (("n:one", "n:two n:victim", "n:three\u2003n:victim", ""), "n:one"),  # a name with a blank in it is no name
        ((), ""),
    ],
)
async def test_the_certificate_of_the_connection_is_passed_on(uris: tuple[str, ...], told: str) -> None:
    door = Door(Response(200))
    liar = Request("POST", "/v1/x", {"x-stigmem-internal-peer-uri": "stigmem:node:liar"})
    await asked(door, liar, Caller(is_secure=True, uris=uris))
    assert door.requests[0].headers["x-stigmem-internal-peer-uri"] == told


async def test_head_is_asked_of_the_node_as_get() -> None:
    door = Door(Response(200, {}, b"body"))
    response = await asked(door, Request("HEAD", "/v1/x"))
    assert (door.requests[0].method, response.body) == ("GET", b"body")  # which the carrier leaves out


async def test_an_answer_that_nobody_waits_for_is_withdrawn() -> None:
    door = Door(None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asked, door, Request("GET", "/v1/x"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert door.withdrawn == door.answers


async def test_head_works_where_get_does(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        await client.post("/v1/facts", json=assertion(1))
        for path in ("/healthz", "/readyz", "/v1/facts", "/openapi.json", "/docs", "/v1/nothing"):
            get, head = await client.get(path), await client.head(path)
            names = ("content-length", "content-type")
            assert (head.status_code, [head.headers[name] for name in names], head.content) == (
                get.status_code, [get.headers[name] for name in names], b"",
            ), path  # fmt: skip


async def test_a_refused_method_is_told_of_head_where_there_is_get(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        assert (await client.put("/v1/facts")).headers["allow"] == "GET, HEAD, POST"
        assert (await client.put("/v1/facts/batch")).headers["allow"] == "POST"


async def test_a_large_body_without_a_key_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    head = b"POST /v1/facts HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
    async with node_at(tmp_path, auth_required=True) as node:
        made = await node.control.exchange(
            Request("POST", "/v1/auth/keys", {}, b'{"entity_uri": "user:ada", "permissions": ["write"]}')
        )
        key = b"authorization: Bearer %b\r\n" % json.loads(made.body)["raw_key"].encode()
        large = limits.KEYLESS_BODY_BYTES_MAX + 1
        for sent, status in (
            (head % (large, b""), 401),
            (head % (large, key[:-4] + b"!\r\n"), 401),
            (head % (limits.REQUEST_BYTES_MAX + 1, key), 413),
            (head % (large, key) + b"x" * large, 422),
            (head % (limits.KEYLESS_BODY_BYTES_MAX, b"") + b"x" * limits.KEYLESS_BODY_BYTES_MAX, 401),
        ):
            async with await trio.open_tcp_stream("127.0.0.1", node.port) as stream:
                await stream.send_all(sent)
                answer = await stream.receive_some(65_536)
                assert answer.startswith(b"HTTP/1.1 %d " % status), (answer, status)
                assert (b"www-authenticate: Bearer" in answer) == (status == 401)


# --- what it says about itself ---


def test_the_openapi_document_is_valid_and_names_every_operation() -> None:
    found = json.loads(msgspec.json.encode(document(ROUTER.operations, "http://node.example")))
    validate(found)
    assert found["openapi"] == "3.1.0"
    for operation in ROUTER.operations:
        entry = found["paths"][operation.path][operation.method.lower()]
        assert entry["operationId"] == operation.name
        assert {str(operation.status), *map(str, operation.refusals)} <= set(entry["responses"])
        assert {p["name"] for p in entry["parameters"] if p["in"] == "path"} == set(
            re.findall(r"{(\w+)}", operation.path)
        )
        assert all(p.get("description") for p in entry["parameters"] if p["in"] == "path")
        assert ("requestBody" in entry) == (operation.body is not None)
        assert (entry["security"] == []) == (operation.permission == "open")
        for status, response in entry["responses"].items():
            assert "content" in response or status == str(operation.status), (operation.name, status)
    assert len({o["operationId"] for methods in found["paths"].values() for o in methods.values()}) == sum(
        len(methods) for methods in found["paths"].values()
    )


def test_parameters_of_a_query_are_never_null() -> None:
    found = document(ROUTER.operations, "http://node.example")
    parameters = [p for p in found["paths"]["/v1/facts"]["get"]["parameters"] if p["in"] == "query"]
    assert {p["name"] for p in parameters} >= {"entity", "relation", "scope", "cursor", "limit"}
    assert "null" not in json.dumps(parameters)
    assert next(p for p in parameters if p["name"] == "limit")["schema"]["maximum"] == limits.PAGE_LIMIT_MAX


async def test_the_page_to_try_it_on_brings_everything_with_it(tmp_path: Path) -> None:
    class Links(HTMLParser):
        found: list[str]

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.found += [value or "" for name, value in attributes if name in ("src", "href")]

    async with node_at(tmp_path, auth_required=True) as node, client_of(node) as client:
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "connect-src 'self'" in page.headers["content-security-policy"]
        links = Links()
        links.found = []
        links.feed(page.text)
        assert links.found == []
        assert "://" not in page.text
        spec = (await client.get("/openapi.json")).json()
        assert spec["servers"] == [{"url": node.url}]


async def test_metrics_have_the_names_that_dashboards_expect(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        await client.post("/v1/facts", json=assertion(1))
        await client.post(
            "/v1/facts", json=assertion(1, source="agent:other", value={"type": "string", "v": "another"})
        )
        await client.get("/v1/facts")
        await client.get("/v1/no/such/route")
        text = (await client.get("/metrics")).text
    for line in (
        'stigmem_fact_write_total{principal="anon:trusted",tenant="default"} 2.0',
        'stigmem_fact_read_total{principal="anon:trusted",tenant="default"} 1.0',
        'stigmem_audit_event_total{event_type="fact_write",tenant="default"} 2.0',
        'stigmem_contradiction_total{tenant="default"} 1.0',
        'stigmem_request_latency_seconds_count{method="POST",route="/v1/facts",status_code="201"} 2.0',
        'stigmem_request_latency_seconds_count{method="GET",route="other",status_code="404"} 1.0',
        "stigmem_facts 2.0",
        "stigmem_conflicts_open 1.0",
    ):
        assert line in text.splitlines(), line
    for name in (
        "stigmem_quota_breach_total", "stigmem_federation_ingress_total", "stigmem_federation_egress_total",
        "stigmem_peer_hlc_anomaly_total", "stigmem_replication_lag_seconds",
    ):  # fmt: skip
        assert f"# TYPE {name.removesuffix('_total')}" in text, name


async def test_strangers_cannot_make_up_values_for_labels(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        for n in range(5):
            await client.request(f"VERB{n}", f"/made/up/{n}")
        text = (await client.get("/metrics")).text
    assert "VERB" not in text
    assert "/made/up" not in text


async def test_a_bug_costs_one_answer_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("json", "error")
    async with node_at(tmp_path) as node, client_of(node) as client:

        def broken(self: Quotas, txn: Any, principal: Any, dimension: str) -> None:
            raise RuntimeError("what only the log may say")

        monkeypatch.setattr(Quotas, "charge", broken)
        failed = await client.get("/v1/facts")
        assert failed.status_code == 500
        assert "only the log" not in failed.text
        monkeypatch.undo()
        assert (await client.get("/v1/facts")).status_code == 200
    configure_logs("console", "error")
    line = json.loads(capsys.readouterr().err.splitlines()[0])
    assert (line["level"], "RuntimeError: what only" in line["exception"]) == ("error", True)


async def test_http_2_is_spoken_to_nobody(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        for greeting, status in (
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            (b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n", 501),
        ):
            async with await trio.open_tcp_stream("127.0.0.1", node.port) as stream:
                await stream.send_all(greeting)
                answer = b""
                while part := await stream.receive_some(65_536):
                    answer += part
                assert answer.startswith(b"HTTP/1.1 %d " % status)
