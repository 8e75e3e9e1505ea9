"""Nodes ask in measure: a peer that has nothing new once an interval, one that does not answer less and less, and
nobody in a circle (federation 3.3 and 3.10, S-35, S-36).

What is judged, for every pull of an honest node:

1. at an honest peer, answered to its end: about one in an interval, over ten intervals, and two more for each page on
   which something was refused, for that is read three times. A reader goes on from its last stored page: it begins anew
   only where it has none.
2. at a hostile peer that turned it away n times in a row: no sooner than after the rest that doubles with n, up to its
   cap, less its jitter. `Retry-After` counts as long as it says more. A silent peer that asks something itself may be
   tried at once, and then its silence is forgotten.
3. at a hostile peer, the same place again and again without a rest: six times at most.
4. at a hostile peer, pages without a rest between them: as many as two drains may take, for the rest after the first
   drain of a peer is a random part of an interval, and may be nothing.

Trouble on the wire shifts requests against each other, and a restart forgets: both begin anew. Who waits at its peer
for news asks as often as there are news, and is not judged by the first rule.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from sim.check.base import Asked, Boot, Checker, CheckResult, Commit, Commits, Served
from sim.ports import Observed
from sim.units import format_duration
from stigmem.core import limits
from stigmem.core.records import DeadLetter
from stigmem.core.wire import Request, Response, split_target

__all__ = ["Economy"]

_S: Final = 1_000_000_000
_PULL: Final = "/v1/federation/facts"
_INTERVALS: Final = 10
_READS_MAX: Final = 1.4 * _INTERVALS + 4
_READ_AGAIN: Final = 2
_TOGETHER_NS: Final = 20_000_000
"""Answers so close to each other are to questions that gathered while the machine slept: who asks in a circle waits
for each answer on the wire."""
_SAME_PLACE_MAX: Final = 6
_SHARE: Final = 0.6
"""Of a rest: its jitter takes a fifth, and clocks run fast."""


@dataclass
class _Link:
    """How one node asks one hostile peer."""

    asked_ns: int = 0
    token: str = ""
    cursor: str | None = None
    refusals: int = 0
    """Answers in a row that were no pages."""
    rest_s: float = 0.0
    """How long it has to rest after the last of them."""
    same: int = 0
    """Questions in a row for one place, without a rest."""
    pages: int = 0
    """Questions in a row without a rest."""


@dataclass
class _Reads:
    """When one node read another to its end."""

    at_ns: deque[int] = field(default_factory=deque)


class Economy(Checker):
    """A node asks each peer about once an interval, and one that turns it away less and less."""

    name = "economy"
    sees = Commits.THAT_TELL

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self._honest = frozenset(observed.federation.nodes)
        self._reads: dict[tuple[str, str], _Reads] = {}
        self._links: dict[tuple[str, str], _Link] = {}
        self._refused_ns: dict[str, deque[int]] = {}
        """Node -> when it refused something."""
        self.judged = 0

    def on_commit(self, commit: Commit) -> None:
        if any(isinstance(record, DeadLetter) for record in commit.records):
            self._refused_ns.setdefault(commit.machine, deque(maxlen=10_000)).append(commit.at_ns)

    def on_boot(self, boot: Boot) -> None:
        for pair in [pair for pair in self._reads if pair[1] == boot.machine]:
            del self._reads[pair]
        for pair in [pair for pair in self._links if pair[0] == boot.machine]:
            del self._links[pair]

    # --- at honest peers ---

    def on_response(self, served: Served) -> None:
        machine, asker, request, response = served
        if asker not in self._honest:
            self._links.pop((machine, asker), None)  # it was heard from, and may be tried at once
            return
        if response.status != 200 or not request.target.startswith(_PULL + "?"):
            return
        settings, conditions = self.observed.settings(asker), self.observed.conditions
        if not settings.pull_wait_s:  # a question that waited may be older than the place that its asker has by now
            self._begins_anew(machine, asker, request)
        if settings.pull_wait_s or response.body.endswith(b'"has_more":true}'):
            return
        self.judged += 1
        if conditions.faults.active:
            self._reads.pop((machine, asker), None)
            return
        now, window_ns = self.observed.now_ns, int(_INTERVALS * settings.pull_interval_s * _S)
        at_ns = self._reads.setdefault((machine, asker), _Reads()).at_ns
        if at_ns and now - at_ns[-1] < _TOGETHER_NS:
            return
        at_ns.append(now)
        while at_ns[0] < now - window_ns:
            at_ns.popleft()
        fast = 1.0 + max(map(abs, conditions.drift_ppm.values()), default=0) / 1e6
        refused = sum(at >= at_ns[0] - window_ns for at in self._refused_ns.get(asker, ()))
        if len(at_ns) > _READS_MAX * fast + _READ_AGAIN * refused:
            span = format_duration(now - at_ns[0])
            self.fail(asker, f"read {machine} to its end {len(at_ns)} times in {span}, once in "
                      f"{settings.pull_interval_s:g} s is enough")  # fmt: skip

    def _begins_anew(self, machine: str, asker: str, request: Request) -> None:
        """A reader that has a place at a peer goes on there."""
        conditions = self.observed.conditions
        if "cursor=" in request.target or conditions.network.corrupt or conditions.faults.active:
            return  # a wire that garbles may take the place out of a question
        reader, server = self.observed.node(asker), self.observed.node(machine)
        if reader is None or server is None:
            return
        if reader.cursor_at(server.node_id) is not None:
            self.fail(asker, f"read {machine} from its beginning, though it has stored how far it was")

    # --- at hostile ones ---

    def on_asked(self, asked: Asked) -> None:
        token = asked.request.headers.get("authorization", "")
        pair = (asked.node, asked.peer)
        link = self._links.setdefault(pair, _Link())
        if token == link.token:
            return  # the wire doubled it
        now, conditions = self.observed.now_ns, self.observed.conditions
        if conditions.faults.active or conditions.network.is_disturbed:
            self._links[pair] = link = _Link()
        settings = self.observed.settings(asked.node)
        interval_ns = int(settings.pull_interval_s * _S)
        gap_ns = now - link.asked_ns + conditions.network.longest_way_ns
        rested = gap_ns >= 0.3 * interval_ns
        cursor = next((value for name, value in split_target(asked.request.target)[1] if name == "cursor"), None)
        self.judged += 1
        if link.refusals:
            least_ns = int(_SHARE * link.rest_s * _S) - _S
            if gap_ns < least_ns:
                self.fail(asked.node, f"asked {asked.peer} again after {format_duration(gap_ns)}, though it had been "
                          f"turned away {link.refusals} times: {format_duration(least_ns)} are the least")  # fmt: skip
        link.same = 0 if rested or cursor != link.cursor else link.same + 1
        link.pages = 0 if rested else link.pages + 1
        if link.same > _SAME_PLACE_MAX:
            self.fail(asked.node, f"asked {asked.peer} for one place {link.same + 1} times without a rest")
        if link.pages > 2 * limits.PULL_PAGES_PER_DRAIN_MAX + _SAME_PLACE_MAX:
            self.fail(asked.node, f"asked {asked.peer} for {link.pages} pages without a rest")
        link.asked_ns, link.token, link.cursor = now, token, cursor
        self._refused(link, asked.answer, settings.pull_interval_s)

    def _refused(self, link: _Link, answer: Response | None, interval_s: float) -> None:
        """Count what is no page, and how long it has to be let alone."""
        if answer is not None and answer.status in (200, 401):  # a 401 tells the time, and is asked again by it
            link.refusals = 0
            return
        link.refusals += 1
        doubled_s = max(interval_s, limits.BACKOFF_S_MIN) * 2.0 ** min(link.refusals - 1, 20)
        if answer is None:
            link.rest_s = min(doubled_s, max(limits.UNREACHABLE_S_MAX, interval_s))
            return
        advice = answer.headers.get("retry-after", "")
        if answer.status in (429, 503) and advice.isdigit() and len(advice) < 6:
            patience_s = min(limits.BACKOFF_S_MIN * 2.0 ** min(link.refusals - 1, 20), interval_s)
            link.rest_s = min(max(float(advice), patience_s, limits.BACKOFF_S_MIN), limits.BACKOFF_S_MAX)
            return
        link.rest_s = min(doubled_s, limits.BACKOFF_S_MAX)

    def result(self) -> CheckResult:
        return self.holds_of(self.judged, f"{self.judged} pulls, each in its measure")
