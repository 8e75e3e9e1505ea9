"""A model of the published reference, dialect 0.5: a small peer of its own, which speaks the wire only.

It follows what the contract says of the reference's published behaviour, errors included, and nothing else: no line of
it was written with the reference's source at hand, and it is not the published package. What it shows is what those
rules do under a scenario's network, faults and workloads. Where the real package can be asked the same (`make
interop`), that is the better witness.

    stamps      the hybrid clock: text without padding, not kept over a restart
    facts       a record of the wire, its content id, and what is looked at before it is stored
    journal     what survives a power cut
    store       facts, peers, cursors and conflicts, and what is served to whom
    api         registration, pages, tokens, and what clients ask
    puller      the one loop that asks every peer in turn
    machine     a simulated computer with this peer on it in the place of our node
    operators   the people who introduce such peers to each other
    run         a whole run of a scenario with such peers as its nodes

Of the project it uses keys, frames and the simulated world. Of our node's rules it uses none.
"""

from sim.model_reference.run import NotModelled, ReferenceRun

__all__ = ["NotModelled", "ReferenceRun"]
