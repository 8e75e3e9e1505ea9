"""Gardens and their members as http-api 3.13 and the published cases `04_gardens` and `05_garden_facts` have them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from stigmem.core import limits
from stigmem.core.records import GardenFact, GardenRow
from stigmem.core.wire import Request, Response
from stigmem.node.callers import Principal
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, ask, caller, read, saying
from tests.node.fresh import fresh
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, node_url="http://testnode")
ANN = caller("read", "write", entity="user:ann")
BO = caller("read", "write", entity="agent:bo")
CY = caller("read", "write", entity="agent:cy")
READER = caller("read", entity="agent:reader")
URI = "stigmem://testnode/garden/crew"


async def garden(bench: Bench, by: Principal = ANN, **changes: Any) -> Any:
    """A garden of Ann's."""
    body = {"slug": "crew", "name": "Crew", "scope": "team"} | changes
    return read(await ask(bench, "POST", "/v1/gardens", body, by=by), 201)


async def member(bench: Bench, who: str, role: str, by: Principal = ANN) -> Any:
    return read(await ask(bench, "POST", "/v1/gardens/crew/members", {"entity_uri": who, "role": role}, by=by), 201)


async def write(bench: Bench, text: str, by: Principal = ANN, **more: Any) -> Response:
    bench.wall_ms += 1
    return await ask(bench, "POST", "/v1/facts", saying(text, scope="team", garden_id=URI) | more, by=by)


async def texts(bench: Bench, by: Principal, more: str = "") -> list[str]:
    target = f"/v1/facts?garden_id={URI}{more}"
    return [fact["value"]["v"] for fact in read(await ask(bench, "GET", target, by=by))["facts"]]


# --- the published cases ---


async def test_a_garden_is_made_with_its_maker_as_admin() -> None:
    async with fresh() as node:
        body = {"slug": "Pump-Crew", "name": "Pump crew", "description": "who looks after the pumps"}
        found = await node.post("/v1/gardens", body)
        at = "2026-11-20T07:55:44.001000+00:00"
        who = {"entity_uri": "anon:trusted", "role": "admin", "added_by": "anon:trusted", "added_at": at}
        assert len(found.pop("id")) == 36
        assert found == {
            "garden_id": "stigmem://testnode/garden/pump-crew", "slug": "pump-crew", "name": "Pump crew",
            "scope": "company", "description": "who looks after the pumps", "created_by": "anon:trusted",
            "created_at": at, "quarantine": False, "members": [who],
        }  # fmt: skip
        await node.post("/v1/gardens", body | {"name": "another"}, 409)
        for wrong in ({"slug": "no blanks"}, {"slug": "-x"}, {"slug": "x" * 64}, {"scope": "galaxy"}, {"name": ""}):
            await node.post("/v1/gardens", {"slug": "x", "name": "x"} | wrong, 422)
        (listed,) = await node.get("/v1/gardens")
        assert (listed["slug"], listed["members"]) == ("pump-crew", [])
        for name in (listed["id"], "pump-crew", "stigmem://testnode/garden/pump-crew"):
            assert (await node.get(f"/v1/gardens/{name}"))["members"] == [who]
        await node.get("/v1/gardens/nothing", 404)


async def test_members_are_added_listed_changed_and_removed() -> None:
    async with fresh() as node:
        await node.post("/v1/gardens", {"slug": "g", "name": "g"})
        bo = "stigmem://testnode/agent/bo"
        added = await node.post("/v1/gardens/g/members", {"entity_uri": bo})
        assert (added["entity_uri"], added["role"], added["added_by"]) == (bo, "reader", "anon:trusted")
        await node.post("/v1/gardens/g/members", {"entity_uri": bo, "role": "writer"}, 409)
        await node.post("/v1/gardens/g/members", {"entity_uri": "agent:x", "role": "king"}, 422)
        assert [each["entity_uri"] for each in await node.get("/v1/gardens/g/members")] == ["anon:trusted", bo]
        for name in (bo, quote(bo, safe=""), quote(bo.upper().replace("STIGMEM", "stigmem"), safe="")):
            changed = await node.ask("PATCH", f"/v1/gardens/g/members/{name}", {"role": "writer"})
            assert read(changed) == added | {"role": "writer"}
        assert (await node.ask("DELETE", f"/v1/gardens/g/members/{quote(bo, safe='')}")).status == 204
        assert (await node.ask("DELETE", f"/v1/gardens/g/members/{bo}")).status == 404
        assert (await node.ask("PATCH", f"/v1/gardens/g/members/{bo}", {"role": "writer"})).status == 404
        assert (await node.ask("DELETE", "/v1/gardens/g")).status == 204
        assert (await node.ask("DELETE", "/v1/gardens/g")).status == 404
        await node.post("/v1/gardens", {"slug": "g", "name": "the name is free again"})


async def test_a_fact_of_a_garden_is_written_and_asked_for_by_its_uri() -> None:
    async with fresh() as node:
        await node.post("/v1/gardens", {"slug": "g", "name": "g", "scope": "company"})
        uri = "stigmem://testnode/garden/g"
        found = await node.say(garden_id=uri, scope="company")
        assert found["garden_id"] == uri
        await node.say(422, garden_id=uri, scope="team")
        await node.say(404, garden_id="stigmem://testnode/garden/other", scope="company")
        await node.say(404, garden_id="g", scope="company")
        page = await node.get("/v1/facts", garden_id="stigmem://another.example/garden/g")
        assert page["facts"] == [found]
        assert (await node.get(f"/v1/facts/{found['id']}"))["garden_id"] == uri
        await node.get("/v1/facts", 404, garden_id="stigmem://testnode/garden/other")
        assert (await node.get("/v1/facts"))["facts"] == []


# --- who may do what ---


async def test_only_members_write_and_read_and_each_what_its_role_allows() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        assert (await write(bench, "one", BO)).status == 403
        assert (await ask(bench, "GET", f"/v1/facts?garden_id={URI}", by=BO)).status == 403
        await member(bench, "Agent:Bo", "writer")
        await member(bench, "agent:reader", "reader")
        await member(bench, "agent:cy", "quarantine:moderator")
        assert (await write(bench, "one", BO)).status == 201
        for by, role in ((CY, "quarantine:moderator"), (caller("read", "write", entity="agent:reader"), "reader")):
            answer = read(await write(bench, "two", by), 403)
            assert role in str(answer)
        for by in (ANN, BO, CY, READER):
            assert await texts(bench, by) == ["one"]
        # Only an admin of the garden deals with its members, and nobody's rights on the node stand in for that.
        for method, target in (("DELETE", "/v1/gardens/crew"), ("DELETE", "/v1/gardens/crew/members/agent:cy")):
            assert (await ask(bench, method, target, by=BO)).status == 403
        body = {"entity_uri": "agent:d", "role": "admin"}
        assert (await ask(bench, "POST", "/v1/gardens/crew/members", body, by=BO)).status == 403
        read(await ask(bench, "DELETE", "/v1/gardens/crew/members/agent:bo", by=ANN), 204)
        assert (await ask(bench, "GET", f"/v1/facts?garden_id={URI}", by=BO)).status == 403


async def test_the_last_admin_can_be_neither_removed_nor_made_less() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        ann, bo = "/v1/gardens/crew/members/user:ann", "/v1/gardens/crew/members/agent:bo"
        assert "last_admin" in str(read(await ask(bench, "PATCH", ann, {"role": "writer"}, by=ANN), 403))
        assert (await ask(bench, "DELETE", ann, by=ANN)).status == 403
        assert read(await ask(bench, "PATCH", ann, {"role": "admin"}, by=ANN))["role"] == "admin"
        await member(bench, "agent:bo", "writer")
        assert (await ask(bench, "DELETE", ann, by=ANN)).status == 403
        read(await ask(bench, "PATCH", bo, {"role": "admin"}, by=ANN))
        read(await ask(bench, "DELETE", ann, by=BO), 204)
        assert (await ask(bench, "DELETE", bo, by=BO)).status == 403


async def test_two_admins_who_remove_each_other_at_one_time_leave_one() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        await garden(bench)
        await member(bench, "agent:bo", "admin")
        answers: list[int] = []
        for by, other in ((ANN, "agent:bo"), (BO, "user:ann")):
            request = Request("DELETE", f"/v1/gardens/crew/members/{other}")
            node.offer(request, lambda response: answers.append(response.status), by)
        await bench.settle()
        assert answers == [204, 403]


async def test_a_garden_of_a_scope_that_a_key_may_not_touch_is_not_there_for_it() -> None:
    bench = Bench(NOW_MS)
    narrow = caller("read", "write", scopes=("public",), entity="user:ann")
    async with running(bench, SETTINGS):
        await garden(bench)
        assert read(await ask(bench, "GET", "/v1/gardens", by=narrow)) == []
        for target in ("/v1/gardens/crew", "/v1/gardens/crew/members", f"/v1/facts?garden_id={URI}"):
            assert (await ask(bench, "GET", target, by=narrow)).status == 404
        assert (await ask(bench, "POST", "/v1/gardens", {"slug": "x", "name": "x"}, by=narrow)).status == 403
        fact = read(await write(bench, "in"), 201)
        assert (await ask(bench, "GET", f"/v1/facts/{fact['id']}", by=ANN)).status == 200
        for name in (fact["id"], fact["cid"]):
            assert (await ask(bench, "GET", f"/v1/facts/{name}", by=narrow)).status == 404
        assert read(await ask(bench, "GET", "/v1/audit", by=narrow))["entries"] == []


async def test_who_may_not_write_sees_the_gardens_of_which_it_is_a_member() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        await garden(bench, slug="other", name="other")
        assert read(await ask(bench, "GET", "/v1/gardens", by=READER)) == []
        assert (await ask(bench, "GET", "/v1/gardens/crew", by=READER)).status == 403
        await member(bench, "agent:reader", "reader")
        assert [each["slug"] for each in read(await ask(bench, "GET", "/v1/gardens", by=READER))] == ["crew"]
        assert len(read(await ask(bench, "GET", "/v1/gardens/crew", by=READER))["members"]) == 2
        assert len(read(await ask(bench, "GET", "/v1/gardens", by=BO))) == 2


async def test_nothing_grows_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GARDENS_MAX", 1)
    monkeypatch.setattr(limits, "GARDEN_MEMBERS_MAX", 2)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        body = {"slug": "two", "name": "two"}
        assert "too_many_gardens" in str(read(await ask(bench, "POST", "/v1/gardens", body, by=ANN), 409))
        await member(bench, "agent:bo", "reader")
        body = {"entity_uri": "agent:cy"}
        assert "too_many_members" in str(read(await ask(bench, "POST", "/v1/gardens/crew/members", body, by=ANN), 409))


# --- facts of a garden among themselves ---


async def test_facts_of_a_garden_contradict_each_other_and_nobody_else() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        outside = read(await ask(bench, "POST", "/v1/facts", saying("out", scope="team"), by=ANN), 201)
        assert read(await write(bench, "one"), 201)["contradicted"] is False
        await member(bench, "agent:bo", "writer")
        assert read(await write(bench, "two", BO, source="agent:bo"), 201)["contradicted"] is True
        assert read(await ask(bench, "GET", f"/v1/facts/{outside['id']}", by=ANN))["contradicted"] is False
        assert read(await ask(bench, "GET", "/v1/conflicts", by=ANN))["conflicts"] == []
        (conflict,) = read(await ask(bench, "GET", f"/v1/conflicts?garden_id={URI}", by=ANN))["conflicts"]
        assert {conflict[name]["garden_id"] for name in ("fact_a", "fact_b")} == {URI}
        target = f"/v1/conflicts/{conflict['conflict_id']}"
        assert (await ask(bench, "GET", target, by=ANN)).status == 404
        body = {"winning_fact_id": conflict["fact_a"]["id"]}
        assert (await ask(bench, "POST", f"{target}/resolve?garden_id={URI}", body, by=CY)).status == 403
        assert (await ask(bench, "POST", f"{target}/resolve", body, by=BO)).status == 404
        read(await ask(bench, "POST", f"{target}/resolve?garden_id={URI}", body, by=BO))
        assert await texts(bench, ANN) == [conflict["fact_a"]["value"]["v"]]
        assert read(await ask(bench, "GET", f"{target}?garden_id={URI}", by=ANN))["status"] == "resolved"


async def test_a_write_that_repeats_one_of_the_same_garden_is_answered_with_it() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        outside = read(await ask(bench, "POST", "/v1/facts", saying("same", scope="team"), by=ANN), 201)
        first = read(await write(bench, "same"), 201)
        assert first["id"] != outside["id"]
        assert read(await write(bench, "same"), 201)["id"] == first["id"]
        facts = [saying(text, scope="team", garden_id=URI) for text in ("same", "new", "new")]
        results = read(await ask(bench, "POST", "/v1/facts/batch", {"facts": facts}, by=ANN))["results"]
        assert results[0]["fact_id"] == first["id"]
        assert results[1]["fact_id"] == results[2]["fact_id"]
        assert len([record for record in bench.records if isinstance(record, GardenFact)]) == 2


async def test_a_batch_brings_facts_to_a_garden_and_beside_it_each_by_its_own_right() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        facts = [saying("in", scope="team", garden_id=URI), saying("out", scope="team")]
        results = read(await ask(bench, "POST", "/v1/facts/batch", {"facts": facts}, by=BO))["results"]
        assert [each["status"] for each in results] == ["rejected", "accepted"]
        assert results[0]["error"]["code"] == "not_a_member"
        results = read(await ask(bench, "POST", "/v1/facts/batch", {"facts": facts}, by=ANN))["results"]
        assert [each["status"] for each in results] == ["accepted", "accepted"]
        assert await texts(bench, ANN) == ["in"]


async def test_a_fact_of_a_garden_expires() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        read(await write(bench, "short", valid_until="2026-11-20T07:56:00Z"), 201)
        assert await texts(bench, ANN) == ["short"]
        bench.wall_ms += 60_000
        assert await texts(bench, ANN) == []
        assert await texts(bench, ANN, "&include_expired=true") == ["short"]


async def test_a_restarted_node_has_its_gardens_and_what_is_in_them() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        await garden(bench, slug="gone", name="gone")
        await member(bench, "agent:bo", "writer")
        read(await write(bench, "kept", BO), 201)
        read(await ask(bench, "POST", "/v1/facts", saying("out", scope="team", garden_id=URI.replace("crew", "gone")),
                       by=ANN), 201)  # fmt: skip
        read(await ask(bench, "DELETE", "/v1/gardens/gone", by=ANN), 204)
        before = read(await ask(bench, "GET", "/v1/gardens/crew", by=ANN))
    again = Bench(NOW_MS + 10)
    again.records += bench.records
    async with running(again, SETTINGS) as node:
        assert read(await ask(again, "GET", "/v1/gardens/crew", by=ANN)) == before
        assert await texts(again, BO) == ["kept"]
        assert len(node.state.gardens) == 1
        read(await write(again, "and more", BO), 201)
        assert sum(isinstance(record, GardenRow) for record in again.records) == 4


async def test_each_change_of_a_garden_has_its_audit_row_for_members() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        await member(bench, "agent:bo", "writer")
        read(await ask(bench, "PATCH", "/v1/gardens/crew/members/agent:bo", {"role": "reader"}, by=ANN))
        fact = read(await write(bench, "secret"), 201)
        read(await ask(bench, "DELETE", "/v1/gardens/crew/members/agent:bo", by=ANN), 204)
        rows = read(await ask(bench, "GET", "/v1/audit", by=ANN))["entries"]
        assert [row["event_type"] for row in rows] == [
            "garden_member_removed", "garden_write", "garden_member_changed", "garden_member_added", "garden_created",
        ]  # fmt: skip
        assert (rows[1]["fact_id"], rows[1]["fact_value_v"], rows[1]["source"]) == (
            fact["id"],
            "secret",
            "agent:writer",
        )
        assert read(await ask(bench, "GET", f"/v1/audit/facts/{fact['id']}", by=ANN))
        assert read(await ask(bench, "GET", "/v1/audit", by=BO))["entries"] == []


async def test_what_the_whole_log_tells_of_a_garden_is_who_wrote_and_when_and_not_what() -> None:
    bench = Bench(NOW_MS)
    auditor = caller("audit.read", "read", entity="user:auditor")
    async with running(bench, SETTINGS):
        await garden(bench)
        fact = read(await write(bench, "swordfish", entity="user:hidden", relation="memory:secret"), 201)
        log = (await ask(bench, "GET", "/v1/admin/audit", by=auditor)).body.decode()
        assert '"event_type":"garden_write","entity_uri":"user:ann"' in log
        for text in ("swordfish", "user:hidden", "memory:secret", fact["cid"], "agent:writer"):
            assert text not in log


async def test_provenance_names_a_fact_of_a_garden_to_its_members_only() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        inside = read(await write(bench, "inside"), 201)
        body = saying("sum", scope="team", derived_from=[{"fact_id": inside["id"]}])
        outside = read(await ask(bench, "POST", "/v1/facts", body, by=ANN), 201)
        target = f"/v1/facts/{outside['id']}/provenance"
        (shown,) = read(await ask(bench, "GET", target, by=ANN))["derived_from"]
        (hidden,) = read(await ask(bench, "GET", target, by=BO))["derived_from"]
        assert (shown["exists"], hidden["exists"], hidden["entity"]) == (True, False, None)


async def test_a_session_that_read_a_garden_may_write_there_with_what_it_read_as_provenance() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        inside = read(await write(bench, "inside"), 201)
        named = {"stigmem-session": "s"}
        read(await ask(bench, "GET", f"/v1/facts?garden_id={URI}", by=ANN, headers=named))
        body = saying("next", scope="team", garden_id=URI)
        assert (await ask(bench, "POST", "/v1/facts", body, by=ANN, headers=named)).status == 403
        body |= {"write_mode": "summarize_with_provenance", "derived_from": [{"fact_id": inside["id"]}]}
        read(await ask(bench, "POST", "/v1/facts", body, by=ANN, headers=named), 201)


async def test_a_member_recalls_in_a_garden_and_nobody_recalls_it_from_outside() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await garden(bench)
        assert (await write(bench, "the pump leaks")).status == 201
        read(await ask(bench, "POST", "/v1/facts", saying("the pump runs", scope="team", entity="a:b"), by=BO), 201)
        asked = {"query": "pump", "scope": "team"}
        for by, more, wanted in (
            (ANN, {"garden_id": URI}, ["the pump leaks"]), (ANN, {}, ["the pump runs"]), (BO, {}, ["the pump runs"]),
        ):  # fmt: skip
            found = read(await ask(bench, "POST", "/v1/recall", asked | more, by=by))["facts"]
            assert [each["fact"]["value"]["v"] for each in found] == wanted
        assert (await ask(bench, "POST", "/v1/recall", asked | {"garden_id": URI}, by=BO)).status == 403
        (inside,) = read(await ask(bench, "POST", "/v1/recall", asked | {"garden_id": URI}, by=ANN))["facts"]
        assert inside["fact"]["garden_id"] == URI


async def test_a_recall_in_a_garden_is_of_the_gardens_scope_whatever_the_default() -> None:
    bench = Bench(NOW_MS)
    member_of_team = caller("read", "write", scopes=("team",), entity="user:ann")
    async with running(bench, SETTINGS):
        await garden(bench)
        read(await write(bench, "swordfish"), 201)
        found = read(await ask(bench, "GET", f"/v1/recall?query=swordfish&garden_id={URI}", by=member_of_team))
        assert [each["fact"]["value"]["v"] for each in found["facts"]] == ["swordfish"]


# --- what is derived from the facts of a garden ---

CARD = "/v1/cards/stigmem://testnode/device/pump-7"


async def crew(bench: Bench) -> None:
    """Ann's garden, of which Bo is a reader and Cy a writer, with two facts that disagree, a reference and an old
    guess."""
    await garden(bench)
    await member(bench, "agent:bo", "reader")
    await member(bench, "agent:cy", "writer")
    read(await write(bench, "swordfish", entity="room:b12", relation="password"), 201)
    read(await write(bench, "marlin", entity="room:b12", relation="password", source="agent:cy", by=CY), 201)
    to_room = {"type": "ref", "v": "room:b12"}
    read(await write(bench, "", entity="device:pump-7", relation="site:in", value=to_room), 201)
    to_known = {"type": "ref", "v": "device:outside"}
    read(await write(bench, "", entity="device:pump-7", relation="site:near", value=to_known), 201)
    read(await write(bench, "perhaps", entity="guess:1", relation="guess:x", confidence=0.1), 201)
    read(await ask(bench, "POST", "/v1/facts", saying("here", entity="device:outside", scope="team"), by=ANN), 201)


async def test_members_have_cards_neighbours_syntheses_and_lints_of_a_garden_and_nobody_else_has() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await crew(bench)
        inside = f"garden_id={URI}"
        card = read(await ask(bench, "GET", f"/v1/cards/room:b12?{inside}", by=BO))
        assert ("swordfish" in card["summary"], card["has_contradictions"], card["scope"]) == (True, True, "team")
        near = read(await ask(bench, "GET", f"/v1/graph/neighbors?entity=room:b12&scope=team&{inside}", by=BO))
        assert [each["entity"] for each in near["neighbors"]] == ["device:pump-7"]
        listed = read(await ask(bench, "GET", f"/v1/scopes/team/synthesize?{inside}", by=BO))
        assert (listed["fact_count"], listed["contradiction_count"]) == (5, 2)
        body = {"scope": "team", "garden_id": URI}
        summed = read(await ask(bench, "POST", "/v1/synthesis", body, by=BO))
        assert (summed["fact_count"], summed["contradiction_count"]) == (5, 1)
        found = read(await ask(bench, "POST", "/v1/lint", body, by=BO))
        checks = sorted((each["check"], each["entity"]) for each in found["findings"])
        # The reference to what only the node's own facts know is not broken.
        assert checks == [("contradiction", "room:b12"), ("namespacing", "room:b12")]
        for outside in (caller("read", "write", entity="agent:nobody"),):
            for method, target, given in (
                ("GET", f"/v1/cards/room:b12?{inside}", None),
                ("GET", f"/v1/graph/neighbors?entity=room:b12&scope=team&{inside}", None),
                ("GET", f"/v1/scopes/team/synthesize?{inside}", None),
                ("POST", "/v1/synthesis", body), ("POST", "/v1/lint", body), ("POST", "/v1/decay/sweep", body),
                ("POST", f"/v1/decay/sweep?{inside}&ttl_seconds=0", None),
            ):  # fmt: skip
                answer = await ask(bench, method, target, given, by=outside)
                assert (answer.status, b"swordfish" in answer.body) == (403, False), target
        own = read(await ask(bench, "GET", "/v1/scopes/team/synthesize", by=ANN))
        assert [each["entity"] for each in own["facts"]] == ["device:outside"]


async def test_a_cursor_of_neighbours_in_a_garden_is_for_no_other_list() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await crew(bench)
        target = "/v1/graph/neighbors?entity=device:pump-7&scope=team&page_size=1"
        first = read(await ask(bench, "GET", f"{target}&garden_id={URI}", by=BO))
        cursor = quote(first["next_cursor"])
        second = read(await ask(bench, "GET", f"{target}&garden_id={URI}&cursor={cursor}", by=BO))
        assert {each["entity"] for page in (first, second) for each in page["neighbors"]} == {
            "room:b12", "device:outside",
        }  # fmt: skip
        assert (await ask(bench, "GET", f"{target}&cursor={cursor}", by=BO)).status == 400


async def test_a_writer_sweeps_a_garden_and_nothing_beside_it_and_a_restart_keeps_that() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await crew(bench)
        saying_it = saying("unsure", entity="a:b", scope="team", confidence=0.1)
        read(await ask(bench, "POST", "/v1/facts", saying_it, by=ANN), 201)
        target = f"/v1/decay/sweep?min_confidence=0.5&garden_id={URI}"
        assert (await ask(bench, "POST", target, by=BO)).status == 403
        done = read(await ask(bench, "POST", target, by=CY))
        assert done == {"scanned": 1, "decayed": 1, "dry_run": False}
        assert "perhaps" not in await texts(bench, BO)
    async with running(bench, SETTINGS):
        assert "perhaps" not in await texts(bench, BO)
        outside = read(await ask(bench, "GET", "/v1/facts?scope=team&entity=a:b", by=ANN))
        assert [each["value"]["v"] for each in outside["facts"]] == ["unsure"]
