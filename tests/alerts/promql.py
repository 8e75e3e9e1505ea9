"""The part of PromQL that the alert rules use, read by a grammar of five lines; whatever else is there is refused.

    rule      = value COMPARISON number
    value     = selector | over | "sum" [ "by" "(" labels ")" ] "(" ( selector | over ) ")"
    over      = ( "increase" | "rate" ) "(" selector "[" duration "]" ")"
    selector  = metric [ "{" label ( "=" | "!=" | "=~" | "!~" ) '"' text '"' { "," ... } "}" ]
    COMPARISON: > >= < <= == !=       duration: a number and s, m, h or d

As Prometheus does, an expression has a value for each set of labels and keeps those for which the comparison holds; a
selector means the last sample that is no older than the look-back; a counter that becomes less was reset; and a series
of which a window holds fewer than two samples has no increase there, so that a counter which appears with its first
event has not counted it. Unlike Prometheus, an increase is not extrapolated to the ends of its window: it is what the
samples show, which is never more.
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

__all__ = ["Expression", "Labels", "NotUnderstood", "Samples", "parse", "seconds"]

Labels = tuple[tuple[str, str], ...]
"""Names and values of labels, in order."""
_LOOK_BACK_S: Final = 300.0
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_TOKEN: Final = re.compile(
    r'\s*(?:([A-Za-z_:][\w:]*)|(\d+(?:\.\d+)?[smhd]?)|"([^"\\]*)"|(=~|!~|!=|==|>=|<=|[=<>{}()\[\],]))'
)
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_MATCHES: Final = ("=", "!=", "=~", "!~")


class NotUnderstood(ValueError):
    """An expression outside of this part of the language."""


def seconds(text: str) -> float:
    """A duration with one unit. Raises NotUnderstood."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is None:
        raise NotUnderstood(f"{text!r} is no duration such as 5m")
    return int(found[1]) * _UNITS[found[2]]


class Samples:
    """What was scraped: for each metric and set of labels the values in the order of time."""

    def __init__(self) -> None:
        self._series: dict[str, dict[Labels, tuple[list[float], list[float]]]] = {}

    def add(self, at_s: float, name: str, labels: Iterable[tuple[str, str]], value: float) -> None:
        """A sample; those of a series come in the order of time."""
        times, values = self._series.setdefault(name, {}).setdefault(tuple(sorted(labels)), ([], []))
        times.append(at_s)
        values.append(value)

    def of(self, name: str) -> Iterator[tuple[Labels, list[float], list[float]]]:
        """The series of a metric."""
        for labels, (times, values) in self._series.get(name, {}).items():
            yield labels, times, values


class _Match(NamedTuple):
    label: str
    how: str
    text: str

    @lru_cache(maxsize=10_000)  # noqa: B019 - a few rules, and the series of a run
    def holds(self, labels: Labels) -> bool:
        value = dict(labels).get(self.label, "")
        found = re.fullmatch(self.text, value) is not None if "~" in self.how else value == self.text
        return found != self.how.startswith("!")


class Expression(NamedTuple):
    """One rule's condition."""

    metric: str
    matches: tuple[_Match, ...]
    over: str
    """`increase`, `rate` or empty."""
    window_s: float
    summed: bool
    by: tuple[str, ...]
    comparison: str
    bound: float

    def holds(self, samples: Samples, now_s: float) -> dict[Labels, float]:
        """The sets of labels for which it holds at an instant, with their values."""
        values: dict[Labels, float] = {}
        for labels, times, found in samples.of(self.metric):
            if not all(match.holds(labels) for match in self.matches):
                continue
            value = self._value(times, found, now_s)
            if value is None:
                continue
            key = tuple(pair for pair in labels if pair[0] in self.by) if self.summed else labels
            values[key] = value + (values.get(key, 0.0) if self.summed else 0.0)
        return {key: value for key, value in values.items() if _COMPARISONS[self.comparison](value, self.bound)}

    def _value(self, times: list[float], found: list[float], now_s: float) -> float | None:
        end = bisect_right(times, now_s)
        if not self.over:
            return found[end - 1] if end and times[end - 1] > now_s - _LOOK_BACK_S else None
        window = found[bisect_left(times, now_s - self.window_s) : end]
        if len(window) < 2:
            return None
        increase = sum(after - before if after >= before else after for before, after in pairwise(window))
        return increase / self.window_s if self.over == "rate" else increase


def parse(text: str) -> Expression:
    """Read an expression. Raises NotUnderstood."""
    return _Reader(text).rule()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(text.rstrip()):
            found = _TOKEN.match(text, position)
            if found is None:
                raise NotUnderstood(f"{text[position:]!r} in {text!r} is not understood")
            kind = ("name", "number", "text", "sign")[(found.lastindex or 1) - 1]
            self._tokens.append((kind, found[found.lastindex or 1]))
            position = found.end()

    def rule(self) -> Expression:
        summed, by = self._next_is("name", "sum"), ()
        if summed:
            if self._next_is("name", "by"):
                by = tuple(self._labels())
            self._need("(")
        metric, matches, over, window_s = self._counted()
        if summed:
            self._need(")")
        comparison, bound = self._take("sign"), self._take("number")
        if comparison not in _COMPARISONS or bound[-1] in _UNITS or self._tokens:
            raise NotUnderstood(f"{self._text!r} does not end with a comparison with a number")
        return Expression(
            metric=metric, matches=matches, over=over, window_s=window_s, summed=summed, by=by,
            comparison=comparison, bound=float(bound),
        )  # fmt: skip

    def _counted(self) -> tuple[str, tuple[_Match, ...], str, float]:
        name = self._take("name")
        if name not in ("increase", "rate"):
            if self._tokens[:1] == [("sign", "(")]:
                raise NotUnderstood(f"the function {name} in {self._text!r} is not understood")
            return name, tuple(self._matches()), "", 0.0
        self._need("(")
        metric, matches = self._take("name"), tuple(self._matches())
        self._need("[")
        window_s = seconds(self._take("number"))
        self._need("]")
        self._need(")")
        return metric, matches, name, window_s

    def _matches(self) -> Iterator[_Match]:
        if not self._next_is("sign", "{"):
            return
        while True:
            label, how, text = self._take("name"), self._take("sign"), self._take("text")
            if how not in _MATCHES:
                raise NotUnderstood(f"{how!r} in {self._text!r} is not understood")
            yield _Match(label, how, text)
            if not self._next_is("sign", ","):
                break
        self._need("}")

    def _labels(self) -> Iterator[str]:
        self._need("(")
        yield self._take("name")
        while self._next_is("sign", ","):
            yield self._take("name")
        self._need(")")

    def _next_is(self, kind: str, text: str) -> bool:
        if self._tokens[:1] != [(kind, text)]:
            return False
        del self._tokens[0]
        return True

    def _need(self, sign: str) -> None:
        if not self._next_is("sign", sign):
            raise NotUnderstood(f"{sign!r} is missing in {self._text!r}")

    def _take(self, kind: str) -> str:
        if not self._tokens or self._tokens[0][0] != kind:
            raise NotUnderstood(f"a {kind} is missing in {self._text!r}")
        return self._tokens.pop(0)[1]
