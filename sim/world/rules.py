"""The rules of the wire: distance, loss, duplication, reordering, corruption, bandwidth, cuts, clogs.

Each is one small class with a verdict. A rule draws the same number of times for every parcel it sees,
whatever it decides and whatever other rules decide.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, Protocol

from sim.world.network import DROP, HOLD, PASS, Parcel, Verdict

__all__ = [
    "Bandwidth", "Clog", "Corruption", "Cut", "Delay", "Duplication", "Flapping", "Loss", "Per", "Reordering", "Slow",
]  # fmt: skip

_ONE: Final = 1 << 32


class _Draw(Protocol):
    def draw(self, random: Random) -> int: ...


class Per:
    """A random stream per sender for one rule."""

    def __init__(self, stream: Callable[[str], Random], rule: str) -> None:
        self._stream = stream
        self._rule = rule
        self._streams: dict[str, Random] = {}

    def of(self, sender: str) -> Random:
        """The sender's stream."""
        found = self._streams.get(sender)
        if found is None:
            found = self._streams[sender] = self._stream(f"net/{self._rule}/{sender}")
        return found

    def hit(self, sender: str, probability: float) -> bool:
        """One draw against a probability."""
        return self.of(sender).getrandbits(32) < probability * _ONE


class Delay:
    """Distance: a distribution per ordered pair of nodes, or one for all."""

    name = "latency"

    def __init__(self, per: Per, default: _Draw, links: dict[tuple[str, str], _Draw] | None = None) -> None:
        self._per = per
        self._default = default
        self._links = links or {}

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        table = self._links.get((parcel.source, parcel.target), self._default)
        return Verdict(table.draw(self._per.of(parcel.source)))


class Loss:
    """A share of parcels is lost, the same everywhere or per ordered pair."""

    name = "loss"

    def __init__(self, per: Per, share: float, links: dict[tuple[str, str], float] | None = None) -> None:
        self._per = per
        self._share = share
        self._links = links or {}

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        share = self._links.get((parcel.source, parcel.target), self._share)
        return DROP if self._per.hit(parcel.source, share) else PASS


class Duplication:
    """A share of parcels arrives twice, the copy up to `within` later."""

    name = "duplication"

    def __init__(self, per: Per, share: float, within_ns: int) -> None:
        self._per = per
        self._share = share
        self._within_ns = within_ns

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        hit = self._per.hit(parcel.source, self._share)
        after = self._per.of(parcel.source).randrange(self._within_ns + 1)
        return Verdict(copy_after=after) if hit else PASS


class Reordering:
    """A share of parcels is overtaken: up to `by` later than it would be."""

    name = "reordering"

    def __init__(self, per: Per, share: float, by_ns: int) -> None:
        self._per = per
        self._share = share
        self._by_ns = by_ns

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        hit = self._per.hit(parcel.source, self._share)
        after = self._per.of(parcel.source).randrange(self._by_ns + 1)
        return Verdict(after=after) if hit else PASS


class Corruption:
    """A share of parcels arrives with some bits flipped."""

    name = "corruption"

    def __init__(self, per: Per, share: float) -> None:
        self._per = per
        self._share = share

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        random = self._per.of(parcel.source)
        hit = self._per.hit(parcel.source, self._share)
        places = [random.getrandbits(40) for _ in range(4)]
        if not hit or not parcel.data:
            return PASS
        data = bytearray(parcel.data)
        for place in places[: 1 + places[0] % 4]:
            data[(place >> 3) % len(data)] ^= 1 << (place & 7)
        return Verdict(data=bytes(data))


class Bandwidth:
    """A link carries so many bits per second and queues the rest."""

    name = "bandwidth"

    def __init__(self, bits_per_s: int | None, links: dict[tuple[str, str], int] | None = None) -> None:
        self._bits_per_s = bits_per_s
        self._links = links or {}
        self._free_at: dict[tuple[str, str], int] = {}

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        pair = (parcel.source, parcel.target)
        speed = self._links.get(pair, self._bits_per_s)
        if speed is None:
            return PASS
        begin = max(now, self._free_at.get(pair, 0))
        end = begin + len(parcel.data) * 8 * 1_000_000_000 // speed
        self._free_at[pair] = end
        return Verdict(after=end - now)


class Cut:
    """Nothing passes between certain ordered pairs; with `hold` it waits until the cut is lifted."""

    def __init__(self, name: str, pairs: frozenset[tuple[str, str]], *, hold: bool = False) -> None:
        self.name = name
        self._pairs = pairs
        self._stopped = HOLD if hold else DROP

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        return self._stopped if (parcel.source, parcel.target) in self._pairs else PASS


class Slow:
    """More delay on every parcel from or to a node, or between two."""

    def __init__(self, name: str, per: Per, by: _Draw, touches: Callable[[str, str], bool]) -> None:
        self.name = name
        self._per = per
        self._by = by
        self._touches = touches

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        if not self._touches(parcel.source, parcel.target):
            return PASS
        return Verdict(after=self._by.draw(self._per.of(parcel.source)))


class Clog:
    """Parcels between certain ordered pairs wait until the clog is lifted."""

    def __init__(self, name: str, touches: Callable[[str, str], bool]) -> None:
        self.name = name
        self._touches = touches

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        return HOLD if self._touches(parcel.source, parcel.target) else PASS


class Flapping:
    """A link that is up and down in turn; down first."""

    def __init__(self, name: str, touches: Callable[[str, str], bool], *, begin: int, down_ns: int, up_ns: int) -> None:
        self.name = name
        self._touches = touches
        self._begin = begin
        self._down_ns = down_ns
        self._period_ns = down_ns + up_ns

    def judge(self, parcel: Parcel, now: int) -> Verdict:
        if not self._touches(parcel.source, parcel.target):
            return PASS
        return DROP if (now - self._begin) % self._period_ns < self._down_ns else PASS
