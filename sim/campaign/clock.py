"""The clock campaign: how far a clock may be wrong before others notice, and for how long a lie lasts.

One of three nodes has a wrong clock; the other two are right. `skew_future` is ten seconds, so that everything between
well inside and far outside fits into a minute. For every fact that the wrong node writes and each of the others:

* *accepted*: its stamp was within the bound when it was written, and it came;
* *deferred*: its stamp was beyond the bound, and it came once that was due, the bound before the stamp's own time;
* *refused*: it had not come when the run ended.

One beyond the bound that came before it was due is *early*, and there must be none. A node that finds its own clock a
day off doubts it and refuses to write (*doubted*), so that others have nothing to turn away.

A stamp in the future that is accepted *keeps winning* for as long as it is ahead of true time after it was taken:
until then nothing that is written really later looks newer. A *lie's life* is the longest of these. With a lead `L` and
the bound `B` it is about `min(L, B)`: below the bound it grows with the lead, and above it stays where it is, since
whatever is further ahead waits until it is within the bound. That is the knee, and it must lie at the bound.

An *inversion* is a fact that a node holds below an older one: when it was stored, there was a fact already that was
written earlier by true time and stamped later. They begin long before the bound; no bound on skew prevents them.

Lying stamps come from a hostile peer (`clock-pusher`), whose facts are not measured: of it only what was turned away
is told. What is deferred and not due at the end counts as refused; the campaign's runs are short on purpose.
"""

from __future__ import annotations

from typing import Any, Final

from sim.analysis.outcome import Outcome
from sim.campaign.base import Campaign, Rows, base_values, cell_of
from sim.campaign.figures import draw_clock
from sim.observation.visibility import NEVER
from sim.study.cells import Cell

__all__ = ["BOUND_S", "CLOCK", "KINDS", "measure_clock"]

BOUND_S: Final = 10
WRONG: Final = "north"
KINDS: Final = ("offset", "step", "strobe", "drift", "freeze", "lying stamps")
_NS: Final = 1e9
_DURATION_S: Final = 60
_EARLY_S: Final = 0.1
"""How much earlier than due a stamp may come: stamps are whole milliseconds, and clocks are read before a commit."""
_LEADS_S: Final = (1, 4, 8, 9, 11, 12, 16, 24, 40, 100_000)
_QUICK_S: Final = (4, 8, 12, 24)
_TOLERANCE_S: Final = 1.0
_NEAR: Final = 0.95
"""Closer to the bound the way of a fact decides, and nothing is asserted."""


def _cells(*, quick: bool) -> list[Cell]:
    base = base_values("clock-campaign", duration=f"{_DURATION_S}s", settle="45s", converges=False)
    base["federation"] = base["federation"] | {"skew_future": f"{BOUND_S}s"}
    return [
        _cell(base, kind, lead)
        for kind in KINDS
        for lead in (_QUICK_S if quick else _LEADS_S)
        if lead < _DURATION_S // 2 or kind in ("offset", "step", "lying stamps")
    ]


def _cell(base: dict[str, Any], kind: str, lead_s: int) -> Cell:
    told = {"kind": kind, "lead_s": lead_s}
    if kind == "offset":
        return cell_of(base, told, clock=[{"node": WRONG, "offset": f"{lead_s}s"}])
    if kind == "lying stamps":
        pusher = {"kind": "clock-pusher", "peers": ["south", "west"], "lead": f"{lead_s}s", "beyond": False}
        return cell_of(base, told, adversary=[pusher])
    faults: dict[str, dict[str, Any]] = {
        "step": {"kind": "clock-step", "at": "10s", "by": f"{lead_s}s"},
        "strobe": {"kind": "clock-strobe", "at": "10s", "by": f"{lead_s}s", "period": "5s"},
        "drift": {"kind": "clock-drift", "at": "0s", "ppm": lead_s * 1_000_000 // _DURATION_S},
        "freeze": {"kind": "clock-freeze", "at": "10s", "for": f"{lead_s}s"},
    }
    return cell_of(base, told, fault=[faults[kind] | {"node": WRONG}])


def measure_clock(outcome: Outcome) -> dict[str, Any]:
    """Of the copies of what the wrong node wrote: how many were accepted, deferred and refused, the longest life of a
    lie; and of all copies, which share was stored below an older fact."""
    counts = {"accepted": 0, "deferred": 0, "refused": 0, "early": 0}
    lie_s, copies = 0.0, outcome.copies
    by_reader: dict[int, list[tuple[int, int, int]]] = {}
    for number, node, visible, at_origin in zip(
        copies.fact, copies.node, copies.visible, copies.at_origin, strict=True
    ):
        fact = outcome.tracked[number]
        if visible != NEVER:
            by_reader.setdefault(node, []).append((visible, fact.written_ns, fact.written_ns + fact.ahead_ns))
        if at_origin or fact.origin != WRONG:
            continue
        if visible == NEVER:
            counts["refused"] += 1
            continue
        won_s = (fact.written_ns + fact.ahead_ns - visible) / _NS
        counts["accepted" if fact.ahead_ns <= BOUND_S * _NS else "deferred"] += 1
        counts["early"] += won_s > BOUND_S + _EARLY_S
        lie_s = max(lie_s, won_s)
    inverted, every = _inversions(by_reader)
    return {
        **counts,
        "lie_s": round(lie_s, 3),
        "inverted": round(inverted / every, 4) if every else 0.0,
        "turned_away": outcome.run_json["rejections"].get("hlc_skew", 0),
        "doubted": sum(outcome.run_json["refused_writes"].values()),
    }


def _inversions(by_reader: dict[int, list[tuple[int, int, int]]]) -> tuple[int, int]:
    """(how many copies were stored below an older fact, how many copies there are)."""
    inverted = every = 0
    for stored in by_reader.values():
        known: list[tuple[int, int]] = []
        for _, written, stamped in sorted(stored):
            inverted += any(older < written and above > stamped for older, above in known)
            known.append((written, stamped))
        every += len(stored)
    return inverted, every


def _doubts(rows: Rows) -> list[str]:
    found = []
    for row in rows:
        lead, kind, told = row["values"]["lead_s"], row["values"]["kind"], row.get("measured")
        if told is None:
            continue
        where = f"{kind} of {lead} s, seed {row['seed']}"
        if told["early"]:
            found.append(
                f"{where}: {told['early']} copies came before their stamps were within the bound of {BOUND_S} s"
            )
        if lead <= BOUND_S * _NEAR and told["turned_away"] + told["deferred"] + told["refused"]:
            found.append(f"{where}: it is within the bound, and stamps were turned away or facts did not come")
        if lead >= BOUND_S / _NEAR and not told["turned_away"] + told["doubted"]:
            found.append(f"{where}: it is beyond the bound, and no stamp was turned away")
    return [*found, *_knee(rows)]


def _knee(rows: Rows) -> list[str]:
    """For how long a stamp wins follows the lead of the clock below the bound, and stays at the bound above it."""
    found, below, beyond = [], 0, 0
    for row in rows:
        lead, told = row["values"]["lead_s"], row.get("measured")
        if row["values"]["kind"] != "offset" or told is None or lead > _DURATION_S:
            continue
        below, beyond = below + (lead < BOUND_S), beyond + (lead > BOUND_S)
        wanted = min(lead, BOUND_S)
        if abs(told["lie_s"] - wanted) > _TOLERANCE_S:
            found.append(f"an offset of {lead} s won for {told['lie_s']} s, and {wanted} s were to be expected")
    return found if below and beyond else [*found, "no knee can be seen without offsets on both sides of the bound"]


CLOCK: Final = Campaign(
    name="clock",
    question="How far may a clock be wrong before others notice, and for how long does a stamp in the future win?",
    cells=_cells,
    measure=measure_clock,
    columns=("accepted", "deferred", "refused", "early", "lie_s", "inverted", "turned_away", "doubted"),
    doubts=_doubts,
    draw=draw_clock,
)
