"""Steady writers: every node states things about shared subjects, some of them far more often than others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.kinds import kind
from sim.naming import topic
from sim.ports import Clients
from sim.topology.federation import Federation
from sim.units import Rate, parse_rate
from sim.workload.base import Workload
from sim.world.clocks import EPOCH_NS
from sim.world.random_streams import zipf_weights
from stigmem.core.scopes import Scope
from stigmem.core.timestamps import format_us

__all__ = ["Writers"]

T = TypeVar("T")

Kind = Literal["string", "text", "number", "boolean", "datetime", "ref", "null"]
_Weight = Annotated[float, Meta(ge=0.0)]
_KINDS: Final[tuple[Kind, ...]] = ("string", "number", "text", "datetime", "ref", "boolean", "null")
_WORDS: Final = ("pump", "valve", "north", "shift", "green", "later", "order", "seven", "river", "audit")


@kind("writers")
class Writers(Workload, kw_only=True):
    """Writes at `rate` on each node, or `total_rate` over all (Poisson), about `entities` subjects drawn by Zipf.

    `exponent` 0 treats subjects alike. `kinds` of values are drawn evenly; each subject has a relation per kind
    and number below `relations`. `fresh`: every write has a relation of its own, so that nothing contradicts.
    `scopes`: weights of scopes instead of one scope.
    """

    rate: Rate | None = None
    """Writes per time on each node; once a minute when neither rate is given."""
    total_rate: Rate | None = None
    """Writes per time over all nodes together, instead of `rate`."""
    entities: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    """How many subjects there are."""
    exponent: Annotated[float, Meta(ge=0.0, le=10.0)] = 1.0
    """How much more often some subjects are written about than others: the exponent of Zipf's law, 0 for not at all."""
    relations: Annotated[int, Meta(ge=1)] = 1
    """How many relations each subject has for each kind of value."""
    kinds: Annotated[list[Kind], Meta(min_length=1)] = msgspec.field(default_factory=lambda: list(_KINDS))
    """The kinds of values, drawn evenly."""
    fresh: bool = False
    """Give every write a relation of its own, so that nothing contradicts."""
    scopes: dict[Scope, _Weight] | None = None
    """Weights of scopes, instead of the one `scope`."""

    def check(self, federation: Federation) -> None:
        super().check(federation)
        if self.rate is not None and self.total_rate is not None:
            raise Misfit("total_rate", "give rate (on each node) or total_rate (over all), not both")
        if self.scopes is not None and sum(self.scopes.values()) <= 0:
            raise Misfit("scopes", "give at least one scope a weight above 0, such as { public = 0.8, local = 0.2 }")

    def run(self, clients: Clients) -> None:
        names = self.on(clients)
        rate = self.rate or parse_rate("1/m")
        each = rate if self.total_rate is None else self.total_rate / len(names)
        subjects = _by_weight(list(range(self.entities)), zipf_weights(self.entities, self.exponent))
        scopes = list((self.scopes or {self.scope: 1.0}).items())
        scope_of = _by_weight([scope for scope, _ in scopes], _sums([weight for _, weight in scopes]))
        for name in names:
            rng = clients.rng(name)
            write = partial(self._write, clients, name, rng, subjects, scope_of)
            clients.poisson(rng, each, self.start, self.stop, write)

    def _write(
        self,
        clients: Clients,
        name: str,
        rng: Random,
        subjects: Callable[[Random], int],
        scope_of: Callable[[Random], Scope],
        number: int,
    ) -> None:
        subject, scope = subjects(rng), scope_of(rng)
        kind = self.kinds[rng.randrange(len(self.kinds))]
        which = rng.randrange(self.relations)
        value = _value(kind, rng, f"{name} {number}", clients.now_ns)
        relation = f"sim:{kind}-{which}" if not self.fresh else f"sim:{kind}-{number}-of-{name.replace(' ', '-')}"
        clients.write(name, topic(subject), relation, value, kind=kind, scope=scope)


def _value(kind: Kind, rng: Random, label: str, now: int) -> Any:
    number = rng.getrandbits(32)
    if kind == "string":
        return f"{label}: {_WORDS[number % len(_WORDS)]}"
    if kind == "text":
        return f"{label}: " + " ".join(_WORDS[(number >> shift) % len(_WORDS)] for shift in range(0, 30, 2))
    if kind == "number":
        return number / 1_000
    if kind == "boolean":
        return number % 2 == 0
    if kind == "datetime":
        return format_us((EPOCH_NS + now) // 1_000)
    if kind == "ref":
        return topic(number % 1_000)
    return None


def _sums(weights: list[float]) -> list[int]:
    """Cumulative integer weights."""
    total, found = 0, []
    for weight in weights:
        total += round(weight * 1e9)
        found.append(total)
    return found


def _by_weight(items: list[T], sums: list[int]) -> Callable[[Random], T]:
    """Draws one of the items with these cumulative weights."""
    return lambda rng: items[bisect_right(sums, rng.randrange(sums[-1]))]
