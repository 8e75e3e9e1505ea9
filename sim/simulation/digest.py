"""Digests of what a federation holds at the end: everything, or only what is known.

The state digest is for comparing two simulated runs: every stamp, id and local order counts. The knowledge
digest is for comparing a simulated run with a real one of the same writes: it is made of ledgers alone, names
nodes as people do, and leaves out whatever a clock or a key decides. Nothing here knows the simulation's
faults or measurements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from sim.world.clocks import EPOCH_NS
from sim.world.machine import Machine
from stigmem.core.conflicts import Conflict, ConflictBook
from stigmem.core.fact import Fact
from stigmem.core.ledger import Ledger
from stigmem.core.resolution import Resolution, read_resolution
from stigmem.node.state import NodeState

__all__ = ["knowledge_digest", "knowledge_lines", "knowledge_of", "ledgers", "state_digest"]

_json: Final = msgspec.json.Encoder(order="deterministic").encode
_pack: Final = msgspec.msgpack.Encoder(order="deterministic").encode


# --- everything ---


def state_digest(machines: Mapping[str, Machine]) -> str:
    """The whole final state of every node: facts with stamps, ids, local order and sender, peers, cursors,
    origins, letters, nonces, audit head and clock."""
    digest = hashlib.blake2b(digest_size=16)
    for name, machine in machines.items():
        digest.update(_pack((name, machine.up, machine.boots)))
        for line in _state_lines(machine):
            digest.update(line)
    return digest.hexdigest()


def _state_lines(machine: Machine) -> Iterator[bytes]:
    node = machine.node
    if node is None:
        yield _pack(("off", machine.disk.bytes_used))
        return
    yield _pack((node.node_id, node.signer.public_key))
    yield from map(_pack, node.state.ledger.log)
    yield from _rows(node.state)


def _rows(state: NodeState) -> Iterator[bytes]:
    tables: dict[str, Mapping[Any, Any]] = {
        "peers": state.peers,
        "cursors": state.cursors,
        "origins": state.origins,
        "letters": state.letters,
        "deferred": state.deferred,
        "keys": state.keys,
        "receipts": state.receipts,
    }
    if state.subscriptions:  # few runs have any, and those without are as they were before there were any
        tables |= {"subscriptions": state.subscriptions, "deliveries": state.deliveries}
    for name, rows in tables.items():
        yield _pack((name, len(rows)))
        yield from sorted(_pack((key, row)) for key, row in rows.items())
    yield _pack(("nonces", len(state.nonces)))
    yield _pack(("audit", state.head))
    yield _pack(("clock", state.stamp))
    if state.used or state.doubted_line_ms:  # few runs have either
        yield _pack(("clock", state.used, state.doubted_line_ms))


# --- what is known ---


def ledgers(machines: Mapping[str, Machine]) -> dict[str, Ledger]:
    """The ledger of every node that runs, by the node's name."""
    return {name: machine.node.state.ledger for name, machine in machines.items() if machine.node is not None}


def knowledge_of(machines: Mapping[str, Machine], now_ns: int) -> str:
    """The knowledge digest of machines as they stand, all nodes judged at the present instant of true time."""
    return knowledge_digest(ledgers(machines), (EPOCH_NS + now_ns) // 1_000)


def knowledge_digest(nodes: Mapping[str, Ledger], at_us: int) -> str:
    """What is known and in conflict on each node, by the names that people give the nodes.

    `at_us` is the one instant, in microseconds since the epoch, at which expiry is judged on every node.
    """
    digest = hashlib.blake2b(digest_size=16)
    heads: dict[tuple[str, str], bytes] = {}
    for name in sorted(nodes):
        digest.update(_json(name) + b"\n")
        for line in knowledge_lines(nodes[name], at_us, heads):
            digest.update(line + b"\n")
    return digest.hexdigest()


def knowledge_lines(ledger: Ledger, at_us: int, heads: dict[tuple[str, str], bytes] | None = None) -> list[bytes]:
    """The sorted lines of one node: a line per fact with how it stands, one per resolution, one per conflict.

    The ledger stays as it is. `heads` keeps what does not differ between nodes, for speed.
    """
    ledger = ledger.as_of(at_us)
    kept = {} if heads is None else heads
    lines = [_fact_line(ledger, fact, kept) for fact in ledger.log if _is_knowledge(fact)]
    lines.extend(map(_conflict_line, ConflictBook(ledger).all()))
    lines.sort()
    return lines


def _is_knowledge(fact: Fact) -> bool:
    """Reserved facts are a node's own bookkeeping, except that resolutions say something."""
    return not fact.is_system or _resolution(fact) is not None


def _resolution(fact: Fact) -> Resolution | None:
    return read_resolution(fact) if fact.derived_from else None


def _fact_line(ledger: Ledger, fact: Fact, heads: dict[tuple[str, str], bytes]) -> bytes:
    name = (fact.origin, fact.id)
    head = heads.get(name)
    if head is None:
        resolution = _resolution(fact)
        if resolution is not None:
            return _resolution_line(ledger, resolution)
        head = heads[name] = _json(("fact", *fact.slot, *_saying(fact)))
    return head + b" " + _standing(ledger, fact).encode()


def _saying(fact: Fact) -> tuple[str | float | None, ...]:
    return (fact.kind, fact.text, fact.interpret_as, fact.source, fact.confidence, fact.valid_until)


def _resolution_line(ledger: Ledger, resolution: Resolution) -> bytes:
    """A resolution by what it says of which values: its entity and its provenance are made of ids."""
    held = [fact for fact_id in resolution.covers for fact in ledger.find(fact_id)]
    covered = sorted(([*_saying(fact), fact.id == resolution.winner] for fact in held), key=_json)
    return _json(("resolution", *resolution.slot, resolution.fact.source, resolution.note, covered))


def _standing(ledger: Ledger, fact: Fact) -> str:
    if fact.quarantine is not None:
        return "quarantined"
    if ledger.voided(fact):
        return "voided"
    if fact.is_retraction:
        return "retraction"
    ending = ledger.ended_by(fact)
    if ending is not None:
        return "retracted" if ending.is_retraction else "superseded"
    if ledger.overruled(fact):
        return "overruled"
    return "expired" if ledger.expired(fact) else "live"


def _conflict_line(conflict: Conflict) -> bytes:
    members = sorted((list(_saying(fact)) for fact in conflict.members), key=_json)
    return _json(("conflict", *conflict.slot, conflict.status, members, conflict.note))
