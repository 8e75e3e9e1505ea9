"""A node: a single writer with a mailbox, a puller for each peer, timers, and the API that both peers and people use.

They await nothing but the four ports of their Context (`stigmem.node.ports`), which is what lets the same node run in a
process and in a simulation. `stigmem.node.node` builds all of it; the ways of data are told in the heads of three
modules: `transaction` (a batch, from submissions to answers), `replication.puller` (a page, from the question to the
cursor) and `api.call` (a request, from its path to its handler).

Lowest first: ports, settings and callers; state, identity and events; transaction and responses; mailbox, quotas,
cursors and resync; membership; replication; then the API, the writer and the timers side by side; then the node. A
module imports only from before it.
"""
