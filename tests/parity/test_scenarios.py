"""The same scenario in the simulation and on real nodes: what is known and in conflict at the end is the same.

Short variants of scenarios of the repository, with the same nodes, writes and cuts. The knowledge digest holds no
stamps and no ids, so that the real arm may run as fast as it can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from stigmem.core.token import mint
from stigmem.core.wire import Request
from stigmem.node.ports import Unreachable
from tests.parity.real import Machine, Wire, converged, real_federation, repeat, until
from tests.parity.simulated import Told, simulate

CUT: dict[str, Any] = {"kind": "partition", "at": "1m", "for": "2m", "groups": [["north"], ["south"]]}
CRASHES: list[dict[str, Any]] = [
    {"kind": "crash-at-commit", "at": "20s", "node": "reader", "commit": 3, "when": "before", "down": "5s"},
    {"kind": "crash-at-commit", "at": "40s", "node": "reader", "commit": 4, "when": "after", "down": "5s"},
    {"kind": "crash", "at": "1m", "for": "45s", "node": "writer"},
    {"kind": "random-crashes", "at": "2m", "for": "1m", "rate": "6/m", "down": "3s"},
]


SILENT: list[dict[str, Any]] = [
    {"kind": "replayer", "node": "mallory", "peers": ["north", "south"], "period": "10s", "good": 0},
    {"kind": "replayer", "node": "trudy", "peers": ["north"], "period": "15s", "dialect": "0.5", "good": 0},
]


@pytest.fixture(scope="module")
def split_brain() -> Told:
    return simulate("split-brain", scenario={"duration": "4m"}, fault=[CUT])


@pytest.fixture(scope="module")
def partial_failure() -> Told:
    return simulate("partial-failure", scenario={"duration": "4m"}, fault=CRASHES)


@pytest.fixture(scope="module")
def replay() -> Told:
    return simulate("replay", adversary=SILENT)


async def test_split_brain_ends_alike_in_the_simulation_and_on_real_nodes(tmp_path: Path, split_brain: Told) -> None:
    told = split_brain
    async with real_federation(tmp_path, told.nodes) as machines:
        await repeat(machines, told.steps)
        assert await converged(machines, told.facts) == told.digest
        contested = [len(machine.ledger.contested) for machine in machines.values()]
    assert contested[0] == contested[1] > 0


async def test_a_cut_keeps_real_nodes_apart_until_it_heals(tmp_path: Path, split_brain: Told) -> None:
    told = split_brain
    healed = next(n for n, step in enumerate(told.steps) if step.what == "heal")
    async with real_federation(tmp_path, told.nodes) as machines:
        await repeat(machines, told.steps[:healed])
        await until(lambda: all(machine.wire.stopped for machine in machines.values()), "both met the cut")
        assert {len(machine.ledger) for machine in machines.values()} != {healed - 1}
        await repeat(machines, told.steps[healed:])
        assert await converged(machines, told.facts) == told.digest


async def test_partial_failure_ends_alike_in_the_simulation_and_on_real_nodes(
    tmp_path: Path, partial_failure: Told
) -> None:
    told = partial_failure
    async with real_federation(tmp_path, told.nodes) as machines:
        await repeat(machines, told.steps, at_page="reader")
        assert await converged(machines, told.facts) == told.digest
        for name, machine in machines.items():
            assert machine.boots == 1 + sum(step.what == "boot" and step.node == name for step in told.steps)


class Replayer:
    """Presents each token of a pull again: twice at once, its nonce in another token, later, and an expired one."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.spent: list[tuple[str, str, Request]] = []
        """(who asked, whom, the request) of pulls that were answered."""
        self.boots: list[int] = []
        """How often nodes had booted by then."""
        self.answers: dict[tuple[str, int], int] = {}

    async def pulled(self, wire: Wire, url: str, request: Request) -> None:
        name = next(name for name, machine in self.machines.items() if machine.url == wire.source)
        self.spent.append((name, url, request))
        self.boots.append(sum(machine.boots for machine in self.machines.values()))
        async with trio.open_nursery() as twice:
            twice.start_soon(self.present, wire, "again", url, request)
            twice.start_soon(self.present, wire, "again", url, request)
        await self.present(wire, "expired", url, self._with_token(name, url, request, -7_200_000))

    async def more(self) -> None:
        """Wait for another pull, so that there is a token to present after the crash that follows."""
        seen = len(self.spent)
        await until(lambda: len(self.spent) > seen, "another pull")

    async def later(self) -> None:
        """Present every spent token once more, after whatever happened since."""
        for name, url, request in list(self.spent):
            await self.present(self.machines[name].wire, "spent", url, request)

    async def present(self, wire: Wire, what: str, url: str, request: Request) -> None:
        try:
            answer = await wire.send(url, request, 10_000_000_000, 1 << 25)
        except Unreachable:  # whoever was asked has just crashed
            return
        if answer.status == 503:  # and is not up again yet
            return
        self.answers[what, answer.status] = self.answers.get((what, answer.status), 0) + 1

    def _with_token(self, name: str, url: str, request: Request, shift_ms: int) -> Request:
        node = self.machines[name].running.node
        other = next(machine.node_id for machine in self.machines.values() if machine.url == url)
        token = mint(
            node.signer, issuer=node.node_id, audience=other, scopes=("public",), nonce=node.identity.new_uuid(),
            now_ms=node.context.clock.wall_ns() // 1_000_000 + shift_ms,
        )  # fmt: skip
        return Request(request.method, request.target, {"authorization": f"Bearer {token}"})


async def test_replay_ends_alike_and_no_token_passes_twice(tmp_path: Path, replay: Told) -> None:
    told = replay
    assert min(told.rejections[code] for code in ("nonce_already_seen", "token_expired")) > 0
    replayer = Replayer()
    async with real_federation(tmp_path, told.nodes, replayer) as machines:
        replayer.machines = machines
        begun = 0
        for crash in [n for n, step in enumerate(told.steps) if step.what == "crash"]:
            await repeat(machines, told.steps[begun:crash])
            await replayer.more()
            begun = crash
        await repeat(machines, told.steps[begun:])
        assert await converged(machines, told.facts) == told.digest
        await replayer.later()
    assert {status for _, status in replayer.answers} == {401}
    assert min(replayer.answers[what, 401] for what in ("again", "expired", "spent")) > 0
    assert replayer.boots[0] < replayer.boots[-1], "no token was spent before a restart and presented after it"
