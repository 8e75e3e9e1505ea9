"""Campaigns: one kind of trouble, swept thoroughly, with a figure and a verdict.

A scenario asks one question of one federation; a campaign asks where the answer changes: at which lead of a clock a
stamp is no longer taken, at which commit a crash hurts, which shape of a cut heals slowest. It is a study
(`sim.study`) whose cells are made here instead of by `[[sweep]]` tables, since each cell has faults of its own.

    base       what a campaign is, the federation that all of them run, and how rows become a verdict
    clock      wrong clocks of every kind, against the bound
    disk       crashes at every commit boundary, full, slow and lost disks, and whatever else strikes a disk
    network    every shape of a cut, one way or both, flapping; long round trips; garbled bytes
    figures    the figure of each
    session    `stigmem-sim campaign NAME`
"""
