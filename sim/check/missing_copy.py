"""Why a node lacks a fact, in words: what each of its neighbours could have served, and how far it has read them.

For the report of a federation that did not converge. A pull reads a neighbour's log from place to place: whoever has
read past a fact and does not hold it was not served it, or refused it; whoever has not come that far is behind.
"""

from __future__ import annotations

from collections.abc import Iterator

from sim.observation.node_view import NodeView
from sim.observation.visibility import TrackedFact
from sim.ports import Observed
from sim.units import format_duration

__all__ = ["explain"]


def explain(observed: Observed, fact: TrackedFact, reader: str) -> str:
    """What is known of how a fact could have come to a reader that lacks it: a sentence for each link that grants its
    scope, joined by semicolons."""
    node = observed.node(reader)
    if node is None:
        return f"{reader} is off"
    origin_id = next((node_id for node_id, name in observed.names.items() if name == fact.origin), "")
    return "; ".join([*_kept_out(node, fact), *_links(observed, fact, node, origin_id)])


def _kept_out(node: NodeView, fact: TrackedFact) -> Iterator[str]:
    """What the reader itself did with the fact."""
    codes = node.rejections(fact.id)
    if codes:
        yield f"{node.name} refused it ({', '.join(codes)})"
    if any(name == fact.id for _, name in node.deferred):
        yield f"{node.name} keeps it until it is due, since it is stamped too far ahead"


def _links(observed: Observed, fact: TrackedFact, reader: NodeView, origin_id: str) -> Iterator[str]:
    holders = 0
    for name in observed.federation.neighbours(reader.name):
        if not observed.federation.crosses(reader.name, name, fact.scope):
            continue
        neighbour = observed.node(name)
        if neighbour is None:
            yield f"{name} is off"
            continue
        held = neighbour.ledger.held(origin_id, fact.id)
        if held is None:
            continue
        holders += 1
        yield _reading(reader, neighbour, held.seq) + _last_page(observed, reader, neighbour, held.seq)
    if not holders:
        yield f"no neighbour of {reader.name} that runs and may serve it holds it"


def _reading(reader: NodeView, neighbour: NodeView, place: int) -> str:
    """How far a reader has read a neighbour that holds the fact at a place of its log."""
    last = neighbour.ledger.last_seq
    stands = f"{neighbour.name} holds it at place {place} of {last}, and {reader.name}"
    cursor = reader.cursor_at(neighbour.node_id)
    if cursor is None:
        return f"{stands} has stored no page of {neighbour.name}"
    read = neighbour.position(cursor)
    if read >= place:
        return f"{stands} has read to place {read}, past it"
    return f"{stands} has read to place {read}, not yet so far"


def _last_page(observed: Observed, reader: NodeView, neighbour: NodeView, place: int) -> str:
    """The last page on the link that passed the place of a fact, in words."""
    for page in observed.pages.of(neighbour.name, reader.name):
        begin = neighbour.position(page.after or None)
        end = neighbour.position(page.upto) if page.upto else begin
        if begin < place <= end:
            return (
                f" (the last page that passed it left {neighbour.name} at {format_duration(page.at_ns)}, from place "
                f"{begin} to {end}, {page.size:,} bytes)"
            )
    return f" (no page that passed it is among the last that left {neighbour.name} for {reader.name})"
