"""Holds on machines by name, for tests that switch a machine off in one event and on again in another."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sim.simulation.power import Hold
from sim.simulation.simulation import Simulation
from sim.world.disk import Fate

__all__ = ["off", "on", "pause", "resume"]

_holds: WeakKeyDictionary[Simulation, dict[tuple[str, str, str], Hold]] = WeakKeyDictionary()


def off(simulation: Simulation, name: str, who: str = "test", fate: Fate | None = None) -> None:
    """Cut the power of a machine on behalf of somebody."""
    _holds.setdefault(simulation, {})["off", name, who] = simulation.power.hold_off(name, fate)


def on(simulation: Simulation, name: str, who: str = "test") -> None:
    """Let go of a machine that `off` holds for the same one."""
    _holds[simulation].pop(("off", name, who)).release()


def pause(simulation: Simulation, name: str, who: str = "test") -> None:
    """Pause a machine's process on behalf of somebody."""
    _holds.setdefault(simulation, {})["paused", name, who] = simulation.power.hold_paused(name)


def resume(simulation: Simulation, name: str, who: str = "test") -> None:
    """Let go of a process that `pause` holds for the same one."""
    _holds[simulation].pop(("paused", name, who)).release()
