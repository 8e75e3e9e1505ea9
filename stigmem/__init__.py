"""stigmem: a node for federated knowledge, written once and run twice.

stigmem.core   pure and synchronous: facts, clock, ledger, contradiction, tokens, ingest
stigmem.node   the actors around it: they await nothing but their Context
stigmem.host   the real world: HTTP, SQLite, files, the wall clock, the command line

Imports point up this list only. The simulated world is the other package, `sim`.
"""

__version__ = "0.1.0"
