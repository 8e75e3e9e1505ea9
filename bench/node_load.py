"""Load for one node, from a process of its own: `python -m bench.node_load SPEC`, where SPEC is JSON; prints JSON.

HTTP/1.1 over plain sockets under trio, one request at a time on each connection, so that little stands between the
node and the numbers. The share of a core that this process used is told: near 1 it is the limit, and not the node.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from random import Random
from time import perf_counter, process_time
from typing import Any, Final, Literal

import trio

__all__ = ["Load", "Measured", "background", "exchange", "finish", "run"]

_LIMIT_SHARE: Final = 0.9
_BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to do to a node. `facts`: how many numbered facts a query may hit. `rate`: requests a second in all, 0 for
    as many as possible."""

    port: int
    what: Literal["write", "batch", "query", "health"]
    connections: int = 1
    seconds: float = 3.0
    key: str = ""
    facts: int = 0
    rate: float = 0.0
    label: str = "load"


@dataclass(slots=True)
class Measured:
    """What came of it; times in milliseconds."""

    per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int
    share: float

    @property
    def is_limit(self) -> bool:
        """Whether the load generator, and not the node, was busy all the time."""
        return self.share > _LIMIT_SHARE


@dataclass(slots=True)
class _Tally:
    times: list[float] = field(default_factory=list)
    errors: int = 0
    number: int = 0


def run(load: Load) -> Measured:
    """Put this load on a node, from another process."""
    return finish(background(load))


def background(load: Load) -> subprocess.Popen[str]:
    """Begin a load; `finish` waits for it."""
    command = [sys.executable, "-m", "bench.node_load", json.dumps(asdict(load))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> Measured:
    """What came of a load that was begun. Raises RuntimeError when its process failed."""
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load generator ended with status {process.returncode}")
    return Measured(**json.loads(said))


# --- in the other process ---


def _body(load: Load, number: int) -> bytes:
    def fact(n: int) -> dict[str, Any]:
        return {
            "entity": f"user:{load.label}-{n}", "relation": "memory:role", "source": "agent:bench", "scope": "public",
            "value": {"type": "string", "v": f"role {n}"}, "confidence": 1.0,
        }  # fmt: skip

    if load.what == "write":
        return json.dumps(fact(number)).encode()
    return json.dumps({"facts": [fact(number * _BATCH + n) for n in range(_BATCH)]}).encode()


def _maker(load: Load) -> Callable[[int], bytes]:
    """Request bytes by number."""
    key = f"authorization: Bearer {load.key}\r\n" if load.key else ""
    head = f"host: 127.0.0.1:{load.port}\r\n{key}"
    chance = Random(load.port)
    if load.what == "health":
        return lambda _: f"GET /healthz HTTP/1.1\r\n{head}\r\n".encode()
    if load.what == "query":
        path = "GET /v1/facts?entity=user:person-{}&relation=memory:role&limit=10 HTTP/1.1\r\n{}\r\n"
        return lambda _: path.format(chance.randrange(1, load.facts + 1), head).encode()
    path = "/v1/facts" if load.what == "write" else "/v1/facts/batch"

    def post(number: int) -> bytes:
        body = _body(load, number)
        text = f"POST {path} HTTP/1.1\r\n{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return text.encode() + body

    return post


async def exchange(stream: trio.SocketStream, held: bytearray, request: bytes) -> tuple[bytes, bytes]:
    """Send a request; the head and the body of its answer. `held` keeps what the stream has brought."""
    await stream.send_all(request)
    while (end := held.find(b"\r\n\r\n")) < 0:
        held += await _more(stream)
    head = bytes(held[: end + 4])
    at = head.lower().index(b"content-length:") + 15
    whole = end + 4 + int(head[at : head.index(b"\r", at)])
    while len(held) < whole:
        held += await _more(stream)
    body = bytes(held[end + 4 : whole])
    del held[:whole]
    return head, body


async def _more(stream: trio.SocketStream) -> bytes:
    data = await stream.receive_some(65_536)
    if not data:
        raise trio.BrokenResourceError("the node closed the connection")
    return bytes(data)


async def _connection(load: Load, make: Callable[[int], bytes], tally: _Tally, begin: float) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", load.port)
    held = bytearray()
    while (now := perf_counter()) - begin < load.seconds:
        number = tally.number
        tally.number += 1
        if load.rate:
            await trio.sleep(max(0.0, begin + number / load.rate - now))
        data, started = make(number), perf_counter()
        head, _ = await exchange(stream, held, data)
        tally.times.append(perf_counter() - started)
        tally.errors += head[9:10] != b"2"
    await stream.aclose()


async def _measure(load: Load) -> Measured:
    tally, make, begin, cpu = _Tally(), _maker(load), perf_counter(), process_time()
    async with trio.open_nursery() as nursery:
        for _ in range(load.connections):
            nursery.start_soon(_connection, load, make, tally, begin)
    took, share = perf_counter() - begin, process_time() - cpu
    times = sorted(tally.times)
    return Measured(
        per_s=len(times) / took,
        p50_ms=1000 * times[len(times) // 2],
        p99_ms=1000 * times[int(len(times) * 0.99)],
        requests=len(times),
        errors=tally.errors,
        share=share / took,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(trio.run(_measure, Load(**json.loads(sys.argv[1]))))))
