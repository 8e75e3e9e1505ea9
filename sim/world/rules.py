"""The rules of the wire: distance, loss, duplication, reordering, corruption, bandwidth, cuts, clogs.

Each is one small class with a verdict. A rule draws the same number of times for every packet it sees, whatever it
decides and whatever other rules decide, and from a stream of the packet's sender and receiver.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, Protocol

from sim.world.network import DROP, HOLD, PASS, Decision, Packet

__all__ = [
    "Bandwidth", "Clog", "Corruption", "Cut", "Delay", "Duplication", "Flapping", "Loss", "PairStreams",
    "Reordering", "Slow",
]  # fmt: skip

_ONE: Final = 1 << 32


class _Draw(Protocol):
    def draw(self, random: Random) -> int: ...


class PairStreams:
    """A random stream per ordered pair of nodes for one rule: what one link carries moves no other link's draws."""

    def __init__(self, stream: Callable[[str], Random], rule: str) -> None:
        self._stream = stream
        self._rule = rule
        self._streams: dict[tuple[str, str], Random] = {}

    def of(self, packet: Packet) -> Random:
        """The stream of the packet's sender and receiver."""
        pair = (packet.source, packet.target)
        found = self._streams.get(pair)
        if found is None:  # no name of a node has a slash or an arrow
            found = self._streams[pair] = self._stream(f"net/{self._rule}/{packet.source} > {packet.target}")
        return found

    def hit(self, packet: Packet, probability: float) -> bool:
        """One draw against a probability."""
        return self.of(packet).getrandbits(32) < probability * _ONE


class Delay:
    """Distance: a distribution per ordered pair of nodes, or one for all."""

    name = "latency"

    def __init__(self, per: PairStreams, default: _Draw, links: dict[tuple[str, str], _Draw] | None = None) -> None:
        self._per = per
        self._default = default
        self._links = links or {}

    def decide(self, packet: Packet, now: int) -> Decision:
        table = self._links.get((packet.source, packet.target), self._default)
        return Decision(table.draw(self._per.of(packet)))


class Loss:
    """A share of packets is lost, the same everywhere or per ordered pair."""

    name = "loss"

    def __init__(self, per: PairStreams, share: float, links: dict[tuple[str, str], float] | None = None) -> None:
        self._per = per
        self._share = share
        self._links = links or {}

    def decide(self, packet: Packet, now: int) -> Decision:
        share = self._links.get((packet.source, packet.target), self._share)
        return DROP if self._per.hit(packet, share) else PASS


class Duplication:
    """A share of packets arrives twice, the copy up to `within` later."""

    name = "duplication"

    def __init__(self, per: PairStreams, share: float, within_ns: int) -> None:
        self._per = per
        self._share = share
        self._within_ns = within_ns

    def decide(self, packet: Packet, now: int) -> Decision:
        hit = self._per.hit(packet, self._share)
        after = self._per.of(packet).randrange(self._within_ns + 1)
        return Decision(copy_after=after) if hit else PASS


class Reordering:
    """A share of packets is overtaken: up to `by` later than it would be."""

    name = "reordering"

    def __init__(self, per: PairStreams, share: float, by_ns: int) -> None:
        self._per = per
        self._share = share
        self._by_ns = by_ns

    def decide(self, packet: Packet, now: int) -> Decision:
        hit = self._per.hit(packet, self._share)
        after = self._per.of(packet).randrange(self._by_ns + 1)
        return Decision(after=after) if hit else PASS


class Corruption:
    """A share of packets arrives with some bits flipped."""

    name = "corruption"

    def __init__(self, per: PairStreams, share: float) -> None:
        self._per = per
        self._share = share

    def decide(self, packet: Packet, now: int) -> Decision:
        random = self._per.of(packet)
        hit = self._per.hit(packet, self._share)
        places = [random.getrandbits(40) for _ in range(4)]
        if not hit or not packet.data:
            return PASS
        data = bytearray(packet.data)
        for place in places[: 1 + places[0] % 4]:
            data[(place >> 3) % len(data)] ^= 1 << (place & 7)
        return Decision(data=bytes(data))


class Bandwidth:
    """A link carries so many bits per second and queues the rest."""

    name = "bandwidth"

    def __init__(self, bits_per_s: int | None, links: dict[tuple[str, str], int] | None = None) -> None:
        self._bits_per_s = bits_per_s
        self._links = links or {}
        self._free_at: dict[tuple[str, str], int] = {}

    def decide(self, packet: Packet, now: int) -> Decision:
        pair = (packet.source, packet.target)
        speed = self._links.get(pair, self._bits_per_s)
        if speed is None:
            return PASS
        begin = max(now, self._free_at.get(pair, 0))
        end = begin + len(packet.data) * 8 * 1_000_000_000 // speed
        self._free_at[pair] = end
        return Decision(after=end - now)


class Cut:
    """Nothing passes between certain ordered pairs; with `hold` it waits until the cut is lifted."""

    def __init__(self, name: str, pairs: frozenset[tuple[str, str]], *, hold: bool = False) -> None:
        self.name = name
        self._pairs = pairs
        self._stopped = HOLD if hold else DROP

    def decide(self, packet: Packet, now: int) -> Decision:
        return self._stopped if (packet.source, packet.target) in self._pairs else PASS


class Slow:
    """More delay on every packet from or to a node, or between two."""

    def __init__(self, name: str, per: PairStreams, by: _Draw, touches: Callable[[str, str], bool]) -> None:
        self.name = name
        self._per = per
        self._by = by
        self._touches = touches

    def decide(self, packet: Packet, now: int) -> Decision:
        if not self._touches(packet.source, packet.target):
            return PASS
        return Decision(after=self._by.draw(self._per.of(packet)))


class Clog:
    """Packets between certain ordered pairs wait until the clog is lifted."""

    def __init__(self, name: str, touches: Callable[[str, str], bool]) -> None:
        self.name = name
        self._touches = touches

    def decide(self, packet: Packet, now: int) -> Decision:
        return HOLD if self._touches(packet.source, packet.target) else PASS


class Flapping:
    """A link that is up and down in turn; down first."""

    def __init__(self, name: str, touches: Callable[[str, str], bool], *, begin: int, down_ns: int, up_ns: int) -> None:
        self.name = name
        self._touches = touches
        self._begin = begin
        self._down_ns = down_ns
        self._period_ns = down_ns + up_ns

    def decide(self, packet: Packet, now: int) -> Decision:
        if not self._touches(packet.source, packet.target):
            return PASS
        return DROP if (now - self._begin) % self._period_ns < self._down_ns else PASS
