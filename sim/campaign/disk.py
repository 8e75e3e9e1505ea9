"""The disk campaign: power that goes at every commit boundary, and disks that are slow, full, damaged or lost.

`crash-at-commit` strikes a node at its n-th commit: *before* the batch is durable, which is then lost, torn, or kept
although nobody was told, or *after*, when it is durable and nobody was told yet. That is every instant at which a crash
can make a difference to a journal that writes batches one after the other; the boundaries here are those of one busy
node from its first commit on. Beside that a disk is full, slow, torn by a crash or lost, and an old backup of it is
restored where there is a fault that does so.

What must hold is said by the checkers of every run: nothing that was acknowledged is lost while a copy is left, nothing
comes twice, everybody agrees in the end. Beside that a crash that was planned must have happened.
"""

from __future__ import annotations

from typing import Any, Final

from sim.analysis.outcome import Outcome
from sim.campaign.base import Campaign, Rows, base_values, cell_of
from sim.campaign.figures import draw_disk
from sim.kinds import find_kinds
from sim.study.cells import Cell

__all__ = ["DISK", "measure_disk"]

_STRUCK: Final = "north"
_NS: Final = 1e9
_BOUNDARIES: Final = range(1, 25)
_QUICK_BOUNDARIES: Final = (1, 2, 5)
_FATES: Final = (("before", "lost"), ("before", "torn"), ("before", "kept"), ("after", None))
_DISKS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("disk-full", {"for": "15s"}),
    ("disk-slow", {"for": "15s", "times": 100}),
    ("disk-slow", {"for": "15s", "times": 5_000}),
    ("crash", {"for": "10s", "fate": "torn"}),
    ("wipe", {"down": "5s"}),
    ("random-crashes", {"for": "15s", "rate": "30/m", "down": "500ms"}),
)
_BACKUP: Final = ("backup", "restore-backup")
"""Kinds that are swept where both are registered."""


def _cells(*, quick: bool) -> list[Cell]:
    base = base_values("disk-campaign", duration="40s", settle="5m")
    base["disk"] = {"sync": "4ms"}
    found = []
    for when, fate in _FATES:
        for commit in _QUICK_BOUNDARIES if quick else _BOUNDARIES:
            fault = {"kind": "crash-at-commit", "at": "5s", "node": _STRUCK, "commit": commit, "when": when}
            fault |= {} if fate is None else {"fate": fate}
            told = {"fault": f"crash {when} commit" + (f", {fate}" if fate else ""), "commit": commit}
            found.append(cell_of(base, told, fault=[fault]))
    for kind, keys in _DISKS:
        words = f"{kind} {keys['times']}" if "times" in keys else kind
        where = {} if kind == "random-crashes" else {"node": _STRUCK}
        found.append(cell_of(base, {"fault": words, "commit": 0}, fault=[{"kind": kind, "at": "15s", **where, **keys}]))
    if all(kind in find_kinds("fault") for kind in _BACKUP):
        faults = [{"kind": kind, "at": at, "node": _STRUCK} for kind, at in zip(_BACKUP, ("10s", "25s"), strict=True)]
        found.append(cell_of(base, {"fault": "old backup restored", "commit": 0}, fault=faults))
    return found


def measure_disk(outcome: Outcome) -> dict[str, Any]:
    """How many faults struck, how long the last copy took afterwards, what was lost with a disk, and which writes were
    refused meanwhile."""
    run = outcome.run_json
    return {
        "struck": len(outcome.catch_ups),
        "catch_up_s": round(max((each.took_ns for each in outcome.catch_ups), default=0) / _NS, 3),
        "missing": run["missing"],
        "destroyed": run["destroyed"],
        "refused_writes": sum(run["refused_writes"].values()),
    }


def _doubts(rows: Rows) -> list[str]:
    found = []
    for row in rows:
        told, values = row.get("measured"), row["values"]
        if told is not None and not told["struck"]:
            at = f" {values['commit']}" if values["commit"] else ""
            found.append(f"{values['fault']}{at}, seed {row['seed']}: it never struck, so that nothing was tried")
    return found


DISK: Final = Campaign(
    name="disk",
    question="Is anything that was acknowledged ever lost, wherever the power goes and whatever the disk does?",
    cells=_cells,
    measure=measure_disk,
    columns=("struck", "catch_up_s", "missing", "destroyed", "refused_writes"),
    doubts=_doubts,
    draw=draw_disk,
)
