"""One bad peer harms only itself: honest peers go on being read in time while somebody misbehaves (G5).

Judged only while the world is otherwise quiet: what a fault or a lost packet delays is nobody's malice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.check.base import Checker, CheckResult
from sim.diagnostics.errors import Violation
from sim.units import format_duration, parse_duration
from stigmem.core.wire import Request, Response

if TYPE_CHECKING:
    from sim.simulation.simulation import Simulation
    from sim.topology.tables import Latency
    from sim.world.machine import Machine

__all__ = ["PeerIsolation"]

_SECOND: Final = 1_000_000_000
_AFTERMATH_NS: Final = 180 * _SECOND
"""For how long a fault that ended may still show: the longest rest after silence, and again for its jitter."""
_TAIL: Final = 4
"""No draw of our latency distributions is longer than so many times their 99th percentile (or mean, times ten)."""


class PeerIsolation(Checker):
    """An honest peer is read at most one interval later than its turn would be."""

    name = "one-bad-peer"

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], tuple[int, int]] = {}
        """(server, reader) -> when it was read last, and how many packets had been lost by then."""
        self._noise_ns: int | None = None
        self.longest_ns = 0
        self.judged = 0

    def on_response(
        self, simulation: Simulation, machine: Machine, asker: str, request: Request, response: Response
    ) -> Violation | None:
        if (
            not simulation.adversaries
            or asker not in simulation.machines
            or not request.target.startswith("/v1/federation/facts")
        ):
            return None
        if response.status != 200:
            return None  # being turned away is no reading: the gap goes on
        now, pair = simulation.world.now, (machine.name, asker)
        last, lost = self._read.get(pair, (now, simulation.network.dropped))
        self._read[pair] = (now, simulation.network.dropped)
        if self._is_noisy(simulation, last) or lost != simulation.network.dropped:
            return None
        self.judged += 1
        self.longest_ns = max(self.longest_ns, now - last)
        most = self._allowed(simulation, asker)
        if now - last > most:
            gap = format_duration(now - last)
            return self.violation(
                asker,
                now,
                f"did not read {machine.name} for {gap} with hostile peers about; {format_duration(most)} are its turn",
            )
        return None

    def _is_noisy(self, simulation: Simulation, since_ns: int) -> bool:
        """Whether anything but malice may explain a gap that began at `since_ns`."""
        network = simulation.scenario.network
        disturbed = network.corrupt or network.duplicate or network.reorder or _is_narrow(simulation)
        if disturbed or any(simulation.is_active(fault) for fault in simulation.scenario.fault):
            self._noise_ns = simulation.world.now
        ended = max((end for _, _, _, end in simulation.fault_intervals), default=None)
        times = [at for at in (self._noise_ns, ended) if at is not None]
        return bool(times) and max(times) > since_ns - _AFTERMATH_NS

    def _allowed(self, simulation: Simulation, reader: str) -> int:
        settings = simulation.machines[reader].settings
        slow = 1.0 + 2 * max((abs(table.drift_ppm) for table in simulation.scenario.clock), default=0) / 1e6
        turn = 2 * settings.pull_interval_s + settings.pull_wait_s
        return int(turn * slow * _SECOND) + 4 * longest_way(simulation) + 8 * simulation.scenario.disk.sync + _SECOND

    def result(self, simulation: Simulation) -> CheckResult:
        if not simulation.adversaries:
            return CheckResult(self.name, True, "nobody hostile")
        if not self.judged:
            return CheckResult(self.name, True, "not judged: there was trouble of other kinds all the time")
        return CheckResult(
            self.name, True, f"longest wait between two reads of an honest peer: {format_duration(self.longest_ns)}"
        )


def _is_narrow(simulation: Simulation) -> bool:
    """Whether a packet may have to wait for others on its link: how long, no table says."""
    tables = [simulation.scenario.network.bandwidth, *(link.bandwidth for link in simulation.scenario.link)]
    return any(speed is not None for speed in tables)


def longest_way(simulation: Simulation) -> int:
    """How long a packet may take from one honest node to another by the scenario's tables, in nanoseconds."""
    tables = [
        simulation.scenario.network.latency,
        *(link.latency for link in simulation.scenario.link if link.latency is not None),
    ]
    return max(_longest(table) for table in tables)


def _longest(latency: str | Latency) -> int:
    if isinstance(latency, str):
        return parse_duration(latency)
    match latency.kind:
        case "constant":
            return latency.value
        case "uniform":
            return latency.high
        case "lognormal":
            return _TAIL * latency.p99
        case "exponential":
            return latency.floor + 10 * latency.mean
    return _SECOND  # regions and distances of this planet
