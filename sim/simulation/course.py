"""The course of a run, whichever nodes are on the machines: they boot, things happen, faults end, all is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller

import trio

from sim.fault import Fault
from sim.simulation.fault_schedule import FaultSchedule
from sim.simulation.interruption import Interruption
from sim.simulation.peer_script import PeerScript
from sim.simulation.power import Power
from sim.world.machine import Machine
from sim.world.world import World

__all__ = ["boot_all", "end_faults", "run_world", "schedule_peers"]


async def run_world(
    world: World, interruption: Interruption, begin: Callable[[trio.Nursery], None], end: Callable[[], None]
) -> None:
    """Run a world in a nursery that is the home of all machines. `begin` gets it before anything happens; `end` is
    called when nothing happens any more and the machines are still there, after an error too."""
    interruption.begins()
    async with trio.open_nursery() as home:
        begin(home)
        try:
            await world.run()
        finally:
            interruption.ends()
            end()
        home.cancel_scope.cancel()


def boot_all(faults: Sequence[Fault], power: Power, machines: Mapping[str, Machine], home: trio.Nursery) -> None:
    """Switch on every machine that no fault holds off from the start."""
    for fault in faults:
        for name in fault.absent_at_start():
            power.keep_absent(name)
    for name, machine in machines.items():
        if not power.is_kept_off(name):
            machine.boot(home)


def schedule_peers(world: World, peers: Mapping[str, PeerScript], not_before_ns: int) -> None:
    """Have every hostile peer begin, and stop, in its time."""
    for peer in peers.values():
        adversary = peer.adversary
        world.at(max(adversary.at, not_before_ns), methodcaller("begin"), peer)
        if adversary.lasts is not None:
            world.at(adversary.at + adversary.lasts, methodcaller("stop"), peer)


def end_faults(schedule: FaultSchedule, peers: Mapping[str, PeerScript], power: Power) -> None:
    """All faults end, hostile peers fall silent, and machines that are off and should not be come back."""
    schedule.end_all()
    for peer in peers.values():
        peer.stop()
    power.release_all()
