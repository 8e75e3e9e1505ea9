"""A node that lags says so to whoever reads it, and turns readers away by the rules for that (federation 3.10).

How far a node is behind is known from outside by its own questions: a page that says *more* is behind it when it asks
on from that page's end, and it stays behind until it is served one that says no more. This begins later than the
node's own count, so that a node is never blamed for a lag that it could not know.

1. Whoever has been behind a peer for longer than the warning sends `X-Stigmem-Replication-Lag` with every page.
2. The header is a whole number of milliseconds above the warning.
3. A 503 `relay_lag_exceeded` names a lag above the hard limit, `Retry-After` and `retry_after_s` are that lag in
   seconds, and nobody gets two of them in a row: nodes that turn each other away would never catch up.

Clocks that a fault moves may run slower than time, and then nothing is said of the first rule.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sim.check.base import Boot, Checker, CheckResult, Served
from sim.check.leaks import page_of
from sim.ports import Observed
from sim.units import format_duration
from stigmem.core.wire import Request, Response, split_target

__all__ = ["LagLabels"]

_PULL: Final = "/v1/federation/facts"
_HEADER: Final = "x-stigmem-replication-lag"
_CODE: Final = "relay_lag_exceeded"
_SLACK_NS: Final = 10_000_000_000
_MS: Final = 1_000_000


class _Body(msgspec.Struct):
    code: str = ""
    error: str = ""
    lag_ms: int = 0
    retry_after_s: int = 0


_bodies: Final = msgspec.json.Decoder(_Body)


class LagLabels(Checker):
    """A page of a node that lags bears its lag, and nobody is turned away for lag twice in a row."""

    name = "lag-labels"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._honest = frozenset(observed.federation.nodes)
        self._more: dict[tuple[str, str], str] = {}
        """(reader, server) -> the cursor of the last page, while that said that there is more."""
        self._behind: dict[str, dict[str, int]] = {}
        """Reader -> server -> since when the reader is known to know that it is behind."""
        self._turned_away: dict[tuple[str, str], None] = {}
        self.labelled = 0
        self.refused = 0

    def on_boot(self, boot: Boot) -> None:
        self._behind.pop(boot.machine, None)

    def on_response(self, served: Served) -> None:
        machine, asker, request, response = served
        if not request.target.startswith(_PULL) or request.method != "GET":
            return
        if response.status == 503:
            self._turn_away(machine, asker, response)
        elif response.status == 200:
            self._turned_away.pop((machine, asker), None)
            self._label(machine, response)
            if asker in self._honest:
                self._read(machine, asker, request, response)

    def _read(self, server: str, reader: str, request: Request, response: Response) -> None:
        pair, behind = (reader, server), self._behind.setdefault(reader, {})
        asked = next((value for name, value in split_target(request.target)[1] if name == "cursor"), "")
        if self._more.get(pair) == asked != "":
            behind.setdefault(server, self.observed.now_ns)
        page = page_of(response.body)
        if page.has_more:
            self._more[pair] = page.cursor or ""
        else:
            self._more.pop(pair, None)
            behind.pop(server, None)

    def _label(self, machine: str, response: Response) -> None:
        warning_ms, told = self.observed.settings(machine).lag_warning_ms, response.headers.get(_HEADER)
        if told is not None:
            self.labelled += 1
            if not (told.isascii() and told.isdigit() and int(told) > warning_ms):
                self.fail(machine, f"labels a page with a lag of {told!r} ms, and the least is above {warning_ms}")
            return
        since_ns = min(self._behind.get(machine, {}).values(), default=self.observed.now_ns)
        lag_ns = self.observed.now_ns - since_ns
        if lag_ns > 1.1 * warning_ms * _MS + _SLACK_NS and not self.observed.conditions.faults.fault_intervals:
            self.fail(machine, f"served a page without its lag, though it is {format_duration(lag_ns)} behind")

    def _turn_away(self, machine: str, asker: str, response: Response) -> None:
        body = _bodies.decode(response.body)
        if _CODE not in (body.code, body.error):
            return
        self.refused += 1
        hard_ms, pair = self.observed.settings(machine).lag_hard_ms, (machine, asker)
        if pair in self._turned_away:
            self.fail(machine, f"turned {asker} away for its lag twice in a row")
        self._turned_away[pair] = None
        if body.lag_ms <= hard_ms:
            self.fail(machine, f"turned {asker} away for a lag of {body.lag_ms} ms; {hard_ms} are not too many")
        seconds = max(1, body.lag_ms // 1_000)
        if body.retry_after_s != seconds or response.headers.get("retry-after") != str(seconds):
            self.fail(machine, f"turned {asker} away for {body.lag_ms} ms and said to come again in another time")

    def result(self) -> CheckResult:
        told = f"{self.labelled} pages with their lag, {self.refused} readers turned away for it"
        return self.holds_of(self.labelled + self.refused, told)
