"""From a plan to machines: clocks, disks, keys and settings of every node.

Built once, before the first event. What a scenario's tables mean for a node's settings is decided here and
nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache, partial
from random import Random
from typing import Final

from sim.naming import slug
from sim.scenario.tables import QuotaTable, Scenario
from sim.world.clocks import NodeClock
from sim.world.disk import Disk
from sim.world.machine import Hardware, Machine, MachineEvents
from sim.world.random_streams import RandomStreams
from sim.world.rpc import Wire
from sim.world.signature_cache import SignatureCache
from stigmem.core.keys import ED25519, STAND_IN, Suite
from stigmem.core.manifest import certified_node_id
from stigmem.core.scopes import Scope
from stigmem.node.intake_quota import IntakeLimits
from stigmem.node.settings import NodeSettings

__all__ = ["make_hardware", "make_machines", "node_settings"]

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000


def make_machines(
    scenario: Scenario, nodes: Iterable[str], streams: RandomStreams, wire: Wire, events: MachineEvents
) -> dict[str, Machine]:
    """A machine for each node, switched off; what happens on them is told to `events`."""
    parts = make_hardware(scenario, nodes, streams)
    return {name: Machine(name, settings, hardware, wire, events) for name, (settings, hardware) in parts.items()}


def make_hardware(
    scenario: Scenario, nodes: Iterable[str], streams: RandomStreams
) -> dict[str, tuple[NodeSettings, Hardware]]:
    """What the machine of each node is made of: settings, and a clock, a disk and chance of its own."""
    tables = {table.node: table for table in scenario.clock}
    suite: Suite = STAND_IN if scenario.scenario.signatures == "stand-in" else SignatureCache(ED25519)
    parts: dict[str, tuple[NodeSettings, Hardware]] = {}
    for name in nodes:
        table = tables.get(name)
        offset, drift = (0, 0) if table is None else (table.offset, table.drift_ppm)
        disk_random = streams.stream(f"disk/{name}")
        hardware = Hardware(
            NodeClock(offset_ns=offset, drift_ppm=drift),
            Disk(disk_random, sync_ns=scenario.disk.sync, capacity_bytes=scenario.disk.capacity),
            lru_cache(maxsize=None)(partial(_entropy, streams, name)),
        )
        parts[name] = node_settings(scenario, name, streams.seed, suite), hardware
    return parts


def _entropy(streams: RandomStreams, machine: str, purpose: str) -> Random:
    return streams.stream(f"entropy/{machine}/{purpose}" if purpose else f"entropy/{machine}")


def _node_seed(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=32, person=b"sim node key").digest()


def _node_id(scenario: Scenario, seed: int, name: str, suite: Suite) -> str:
    """The id of a node of the federation by its name; `*` stays."""
    if name == "*":
        return name
    if scenario.federation.node_ids == "named":
        return f"stigmem://{slug(name)}.sim"
    return certified_node_id(suite.signer(_node_seed(seed, name)).public_key)


def node_settings(scenario: Scenario, name: str, seed: int, suite: Suite) -> NodeSettings:
    """The settings of the node of this name."""
    federation = scenario.federation
    return NodeSettings(
        seed=_node_seed(seed, name),
        node_url=f"http://{slug(name)}.sim",
        node_id="" if federation.node_ids == "certified" else f"stigmem://{slug(name)}.sim",
        suite=suite,
        auth_required=False,
        federation=True,
        scopes=_scopes(scenario, name),
        allow_team=federation.allow_team,
        push=federation.push,
        relay=federation.relay,
        origin_keys=federation.origin_keys,
        owned_sources_only=federation.owned_sources_only,
        tombstone_signers=tuple(_node_id(scenario, seed, each, suite) for each in federation.tombstone_signers),
        require_fresh_declarations=federation.fresh_declarations,
        pull_interval_s=federation.pull_interval / _SECOND,
        pull_jitter=federation.pull_jitter,
        pull_timeout_s=federation.pull_timeout / _SECOND,
        discovery_timeout_s=federation.discovery_timeout / _SECOND,
        pull_wait_s=federation.pull_wait / _SECOND,
        pull_limit=federation.pull_limit,
        attestation_modes=federation.attestation,
        intake=_intake(federation.quota),
        skew_future_ms=federation.skew_future // _MS,
        skew_past_ms=federation.skew_past // _MS,
        drag_ms=federation.drag // _MS,
        mailbox_messages_max=federation.mailbox,
    )


def _intake(quota: QuotaTable | None) -> IntakeLimits:
    if quota is None:
        return IntakeLimits()
    return IntakeLimits(
        window_s=quota.window / _SECOND,
        peer_facts=quota.peer_facts,
        peer_bytes=quota.peer_bytes,
        peer_origins=quota.peer_origins,
        peer_entities=quota.peer_entities,
        origin_facts=quota.origin_facts,
        origin_bytes=quota.origin_bytes,
    )


def _scopes(scenario: Scenario, name: str) -> tuple[Scope, ...]:
    """What a node shares at all: the usual, and what a link of its own grants beyond that."""
    links = [table.scopes for table in scenario.link if table.scopes is not None and name in table.between]
    return tuple(dict.fromkeys([*scenario.federation.scopes, *(scope for scopes in links for scope in scopes)]))
