"""A value for each key of a kind, by the type of the key.

    True or false            a coin
    one of some words        any of them; of a list of words some of them
    a whole number           around its default by powers of two, within its bounds
    a share                  none, all, or anything between
    a duration               around its default; from a tenth of a second to half the scenario where it has none
    a rate, a bandwidth      some usual ones
    a text, a list of texts  a node, or some nodes; two that are linked where it is a pair

A key that may be left out is left out every other time. One whose type is none of these (a table, a file) is left out
always, so that a kind that requires such a key needs a palette or a reason for not being drawn
(`sim.explore.palettes`); a test holds that none is forgotten.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from random import Random
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from sim.explore.palettes import PALETTES
from sim.kinds import name_of
from sim.topology.federation import Federation
from sim.units import Duration, Rate, Speed

__all__ = ["draw_part"]

_NS_PER_MS: Final = 1_000_000
_RATES: Final = ("1/m", "6/m", "30/m", "60/m")
_SPEEDS: Final = ("8kbit/s", "64kbit/s", "1Mbit/s")
_NO_NODES: Final = ("name", "source", "stranger", "file")
"""Texts that name no node; these are left out."""
_LEFT_OUT: Final = object()


def draw_part(rng: Random, sort: str, cls: type, federation: Federation) -> dict[str, Any]:
    """A table of this kind, by the keys of a file. It may be refused: what fits together is the scenario's to say."""
    kind = name_of(cls)
    found: dict[str, Any] = {"kind": kind}
    for field in msgspec.structs.fields(cls):
        palette = PALETTES.get((sort, kind, field.encode_name))
        if palette is not None:
            value = _LEFT_OUT if not field.required and rng.random() < 0.3 else rng.choice(palette)
        else:
            value = _Field(rng, field, federation).value()
        if value is not _LEFT_OUT:
            found[field.encode_name] = value
    return found


class _Field:
    """One key of one part."""

    def __init__(self, rng: Random, field: msgspec.structs.FieldInfo, federation: Federation) -> None:
        self._rng = rng
        self._federation = federation
        self._name = field.encode_name
        self._required = field.required
        self._default = None if field.default is msgspec.NODEFAULT else field.default
        self._meta: dict[str, Any] = {}
        self._type, self._is_optional = self._bare(field.type)

    def value(self) -> Any:
        """A value, or `_LEFT_OUT`."""
        if not self._required and (self._is_optional or self._rng.random() < 0.3) and self._rng.random() < 0.5:
            return _LEFT_OUT
        return self._of(self._type)

    def _bare(self, kind: Any) -> tuple[Any, bool]:
        """The type without `| None` and without its bounds, which are kept."""
        is_optional = False
        while get_origin(kind) in (Annotated, Union, types.UnionType):
            if get_origin(kind) is Annotated:
                kind, *notes = get_args(kind)
                for note in notes:
                    self._keep(note)
                continue
            parts = [part for part in get_args(kind) if part is not type(None)]
            is_optional |= len(parts) < len(get_args(kind))
            kind = parts[0]
        return kind, is_optional

    def _keep(self, note: Any) -> None:
        if isinstance(note, Meta):
            bounds = {key: getattr(note, key) for key in ("ge", "gt", "le", "lt", "min_length", "max_length")}
            self._meta |= {key: bound for key, bound in bounds.items() if bound is not None}
            self._meta |= note.extra or {}

    def _of(self, kind: Any) -> Any:
        if get_origin(kind) is Literal:
            return self._rng.choice(get_args(kind))
        if get_origin(kind) is list:
            return self._list(get_args(kind)[0])
        draws: Mapping[Any, Any] = {
            bool: lambda: self._rng.random() < 0.5,
            Duration: self._duration,
            Rate: lambda: self._rng.choice(_RATES),
            Speed: lambda: self._rng.choice(_SPEEDS),
            int: self._count,
            float: self._share,
            str: self._node,
        }
        return draws[kind]() if kind in draws else _LEFT_OUT

    def _duration(self) -> str:
        duration_ms = self._federation.duration_ns // _NS_PER_MS
        if self._name == "at":
            edges = (0, duration_ms // 2, max(0, duration_ms - 1_000), self._rng.randrange(duration_ms))
            return f"{self._rng.choice(edges)}ms"
        if self._name in ("start", "stop"):
            half = duration_ms / 2
            return f"{round(self._rng.uniform(0, half) + (half if self._name == 'stop' else 0))}ms"
        if self._default:
            return f"{max(1, round(self._default / _NS_PER_MS * 2 ** self._rng.uniform(-3.0, 1.5)))}ms"
        if self._meta.get("least") == 0 and self._rng.random() < 0.3:
            return "0s"
        longest = max(2.0, duration_ms / 100)
        return f"{round(100 * longest ** self._rng.random())}ms"

    def _count(self) -> int:
        least = self._meta.get("ge", self._meta.get("gt", 0) + 1)
        most = self._meta.get("le", self._meta.get("lt", 1 << 30) - 1)
        around = self._default or 8
        return int(max(least, min(most, round(around * 2 ** self._rng.uniform(-3.0, 1.5)))))

    def _share(self) -> float:
        low, high = self._meta.get("ge", 0.0), self._meta.get("le", 1.0)
        return float(self._rng.choice((low, high, round(self._rng.uniform(low, high), 3))))

    def _node(self) -> Any:
        if self._name in _NO_NODES:
            return _LEFT_OUT
        return self._rng.choice(self._federation.nodes)

    def _list(self, item: Any) -> Any:
        if get_origin(item) is Literal:
            words = get_args(item)
            return self._rng.sample(words, self._rng.randint(1, len(words)))
        if item is str and self._meta.get("max_length") == 2:
            return self._pair()
        if item is str:
            nodes = self._federation.nodes
            return self._rng.sample(nodes, self._rng.randint(1, len(nodes)))
        if get_origin(item) is Annotated:
            return [self._pair()] if self._federation.links else _LEFT_OUT
        return _LEFT_OUT

    def _pair(self) -> Any:
        if not self._federation.links:
            return _LEFT_OUT
        pair = list(self._rng.choice(self._federation.links))
        self._rng.shuffle(pair)
        return pair
