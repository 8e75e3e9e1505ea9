"""Alert rules: reading the file, and which alerts are pending and fire as time goes on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from tests.alerts.promql import Expression, Labels, NotUnderstood, Samples, parse, seconds

__all__ = ["RULES", "Fired", "Rule", "Watch", "read_rules"]

RULES: Final = Path(__file__).resolve().parents[2] / "docs/security/alerts.yml"
_HEAD: Final = ("groups:", "  - name: stigmem", "    rules:")
_NAME: Final = re.compile(r"      - alert: (\w+)")
_MEMBER: Final = re.compile(r"        (expr|for|labels|annotations): (.+)")


class Rule(NamedTuple):
    """One alert: when its expression has held for so long, it fires."""

    name: str
    expression: Expression
    for_s: float


class Fired(NamedTuple):
    """An alert that fired, for whom, and when it did first, in seconds since the beginning."""

    name: str
    labels: Labels
    at_s: float


def read_rules(text: str) -> list[Rule]:
    """The rules of a file. Raises NotUnderstood for a line that is none of those which the file is made of."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if tuple(lines[:3]) != _HEAD:
        raise NotUnderstood("the file does not begin as rules do")
    found: list[dict[str, str]] = []
    for line in lines[3:]:
        if (name := _NAME.fullmatch(line)) is not None:
            found.append({"alert": name[1]})
        elif found and (member := _MEMBER.fullmatch(line)) is not None and member[1] not in found[-1]:
            found[-1][member[1]] = member[2]
        else:
            raise NotUnderstood(f"the line {line!r} is not understood")
    return [
        Rule(each["alert"], parse(each["expr"]), seconds(each["for"]) if "for" in each else 0.0)
        if "expr" in each
        else _without(each["alert"])
        for each in found
    ]


def _without(name: str) -> Rule:
    raise NotUnderstood(f"the alert {name} has no expression")


class Watch:
    """Evaluates rules at one instant after the other."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._since: dict[tuple[str, Labels], float] = {}
        self._fired: dict[tuple[str, Labels], Fired] = {}

    def look(self, samples: Samples, now_s: float) -> None:
        """Evaluate every rule now."""
        for rule in self._rules:
            holds = rule.expression.holds(samples, now_s)
            for key in [key for key in self._since if key[0] == rule.name and key[1] not in holds]:
                del self._since[key]
            for labels in holds:
                since_s = self._since.setdefault((rule.name, labels), now_s)
                if now_s - since_s >= rule.for_s:
                    self._fired.setdefault((rule.name, labels), Fired(rule.name, labels, now_s))

    @property
    def fired(self) -> list[Fired]:
        """What fired until now, in that order."""
        return list(self._fired.values())

    @property
    def names(self) -> list[str]:
        """The names of what fired, each once and sorted."""
        return sorted(dict.fromkeys(each.name for each in self._fired.values()))
