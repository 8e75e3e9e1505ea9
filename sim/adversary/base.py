"""What every adversary is: a scripted peer with a real key, approved by its victims, that serves what it likes.

An insider: registration, tokens and signatures are genuine, the content is not. To add one: a file here with
a subclass that writes entries (or whole answers), and a line in the registry. A subclass is a table of the
scenario and holds no state; what a script must remember lives in its peer's `notes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta

from sim.adversary.author import Entry
from sim.diagnostics.errors import Misfit
from sim.units import Duration
from stigmem.core import limits
from stigmem.core.wire import Request, Response

if TYPE_CHECKING:
    from sim.adversary.script import PeerScript
    from sim.topology.federation import Federation

__all__ = ["HONEST_ENTITY", "Adversary", "limit_of"]

HONEST_ENTITY: Final = "stigmem://sim.example/honest"
"""What the good facts among the bad are about."""


def limit_of(request: Request) -> int:
    """How many facts a pull asks for."""
    found = parse_qs(request.target.partition("?")[2]).get("limit", [""])[0]
    return int(found) if found.isdigit() else limits.PULL_LIMIT_DEFAULT


class Adversary(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A hostile peer of `peers` (default: the first node), active from `at` on.

    Each batch that it serves holds `good` ordinary facts among the bad. `dialect`: `2.1+` is that of our own
    nodes, `2.1` and `0.5` those of the reference.
    """

    node: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "mallory"
    peers: list[str] | None = None
    at: Duration = Duration(0)
    good: Annotated[int, Meta(ge=0, le=50)] = 1
    dialect: Literal["2.1+", "2.1", "0.5"] = "2.1+"

    def check(self, federation: Federation) -> None:
        """Raises Misfit when the adversary does not fit the federation."""
        if self.peers is not None and len(dict.fromkeys(self.peers)) < len(self.peers):
            raise Misfit("peers", "a victim is named twice")
        if self.peers == []:
            raise Misfit("peers", "an adversary needs a victim; leave the key out for the first node")

    def entries(self, peer: PeerScript, victim: str) -> list[Entry]:
        """A batch of bad entries for one victim."""
        return []

    def answer(self, peer: PeerScript, victim: str, request: Request) -> Response | None:
        """Its answer to a victim's pull; None is silence. By default batches of `good` facts and `entries`, in
        pages as long as was asked for, and every batch a second time: what was refused once is not audited twice."""
        waiting = peer.waiting(victim)
        if not waiting:
            waiting.extend(
                peer.again(victim) or peer.remember(victim, [*self.honest(peer, victim), *self.entries(peer, victim)])
            )
        page = [waiting.popleft() for _ in range(min(limit_of(request), len(waiting)))]
        return peer.page(victim, page, has_more=bool(waiting))

    def honest(self, peer: PeerScript, victim: str) -> list[Entry]:
        """Good facts, which the victim has to keep whatever stands beside them."""
        found: list[Entry] = []
        for n in range(self.good):
            fact = peer.fact(f"{HONEST_ENTITY}/{n}", "sim:claims", f"{peer.name} {peer.served}")
            peer.expect(victim, fact.id)
            found.append(peer.entry(fact))
        return found

    def delay(self, peer: PeerScript, victim: str) -> int:
        """How long an answer is held back, in nanoseconds."""
        return 0

    def vouch(self, peer: PeerScript, victim: str, origin: str) -> Response | None:
        """Its answer to the question for an origin's manifest; None is that it knows none."""
        return None

    def introduced(self, peer: PeerScript, victim: str) -> None:
        """A victim did not know the peer (any more), which registers there now."""

    def act(self, peer: PeerScript) -> None:
        """What it does on its own from `at` on; nothing by default."""
