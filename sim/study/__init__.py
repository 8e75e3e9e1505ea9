"""Studies: one scenario run with many seeds, and with many values of some of its keys.

One run is one sample: the phases of pullers are drawn once and do not mix, so that most of the variance of lag lies
between seeds, and the thousands of copies of a run are not thousands of observations. What is told here of several runs
is therefore told over *runs*: a median over seeds, and a 95 % interval by a bootstrap that draws runs anew, never
copies.

    cells        what is varied: the points of `[[sweep]]`, each a whole scenario
    worker       a process that runs one point with one seed after the other, and gives a row of numbers
    pool         workers, jobs and results; a worker that dies loses nothing
    store        the folder of a study: a line per run, so that it can be taken up again, sharded and merged
    statistics   percentiles over runs and their intervals
    study        all of it in order; `sim.sweep` and `stigmem-sim run --seeds`
    comparison   two scenarios side by side, with chance of their own or coupled
    telling      the table and the figure with bands
"""
