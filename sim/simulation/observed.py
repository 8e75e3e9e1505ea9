"""What may be seen of a run (`sim.ports.Observed`): the parts of a simulation that are looked at.

The relay of events keeps `views` and `names` true as machines boot and lose power; everything else is read where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sim.observation.conditions import Conditions
from sim.observation.node_view import NodeView
from sim.observation.obligations import Obligation
from sim.observation.pages import PageLog
from sim.observation.statements import Statements
from sim.observation.visibility import Visibility
from sim.simulation.peer_script import PeerScript
from sim.topology.federation import Federation
from sim.world.clocks import EPOCH_NS
from sim.world.machine import Machine
from sim.world.world import World
from stigmem.node.settings import NodeSettings

__all__ = ["RunView"]


@dataclass(kw_only=True, eq=False)
class RunView:
    """One run, seen from outside."""

    world: World
    federation: Federation
    visibility: Visibility
    conditions: Conditions
    faults_end_ns: int
    must_converge: bool
    machines: Mapping[str, Machine]
    hostile: Mapping[str, PeerScript]
    unlinked: Callable[[], Sequence[tuple[str, str]]]
    tried: Callable[[str, str], Mapping[str, int]]
    gone: Mapping[str, None]
    names: dict[str, str]
    converged_at: int | None = None
    pages: PageLog = field(default_factory=PageLog)
    statements: Statements = field(default_factory=Statements)
    views: dict[str, NodeView] = field(default_factory=dict)
    """The nodes that run, by name, in the order in which they booted."""

    @property
    def now_ns(self) -> int:
        return self.world.now

    @property
    def now_us(self) -> int:
        return (EPOCH_NS + self.world.now) // 1_000

    @property
    def nodes(self) -> dict[str, NodeView]:
        found = self.views
        return {name: found[name] for name in self.federation.nodes if name in found}

    def node(self, name: str) -> NodeView | None:
        return self.views.get(name)

    def settings(self, name: str) -> NodeSettings:
        return self.machines[name].settings

    def wall_us(self, name: str) -> int:
        return self.machines[name].clock.wall(self.world.now) // 1_000

    def obligations(self) -> list[Obligation]:
        return [obligation for peer in self.hostile.values() for obligation in peer.obligations.due()]
