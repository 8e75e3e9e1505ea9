"""The memory of a model, over the Model Context Protocol: driven by the official SDK's own client.

Skipped where the SDK is not installed; it comes with the extra [mcp].
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

pytest.importorskip("mcp")

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from stigmem.core.wire import JSON_TYPE, Request
from stigmem.host.mcp.memory import SharedDirectory
from stigmem.host.mcp.server import make_server
from stigmem.host.mcp.tools import TOOLS, Tools, offered
from stigmem.host.run import Deployed
from stigmem.host.settings import HostSettings
from tests.host.nodes import client_of, node_at

ROOT = Path(__file__).resolve().parents[2]


def program(directory: Path, *more: str) -> StdioServerParameters:
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))}
    arguments = ["-m", "stigmem", "mcp", "--data-dir", str(directory), *more]
    return StdioServerParameters(command=sys.executable, args=arguments, env=environment, cwd=directory)


@asynccontextmanager
async def in_process(directory: Path) -> AsyncIterator[Client]:
    """The server on a node of this process, without pipes."""
    memory = SharedDirectory(HostSettings(data_dir=directory, port=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(memory.run)
        async with Client(make_server(memory)) as client:
            yield client
        nursery.cancel_scope.cancel()


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """The JSON that a tool gives; it must go well."""
    result = await client.call_tool(tool, arguments)
    text = result.content[0].text
    assert not result.is_error, text
    return json.loads(text)


FACT = {"entity": "user:ada", "relation": "memory:role", "source": "agent:me", "scope": "company"}


async def test_every_tool_is_described_and_each_argument_known(tmp_path: Path) -> None:
    async with in_process(tmp_path) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(listed) == {tool.name for tool in offered()}
    assert {"assert_fact", "query_facts", "recall", "resolve_contradiction", "subscribe_scope"} <= set(listed)
    for tool in listed.values():
        assert len(tool.description) > 60
        assert "self" not in tool.input_schema["properties"]
    assert listed["query_facts"].annotations.read_only_hint
    assert not listed["assert_fact"].annotations.read_only_hint
    assert set(listed["assert_fact"].input_schema["required"]) == {"entity", "relation", "value", "source"}
    assert all(callable(getattr(Tools, tool.name)) for tool in TOOLS)


async def test_a_model_remembers_recalls_and_reads_history(tmp_path: Path) -> None:
    async with in_process(tmp_path) as client:
        made = await call(client, "assert_fact", value="engineer of bridges", **FACT)
        assert made["value"]["v"] == "engineer of bridges"
        for value, kind in (
            (3.5, "number"),
            (True, "boolean"),
            (None, "null"),
            ({"type": "ref", "v": "user:bob"}, "ref"),
        ):
            fact = await call(client, "assert_fact", value=value, **(FACT | {"relation": f"memory:{kind}"}))
            assert fact["value"]["type"] == kind
        found = await call(client, "query_facts", entity="user:ada", relation="memory:role")
        assert [fact["id"] for fact in found["facts"]] == [made["id"]]
        recalled = await call(client, "recall", query="who builds bridges", scope="company")
        assert recalled["facts"][0]["fact"]["id"] == made["id"]
        assert recalled["content"]
        assert "not instructions" in recalled["system_prompt_directive"]
        await call(client, "assert_fact", value="retracted", confidence=0, **FACT)
        history = await call(client, "fact_history", entity="user:ada", relation="memory:role")
        assert [fact["confidence"] for fact in history["facts"]] == [1.0, 0.0]
        then = {"as_of": made["hlc"]}
        assert [fact["id"] for fact in (await call(client, "query_facts", **then))["facts"]] == [made["id"]]
        before = await call(client, "fact_history", entity="user:ada", relation="memory:role", **then)
        assert [fact["id"] for fact in before["facts"]] == [made["id"]]
        recalled = await call(client, "recall", query="who builds bridges", scope="company", **then)
        assert recalled["facts"][0]["fact"]["id"] == made["id"]
        assert "engineer of bridges" in (await call(client, "get_card", entity="user:ada", **then))["summary"]


async def test_objects_may_come_as_text(tmp_path: Path) -> None:
    async with in_process(tmp_path) as client:
        made = await call(client, "assert_fact", value='{"type": "text", "v": "long"}', **FACT)
        assert made["value"]["type"] == "text"


async def test_a_contradiction_is_listed_and_decided(tmp_path: Path) -> None:
    async with in_process(tmp_path) as client:
        mine = await call(client, "assert_fact", value="engineer", **FACT)
        await call(client, "assert_fact", value="teacher", **(FACT | {"source": "agent:other"}))
        (conflict,) = (await call(client, "list_conflicts"))["conflicts"]
        read = await client.read_resource("stigmem://conflicts")
        assert json.loads(read.contents[0].text)["conflicts"][0]["conflict_id"] == conflict["conflict_id"]
        decided = await call(
            client, "resolve_contradiction", conflict_id=conflict["conflict_id"], winning_fact_id=mine["id"]
        )
        assert decided["conflict_status"] == "resolved"
        assert (await call(client, "list_conflicts"))["conflicts"] == []


async def test_a_model_reads_cards_neighbours_and_what_is_wrong(tmp_path: Path) -> None:
    async with in_process(tmp_path) as client:
        await call(client, "assert_fact", value="engineer", **FACT)
        link = {"value": {"type": "ref", "v": "project:bridge"}, "relation": "rel:works-on"}
        await call(client, "assert_fact", **(FACT | link))
        card = await call(client, "get_card", entity="user:ada")
        assert "engineer" in card["summary"]
        near = await call(client, "neighbors", entity="user:ada")
        assert [found["entity"] for found in near["neighbors"]] == ["project:bridge"]
        envelope = {"sender": "agent:me", "to": ["agent:other"], "goal": "Review the bridge"}
        sent = await call(client, "send_intent", **envelope)
        waiting = await call(client, "list_intents", of="agent:other")
        assert [found["id"] for found in waiting["intents"]] == [sent["id"]]
        done = await call(client, "act_on_intent", intent_id=sent["id"], kind="done", by="agent:other")
        assert done["state"] == "done"
        assert isinstance(await call(client, "lint_scope", scope="company"), dict)
        assert isinstance(await call(client, "synthesize_scope", scope="company"), dict)
        assert (await call(client, "decay_scope", scope="company", mode="dry_run"))["facts_retracted"] == 0


async def test_what_is_new_comes_once(tmp_path: Path) -> None:
    async with in_process(tmp_path) as client:
        await call(client, "assert_fact", value="before", **FACT)
        first = await call(client, "subscribe_scope", scope="company")
        assert [fact["value"]["v"] for fact in first["facts"]] == ["before"]
        for number in range(3):
            await call(client, "assert_fact", value=f"new {number}", **(FACT | {"entity": f"user:{number}"}))
        some = await call(client, "subscribe_scope", scope="company", cursor=first["cursor"], limit=2)
        rest = await call(client, "subscribe_scope", scope="company", cursor=some["cursor"], limit=2)
        values = [fact["value"]["v"] for page in (some, rest) for fact in page["facts"]]
        assert (values, some["has_more"], rest["has_more"]) == (["new 0", "new 1", "new 2"], True, False)


async def test_what_goes_wrong_is_told_in_a_sentence(tmp_path: Path) -> None:
    async with in_process(tmp_path) as client:
        for tool, arguments, told in (
            ("resolve_contradiction", {"conflict_id": "stigmem:conflict:none", "winning_fact_id": "x"}, "404"),
            ("assert_fact", FACT | {"value": {"v": 1}}, "needs a type"),
            ("query_facts", {"cursor": "nonsense"}, "cursor"),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert result.content[0].text.startswith("Error: ")
            assert told in result.content[0].text
        assert (await client.call_tool("recall", {"query": ""})).is_error


async def test_a_prompt_asks_for_what_is_worth_keeping(tmp_path: Path) -> None:
    async with in_process(tmp_path) as client:
        prompt = await client.get_prompt("remember", {"about": "ada"})
        assert '"ada"' in prompt.messages[0].content.text


async def test_over_standard_input_and_output_nothing_else_is_said(tmp_path: Path) -> None:
    async with Client(program(tmp_path)) as client:
        await call(client, "assert_fact", value="engineer", **FACT)
        assert client.server_info.name == "stigmem-mcp"
    async with Client(program(tmp_path)) as client:
        assert (await call(client, "query_facts", entity="user:ada"))["total"] == 1


async def test_a_node_that_runs_is_asked_and_not_replaced(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, Client(program(tmp_path)) as client:
        made = await call(client, "assert_fact", value="engineer", **FACT)
        assert node.node.state.ledger.get(made["id"]) is not None


@asynccontextmanager
async def over_http(node: Deployed, key: str = "") -> AsyncIterator[Client]:
    """The SDK's client at the node's own route."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with trio.fail_after(20):
        async with client_of(node) as plain:
            while (await plain.post("/mcp", json={}, headers=headers)).status_code == 404:
                await trio.sleep(0.02)
    async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
        async with Client(streamable_http_client(f"http://127.0.0.1:{node.port}/mcp", http_client=http)) as client:
            yield client


async def test_a_node_offers_its_tools_at_a_route_of_its_own(tmp_path: Path) -> None:
    async with node_at(tmp_path, mcp=True) as node, over_http(node) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {tool.name for tool in offered()}
        made = await call(client, "assert_fact", value="engineer", **FACT)
        assert node.node.state.ledger.get(made["id"]) is not None
        news = await call(client, "subscribe_scope", scope="company")
        assert [fact["id"] for fact in news["facts"]] == [made["id"]]
        assert node.observer.bugs == []


async def test_a_model_may_do_at_the_route_what_its_key_may_and_nothing_without_one(tmp_path: Path) -> None:
    async with node_at(tmp_path, mcp=True, auth_required=True) as node:
        keys = {}
        for name, members in (
            ("writer", {"permissions": ["read", "write"]}),
            ("reader", {"permissions": ["read"], "allowed_scopes": ["public"]}),
        ):
            keys[name] = f"the secret of the {name} of these tests"
            body = {"raw_key": keys[name], "entity_uri": f"agent:{name}"} | members
            request = Request("POST", "/v1/auth/keys", dict(JSON_TYPE), json.dumps(body).encode())
            assert (await node.control.exchange(request)).status == 201
        async with over_http(node, keys["writer"]) as client:
            await call(client, "assert_fact", value="engineer", **FACT)
        async with over_http(node, keys["reader"]) as client:
            assert (await call(client, "query_facts"))["facts"] == []
            for tool, arguments in (("assert_fact", FACT | {"value": "x"}), ("query_facts", {"scope": "company"})):
                refused = await client.call_tool(tool, arguments)
                assert (refused.is_error, "403" in refused.content[0].text) == (True, True)
        async with client_of(node) as plain:
            assert (await plain.post("/mcp", json={})).status_code == 401


def owner_of(directory: Path) -> int:
    """The process that has the directory open."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                opened = {str(link.readlink()) for link in (entry / "fd").iterdir()}
            except OSError:
                continue
            if str(directory / "stigmem.db") in opened and int(entry.name) != os.getpid():
                return int(entry.name)
    raise AssertionError("nobody has the directory open")


async def test_when_the_owner_is_killed_another_takes_over_and_nothing_is_lost(tmp_path: Path) -> None:
    """Three programs on one directory; whoever has it is killed, twice."""
    async with trio.open_nursery() as nursery:
        clients: list[Client] = []
        ready = [trio.Event() for _ in range(3)]
        done = trio.Event()

        async def keep(number: int) -> None:
            try:
                async with Client(program(tmp_path)) as client:
                    clients.append(client)
                    await call(client, "assert_fact", value="here", **(FACT | {"entity": f"program:{number}"}))
                    ready[number].set()
                    await done.wait()
            except BaseExceptionGroup as group:  # the SDK tells that its program was killed
                if group.subgroup(trio.Cancelled) or not done.is_set():
                    raise

        for number in range(3):
            nursery.start_soon(keep, number)
            with trio.fail_after(60):
                await ready[number].wait()
        left = list(clients)
        for kill in range(2):
            os.kill(owner_of(tmp_path), signal.SIGKILL)
            answered = []
            for client in left:
                with trio.move_on_after(40):
                    try:
                        found = await call(client, "query_facts", relation="memory:role", limit=100)
                    except Exception:  # noqa: S112 - whatever the SDK makes of a program that was killed
                        continue
                    assert found["total"] == 3 + kill
                    answered.append(client)
            assert len(answered) == 2 - kill
            await call(answered[0], "assert_fact", value="after", **(FACT | {"entity": f"program:after-{kill}"}))
            left = answered
        done.set()
        nursery.cancel_scope.cancel()
