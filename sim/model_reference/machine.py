"""A simulated computer with a node of the model on it instead of ours: the same power, clock, disk and address."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import trio

from sim.model_reference.api import ReferenceApi
from sim.model_reference.facts import StoredFact
from sim.model_reference.journal import ReferenceJournal
from sim.model_reference.node import Identity, Ports, ReferenceNode
from sim.model_reference.puller import PullLoop
from sim.world.disk import Fate
from sim.world.machine import Hardware, Machine, MachineEvents
from sim.world.ports import SimClock, SimEntropy, SimTransport
from sim.world.rpc import Reply, Wire
from stigmem.core.keys import Signer
from stigmem.core.wire import Request, Response, decode_request, encode
from stigmem.node.callers import Principal
from stigmem.node.settings import NodeSettings

__all__ = ["ReferenceEvents", "ReferenceMachine"]

_SECOND: Final = 1_000_000_000


class ReferenceEvents(MachineEvents, Protocol):
    """Who is told what such machines do."""

    def stored(self, machine: ReferenceMachine, fact: StoredFact) -> None: ...

    def started(self, machine: ReferenceMachine) -> None: ...


class ReferenceMachine(Machine):
    """One computer and the node of the model on it. `node`, where ours would be, stays None."""

    def __init__(
        self, name: str, settings: NodeSettings, hardware: Hardware, wire: Wire, events: ReferenceEvents
    ) -> None:
        super().__init__(name, settings, hardware, wire, events)
        self.signer: Signer = settings.suite.signer(settings.seed)
        self.node_id = settings.node_id or f"stigmem:node:{name}"
        self.model: ReferenceNode | None = None
        self.puller: PullLoop | None = None
        self._api: ReferenceApi | None = None
        self._told = events

    async def _life(self, boot: int) -> None:
        if not self._lives(boot):
            return  # the power went before the first instruction
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            journal = ReferenceJournal(self, partial(self._begins, boot), partial(self._synced, boot))
            transactions = await journal.load()
            settings = self.settings
            identity = Identity(
                node_id=self.node_id,
                url=self.url,
                signer=self.signer,
                suite=settings.suite,
                allow_team=settings.allow_team,
                pull_interval_ns=int(settings.pull_interval_s * _SECOND),
            )
            ports = Ports(SimClock(self), SimEntropy(self._entropy), SimTransport(self), journal)
            node = ReferenceNode(identity, ports, partial(self._told.stored, self))
            node.restore(transactions)
            self.model, self.puller, self._api = node, PullLoop(node), ReferenceApi(node)
            self.spawn("pulls", self.puller.run)
            self._told.started(self)
            await trio.sleep(math.inf)

    def _synced(self, boot: int, _payload: bytes) -> None:
        if self._lives(boot):
            for hook in list(self.at_commit.values()):
                hook(self.commits, True)

    def _stop(self, how: str, fate: Fate | None) -> None:
        self.model = self.puller = self._api = None
        super()._stop(how, fate)

    @property
    def _has_node(self) -> bool:
        return self.model is not None

    def _serve(self, asker: str, data: bytes, reply: Reply, refuse: Callable[[], None]) -> None:
        try:
            request = decode_request(data)
        except ValueError:
            refuse()
            return
        self._handle(request, lambda response: reply(encode(response)))

    def _offer(self, request: Request, answered: Callable[[Response], None], principal: Principal | None) -> None:
        self._handle(request, answered)

    def _handle(self, request: Request, answer: Callable[[Response], None]) -> None:
        """Have a request answered by a task of its own, if the life that it reached lasts so long."""
        boot, api = self.boots, self._api
        if api is None:
            return

        async def body() -> None:
            response = await api.answer(request)
            if self._lives(boot):
                answer(response)

        self.spawn("request", body)
