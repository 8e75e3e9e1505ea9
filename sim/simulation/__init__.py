"""A run: a simulation put together from a plan, with its clients, operators, observers, measurements and digests.

What may go wrong is in `sim.fault` and `sim.adversary`, what must hold in `sim.check`, telling of it in `sim.report`.
"""
