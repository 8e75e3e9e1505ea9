"""Where nodes are and how far apart: topologies, GraphML maps, regions, and the latency that follows from them.

Pure geometry and graphs; delivering anything over them is `sim.world.network`'s.
"""
