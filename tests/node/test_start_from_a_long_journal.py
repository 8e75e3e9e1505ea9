"""A node that starts from a long journal serves before every fact is hashed, and hashes them beside its work."""

from __future__ import annotations

import json

from stigmem import NodeSettings, Request
from stigmem.core import limits
from stigmem.core.ledger import UNHASHED_MAX
from stigmem.testing import OPERATOR, MemoryJournal, running_node
from tests.host.nodes import numbered

SETTINGS = NodeSettings(seed=bytes(32), auth_required=False)


async def test_facts_are_found_by_their_content_id_after_a_start_and_none_stays_unhashed() -> None:
    facts = numbered(UNHASHED_MAX + 3 * limits.TURN_HASHED_MAX)
    async with running_node(SETTINGS, journal=MemoryJournal(facts)) as node:
        assert node.node.state.ledger.unhashed == len(facts) - limits.TURN_HASHED_MAX, "one slice, and then a rest"
        slices = -(-len(facts) // limits.TURN_HASHED_MAX)
        await node.clock.advance(slices * limits.TURN_HASHED_REST_NS / 1e9)
        assert node.node.state.ledger.unhashed == 0
        found = await node.ask(Request("GET", f"/v1/facts/{facts[0].cid}"), OPERATOR)
        assert json.loads(found.body)["id"] == facts[0].id


async def test_who_asks_by_content_id_before_that_does_not_wait_for_the_rests() -> None:
    facts = numbered(UNHASHED_MAX + 3 * limits.TURN_HASHED_MAX)
    async with running_node(SETTINGS, journal=MemoryJournal(facts)) as node:
        found = await node.ask(Request("GET", f"/v1/facts/{facts[-1].cid}"), OPERATOR)
        assert json.loads(found.body)["id"] == facts[-1].id
        assert node.node.state.ledger.unhashed == 0


async def test_a_short_journal_is_hashed_when_somebody_asks() -> None:
    facts = numbered(UNHASHED_MAX)
    async with running_node(SETTINGS, journal=MemoryJournal(facts)) as node:
        assert node.node.state.ledger.unhashed == UNHASHED_MAX
        found = await node.ask(Request("GET", f"/v1/facts/{facts[-1].cid}"), OPERATOR)
        assert json.loads(found.body)["id"] == facts[-1].id
        assert node.node.state.ledger.unhashed == 0
