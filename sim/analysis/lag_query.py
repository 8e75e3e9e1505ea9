"""Lag of a part of the copies, or of facts as wholes: what the selectors of `[[expect]]` ask for.

    per = "copy"     one lag for every copy (the default)
    per = "fact"     one for every fact: until the last of its selected copies had come, so that it was everywhere
    per = "quorum"   one for every fact: until a majority held it, the origin and the selected copies being who votes

`node` (the reader), `origin`, `scope`, `hops` (links between origin and reader on the shortest way), `link` (both ends
of a link, either way) and `window` (facts written between two instants) narrow what is looked at; all that are given
must hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

import networkx as nx

from sim.analysis.lag import Copies, LagSummary, spread
from sim.observation.visibility import NEVER, Visibility
from sim.scenario.tables import Expectation
from sim.topology.federation import Federation

__all__ = ["is_selective", "lag_of", "selector_text"]


def is_selective(expectation: Expectation) -> bool:
    """Whether an expectation looks at a part of the copies, or at facts."""
    return bool(selector_text(expectation))


def selector_text(expectation: Expectation) -> str:
    """The selectors as they are told after the name of the metric: `[per=fact, node=south]`, or nothing."""
    given = []
    if expectation.per != "copy":
        given.append(f"per={expectation.per}")
    for key in ("node", "origin", "scope", "hops"):
        value = getattr(expectation, key)
        if value is not None:
            given.append(f"{key}={value}")
    if expectation.link is not None:
        given.append(f"link={'-'.join(expectation.link)}")
    if expectation.window is not None:
        begin, end = expectation.window
        given.append(f"window={begin / 1e9:g}s-{end / 1e9:g}s")
    return f"[{', '.join(given)}]" if given else ""


def lag_of(expectation: Expectation, copies: Copies, visibility: Visibility, federation: Federation) -> LagSummary:
    """The lags that an expectation looks at."""
    places = _selected(expectation, copies, visibility, federation)
    if expectation.per == "copy":
        chosen = list(places)
        return spread([copies.age_ns(place) for place in chosen], _never(copies, chosen))
    lags, missing = [], 0
    for _, group in groupby(places, key=copies.fact.__getitem__):
        ordered = sorted(group, key=copies.age_ns)
        # The origin holds it at once; of n copies besides, a majority of all n + 1 is there with the one in the middle.
        last = ordered[-1] if expectation.per == "fact" else ordered[(len(ordered) + 1) // 2 - 1]
        lags.append(copies.age_ns(last))
        missing += copies.visible[last] == NEVER
    return spread(lags, missing)


def _never(copies: Copies, places: list[int]) -> int:
    return sum(copies.visible[place] == NEVER for place in places)


def _selected(
    expectation: Expectation, copies: Copies, visibility: Visibility, federation: Federation
) -> Iterator[int]:
    hops: Mapping[str, Mapping[str, int]] = {}
    if expectation.hops is not None:
        hops = dict(nx.all_pairs_shortest_path_length(federation.graph))
    link = None if expectation.link is None else set(expectation.link)
    for place in copies.away:
        fact, reader = visibility.facts[copies.fact[place]], visibility.nodes[copies.node[place]]
        if expectation.node not in (None, reader) or expectation.origin not in (None, fact.origin):
            continue
        if expectation.scope not in (None, fact.scope) or (link is not None and link != {fact.origin, reader}):
            continue
        if expectation.window is not None:
            begin, end = expectation.window
            if not begin <= fact.written_ns < end:
                continue
        if expectation.hops is None or hops[fact.origin].get(reader) == expectation.hops:
            yield place
