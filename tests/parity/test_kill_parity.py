"""The ordeal of tests/host/test_kill.py in the simulation: the same body, the same clients, the same checker, on a disk
that loses, tears or keeps what was being written. And the checker's own proof: it sees whatever is taken away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import msgspec
import pytest

from sim.simulation.simulation import Simulation
from sim.world.disk import Disk
from sim.world.machine import OPERATOR, Machine
from sim.world.world import Waiter
from stigmem.core.records import Record
from stigmem.core.wire import JSON_TYPE, Request, Response
from stigmem.node.node import Node
from tests.host.ordeal import ordeal
from tests.host.promises import Held, Promises, held
from tests.sim.small_runs import S, make_simulation
from tests.sim.switches import off, on

KILLS = 50
LINKED_NS = 2 * S
SLOW_DISK = '[disk]\nsync = "8ms"'


class Simulated:
    """A machine of the simulation, and another one as its peer."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._machine, peer = simulation.machines["a"], simulation.machines["b"]
        self._peer = peer
        self.node_id, self.peer_id = _node(self._machine).node_id, _node(peer).node_id
        self.peer_signer = _node(peer).signer
        self._waiting: dict[int, Waiter] = {}
        self._down = False

    async def boot(self) -> None:
        if self._down:
            self._down = False
            on(self._simulation, "a")
        while self._machine.node is None:
            await self.pause(0.001)

    async def ask(self, request: Request, *, operator: bool = True) -> Response | None:
        return await self._exchange(self._machine, request, operator=operator)

    async def _exchange(self, machine: Machine, request: Request, *, operator: bool) -> Response | None:
        waiter = Waiter(self._simulation.world)
        answers: list[Response] = []

        def take(response: Response) -> None:
            answers.append(response)
            waiter.wake(None)

        if machine is self._machine:
            self._waiting[id(waiter)] = waiter
        if machine.local(request, take, OPERATOR if operator else None) and not answers:
            await waiter.wait()
        self._waiting.pop(id(waiter), None)
        return answers[0] if answers else None

    async def kill(self) -> None:
        self._down = True
        off(self._simulation, "a")
        for waiter in list(self._waiting.values()):
            waiter.wake(None)

    async def pause(self, seconds: float) -> None:
        waiter = Waiter(self._simulation.world)
        self._simulation.world.after(round(seconds * S), waiter.wake)
        await waiter.wait()

    async def together(self, clients: Sequence[Callable[[], Awaitable[None]]]) -> None:
        # On the peer's machine, which stays up; a task of the world waits for nothing but Waiters.
        left, ended = len(clients), Waiter(self._simulation.world)

        async def counted(client: Callable[[], Awaitable[None]]) -> None:
            nonlocal left
            await client()
            left -= 1
            if not left:
                ended.wake(None)

        for client in clients:
            self._peer.spawn("client", partial(counted, client))
        await ended.wait()

    def now_ms(self) -> int:
        return self._machine.clock.wall(self._simulation.world.now) // 1_000_000

    async def peer_writes(self, body: dict[str, Any]) -> None:
        request = Request("POST", "/v1/facts", JSON_TYPE, msgspec.json.encode(body))
        answer = await self._exchange(self._peer, request, operator=True)
        assert answer is not None
        assert answer.status == 201, answer.body

    def peer_wrote(self) -> list[str]:
        return [fact.id for fact in _node(self._peer).state.ledger.log if fact.origin == self.peer_id]

    def disk(self) -> list[Record]:
        return [record for batch in self._machine.disk.batches() for record in batch]


def _node(machine: Machine) -> Node:
    assert machine.node is not None
    return machine.node


def endured(kills: int, *, disk: type[Disk] = Disk) -> tuple[Promises, Simulated]:
    """The ordeal in a simulation of two machines."""
    simulation = make_simulation(SLOW_DISK, nodes=("a", "b"), pull_interval="10ms", duration="10m", settle="1m")
    simulation.machines["a"].disk.__class__ = disk
    done: list[tuple[Promises, Simulated]] = []

    async def body() -> None:
        subject = Simulated(simulation)
        done.append((await ordeal(subject, Random(20_261), kills), subject))
        simulation.world.finish()

    simulation.world.at(LINKED_NS, lambda _: simulation.machines["b"].spawn("ordeal", body))
    simulation.run()
    assert simulation.violation is None, simulation.violation
    return done[0]


@pytest.mark.slow
def test_a_machine_that_loses_power_at_any_instant_has_kept_its_promises() -> None:
    promises, _ = endured(KILLS)
    assert len(promises.writes) > 3 * KILLS
    assert len(promises.batches) > KILLS
    assert len(promises.tokens) > KILLS / 2
    assert len(promises.seen) > KILLS / 4
    assert promises.taken > KILLS
    assert len(promises.keys) > KILLS / 5
    assert len(promises.revoked) > KILLS / 10
    assert promises.cut > KILLS, "kills must hit requests that are under way"


class Forgetful(Disk):
    """A disk that says that a batch is stored and, now and then, does not store it."""

    def sync(self, frame: bytes) -> bool:
        stored = super().sync(frame)
        if stored and len(self.frames) % 40 == 0:
            self.bytes_used -= len(self.frames.pop())
        return stored


def test_a_disk_that_lies_is_found_out() -> None:
    with pytest.raises((AssertionError, ExceptionGroup)):
        endured(6, disk=Forgetful)


def _without_last(name: str) -> Callable[[Held], None]:
    def take(found: Held) -> None:
        items = getattr(found, name)
        if isinstance(items, dict):
            items.popitem()
        else:
            items.pop()

    return take


def _cursor_back(found: Held) -> None:
    ((name, row),) = found.cursors.items()
    found.cursors[name] = msgspec.structs.replace(row, taken=row.taken - 1)


def _stamp_again(found: Held) -> None:
    mine = [fact for fact in found.facts if fact.received_from is None]
    found.facts[found.facts.index(mine[-1])] = msgspec.structs.replace(mine[-1], stamp=mine[-2].stamp)


LOSSES: dict[str, Callable[[Held], None]] = {
    "the last fact": _without_last("facts"),
    "the first fact": lambda found: found.facts.pop(0) and None,
    "the last audit row": _without_last("audit"),
    "an audit row in the middle": lambda found: found.audit.pop(len(found.audit) // 2) and None,
    "the nonces": lambda found: found.nonces.clear(),
    "a key": _without_last("keys"),
    "the first receipt": lambda found: found.receipts.pop(next(iter(found.receipts))) and None,
    "the cursor": lambda found: found.cursors.clear(),
    "a step of the cursor": _cursor_back,
    "a stamp of its own": _stamp_again,
}


@pytest.fixture(scope="module")
def endured_briefly() -> tuple[Promises, Simulated]:
    return endured(4)


@pytest.mark.parametrize("loss", LOSSES)
def test_whatever_is_taken_away_is_missed(endured_briefly: tuple[Promises, Simulated], loss: str) -> None:
    promises, subject = endured_briefly
    found = held(subject.disk())
    assert promises.broken(held(subject.disk()), subject.node_id, subject.peer_id, subject.peer_wrote()) == []
    LOSSES[loss](found)
    assert promises.broken(found, subject.node_id, subject.peer_id, subject.peer_wrote()) != []
