"""What every adversary is: the script of an insider. Its registration, tokens and signatures are genuine, what it says
or does is not.

How a run goes with one, and where a kind can put its hand in:

    registers at each victim, is approved          `introduced` (again after a victim lost its disk)
                                                   unless `joins` is False
    begins to act on its own, from `at` on         `act`: usually `peer.every(...)` with requests by `peer.send`
    a victim pulls                                 `answer`, by default a page of `honest` facts and `entries`
                                                   `delay`: how long that answer is held back
    a victim asks who it is                        `describe`
    a victim asks for the key of an origin         `vouch`
    `for` is over, or the faults end               it falls silent: empty pages, no requests, and its address remains

`sim.ports.PeerEnv` says what a script may know, say and do. Nearly every kind is one of these three:

1. *Bad facts.* Override `entries`: make a fact with `peer.fact` (its id is right for its content, whatever lie is in
   the fields), announce what must come of it with `peer.expect`, and return its `peer.entry`, where the signature and
   the record can be made to lie as well. `hasher.py` is a model. Every batch is served a second time, for what was
   refused once must not be audited twice.
2. *Bad pages.* Override `answer`. `page_liar.py` is a model.
3. *Bad requests.* Override `act`, and `peer.report` an answer that no node may give. `replayer.py` is a model.

What must come of it is judged by the checkers of the run. Those that look at nothing but adversaries' effects:
`bad-facts-alone` (every announced fact that is good is kept) and `audit` (every announced fact that is bad is refused
with one of its codes and audited once) by `peer.expect`, `hostile-requests` by `peer.report`, `one-bad-peer` and
`no-silent-erasure` by what honest nodes know and when. Announce nothing whose fate depends on what the script cannot
know: a checker would blame an honest node.

A kind is a struct: its fields are the keys of its table in the scenario file. One value is used by any number of runs,
so that it remembers nothing; `peer.memory(SomeClass, victim)` does. Chance comes from `peer.rng` alone. To add a kind:
a file here (or a module of your own, see `sim.kinds`) with a subclass under `@kind("name")`, and in
`tests/sim/adversary` a run in which honest nodes stay unharmed and one in which a node without the control is caught.
`gapper.py` is a short whole example.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta

from sim.diagnostics.errors import Misfit
from sim.ports import PageEntry, PeerEnv
from sim.topology.federation import Federation
from sim.units import Duration
from stigmem.core import limits
from stigmem.core.wire import Request, Response, json_response

__all__ = ["HONEST_ENTITY", "Adversary", "Batch", "limit_of", "members"]

HONEST_ENTITY: Final = "stigmem://sim.example/honest"
"""What the good facts among the bad are about."""


@dataclass
class Batch:
    """What one victim is being served."""

    waiting: deque[PageEntry] = field(default_factory=deque)
    """Entries that it has not asked for yet."""
    again: list[PageEntry] = field(default_factory=list)
    """The batch at hand, to be served once more afterwards; empty when that has begun."""


class Adversary(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A hostile peer of `peers` (default: the first node), active from `at` on, for `for`.

    Each batch that it serves holds `good` ordinary facts among the bad. `dialect`: `2.1+` is that of our own
    nodes, `2.1` and `0.5` those of the reference.
    """

    sort = "adversary"
    joins = True
    """Whether it becomes a peer of its victims, and again after one of them forgot it."""

    node: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "mallory"
    """Its name, and the host of its address."""
    peers: list[str] | None = None
    """Its victims; left out, the first node."""
    at: Duration = Duration(0)
    """When it begins, counted from the start of the run."""
    lasts: Duration | None = msgspec.field(default=None, name="for")
    """How long it is hostile; left out, until all faults end. Afterwards it is a peer that says nothing."""
    good: Annotated[int, Meta(ge=0, le=50)] = 1
    """Ordinary facts among the bad in each batch that it serves."""
    dialect: Literal["2.1+", "2.1", "0.5"] = "2.1+"
    """How it speaks: `2.1+` as our own nodes, `2.1` and `0.5` as the reference does."""

    def check(self, federation: Federation) -> None:
        """Raises Misfit when the adversary does not fit the federation. The nodes it names exist when this is asked."""
        if self.peers is not None and len(dict.fromkeys(self.peers)) < len(self.peers):
            raise Misfit("peers", "a victim is named twice")
        if self.peers == []:
            raise Misfit("peers", "an adversary needs a victim; leave the key out for the first node")

    def entries(self, peer: PeerEnv, victim: str) -> Sequence[PageEntry]:
        """The bad entries of a new batch for one victim; none by default."""
        return []

    def answer(self, peer: PeerEnv, victim: str, request: Request) -> Response | None:
        """Its answer to a victim's pull; None is silence. By default batches of `honest` facts and `entries`, in pages
        as long as was asked for, and every batch a second time."""
        batch = peer.memory(Batch, victim)
        if not batch.waiting and batch.again:
            batch.waiting.extend(batch.again)
            batch.again = []
        elif not batch.waiting:
            batch.again = [*self.honest(peer, victim), *self.entries(peer, victim)]
            batch.waiting.extend(batch.again)
        page = [batch.waiting.popleft() for _ in range(min(limit_of(request), len(batch.waiting)))]
        return peer.page(victim, page, has_more=bool(batch.waiting))

    def honest(self, peer: PeerEnv, victim: str) -> list[PageEntry]:
        """Good facts, which the victim has to keep whatever stands beside them."""
        found: list[PageEntry] = []
        for n in range(self.good):
            fact = peer.fact(f"{HONEST_ENTITY}/{n}", "sim:claims", f"{peer.name} {peer.served}")
            peer.expect(victim, fact.id)
            found.append(peer.entry(fact))
        return found

    def delay(self, peer: PeerEnv, victim: str) -> int:
        """How long the answer that was just made is held back, in nanoseconds."""
        return 0

    def vouch(self, peer: PeerEnv, victim: str, origin: str) -> Response | None:
        """Its answer to the question for an origin's manifest; None is that it knows none."""
        return None

    def describe(self, peer: PeerEnv, victim: str, genuine: dict[str, Any]) -> Response | None:
        """Its answer to the question who it is: the `genuine` discovery document; None is silence."""
        return json_response(200, genuine)

    def introduced(self, peer: PeerEnv, victim: str) -> None:
        """A victim did not know the peer (any more), which registers there now."""

    def act(self, peer: PeerEnv) -> None:
        """What it does on its own from `at` on; nothing by default."""


# --- reading what others sent ---


def limit_of(request: Request) -> int:
    """How many facts a pull asks for."""
    found = parse_qs(request.target.partition("?")[2]).get("limit", [""])[0]
    return int(found) if found.isdigit() else limits.PULL_LIMIT_DEFAULT


def members(answer: Response) -> dict[str, Any]:
    """The members of an answer's body; none when the wire garbled it."""
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
