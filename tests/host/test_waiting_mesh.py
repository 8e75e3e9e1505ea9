"""Four real nodes that all know each other, with an interval of an hour: facts are everywhere by pulls that wait, and a
node is asked again for what it has to say and not for what the others said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import permutations
from pathlib import Path

from stigmem.host.run import Deployed
from tests.host.nodes import assertion, client_of, node_at
from tests.host.test_federation import introduce, until

NODES, ROUNDS = 4, 12
_PULLS = r'^stigmem_request_latency_seconds_count\{[^}]*/v1/federation/facts"[^}]*\} (\S+)'
SETTINGS = {"federation_enabled": True, "federation_pull_interval_s": 3_600.0, "federation_pull_wait_s": 30.0}


async def pulls_answered(nodes: Sequence[Deployed]) -> int:
    total = 0
    for node in nodes:
        async with client_of(node) as client:
            text = (await client.get("/metrics")).text
        found = re.findall(_PULLS, text, re.MULTILINE)
        total += round(sum(map(float, found)))
    return total


def everywhere(nodes: Sequence[Deployed], names: Sequence[str]) -> bool:
    return all(node.node.state.ledger.find(name) for node in nodes for name in names)


async def write(node: Deployed, number: int) -> str:
    async with client_of(node) as client:
        found: str = (await client.post("/v1/facts", json=assertion(number))).json()["id"]
    return found


async def test_in_a_mesh_of_real_nodes_facts_are_everywhere_without_an_interval_and_with_few_questions(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node_at(tmp_path / str(n), **SETTINGS)) for n in range(NODES)]
        for here, there in permutations(nodes, 2):
            await introduce(here, there)
        first = [await write(node, number) for number, node in enumerate(nodes)]
        await until(lambda: everywhere(nodes, first), 30.0)
        begun = await pulls_answered(nodes)
        for number in range(ROUNDS):
            for place, node in enumerate(nodes):
                name = await write(node, 100 + number * NODES + place)
                await until(lambda name=name: everywhere(nodes, [name]), 30.0)
        asked_again = await pulls_answered(nodes) - begun
    facts = ROUNDS * NODES
    assert facts * (NODES - 1) <= asked_again + NODES * NODES
    assert asked_again < 1.5 * facts * (NODES - 1) + NODES * NODES, "each fact ends one wait at each other node"
