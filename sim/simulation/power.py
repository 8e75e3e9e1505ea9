"""Who is switched off or paused, by whom: the faults' hold on machines.

Several faults may hold one machine; it comes back when the last of them lets go, and nobody lets go of what
another holds. What a machine does when its power goes is `sim.world.machine`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.world.disk import Fate

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation

__all__ = ["Power"]

Key = object


class Power:
    """The switches of every machine of a simulation. A `key` is whoever holds a machine down; compared by identity."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._off: dict[str, dict[int, None]] = {}
        self._paused: dict[str, dict[int, None]] = {}

    def absent(self, name: str, key: Key) -> None:
        """A machine that is not there from the start; `on` with the same key makes it join."""
        self._off.setdefault(name, {})[id(key)] = None

    def is_held(self, name: str) -> bool:
        """Whether something keeps the machine off."""
        return bool(self._off.get(name)) or name in self._simulation.gone

    def off(self, name: str, key: Key, fate: Fate | None = None) -> None:
        """Cut the power and keep it cut until this key lets go."""
        self._off.setdefault(name, {})[id(key)] = None
        self._paused.pop(name, None)
        self._simulation.machines[name].crash(fate)

    def on(self, name: str, key: Key) -> None:
        """Let go; the machine boots when nobody else holds it."""
        holds = self._off.get(name, {})
        if id(key) in holds:
            del holds[id(key)]
            if not self.is_held(name):
                self._simulation.boot(name)

    def pause(self, name: str, key: Key) -> None:
        """Stop scheduling the process that runs now, until this key lets go."""
        machine = self._simulation.machines[name]
        machine.pause()
        if machine.paused:
            self._paused.setdefault(name, {})[id(key)] = None

    def resume(self, name: str, key: Key) -> None:
        """Let go of a process; it runs on when nobody else holds it and it still exists."""
        holds = self._paused.get(name, {})
        if id(key) in holds:
            del holds[id(key)]
            if not holds:
                self._simulation.machines[name].resume()

    def wipe(self, name: str) -> None:
        """Give a machine that is off an empty disk; what was only there is nobody's debt."""
        simulation = self._simulation
        simulation.machines[name].disk.wipe()
        destroyed = simulation.visibility.lost_disk(name)
        simulation.relay.disk_wiped(name)
        simulation.trace.event("wiped", name, destroyed)

    def leave(self, name: str) -> None:
        """Switch a machine off for good."""
        self._simulation.gone[name] = None
        self._simulation.machines[name].leave()
        self._simulation.visibility.left(name)

    def release(self) -> None:
        """Everybody lets go of everything."""
        self._off.clear()
        self._paused.clear()
        for name, machine in self._simulation.machines.items():
            machine.resume()
            if not machine.up and name not in self._simulation.gone:
                self._simulation.boot(name)
