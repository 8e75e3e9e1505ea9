"""How late facts are between two nodes of ours: written on one at a steady rate, seen on the other.

A process of its own: `python -m bench.node_lag SPEC` with SPEC as JSON, printing JSON. The clock is that of this
process, so no two clocks are compared.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Final

import trio

from bench.node_load import exchange

__all__ = ["Lag", "measure_lag"]

_WRITERS: Final = 16
"""Connections that take turns, so that a slow answer does not hold up the next write."""
_PATIENCE_S: Final = 30.0
_PAUSE_S: Final = 0.001


@dataclass(slots=True)
class Lag:
    """Milliseconds from sending a write to seeing it on the other node."""

    median_ms: float
    p99_ms: float
    facts: int
    per_s: float


def measure_lag(north: int, south: int, *, rate: float, seconds: float) -> Lag:
    """The lag from the node on port `north` to the one on port `south`."""
    spec = json.dumps({"north": north, "south": south, "rate": rate, "seconds": seconds})
    done = subprocess.run([sys.executable, "-m", "bench.node_lag", spec], stdout=subprocess.PIPE, text=True, check=True)
    return Lag(**json.loads(done.stdout))


class _Federation:
    """Facts on their way: number -> when its write was sent."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.count = int(spec["rate"] * spec["seconds"])
        self.begin = perf_counter()
        self.next = 0
        self.underway: dict[str, float] = {}
        self.lags: list[float] = []

    async def write(self) -> None:
        stream, held = await trio.open_tcp_stream("127.0.0.1", self.spec["north"]), bytearray()
        while self.next < self.count:
            number, self.next = self.next, self.next + 1
            await trio.sleep(max(0.0, self.begin + number / self.spec["rate"] - perf_counter()))
            body = json.dumps({
                "entity": f"user:lag-{number}", "relation": "memory:role", "source": "agent:bench", "scope": "public",
                "value": {"type": "number", "v": number},
            })  # fmt: skip
            kind = f"content-type: application/json\r\ncontent-length: {len(body)}"
            head = f"POST /v1/facts HTTP/1.1\r\nhost: localhost\r\n{kind}"
            sent = perf_counter()
            _, answer = await exchange(stream, held, f"{head}\r\n\r\n{body}".encode())
            self.underway[json.loads(answer)["id"]] = sent
        await stream.aclose()

    async def watch(self) -> None:
        """Ask for the oldest fact on its way: they become visible in the order in which they were stored."""
        stream, held = await trio.open_tcp_stream("127.0.0.1", self.spec["south"]), bytearray()
        while len(self.lags) < self.count:
            fact_id = next(iter(self.underway), None)
            if fact_id is None:
                await trio.sleep(_PAUSE_S)
                continue
            head, _ = await exchange(
                stream, held, f"GET /v1/facts/{fact_id} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
            )
            if head[9:12] == b"200":
                self.lags.append(1000 * (perf_counter() - self.underway.pop(fact_id)))
            else:
                await trio.sleep(_PAUSE_S)
        await stream.aclose()


async def _main(spec: dict[str, Any]) -> Lag:
    found = _Federation(spec)
    with trio.fail_after(spec["seconds"] + _PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(found.watch)
            async with trio.open_nursery() as writing:
                for _ in range(_WRITERS):
                    writing.start_soon(found.write)
            took = perf_counter() - found.begin
    lags = sorted(found.lags)
    return Lag(lags[len(lags) // 2], lags[int(len(lags) * 0.99)], len(lags), found.count / took)


if __name__ == "__main__":
    print(json.dumps(asdict(trio.run(_main, json.loads(sys.argv[1])))))
