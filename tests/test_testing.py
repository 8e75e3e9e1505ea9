"""`stigmem.testing` does what it promises to those who embed a node, and its example works as it stands."""

from __future__ import annotations

import inspect
import json
import textwrap
from typing import Any

import pytest
import trio

import stigmem.testing
from stigmem.core.wire import Request, Response
from stigmem.node.ports import Unreachable
from stigmem.node.settings import NodeSettings
from stigmem.testing import OPERATOR, ManualClock, MemoryJournal, RunningNode, ScriptedTransport, running_node

SETTINGS = NodeSettings(seed=bytes(32), auth_required=False)
FACT = {"entity": "device:1", "relation": "m:s", "source": "agent:me", "value": {"type": "string", "v": "on"}}
WRITE = Request("POST", "/v1/facts", {}, json.dumps(FACT).encode())
PULL = Request("GET", "/v1/facts")
URL = "http://north.example"


async def count(node: RunningNode) -> int:
    return len(json.loads((await node.ask(PULL)).body)["facts"])


async def test_the_example_of_the_module_is_a_test_that_passes() -> None:
    text = textwrap.dedent(inspect.getdoc(stigmem.testing) or "").partition("import json")
    code = textwrap.dedent("    import json" + text[2].partition("How it works.")[0])
    names: dict[str, Any] = {}
    exec(compile(code, "example", "exec"), names)  # noqa: S102 - the documentation is what is tested
    (example,) = [value for name, value in names.items() if name.startswith("test_")]
    await example()


async def test_time_stands_still_until_it_is_moved_and_every_timer_rings_at_its_own_instant() -> None:
    clock = ManualClock(wall_ms=5_000)
    behind = clock.skewed(-2_000)
    rung: list[tuple[int, int]] = []
    clock.wake_ups.after(1_500_000_000, lambda: rung.append((clock.wall_ms, behind.wall_ms)))
    await clock.settle()
    await clock.advance(1.499)
    assert (rung, clock.monotonic_ns) == ([], 1_499_000_000)
    clock.wall_ms += 60_000
    await clock.advance(10)
    assert rung == [(66_500, 4_500)]
    assert (clock.wall_ms, behind.wall_ms, behind.monotonic_ns) == (76_499, 14_499, 11_499_000_000)


async def test_a_full_disk_refuses_and_a_cut_after_the_commit_keeps_what_nobody_was_told() -> None:
    journal = MemoryJournal()
    async with running_node(SETTINGS, journal=journal) as node:
        journal.full = True
        assert (await node.ask(WRITE)).status == 507
        assert journal.records == []
        journal.full = False
        journal.hangs_after_commit = True
        pending = node.begin(WRITE)
        await node.clock.advance(60)
        assert pending.response is None
        with pytest.raises(AssertionError, match="waits for time to pass"):
            await node.ask(PULL)
    journal.hangs_after_commit = False
    async with running_node(SETTINGS, journal=journal) as node:
        assert await count(node) == 1
        assert [row.event for row in journal.audit_rows] == ["fact_write"]


async def test_peers_answer_as_the_script_says_and_silence_lasts_as_long_as_the_asker_waits() -> None:
    transport = ScriptedTransport()
    found: list[str] = []

    async def ask(path: str) -> None:
        try:
            found.append(str((await transport.request(URL, Request("GET", path), 3_000_000_000, 10)).status))
        except Unreachable as silence:
            found.append(silence.code)

    transport.answers[URL, "/fixed"] = Response(204)
    transport.answers[URL, "/long"] = Response(200, {}, b"x" * 11)
    transport.answers[URL, "/made"] = lambda request: Response(len(request.target))
    transport.answers[URL, "/silent"] = lambda _: None
    clock = ManualClock()
    async with running_node(SETTINGS, transport=transport, clock=clock), trio.open_nursery() as nursery:
        for path in ("/fixed?a=1", "/long", "/made?a=1", "/elsewhere"):
            await ask(path)
        nursery.start_soon(ask, "/silent")
        await clock.advance(2.9)
        assert found == ["204", "body_too_large", "9", "no_such_host"]
        await clock.advance(0.1)
        assert found[4:] == ["timeout"]
    assert [request.target for _, request in transport.asked][-1] == "/silent"


async def test_nodes_of_one_test_reach_each_other_and_what_happens_is_the_same_every_time() -> None:
    async def story() -> list[tuple[str, str]]:
        clock, wire = ManualClock(), ScriptedTransport()
        federated = NodeSettings(seed=bytes([1]) * 32, auth_required=False, federation=True, node_url=URL)
        async with (
            running_node(federated, clock=clock) as north,
            running_node(
                NodeSettings(seed=bytes([2]) * 32, federation=True), clock=clock, transport=wire, seed=2
            ) as south,
        ):
            wire.nodes[URL] = north
            peer = json.loads((await south.ask(await declaration(north), OPERATOR)).body)
            assert peer["status"] == "pending_approval", peer
            body = json.dumps({"pubkey_fingerprint": peer_fingerprint(north)}).encode()
            target = f"/v1/federation/peers/{peer['peer_id']}/approve"
            assert (await south.ask(Request("POST", target, {}, body), OPERATOR)).status == 200
            await clock.advance(60)
            return [(request.target, request.headers.get("authorization", "")) for _, request in wire.asked]

    first = await story()
    assert [target for target, _ in first if "facts" in target], first
    assert await story() == first


async def declaration(node: RunningNode) -> Request:
    from stigmem.core.declaration import declare

    made = declare(
        node.node.signer, node_id=node.node.node_id, node_url=URL, scopes=("public",), signed_at="2026-11-20T07:55:44Z"
    )
    return Request("POST", "/v1/federation/peers", {}, json.dumps(_members(made)).encode())


def _members(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def peer_fingerprint(node: RunningNode) -> str:
    from stigmem.core.keys import fingerprint

    return fingerprint(node.node.signer.public_key)


async def test_what_a_test_raises_comes_out_as_itself_and_a_bug_of_the_node_fails_the_test() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with running_node(SETTINGS):
            raise KeyError("mine")
    with pytest.raises(ZeroDivisionError):
        async with running_node(SETTINGS) as node:
            node.node.events.bug(ZeroDivisionError())


async def test_mistakes_of_a_test_are_told_in_a_sentence() -> None:
    settings: Any = {"seed": bytes(32)}
    with pytest.raises(TypeError, match="running_node takes a NodeSettings, not dict"):
        async with running_node(settings):
            pass
    text: Any = "{}"
    async with running_node(SETTINGS) as node:
        with pytest.raises(TypeError, match=r"the body of a Request is bytes, not str"):
            await node.ask(Request("POST", "/v1/facts", {}, text))
    with pytest.raises(RuntimeError, match="this node is off: its `running_node` block has been left"):
        await node.ask(Request("GET", "/v1/facts"))
