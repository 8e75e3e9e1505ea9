"""Every operation of a node in one table: what the dispatcher, the OpenAPI document and the metrics read.

Only the list is here; the operations themselves stand beside their handlers.
"""

from __future__ import annotations

from typing import Final

from stigmem.node.api import (
    agent_keys,
    aliases,
    audit,
    batch,
    cards,
    clock,
    conflicts,
    decay,
    events,
    facts,
    federation,
    gardens,
    intents,
    keys,
    lint,
    manifests,
    not_implemented,
    origins,
    peers,
    push,
    quarantine,
    recall,
    schemas,
    subscriptions,
    synthesis,
    tombstones,
    upkeep,
)
from stigmem.node.api.routing import Router

__all__ = ["ROUTER"]

ROUTER: Final = Router(
    (
        *facts.OPERATIONS,
        *batch.OPERATIONS,
        *events.OPERATIONS,
        *conflicts.OPERATIONS,
        *gardens.OPERATIONS,
        *quarantine.OPERATIONS,
        *keys.OPERATIONS,
        *agent_keys.OPERATIONS,
        *audit.OPERATIONS,
        *clock.OPERATIONS,
        *peers.OPERATIONS,
        *origins.OPERATIONS,
        *upkeep.OPERATIONS,
        *federation.OPERATIONS,
        *push.OPERATIONS,
        *manifests.OPERATIONS,
        *recall.OPERATIONS,
        *cards.OPERATIONS,
        *synthesis.OPERATIONS,
        *lint.OPERATIONS,
        *decay.OPERATIONS,
        *aliases.OPERATIONS,
        *schemas.OPERATIONS,
        *intents.OPERATIONS,
        *subscriptions.OPERATIONS,
        *tombstones.OPERATIONS,
        *not_implemented.OPERATIONS,
    )
)
