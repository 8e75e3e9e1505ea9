"""Every operation of a node in one table: what the dispatcher, the OpenAPI document and the metrics read.

Only the list is here; the operations themselves stand beside their handlers in the `*_api` modules.
"""

from __future__ import annotations

from typing import Final

from stigmem.node.api import audit as audit_api
from stigmem.node.api import batch as batch_api
from stigmem.node.api import conflicts as conflicts_api
from stigmem.node.api import facts as facts_api
from stigmem.node.api import federation as federation_api
from stigmem.node.api import keys as keys_api
from stigmem.node.api import manifests as manifest_api
from stigmem.node.api import not_implemented as later_api
from stigmem.node.api import peers as peers_api
from stigmem.node.api import push as push_api
from stigmem.node.api.routing import Router

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
