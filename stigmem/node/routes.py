"""Every operation of a node in one table: what the dispatcher, the OpenAPI document and the metrics read.

Only the list is here; the operations themselves stand beside their handlers in the `*_api` modules.
"""

from __future__ import annotations

from typing import Final

from stigmem.node import (
    audit_api,
    batch_api,
    conflicts_api,
    facts_api,
    federation_api,
    keys_api,
    later_api,
    manifest_api,
    peers_api,
    push_api,
)
from stigmem.node.operations import Router

__all__ = ["ROUTER"]

ROUTER: Final = Router(
    (
        *facts_api.OPERATIONS,
        *batch_api.OPERATIONS,
        *conflicts_api.OPERATIONS,
        *keys_api.OPERATIONS,
        *audit_api.OPERATIONS,
        *peers_api.OPERATIONS,
        *federation_api.OPERATIONS,
        *push_api.OPERATIONS,
        *manifest_api.OPERATIONS,
        *later_api.OPERATIONS,
    )
)
