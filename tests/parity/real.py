"""The real arm of a parity test: nodes of `stigmem.host` on loopback HTTP, which a test cuts off, kills and boots.

The same steps as in the simulated run, one after the other and as fast as they go: what a node knows at the end depends
on no clock. Faults are injected where nodes meet the network, in the transport that stands in front of the real one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
import trio

from sim.simulation.digest import knowledge_digest
from stigmem.core.declaration import ACTIVE, PENDING
from stigmem.core.keys import fingerprint
from stigmem.core.ledger import Ledger
from stigmem.core.wire import JSON_TYPE, Request, Response
from stigmem.host.logs import configure_logs
from stigmem.host.run import Deployed, deployed
from stigmem.host.settings import HostSettings
from stigmem.node.callers import Principal
from stigmem.node.ports import Unreachable
from tests.interop.processes import free_port
from tests.parity.simulated import Step

__all__ = ["Machine", "Wire", "Witness", "converged", "real_federation", "repeat", "until"]

configure_logs("console", "error")

_OPERATOR: Final = Principal("system:operator", frozenset({"admin", "admin:federation"}))
_FACTS: Final = "/v1/federation/facts"
_PAGE_PATIENCE_S: Final = 0.5
_BATCH: Final = 100


async def until(reached: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    """Wait for something that tasks of this process bring about."""
    with trio.move_on_after(seconds):
        while not reached():
            await trio.sleep(0.01)
        return
    raise AssertionError(f"not within {seconds:g} s: {what}")


class Witness(Protocol):
    """Told of every page that a node got."""

    async def pulled(self, wire: Wire, url: str, request: Request) -> None: ...


class Wire:
    """A transport that can be cut, and that can stop the node behind it when a page has just come."""

    def __init__(
        self, send: Callable[[str, Request, int, int], Awaitable[Response]], source: str, witness: Witness | None
    ) -> None:
        self.send = send
        self.source = source
        self.cut = False
        self.at_page: Callable[[], None] | None = None
        self.stopped = 0
        """Requests that found the link cut."""
        self._witness = witness

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        """The peer's answer; raises Unreachable, also for one that came after a cut."""
        if not self.cut:
            answer = await self.send(url, request, timeout_ns, body_max)
        if self.cut:
            self.stopped += 1
            raise Unreachable("refused", f"{url} is cut off")
        if request.target.startswith(_FACTS) and answer.status == 200:
            if self.at_page is not None and b'"id"' in answer.body:
                self.at_page()
                await trio.lowlevel.checkpoint()
            if self._witness is not None:
                await self._witness.pulled(self, url, request)
        return answer


class Machine:
    """One node: its directory and port stay, the node comes and goes."""

    def __init__(self, name: str, directory: Path, nursery: trio.Nursery, witness: Witness | None = None) -> None:
        self.name = name
        self.settings = HostSettings(
            data_dir=directory / name, port=free_port(), auth_required=False, federation_enabled=True,
            federation_pull_interval_s=0.05, federation_pull_wait_s=1.0, log_level="error",
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{self.settings.port}"
        self.node_id = ""
        self.boots = 0
        self.deployed: Deployed | None = None
        self._wire: Wire | None = None
        self._cut = False
        self._witness = witness
        self._nursery = nursery
        self._power = trio.CancelScope()
        self._off = trio.Event()

    @property
    def running(self) -> Deployed:
        """The node, which must run."""
        assert self.deployed is not None
        return self.deployed

    @property
    def wire(self) -> Wire:
        """Its way out, while it runs."""
        assert self._wire is not None
        return self._wire

    @property
    def ledger(self) -> Ledger:
        """What the node holds."""
        return self.running.node.state.ledger

    async def boot(self) -> None:
        """Start the node on its disk; returns when it serves."""
        self._power, self._off = trio.CancelScope(), trio.Event()
        self.boots += 1
        await self._nursery.start(self._live)

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        try:
            with self._power:
                async with deployed(self.settings, listening=self._listening) as node:
                    self.deployed = node
                    task_status.started()
                    await trio.sleep_forever()
        finally:
            self.deployed = self._wire = None
            self._off.set()

    def _listening(self, found: Deployed) -> None:
        self.node_id = found.identity.node_id
        self._wire = Wire(found.transport.request, self.url, self._witness)
        self._wire.cut = self._cut
        found.transport.request = self._wire.request  # type: ignore[method-assign]

    async def crash(self, *, at_page: bool = False) -> None:
        """Stop everything where it stands; with `at_page` when the next page has come and before it is stored."""
        if at_page:
            self.wire.at_page = self._power.cancel
            with trio.move_on_after(_PAGE_PATIENCE_S):
                await self._off.wait()
        self._power.cancel()
        await self._off.wait()

    def cut(self, *, off: bool) -> None:
        """Cut the node off from its peers, or heal that."""
        self._cut = off
        if self._wire is not None:
            self._wire.cut = off

    async def write(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Assert facts in this order; each must be taken."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30) as client:
            for start in range(0, len(bodies), _BATCH):
                answer = await client.post("/v1/facts/batch", json={"facts": bodies[start : start + _BATCH]})
                assert answer.status_code == 200, answer.text
                assert answer.json()["rejected"] == 0, answer.text

    # --- peers ---

    async def introduce(self, other: Machine) -> None:
        """Register this node at another one and have it approved there."""
        here, there = self.running.node, other.running.node
        answer = await here.handshakes.register_at(other.url)
        assert answer.status == 201, answer.body
        row = there.state.peer_of(here.node_id)
        assert row is not None
        assert row.status == PENDING
        body = b'{"pubkey_fingerprint":"%s"}' % fingerprint(here.signer.public_key).encode()
        done: list[Response] = []
        there.offer(
            Request("POST", f"/v1/federation/peers/{row.peer_id}/approve", JSON_TYPE, body), done.append, _OPERATOR
        )
        await until(lambda: done, "an answer to the approval")
        assert done[0].status == 200, done[0].body

    def knows(self, other: Machine) -> bool:
        """Whether the other node is an active peer here."""
        row = self.running.node.state.peer_of(other.node_id)
        return row is not None and row.status == ACTIVE


@asynccontextmanager
async def real_federation(
    directory: Path, names: Sequence[str], witness: Witness | None = None
) -> AsyncIterator[dict[str, Machine]]:
    """Nodes of these names, every two of them peers."""
    async with trio.open_nursery() as nursery:
        machines = {name: Machine(name, directory, nursery, witness) for name in names}
        for machine in machines.values():
            await machine.boot()
        for machine in machines.values():
            for other in machines.values():
                if other is not machine:
                    await machine.introduce(other)
        yield machines
        for machine in machines.values():
            await machine.crash()


async def repeat(machines: dict[str, Machine], steps: Sequence[Step], *, at_page: str = "") -> None:
    """Do what happened in the simulated run, in its order; the node `at_page` always dies with a page in its hands."""
    waiting: dict[str, list[Mapping[str, Any]]] = {name: [] for name in machines}
    for step in steps:
        if step.what == "write":
            waiting[step.node].append(step.body or {})
            continue
        for name, bodies in waiting.items():
            if bodies:
                await machines[name].write(bodies)
                bodies.clear()
        if step.what == "crash":
            await machines[step.node].crash(at_page=step.node == at_page)
        elif step.what == "boot":
            await machines[step.node].boot()
        else:
            for machine in machines.values():
                machine.cut(off=step.what == "cut")
    for name, bodies in waiting.items():
        await machines[name].write(bodies)


async def converged(machines: dict[str, Machine], facts: int) -> str:
    """Wait until every node holds so many facts that people wrote; the knowledge digest of all of them."""

    def complete() -> bool:
        return all(sum(not f.is_system for f in machine.ledger.log) == facts for machine in machines.values())

    await until(complete, f"{facts} facts on every node", 90.0)
    at_us = max(fact.timestamp_us for machine in machines.values() for fact in machine.ledger.log) + 1
    return knowledge_digest({name: machine.ledger for name, machine in machines.items()}, at_us)
