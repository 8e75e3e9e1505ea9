"""The network campaign: every shape of a cut, one way or both ways, for good or flapping; long round trips; bytes that
arrive garbled.

Five nodes, so that each shape is another one: *halves* splits two from three, *one* cuts one off, *bridge* leaves one
node that both halves reach, *majority-ring* lets each see a majority and no two the same, and *groups* makes three
parts. One way, only what goes from an earlier part to a later one is lost. A cut that flaps comes and goes with its
period for a minute, half of it cut; one that does not lasts the minute.

*Round trips* of 35 s need patience on both sides, which a scenario has to give (`pull_timeout`, `discovery_timeout`);
without it nobody could join. *Garbled* are packets at random, of every kind that is sent while it lasts: questions and
answers of discovery, registration, manifests and pulls. Once both ways, once only what one node sends, once only what
is sent to it.

Everybody must agree again in the end, and a cut must have stopped packets.
"""

from __future__ import annotations

from typing import Any, Final

from sim.analysis.outcome import Outcome
from sim.campaign.base import Campaign, Rows, base_values, cell_of
from sim.campaign.figures import draw_network
from sim.study.cells import Cell

__all__ = ["NETWORK", "SHAPES", "measure_network"]

_NS: Final = 1e9
_NODES: Final = ["a", "b", "c", "d", "e"]
_BEGIN_S: Final = 20
_LASTS_S: Final = 60
SHAPES: Final[dict[str, dict[str, Any]]] = {
    "halves": {"shape": "halves"},
    "one": {"shape": "one", "node": "a"},
    "bridge": {"shape": "bridge", "node": "c"},
    "majority-ring": {"shape": "majority-ring"},
    "groups": {"groups": [["a", "b"], ["c"]]},
}
_PERIODS_S: Final = (0, 2, 10, 30)
"""0: it does not flap."""
_QUICK_SHAPES: Final = ("halves", "bridge")
_QUICK_PERIODS_S: Final = (0, 10)
_GARBLED: Final[dict[str, dict[str, Any]]] = {
    "garbled, both ways": {},
    "garbled, sent by one": {"node": "a", "one_way": True},
    "garbled, on one link": {"between": ["a", "b"]},
}
_PATIENCE: Final = {"federation__pull_timeout": "90s", "federation__discovery_timeout": "90s"}


def _cells(*, quick: bool) -> list[Cell]:
    base = base_values("network-campaign", duration=f"{_BEGIN_S + _LASTS_S + 10}s", settle="15m")
    base["federation"] = base["federation"] | {"nodes": _NODES}
    found = []
    for shape in _QUICK_SHAPES if quick else SHAPES:
        for one_way in (False, True):
            for period in _QUICK_PERIODS_S if quick else _PERIODS_S:
                told = {"trouble": shape, "one_way": one_way, "period_s": period}
                found.append(cell_of(base, told, fault=_cuts(shape, period, one_way=one_way)))
    for trouble, where in list(_GARBLED.items())[: 1 if quick else None]:
        fault = {"kind": "corrupt", "share": 0.3, "at": "0s", "for": f"{_BEGIN_S + _LASTS_S}s", **where}
        told = {"trouble": trouble, "one_way": bool(where.get("one_way")), "period_s": 0}
        found.append(cell_of(base, told, fault=[fault]))
    told = {"trouble": "35 s round trips", "one_way": False, "period_s": 0}
    found.append(cell_of(base, told, network__latency="17500ms", scenario__settle="1h", **_PATIENCE))
    return found


def _cuts(shape: str, period_s: int, *, one_way: bool) -> list[dict[str, Any]]:
    """One long cut, or one in the first half of every period."""
    cut = {"kind": "partition", "one_way": one_way, **SHAPES[shape]}
    if not period_s:
        return [cut | {"at": f"{_BEGIN_S}s", "for": f"{_LASTS_S}s"}]
    begins = range(_BEGIN_S, _BEGIN_S + _LASTS_S, period_s)
    return [cut | {"at": f"{begin}s", "for": f"{period_s * 500}ms"} for begin in begins]


def measure_network(outcome: Outcome) -> dict[str, Any]:
    """The worst lag, how long the last copy took after the last fault, when everybody agreed, and how many packets
    were stopped or garbled."""
    run = outcome.run_json
    return {
        "lag_max_s": run["lag"]["max_s"],
        "catch_up_s": round(max((each.took_ns for each in outcome.catch_ups), default=0) / _NS, 3),
        "agreed_s": run["convergence_s"],
        "missing": run["missing"],
        "stopped": sum(outcome.stops.values()),
    }


def _doubts(rows: Rows) -> list[str]:
    return [
        f"{row['values']['trouble']}, seed {row['seed']}: the cut stopped nothing, so that nothing was tried"
        for row in rows
        if row["values"]["trouble"] in SHAPES and "measured" in row and not row["measured"]["stopped"]
    ]


NETWORK: Final = Campaign(
    name="network",
    question="Does everybody agree again after every shape of a cut, long round trips and garbled bytes?",
    cells=_cells,
    measure=measure_network,
    columns=("lag_max_s", "catch_up_s", "agreed_s", "missing", "stopped"),
    doubts=_doubts,
    draw=draw_network,
)
