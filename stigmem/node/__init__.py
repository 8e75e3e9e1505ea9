"""The actors of a node: a single writer with a mailbox, a puller per peer, a steward, a keeper, a gate.

LAW: everything here awaits its `Context` and nothing else. No trio, no sockets, no files, no clock, no chance:
the host and the simulator fill the four ports (clock, entropy, transport, journal), and there is no other
difference between a deployed and a simulated node.
"""
