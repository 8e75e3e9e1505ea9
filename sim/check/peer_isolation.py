"""One bad peer harms only itself: who is hostile, silent or behind a slow link delays nobody else's reading (G5).

Every link is judged against its own bound, whether or not somebody is hostile: a reader comes back to a server within
two turns and four ways of that link, however slow its other links are. A gap says nothing where something else than
another peer may explain it: a fault that strikes the two or their link, until its aftermath is over; a packet that was
lost between the two; a wire that garbles, doubles, reorders or queues packets; a link that is too slow for the
reader's patience, which is read by luck.
"""

from __future__ import annotations

from typing import Final

from sim.check.base import Checker, CheckResult, Served
from sim.ports import Observed
from sim.units import format_duration

__all__ = ["PeerIsolation"]

_SECOND: Final = 1_000_000_000
_AFTERMATH_NS: Final = 180 * _SECOND
"""For how long a fault that ended may still show: the longest rest after silence, and again for its jitter."""


class PeerIsolation(Checker):
    """An honest peer is read at most one interval later than its turn would be."""

    name = "one-bad-peer"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._read: dict[tuple[str, str], tuple[int, int]] = {}
        """(server, reader) -> when it was read last, and how many packets had been lost between them by then."""
        self._honest = frozenset(observed.federation.nodes)
        self._noise_ns: dict[tuple[str, str], int] = {}
        """(server, reader) -> when something that excuses a gap was last seen to be in force."""
        self.longest_ns = 0
        self.judged = 0

    def on_response(self, served: Served) -> None:
        machine, asker, request, response = served
        if asker not in self._honest or not request.target.startswith("/v1/federation/facts"):
            return
        if response.status != 200:
            return  # being turned away is no reading: the gap goes on
        now, pair = self.observed.now_ns, (machine, asker)
        dropped = self.observed.conditions.dropped_between(machine, asker)
        last, lost = self._read.get(pair, (now, dropped))
        self._read[pair] = (now, dropped)
        if self._is_noisy(pair, last) or lost != dropped or self._is_too_slow(machine, asker):
            return
        self.judged += 1
        self.longest_ns = max(self.longest_ns, now - last)
        most = self._allowed(machine, asker)
        if now - last > most:
            gap = format_duration(now - last)
            about = " with hostile peers about" if self.observed.hostile else ""
            self.fail(asker, f"did not read {machine} for {gap}{about}; {format_duration(most)} are its turn")

    def _is_noisy(self, pair: tuple[str, str], since_ns: int) -> bool:
        """Whether anything but another peer may explain a gap between two that began at `since_ns`."""
        conditions = self.observed.conditions
        if conditions.network.is_disturbed or conditions.faults.may_delay(*pair):
            self._noise_ns[pair] = self.observed.now_ns
        times = [at for at in (self._noise_ns.get(pair), conditions.faults.ended_ns(*pair)) if at is not None]
        return bool(times) and max(times) > since_ns - _AFTERMATH_NS

    def _round_trip_ns(self, server: str, reader: str) -> int:
        way_ns = self.observed.conditions.network.way_ns
        return way_ns(reader, server) + way_ns(server, reader)

    def _is_too_slow(self, server: str, reader: str) -> bool:
        """Whether an answer may come later than the reader waits for it."""
        return self._round_trip_ns(server, reader) >= self.observed.settings(reader).pull_timeout_s * _SECOND

    def _allowed(self, server: str, reader: str) -> int:
        settings, conditions = self.observed.settings(reader), self.observed.conditions
        slow = 1.0 + 2 * max(map(abs, conditions.drift_ppm.values()), default=0) / 1e6
        turn = 2 * settings.pull_interval_s * (1.0 + settings.pull_jitter) + settings.pull_wait_s
        way = 2 * self._round_trip_ns(server, reader) + 8 * conditions.disk_sync_ns
        return int(turn * slow * _SECOND) + way + _SECOND

    def result(self) -> CheckResult:
        if not self.judged:
            return self.vacuous("there was trouble of other kinds between all pairs all the time")
        return self.holds(f"longest wait between two reads of an honest peer: {format_duration(self.longest_ns)}")
