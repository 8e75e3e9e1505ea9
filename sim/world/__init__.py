"""Virtual time and the things in it: wire, clocks, disks, machines, chance, the trace of what happened.

Nothing here knows scenarios, kinds of trouble or verdicts. `world` is time itself; `machine` runs a node of
`stigmem.node` on a simulated computer; `network` and `rules` are the wire between them.
"""
