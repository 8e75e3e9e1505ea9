"""One bad peer harms only itself: honest peers go on being read in time while somebody misbehaves (G5).

Judged only while the world is otherwise quiet: what a fault or a lost packet delays is nobody's malice.
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
        """(server, reader) -> when it was read last, and how many packets had been lost by then."""
        self._honest = frozenset(observed.federation.nodes)
        self._noise_ns: int | None = None
        self.longest_ns = 0
        self.judged = 0

    def on_response(self, served: Served) -> None:
        machine, asker, request, response = served
        if (
            not self.observed.hostile
            or asker not in self._honest
            or not request.target.startswith("/v1/federation/facts")
        ):
            return
        if response.status != 200:
            return  # being turned away is no reading: the gap goes on
        now, dropped, pair = self.observed.now_ns, self.observed.conditions.dropped, (machine, asker)
        last, lost = self._read.get(pair, (now, dropped))
        self._read[pair] = (now, dropped)
        if self._is_noisy(last) or lost != dropped:
            return
        self.judged += 1
        self.longest_ns = max(self.longest_ns, now - last)
        most = self._allowed(asker)
        if now - last > most:
            gap = format_duration(now - last)
            self.fail(
                asker,
                f"did not read {machine} for {gap} with hostile peers about; {format_duration(most)} are its turn",
            )

    def _is_noisy(self, since_ns: int) -> bool:
        """Whether anything but malice may explain a gap that began at `since_ns`."""
        conditions = self.observed.conditions
        if conditions.network.is_disturbed or conditions.faults.active:
            self._noise_ns = self.observed.now_ns
        ended = max((fault.end_ns for fault in conditions.faults.fault_intervals), default=None)
        times = [at for at in (self._noise_ns, ended) if at is not None]
        return bool(times) and max(times) > since_ns - _AFTERMATH_NS

    def _allowed(self, reader: str) -> int:
        settings, conditions = self.observed.settings(reader), self.observed.conditions
        slow = 1.0 + 2 * max(map(abs, conditions.drift_ppm.values()), default=0) / 1e6
        turn = 2 * settings.pull_interval_s * (1.0 + settings.pull_jitter) + settings.pull_wait_s
        way = 4 * conditions.network.longest_way_ns + 8 * conditions.disk_sync_ns
        return int(turn * slow * _SECOND) + way + _SECOND

    def result(self) -> CheckResult:
        if not self.observed.hostile:
            return self.holds("nobody hostile")
        if not self.judged:
            return self.holds("not judged: there was trouble of other kinds all the time")
        return self.holds(f"longest wait between two reads of an honest peer: {format_duration(self.longest_ns)}")
