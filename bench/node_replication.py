"""Replication between running nodes: catching up with a history, and how late news is.

Links nodes as operators do and watches the reader over HTTP. The numbers come back as plain values; the table they
stand in is `bench.node`'s.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.node_lag import Lag, measure_lag
from bench.node_load import Load, background, finish
from bench.node_sides import memory_mib, ours, reference
from stigmem.core.keys import fingerprint
from tests.interop.federation import befriend, link
from tests.interop.processes import NodeProcess

__all__ = ["CatchUp", "catch_up_ours", "catch_up_reference", "lag"]

_PATIENCE_S = 600.0
_LOOK_S = 0.05


class CatchUp(NamedTuple):
    """How fast a reader took in a history, and how it answered meanwhile (0 when nobody asked)."""

    per_s: float
    healthz_p99_ms: float
    reader_mib: float


def _wait(reader: NodeProcess, last: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reader.facts(entity=last, limit=1):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{reader.directory.name} has not caught up within {_PATIENCE_S:g} s")
        time.sleep(_LOOK_S)


def catch_up_ours(directory: Path, facts: int) -> CatchUp:
    """A new node of ours reads another one's history, while somebody asks for its health."""
    with ExitStack() as stack:
        writer = stack.enter_context(ours(directory / "writer", facts=facts))
        reader = stack.enter_context(ours(directory / "reader", seed=b"p" * 32))
        writer.register_at(reader.url, reader.key)
        reader.register_at(writer.url, writer.key)
        writer.approve(reader.node_id, fingerprint(reader.signer.public_key))
        asking = background(Load(port=reader.port, what="health", rate=100, seconds=3.0 + facts / 10_000))
        peer, body = (
            reader.peer(writer.node_id)["peer_id"],
            {"pubkey_fingerprint": fingerprint(writer.signer.public_key)},
        )
        begin = time.perf_counter()
        reader.ask("POST", f"/v1/federation/peers/{peer}/approve", 200, **body)
        _wait(reader, f"user:person-{facts}")
        took = time.perf_counter() - begin
        return CatchUp(facts / took, finish(asking).p99_ms, memory_mib(reader.pid))


def catch_up_reference(folder: Path, directory: Path, facts: int) -> CatchUp:
    """The reference reads the same history from a node of ours: its publisher is never what it waits for."""
    with ExitStack() as stack:
        writer = stack.enter_context(ours(directory / "writer", facts=facts))
        reader = stack.enter_context(reference(folder, directory / "reference", auth=True, federated=True))
        link(writer, reader, manifest=True)
        begin = time.perf_counter()
        _wait(reader, f"user:person-{facts}")
        return CatchUp(facts / (time.perf_counter() - begin), 0.0, memory_mib(reader.pid))


def lag(directory: Path, *, rate: float, seconds: float) -> Lag:
    """Between two nodes of ours whose pulls wait for news."""
    with ExitStack() as stack:
        north = stack.enter_context(ours(directory / "north"))
        south = stack.enter_context(ours(directory / "south", seed=b"p" * 32))
        befriend(north, south)
        first = north.put("user:first", "string", "linked")
        deadline = time.monotonic() + _PATIENCE_S
        while not south.has(first["id"]) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        return measure_lag(north.port, south.port, rate=rate, seconds=seconds)
