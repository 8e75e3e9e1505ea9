"""Who a node is: its key, its id, its address, the manifest that says so, and the ids that it makes up.

The key is the seed of the settings; the id follows from the key unless the settings give an older one
(spec/identity.md).
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from stigmem.core.keys import Signer
from stigmem.core.manifest import certified_node_id, make_manifest
from stigmem.core.timestamps import format_us
from stigmem.node.ports import Entropy
from stigmem.node.settings import NodeSettings

__all__ = ["Identity", "new_uuid"]

_DAY_US: Final = 86_400_000_000
_MANIFEST_LIFE_US: Final = 365 * _DAY_US


class Identity:
    """A node's own names and signatures."""

    def __init__(self, settings: NodeSettings, entropy: Entropy) -> None:
        self.signer: Signer = settings.suite.signer(settings.seed)
        self.node_id = settings.node_id or certified_node_id(self.signer.public_key)
        self.entity_uri = settings.node_url
        """The address, which is also the name of the organisation that the node signs for."""
        self.authority = urlsplit(settings.node_url).netloc
        """Host and port of the address: the authority of names that this node gives."""
        self._entropy = entropy

    def is_own_name(self, name: str) -> bool:
        """Whether a name is this node's id or address."""
        return name in (self.node_id, self.entity_uri)

    def manifest(self, now_us: int) -> dict[str, Any]:
        """This node's manifest as plain data, as of now; the same one for a whole day."""
        issued = now_us - now_us % _DAY_US - _DAY_US  # a day back, so that slow clocks do not find it early
        manifest = make_manifest(
            self.signer,
            entity_uri=self.entity_uri,
            entities=tuple(dict.fromkeys((self.entity_uri, self.node_id))),
            issued_at=format_us(issued),
            expires_at=format_us(issued + _MANIFEST_LIFE_US),
        )
        found: dict[str, Any] = msgspec.to_builtins(manifest)
        return found

    def new_uuid(self) -> str:
        """A random UUID (version 4)."""
        return new_uuid(self._entropy)


def new_uuid(entropy: Entropy) -> str:
    """A random UUID (version 4)."""
    data = bytearray(entropy.token(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
