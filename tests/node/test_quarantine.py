"""What waits in quarantine: who sees it, who decides, and what an instruction is once it was admitted (federation 9.2).

`test_an_inbound_instruction_waits_pending_and_says_why` is the published vector
`instruction-federation-inbound-quarantine`, the last test of this file is `instruction-write-without-capability`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.node.callers import PERMISSIONS, Principal
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.still import Bench, running
from tests.node.test_api_push import entry, fact, push

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True, node_url="http://testnode", quarantine_garden="gate")
ADMIN = caller(*PERMISSIONS, entity="user:admin")
MODERATOR = caller("read", "write", "instruction:write", entity="user:mo")
WRITER = caller("read", "write", "instruction:write", entity="agent:writer")
GATE = "stigmem://testnode/garden/gate"


class Gate:
    """A node to which a peer brought an instruction."""

    def __init__(self, bench: Bench, peer: Peer) -> None:
        self.bench = bench
        self.peer = peer
        self.order = fact(peer, 1, interpret_as="instruction")

    async def bring(self, *facts: Fact) -> Any:
        return await push(self.peer, *(entry(self.peer, each) for each in facts))

    async def ask(self, method: str, target: str, body: Any = None, *, by: Principal = ADMIN, status: int = 200) -> Any:
        self.bench.wall_ms += 1
        return read(await ask(self.bench, method, target, body, by=by), status)

    async def items(self, more: str = "", by: Principal = ADMIN) -> list[Any]:
        found: list[Any] = (await self.ask("GET", f"/v1/quarantine{more}", by=by))["items"]
        return found

    async def admit(self, **options: Any) -> Any:
        return await self.ask("POST", f"/v1/quarantine/{self.order.id}/admit", **options)


@asynccontextmanager
async def gate() -> AsyncIterator[Gate]:
    bench = Bench(NOW_MS)
    opened = Gate(bench, Peer(bench, 1))
    async with running(bench, SETTINGS):
        assert (await opened.bring(opened.order))["accepted"] == 1
        yield opened


async def test_an_inbound_instruction_waits_pending_and_says_why() -> None:
    async with gate() as opened:
        (item,) = await opened.items()
        order = opened.order
        assert (item["fact_id"], item["entity"], item["relation"]) == (order.id, order.entity, order.relation)
        assert (item["quarantine_status"], item["quarantine_reason"]) == ("pending", "instruction_federation_inbound")
        assert (item["received_from"], item["origin_node_id"]) == (opened.peer.node_id, opened.peer.node_id)
        assert "value" not in item
        shown = await opened.ask("GET", f"/v1/quarantine/{order.id}")
        assert shown["item"] == item
        assert shown["fact"]["value"]["v"] == order.text
        await opened.ask("GET", f"/v1/facts/{order.id}", status=404)
        assert (await opened.ask("GET", "/v1/facts?include_contradicted=true"))["facts"] == []


async def test_no_writer_sees_or_decides_what_waits() -> None:
    async with gate() as opened:
        target = f"/v1/quarantine/{opened.order.id}"
        for method, path in (("GET", "/v1/quarantine"), ("GET", target), ("POST", target + "/admit")):
            assert (await opened.ask(method, path, by=WRITER, status=403))["code"] == "moderator_required"
        await opened.ask("GET", "/v1/quarantine", by=caller("read", "admin"), status=403)
        narrow = caller("write", "admin", scopes=("team",))
        assert await opened.items(by=narrow) == []
        await opened.ask("GET", target, by=narrow, status=404)
        await opened.ask("GET", "/v1/quarantine/nothing", status=404)


async def test_an_admitted_instruction_is_shown_as_one_and_never_as_content() -> None:
    async with gate() as opened:
        order = opened.order
        made = await opened.admit(by=ADMIN)
        assert (made["fact_id"], made["action"], made["target_garden_id"]) == (order.id, "admitted", None)
        page = await opened.ask("GET", "/v1/facts")
        assert (page["facts"], [each["id"] for each in page["instructions"]], page["total"]) == ([], [order.id], 1)
        assert (await opened.ask("GET", f"/v1/facts/{order.id}"))["value"]["interpret_as"] == "instruction"
        body = {"query": f"{order.entity} {order.text}", "scope": order.scope, "min_confidence": 0}
        found = await opened.ask("POST", "/v1/recall", body)
        assert (found["facts"], found["content"]) == ([], [])
        assert [each["fact"]["id"] for each in found["instructions"]] == [order.id]
        legacy = await opened.ask("POST", "/v1/recall", body | {"legacy_format": True})
        assert legacy["facts"] == []
        # Nobody serves it on, and a peer that shows it again changes nothing.
        pulled = read(await opened.peer.ask("GET", "/v1/federation/facts"))
        assert pulled["facts"] == []
        assert (await opened.bring(order))["accepted"] == 1
        assert [item["quarantine_status"] for item in await opened.items()] == ["promoted"]


async def test_a_decision_is_made_once_and_kept_with_its_reason() -> None:
    async with gate() as opened:
        target = f"/v1/quarantine/{opened.order.id}"
        made = await opened.ask("POST", f"{target}/reject?reason=nobody+asked")
        assert made["action"] == "rejected"
        for verb in ("admit", "reject"):
            refused = await opened.ask("POST", f"{target}/{verb}", status=409)
            assert refused["code"] == "fact_not_quarantine_pending"
        (item,) = await opened.items("?quarantine_status=rejected")
        assert (item["quarantine_acted_by"], item["quarantine_note"]) == ("user:admin", "nobody asked")
        assert await opened.items("?quarantine_status=pending") == []
        assert (await opened.bring(opened.order))["accepted"] == 1
        await opened.ask("GET", f"/v1/facts/{opened.order.id}", status=404)
        events = [row.event for row in opened.bench.audit_rows]
        assert events.count("quarantine_reject") == 1
        assert events.count("quarantine_ingest") == 1


async def test_to_admit_an_instruction_one_must_be_allowed_to_write_one() -> None:
    async with gate() as opened:
        by = caller("read", "write", "admin", entity="user:half")
        await opened.admit(by=by, status=403)
        await opened.admit(by=ADMIN)
        rows = {row.event: row for row in opened.bench.audit_rows}
        assert rows["instruction_promoted"].fact_id == opened.order.id
        assert rows["quarantine_promote"].subject == "user:admin"


async def test_moderators_of_the_quarantine_garden_decide_and_the_garden_stays_while_facts_wait() -> None:
    async with gate() as opened:
        body = {"slug": "gate", "name": "Gate", "scope": "public", "quarantine": True}
        home = await opened.ask("POST", "/v1/gardens", body, by=WRITER, status=201)
        member = {"entity_uri": "user:mo", "role": "quarantine:moderator"}
        await opened.ask("POST", "/v1/gardens/gate/members", member, by=WRITER, status=201)
        assert [item["quarantine_garden_id"] for item in await opened.items(by=MODERATOR)] == [home["id"]]
        assert len(await opened.items("?garden_id=gate", by=MODERATOR)) == 1
        await opened.ask("DELETE", "/v1/gardens/gate", by=WRITER, status=409)
        promote = {"fact_id": opened.order.id, "reason": "asked them"}
        await opened.ask("POST", "/v1/gardens/gate/promote", promote, by=ADMIN, status=403)
        await opened.ask(
            "POST", "/v1/gardens", {"slug": "plain", "name": "p", "scope": "public"}, by=MODERATOR, status=201
        )
        await opened.ask("POST", "/v1/gardens/plain/promote", promote, by=MODERATOR, status=422)
        second = {"slug": "second", "name": "s", "scope": "public", "quarantine": True}
        await opened.ask("POST", "/v1/gardens", second, by=MODERATOR, status=201)
        await opened.ask("POST", "/v1/gardens/second/promote", promote, by=MODERATOR, status=404)
        made = await opened.ask("POST", "/v1/gardens/gate/promote", promote, by=MODERATOR)
        assert (made["action"], made["acted_by"]) == ("promoted", "user:mo")
        await opened.ask("POST", "/v1/gardens/gate/reject", {"fact_id": opened.order.id}, by=MODERATOR, status=409)
        await opened.ask("DELETE", "/v1/gardens/gate", by=WRITER, status=204)


async def test_a_fact_can_be_admitted_into_a_garden() -> None:
    async with gate() as opened:
        body = {"slug": "inner", "name": "Inner", "scope": opened.order.scope}
        await opened.ask("POST", "/v1/gardens", body, status=201)
        uri = "stigmem://testnode/garden/inner"
        other = {"slug": "other", "name": "Other", "scope": "team"}
        await opened.ask("POST", "/v1/gardens", other, status=201)
        wrong = f"/v1/quarantine/{opened.order.id}/admit?target_garden_id=stigmem://testnode/garden/other"
        assert (await opened.ask("POST", wrong, status=422))["field"] == "target_garden_id"
        made = await opened.ask("POST", f"/v1/quarantine/{opened.order.id}/admit?target_garden_id={uri}")
        assert made["target_garden_id"] == uri
        assert "instructions" not in await opened.ask("GET", "/v1/facts")
        page = await opened.ask("GET", f"/v1/facts?garden_id={uri}")
        assert [each["id"] for each in page["instructions"]] == [opened.order.id]
        await opened.ask("GET", f"/v1/facts/{opened.order.id}", by=WRITER, status=404)


async def test_what_waits_too_long_has_expired() -> None:
    async with gate() as opened:
        opened.bench.wall_ms += limits.QUARANTINE_LIFE_S * 1_000
        (item,) = await opened.items()
        assert item["quarantine_status"] == "expired"
        await opened.admit(status=409)


async def test_a_sender_can_have_so_many_facts_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUARANTINE_PER_PEER_MAX", 2)
    async with gate() as opened:
        second, third = (fact(opened.peer, number, interpret_as="instruction") for number in (2, 3))
        plain = fact(opened.peer, 4)
        answer = await opened.bring(second, third, plain)
        assert [(error["fact_id"], error["reason"]) for error in answer["errors"]] == [(third.id, "quarantine_full")]
        assert len(await opened.items()) == 2
        await opened.ask("POST", f"/v1/quarantine/{opened.order.id}/reject")
        assert (await opened.bring(third))["accepted"] == 1


async def test_an_origin_can_have_so_many_facts_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUARANTINE_PER_ORIGIN_MAX", 1)
    async with gate() as opened:
        answer = await opened.bring(fact(opened.peer, 2, interpret_as="instruction"))
        assert [error["reason"] for error in answer["errors"]] == ["quarantine_full"]


async def test_a_lint_does_not_look_at_what_waits() -> None:
    async with gate() as opened:
        found = await opened.ask("POST", "/v1/lint", {"scope": opened.order.scope})
        assert (found["fact_count"], found["findings"]) == (0, [])


async def test_the_log_does_not_show_what_waits() -> None:
    async with gate() as opened:
        (row,) = [
            each
            for each in (await opened.ask("GET", "/v1/audit"))["entries"]
            if each["event_type"] == "quarantine_ingest"
        ]
        assert row["fact_id"] == opened.order.id
        assert {row[name] for name in ("fact_entity", "fact_value_v", "source")} == {None}


async def test_a_fact_for_which_there_is_no_room_is_audited_once_however_often_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "QUARANTINE_PER_ORIGIN_MAX", 1)
    async with gate() as opened:
        second = fact(opened.peer, 2, interpret_as="instruction")
        for _ in range(4):
            assert (await opened.bring(second))["accepted"] == 0
        told = [row for row in opened.bench.audit_rows if row.fact_id == second.id]
        assert [(row.event, "quarantine_full" in row.detail) for row in told] == [("rejected_fact", True)]
        assert opened.bench.node.state.letters["peer-1"][second.id] == ("quarantine_full",)


async def test_a_restarted_node_knows_what_waits_and_what_was_decided() -> None:
    async with gate() as opened:
        second = fact(opened.peer, 2, interpret_as="instruction")
        await opened.bring(second)
        await opened.admit()
        before = await opened.items()
        records = list(opened.bench.records)
    again = Bench(opened.bench.wall_ms)
    again.records = records
    async with running(again, SETTINGS):
        found = read(await ask(again, "GET", "/v1/quarantine", by=ADMIN))["items"]
        assert found == before
        assert [item["quarantine_status"] for item in found] == ["pending", "promoted"]
        page = read(await ask(again, "GET", "/v1/facts", by=ADMIN))
        assert [each["id"] for each in page["instructions"]] == [opened.order.id]


async def test_an_instruction_of_this_node_is_written_by_who_may_and_stays_among_its_facts() -> None:
    async with gate() as opened:
        value = {"type": "string", "v": "do it", "interpret_as": "instruction"}
        refused = await opened.ask("POST", "/v1/facts", saying(value=value), by=caller("write"), status=403)
        assert refused["code"] == "instruction_write_required"
        await opened.ask("POST", "/v1/facts", saying(value=value), by=WRITER, status=201)
        page = await opened.ask("GET", "/v1/facts")
        assert [each["value"]["interpret_as"] for each in page["facts"]] == ["instruction"]
        assert "instructions" not in page
