"""Who is switched off or paused, by whom: the faults' hold on machines.

Several faults may hold one machine; it comes back when the last of them lets go, and nobody lets go of what
another holds. What a machine does when its power goes is `sim.world.machine`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.world.disk import Fate

if TYPE_CHECKING:
    from sim.simulation.simulation import Lab

__all__ = ["Power"]

Key = object


class Power:
    """The switches of every machine of a laboratory. A `key` is whoever holds a machine down; compared by identity."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._off: dict[str, dict[int, None]] = {}
        self._paused: dict[str, dict[int, None]] = {}

    def absent(self, name: str, key: Key) -> None:
        """A machine that is not there from the start; `on` with the same key makes it join."""
        self._off.setdefault(name, {})[id(key)] = None

    def is_held(self, name: str) -> bool:
        """Whether something keeps the machine off."""
        return bool(self._off.get(name)) or name in self._lab.gone

    def off(self, name: str, key: Key, fate: Fate | None = None) -> None:
        """Cut the power and keep it cut until this key lets go."""
        self._off.setdefault(name, {})[id(key)] = None
        self._paused.pop(name, None)
        self._lab.machines[name].crash(fate)

    def on(self, name: str, key: Key) -> None:
        """Let go; the machine boots when nobody else holds it."""
        holds = self._off.get(name, {})
        if id(key) in holds:
            del holds[id(key)]
            if not self.is_held(name):
                self._lab.boot(name)

    def pause(self, name: str, key: Key) -> None:
        """Stop scheduling the process that runs now, until this key lets go."""
        machine = self._lab.machines[name]
        machine.pause()
        if machine.paused:
            self._paused.setdefault(name, {})[id(key)] = None

    def resume(self, name: str, key: Key) -> None:
        """Let go of a process; it runs on when nobody else holds it and it still exists."""
        holds = self._paused.get(name, {})
        if id(key) in holds:
            del holds[id(key)]
            if not holds:
                self._lab.machines[name].resume()

    def wipe(self, name: str) -> None:
        """Give a machine that is off an empty disk; what was only there is nobody's debt."""
        lab = self._lab
        lab.machines[name].disk.wipe()
        destroyed = lab.measure.lost_disk(name)
        for checker in lab.checkers:
            checker.forget(name)
        lab.trace.event("wiped", name, destroyed)

    def leave(self, name: str) -> None:
        """Switch a machine off for good."""
        self._lab.gone[name] = None
        self._lab.machines[name].leave()
        self._lab.measure.left(name)

    def release(self) -> None:
        """Everybody lets go of everything."""
        self._off.clear()
        self._paused.clear()
        for name, machine in self._lab.machines.items():
            machine.resume()
            if not machine.up and name not in self._lab.gone:
                self._lab.boot(name)
