"""Which machines are off or paused, and who holds them so.

Everybody who switches a machine off gets a hold of its own, and lets go of that one only: a machine comes back when the
last hold on it is released, whoever that is. The same for pauses; a power cut ends all of those at once, because the
process that they stopped is gone, and releasing them later does nothing. What a machine does when its power goes is
`sim.world.machine`'s, and who takes holds and when is up to the faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from sim.observation.visibility import Visibility
from sim.world.disk import Fate
from sim.world.machine import Machine
from sim.world.trace import Trace

__all__ = ["Hold", "Power"]


class Hold:
    """A machine is kept off, or its process is kept paused, until this is released. Holds are compared by identity."""

    __slots__ = ("_let_go",)

    def __init__(self, let_go: Callable[[Hold], None]) -> None:
        self._let_go = let_go

    def release(self) -> None:
        """Let go. A second time nothing happens, nor after everybody was made to let go."""
        self._let_go(self)


class _Backup(NamedTuple):
    """A copy of a disk, and which facts are on it, by their numbers."""

    frames: tuple[bytes, ...]
    facts: frozenset[int]


class Power:
    """The switches of every machine of a run."""

    def __init__(
        self,
        machines: Mapping[str, Machine],
        boot: Callable[[str], None],
        wiped: Callable[[str], None],
        *,
        visibility: Visibility,
        trace: Trace,
        gone: dict[str, None],
    ) -> None:
        """`boot` is called with the name of a machine that nobody holds off any more, `wiped` with the name of one that
        lost its disk. `gone` is where machines that left for good are kept."""
        self._machines = machines
        self._boot = boot
        self._wiped = wiped
        self._visibility = visibility
        self._trace = trace
        self._gone = gone
        self._off: dict[str, dict[Hold, None]] = {}
        self._paused: dict[str, dict[Hold, None]] = {}
        self._absent: dict[str, list[Hold]] = {}
        """Holds on machines that are not there from the start, until they join."""
        self._backups: dict[str, _Backup] = {}
        """Machine -> the last backup of its disk, which is kept elsewhere."""

    def is_kept_off(self, name: str) -> bool:
        """Whether something keeps the machine off."""
        return bool(self._off.get(name)) or name in self._gone

    def hold_off(self, name: str, fate: Fate | None = None) -> Hold:
        """Cut the power, and keep it cut until the hold is released. `fate` is that of a batch on its way to the disk,
        drawn unless given."""
        hold = self._new_hold_off(name)
        self._paused.pop(name, None)
        self._machines[name].crash(fate)
        return hold

    def _new_hold_off(self, name: str) -> Hold:
        hold = Hold(partial(self._back_on, name))
        self._off.setdefault(name, {})[hold] = None
        return hold

    def _back_on(self, name: str, hold: Hold) -> None:
        holds = self._off.get(name, {})
        if hold in holds:
            del holds[hold]
            if not self.is_kept_off(name):
                self._boot(name)

    def hold_paused(self, name: str) -> Hold:
        """Stop scheduling the process that runs now, until the hold is released; a machine without power has none."""
        hold = Hold(partial(self._resume, name))
        machine = self._machines[name]
        machine.pause()
        if machine.paused:
            self._paused.setdefault(name, {})[hold] = None
        return hold

    def _resume(self, name: str, hold: Hold) -> None:
        holds = self._paused.get(name, {})
        if hold in holds:
            del holds[hold]
            if not holds:
                self._machines[name].resume()

    def keep_absent(self, name: str) -> None:
        """Before the first event: the machine is not there until it joins."""
        self._absent.setdefault(name, []).append(self._new_hold_off(name))

    def join(self, name: str) -> None:
        """An absent machine comes; any other is left as it is."""
        if self._absent.get(name):
            self._absent[name].pop(0).release()

    def wipe(self, name: str) -> None:
        """Give a machine that is off an empty disk; what was only there is expected of nobody any more."""
        machine = self._machines[name]
        machine.disk.wipe()
        destroyed = self._visibility.lost_disk(name, machine.world.now)
        self._wiped(name)
        self._trace.event("wiped", name, destroyed)

    def back_up(self, name: str) -> None:
        """Take a backup of a disk."""
        backup = _Backup(self._machines[name].disk.copy(), self._visibility.held_by(name))
        self._backups[name] = backup
        self._trace.event("backed up", name, len(backup.facts))

    def restore(self, name: str) -> None:
        """Give a machine that is off the disk that was backed up last. Checkers are told what they are told of a wiped
        disk: what the backup holds is judged anew when the machine has booted."""
        backup = self._backups.get(name)
        if backup is None:
            return
        machine = self._machines[name]
        machine.disk.put_back(backup.frames)
        unsaid, destroyed = self._visibility.restored(name, backup.facts, machine.world.now)
        self._wiped(name)
        self._trace.event("restored", name, unsaid, destroyed)

    def leave(self, name: str) -> None:
        """Switch a machine off for good."""
        self._gone[name] = None
        machine = self._machines[name]
        machine.leave()
        self._visibility.left(name, machine.world.now)

    def release_all(self) -> None:
        """Everybody lets go of everything: machines that are off boot, but for those that have left."""
        self._off.clear()
        self._paused.clear()
        for name, machine in self._machines.items():
            machine.resume()
            if not machine.up and name not in self._gone:
                self._boot(name)
