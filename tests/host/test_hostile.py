"""Bodies that no client of good will sends: each is refused with a sentence, or read as JSON says, and nothing else
happens to the node. What connections can do to it is test_server."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.host.nodes import assertion, client_of, node_at

DEEP = 100_000
REFUSED = {
    "nothing": b"",
    "no JSON": b"entity=user:ada",
    "half an object": b'{"entity": "user:ada", ',
    "two values": b"{}{}",
    "a list": b"[1, 2]",
    "a number": b"17",
    "null": b"null",
    "NaN": b'{"entity":"a","relation":"b:c","source":"d","value":{"type":"number","v":NaN}}',
    "Infinity": b'{"entity":"a","relation":"b:c","source":"d","value":{"type":"number","v":-Infinity}}',
    "a number beyond every float": b'{"entity":"a","relation":"b:c","source":"d","value":{"type":"number","v":1e999}}',
    "invalid UTF-8": b'{"entity":"\xff\xfe","relation":"b:c","source":"d","value":{"type":"string","v":"x"}}',
    "half a surrogate pair": b'{"entity":"a","relation":"b:c","source":"d","value":{"type":"string","v":"\\ud800"}}',
    "UTF-16": '{"entity":"a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"entity":"a","relation":"b:c","source":"d","value":{"type":"null"}}',
    "lists without end": b"[" * DEEP,
    "objects without end": b'{"derived_from":' * DEEP,
    "a value nested without end": b'{"entity":"a","relation":"b:c","source":"d","value":{"type":"string","v":'
    + b"[" * DEEP + b"]" * DEEP + b"}}",
    "a member given twice": b'{"entity":"a","entity":"b","relation":"b:c","source":"d","value":{"type":"null"}}',
    "an unknown type": b'{"entity":"a","relation":"b:c","source":"d","value":{"type":"blob","v":"x"}}',
    "a number as text": b'{"entity":"a","relation":"b:c","source":"d","value":{"type":"number","v":"1"}}',
    "a confidence above one": b'{"entity":"a","relation":"b:c","source":"d","confidence":2,"value":{"type":"null"}}',
    "a text beyond its limit": b'{"entity":"%s","relation":"b:c","source":"d","value":{"type":"null"}}' % (b"a" * 5000),
}  # fmt: skip


async def test_what_is_no_assertion_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        for name, body in REFUSED.items():
            answer = await client.post("/v1/facts", content=body, headers={"content-type": "application/json"})
            assert answer.status_code in (400, 413, 422), (name, answer.text)
            assert answer.json()["detail"], name
        assert (await client.get("/v1/facts")).json()["facts"] == []
        assert (await client.post("/v1/facts", json=assertion())).status_code == 201
        assert node.node.bugs == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'  {"entity":"b","relation":"b:c","source":"d","value":{"type":"null"},"unknown":[1]}\n', "b"),
        (b'{"entity":"\\u0062","relation":"b:c","source":"d","value":{"type":"null"}}', "b"),
    ],
)
async def test_blanks_escapes_and_unknown_members_change_nothing(tmp_path: Path, body: bytes, expected: str) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        answer = await client.post("/v1/facts", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 201, answer.text
        assert answer.json()["entity"] == expected


@pytest.mark.parametrize("number", [b"1" * 300, b"123456789012345678901234567890", b"0.1e-400", b"-0"])
async def test_a_number_of_any_length_is_stored_as_the_float_it_names(tmp_path: Path, number: bytes) -> None:
    body = b'{"entity":"a","relation":"b:c","source":"d","value":{"type":"number","v":%s}}' % number
    async with node_at(tmp_path) as node, client_of(node) as client:
        answer = await client.post("/v1/facts", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 201, answer.text
        assert answer.json()["value"]["v"] == float(number)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/facts?limit=1e9", "/v1/facts?limit=-1", "/v1/facts?limit=%00", "/v1/facts?cursor=%ff%fe",
        "/v1/facts?after=9999999999999999999", "/v1/facts?min_confidence=nan", "/v1/facts/%00", "/v1/facts/../../etc",
        "/v1/facts/sha256:0", "/v1/facts?" + "&".join(f"p{n}=1" for n in range(2_000)), "/" + "a" * 20_000,
    ],
)  # fmt: skip
async def test_no_address_is_a_bug_of_the_node(tmp_path: Path, target: str) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        answer = await client.get(target)
        assert answer.status_code in (200, 400, 404, 422), answer.text
        assert node.node.bugs == []


async def test_a_body_that_is_refused_while_it_pours_in_is_answered_all_the_same(tmp_path: Path) -> None:
    head = b"POST /v1/facts HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += b"content-length: 90000000\r\n\r\n"
    async with node_at(tmp_path) as node:
        stream = await trio.open_tcp_stream("127.0.0.1", node.port)
        async with stream, trio.open_nursery() as pouring:
            pouring.start_soon(_pour, stream, head + b" " * 8_000_000)
            with trio.fail_after(10):
                answer = await stream.receive_some(4_096)
            assert answer.startswith(b"HTTP/1.1 413")
            pouring.cancel_scope.cancel()
        async with client_of(node) as client:
            assert (await client.get("/healthz")).status_code == 200


async def _pour(stream: trio.SocketStream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)
