"""Scenarios that nobody thought of: drawn at random, run, and made small where they fail.

The drawing covers every kind of fault, workload and adversary that is registered, and the settings of a federation,
its wire, its disks and its clocks. A kind that is added is drawn from then on: what a key may be follows from its type,
and only where chance would seldom find a useful value does `palettes` name some.

    fields      a value for one key of a kind, by the type of the key
    palettes    values for keys that their types say too little about, and the kinds that are not drawn, with reasons
    features    which kinds and settings one scenario may have at all (swarm testing)
    drawing     `draw(number)`: a whole scenario, the same one for ever
    tally       what the runs met: codes, audit events, kinds; and what no run ever met
    shrinking   a failing scenario with everything left out that it fails without
    running     drawn scenarios through the pool of `sim.study`, until a budget or a count is used up
    session     `stigmem-sim explore`: progress, the table, the files of failures, the status
"""
