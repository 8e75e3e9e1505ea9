"""What is seen of a run from outside its nodes: who holds what since when, what should be where, samples, obligations.

Nothing here acts on a machine, and nothing judges; checkers (`sim.check`) and reports read it.
"""
