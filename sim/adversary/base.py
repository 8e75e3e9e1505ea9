"""What every adversary is: a scripted peer with a real key, approved by its victims, that serves what it likes.

An insider: registration, tokens and signatures are genuine, the content is not. To add one: a file here with
a subclass that writes pages, and a line in the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from sim.units import Duration
from stigmem.core.wire import Request, Response

if TYPE_CHECKING:
    from sim.adversary.peer import ScriptedPeer
    from sim.plan import Plan

__all__ = ["Adversary"]


class Adversary(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A hostile peer of `peers` (default: the first node), active from `at` on."""

    node: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "mallory"
    peers: list[str] | None = None
    at: Duration = Duration(0)

    def check(self, plan: Plan) -> None:
        """Raises Misfit when the adversary does not fit the federation."""

    def answer(self, peer: ScriptedPeer, victim: str, request: Request) -> Response | None:
        """Its answer to a victim's pull; None is silence."""
        raise NotImplementedError

    def act(self, peer: ScriptedPeer) -> None:
        """What it does on its own once it is a peer; nothing by default."""
