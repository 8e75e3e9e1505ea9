"""The commands that look for trouble by themselves: `explore` draws scenarios, `campaign` sweeps one kind of trouble.

As in `sim.cli`, which registers them, they are thin: the work is done in `sim.explore` and `sim.campaign`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from sim.cli_values import to_count, to_seconds, to_seed
from sim.report.console import console_for, say

__all__ = ["campaign", "explore"]

_BAD_INPUT: Final = 2
_Flag = Parameter(negative=())


def explore(
    *,
    budget: Annotated[float | None, Parameter(converter=to_seconds)] = None,
    count: Annotated[int | None, Parameter(converter=to_count)] = None,
    seed: Annotated[int, Parameter(converter=to_seed)] = 1,
    jobs: Annotated[int | None, Parameter(converter=to_count)] = None,
    shrink: Annotated[bool, _Flag] = False,
    out: Path = Path("runs/explore"),
) -> int:
    """Draw scenarios at random, run them, and tell which fail and what was met.

    Federations, wires, clocks, workloads, faults and hostile peers of every kind
    are drawn; each scenario lacks other kinds than the one before. A failure is
    written to --out as a scenario file, with its cause and the command that runs
    it again. The table counts codes, audit events and kinds, and names what no
    run met. Ctrl-C ends it with what is known.

    Exit status: 1 when a run failed, 130 when it was stopped before that, else 0.

    Parameters
    ----------
    budget
        How long to go on, such as 10m; 10m unless --count is given.
    count
        How many scenarios, instead of a time.
    seed
        The number of the first scenario; the others follow it.
    jobs
        How many workers, as many as there are processors unless given.
    shrink
        Also write a smaller scenario for the first failure of each cause.
    out
        Folder for failures and tables.
    """
    from sim.explore.session import ExploreOptions, run_explore

    if budget is not None and count is not None:
        say("--count and --budget both say how much is run; give one of them")
        return _BAD_INPUT
    budget_s = 600.0 if budget is None and count is None else budget
    options = ExploreOptions(budget_s=budget_s, count=count, seed=seed, jobs=jobs, shrink=shrink, out=out)
    return run_explore(console_for(), console_for(stderr=True), options)


def campaign(
    name: Literal["clock", "disk", "network"],
    /,
    *,
    quick: Annotated[bool, _Flag] = False,
    seeds: Annotated[int, Parameter(converter=to_count)] = 1,
    jobs: Annotated[int | None, Parameter(converter=to_count)] = None,
    out: Path | None = None,
) -> int:
    """Sweep one kind of trouble thoroughly: a table, a figure, a verdict.

    clock: wrong clocks of every kind against the bound on skew. disk: a crash at
    every commit boundary, and disks that are full, slow or lost. network: every
    shape of a cut, one way or both, flapping; long round trips; garbled bytes.
    Runs that are done are kept in --out and not done again.

    Exit status: 1 when a run failed or the whole is not as it must be, 3 when
    something could not be judged, else 0.

    Parameters
    ----------
    name
        Which campaign.
    quick
        Few cells, for a look.
    seeds
        How many seeds each cell is run with.
    jobs
        How many workers, as many as there are processors unless given.
    out
        Folder for rows, table and figure; runs/campaign-NAME unless given.
    """
    from sim.campaign.session import CampaignOptions, run_campaign

    folder = Path("runs") / f"campaign-{name}{'-quick' if quick else ''}" if out is None else out
    options = CampaignOptions(quick=quick, seeds=seeds, jobs=jobs, out=folder)
    return run_campaign(name, console_for(), console_for(stderr=True), options)
