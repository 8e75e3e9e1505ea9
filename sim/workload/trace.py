"""The real thing: the writes of a recorded history, each at its time and on its organisation's node."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.history.tracefile import BadTrace, TraceRow, read_rows
from sim.kinds import kind
from sim.ports import Clients
from sim.topology.federation import Federation
from sim.units import NonNegative, Positive, format_duration, parse_duration
from sim.workload.base import Workload

__all__ = ["Trace", "nodes_by_org"]


@kind("trace")
class Trace(Workload, kw_only=True):
    """Rows of `file` (sim.history.tracefile), relative to the scenario's folder.

    Their span is scaled to `fit`, or divided by `time_scale`; without either it fills the workload's time. Each
    organisation writes on one node: as in `map`, the others by activity, round robin. `rows`: only the first so many.
    """

    file: str
    """The recorded history, relative to the scenario's folder; `.gz` is accepted."""
    start: NonNegative = parse_duration("1s")
    """Not at once: the first rows would meet machines that are still booting."""
    fit: Positive | None = None
    """How long the trace is made to last."""
    time_scale: Annotated[float, Meta(gt=0.0)] | None = None
    """By how much time is pressed together, instead of `fit`."""
    map: dict[str, str] = msgspec.field(default_factory=dict)
    """Organisation to node; the others are spread by activity, round robin."""
    rows: Annotated[int, Meta(ge=1)] | None = None
    """How many rows are used; left out, all."""

    def check(self, federation: Federation) -> None:
        super().check(federation)
        window = self.window(federation)
        if self.fit is not None and self.time_scale is not None:
            raise Misfit("time_scale", "give fit or time_scale, not both")
        if self.fit is not None and self.fit > window:
            raise Misfit("fit", f"the workload runs for {format_duration(window)}, so the trace does not fit into more")
        try:
            rows = self._chosen(federation)
        except BadTrace as bad:
            raise Misfit("file", str(bad)) from None
        orgs = tuple(nodes_by_org(rows, {}, list(federation.nodes)))
        for org, node in self.map.items():
            if org not in orgs:
                raise Misfit(f"map.{org}", f"no row is of an organisation {org!r}", given=org, known=orgs)
            if node not in federation.nodes:
                raise Misfit(f"map.{org}", f"there is no node {node!r}", given=node, known=federation.nodes)
        needed = self._offset(rows, rows[-1], window)
        if needed >= window:
            span = (rows[-1].t_ns - rows[0].t_ns) / 1e9
            raise Misfit(
                "time_scale",
                f"at this scale the trace lasts {format_duration(needed)} and the workload {format_duration(window)};"
                f" write at least {span * 1e9 / window:.4g}, or fit",
            )

    def run(self, clients: Clients) -> None:
        rows = self._chosen(clients.federation)
        node_of = nodes_by_org(rows, self.map, self.on(clients))
        window = self.window(clients.federation)

        def step(place: int) -> None:
            row = rows[place]
            clients.write(
                node_of[row.org],
                row.entity,
                row.relation,
                row.value.v,
                kind=row.value.type,
                scope=self.scope,
                source=row.source,
                confidence=row.confidence,
            )
            schedule(place + 1)

        def schedule(place: int) -> None:
            # One row ahead: the heap never holds the history a second time.
            if place < len(rows):
                clients.at(self.start + self._offset(rows, rows[place], window), partial(step, place))

        schedule(0)

    def _chosen(self, federation: Federation) -> list[TraceRow]:
        rows = read_rows(federation.folder / self.file)
        return rows if self.rows is None else rows[: self.rows]

    def _offset(self, rows: list[TraceRow], row: TraceRow, window: int) -> int:
        """When a row happens, in ns after the start."""
        after = row.t_ns - rows[0].t_ns
        if self.time_scale is not None:
            return round(after / self.time_scale)
        # One more in the divisor: the last row is written before the time is over.
        return after * (self.fit or window) // (rows[-1].t_ns - rows[0].t_ns + 1)


def nodes_by_org(rows: list[TraceRow], given: dict[str, str], nodes: list[str]) -> dict[str, str]:
    """Organisation -> node: those given, then the busiest organisation on the first node, and so on round."""
    activity = Counter(row.org for row in rows)
    others = sorted((org for org in activity if org not in given), key=lambda org: (-activity[org], org))
    return given | {org: nodes[place % len(nodes)] for place, org in enumerate(others)}
