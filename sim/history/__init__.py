"""Real edit histories as workloads: trace files, and how one is made from any git repository.

Reading and writing files only; playing a trace is `sim.workload.trace`'s.
"""
