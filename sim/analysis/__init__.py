"""From a run that is over to its result: checks, verdict, lags, frames and the digests.

Telling a result to people is `sim.report`'s.
"""
