"""The laboratory held against theory: `make validate` runs what is here and writes docs/validation.md.

Three parts that share no code with what they check. `model` is the pull protocol once more, written from
spec/replication.md with a plain heap and nothing of `stigmem` or `sim`; `laws` are closed forms and small Monte Carlo
recursions; `significance` says how likely a disagreement is when there is none. `experiments` run short scenarios
through the public door only (`sim.run`, the run folder and the command line), and judge what came out.

How one row works: an experiment names its simulated runs (a function and arguments each, so that a pool can share
them), and a judging function makes rows of what they returned. Judging takes plain numbers: the tests here hand it
numbers that are wrong on purpose, and hold that the row then fails.
"""
