"""What each node believed about one subject, when: told afterwards by the nodes themselves, from what they knew then.

For runs in which agents change their minds (`sim.workload.updaters`). Times are the node's own, as it judged by them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sim.observation.node_view import NodeView, SlotKey
from sim.simulation.simulation import Simulation
from sim.workload.updaters import BELIEVES
from sim.world.clocks import EPOCH_NS
from stigmem.core.contradiction import claim

__all__ = ["DISPUTED", "NOTHING", "NO_BELIEFS", "Belief", "Beliefs", "beliefs_of"]

DISPUTED: Final = "disputed"
NOTHING: Final = "nothing"


class Belief(NamedTuple):
    """What a node would have answered from an instant on, until the next one of the same node."""

    node: str
    begin_ns: int
    said: str


class Beliefs(NamedTuple):
    """About a subject; empty where no agent said what it believes."""

    subject: str = ""
    told: tuple[Belief, ...] = ()


NO_BELIEFS: Final = Beliefs()


def beliefs_of(simulation: Simulation) -> Beliefs:
    """About the subject that most was said about, and of the nodes that run."""
    nodes = list(simulation.observed.nodes.values())
    counts: dict[SlotKey, int] = {}
    for node in nodes:
        for fact in node.ledger.log:
            if fact.relation == BELIEVES and fact.scope == "public":
                counts[fact.slot] = counts.get(fact.slot, 0) + 1
    if not counts:
        return NO_BELIEFS
    slot = max(counts, key=lambda each: (counts[each], each))
    return Beliefs(slot[0], tuple(belief for node in nodes for belief in _told_by(node, slot)))


def _told_by(node: NodeView, slot: SlotKey) -> list[Belief]:
    found: list[Belief] = []
    for seq in sorted(fact.seq for fact in node.ledger.facts_of(slot)):
        past = node.known_at(seq)
        if past is None:
            continue
        live = [fact for fact in past.facts_of(slot) if past.live(fact)]
        claims = {claim(fact): fact.text for fact in live}
        said = NOTHING if not claims else DISPUTED if len(claims) > 1 else live[0].text
        if not found or found[-1].said != said:
            found.append(Belief(node.name, past.horizon_us * 1_000 - EPOCH_NS, said))
    return found
