"""Tombstones over the API: nothing of who is forgotten is shown any more, only the issuer takes one back, and what
peers bring is verified (http-api 3.18, federation 9.3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stigmem.core.audit import verify
from stigmem.core.records import OriginRow, encode_record
from stigmem.core.tombstone import Revocation, Tombstone, sign_revocation, sign_tombstone
from stigmem.node.erasure import Mentions
from stigmem.node.settings import NodeSettings
from tests.node.api import ADMIN, NOW_MS, SEED, WRITER, Peer, ask, caller, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True, tombstone_signers=("*=user:",))
ADA = "user:ada"


async def write(bench: Bench, text: str = "ok", status: int = 201, **members: Any) -> Any:
    return read(await ask(bench, "POST", "/v1/facts", saying(text, **members)), status)


async def bury(bench: Bench, status: int = 201, **members: Any) -> Any:
    return read(await ask(bench, "POST", "/v1/tombstones", {"entity_uri": ADA} | members, by=ADMIN), status)


def kept(bench: Bench) -> bytes:
    """Every byte of the journal but the tombstones."""
    rows = [encode_record(record) for record in bench.records if not type(record).__name__.startswith("Tomb")]
    return b"\n".join(rows)


async def fill(bench: Bench) -> list[str]:
    """Five facts that name Ada in every way in which a fact can, and one that does not."""
    facts = [
        {"entity": ADA, "relation": "memory:role"},
        {"entity": ADA, "relation": "memory:role", "source": "agent:other", "value": {"type": "string", "v": "no"}},
        {"entity": "team:one", "relation": "team:lead", "value": {"type": "ref", "v": ADA}},
        {"entity": "team:one", "relation": "team:note", "source": ADA, "value": {"type": "string", "v": "secret note"}},
        {"entity": "team:one", "relation": "team:size"},
    ]
    written = [await write(bench, **fact) for fact in facts]
    (conflict,) = read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"]
    body = {"winning_fact_id": written[0]["id"], "resolution_note": "as Ada says"}
    read(await ask(bench, "POST", f"/v1/conflicts/{conflict['conflict_id']}/resolve", body, by=ADMIN))
    return [each["id"] for each in written]


async def test_who_is_forgotten_is_in_no_answer_and_in_no_record_but_the_tombstone() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        ids = await fill(bench)
        key = {"idempotency-key": "once"}
        read(await ask(bench, "POST", "/v1/facts", saying("more", entity=ADA, relation="r:x"), headers=key), 201)
        query = {"query": "what does ada do", "scope": "public", "token_budget": 500}
        read(await ask(bench, "POST", "/v1/recall", query))
        tombstone = await bury(bench, reason="she asked")
        assert tombstone["signed_by"] == bench.node.node_id
        answers = [
            await ask(bench, method, target, body, by=ADMIN)
            for method, target, body in (
                ("GET", "/v1/facts?include_contradicted=true&include_expired=true&include_superseded=true", None),
                ("GET", f"/v1/facts?entity={ADA}", None),
                ("GET", f"/v1/facts?source={ADA}", None),
                ("GET", "/v1/conflicts?status=all", None),
                ("GET", "/v1/conflicts?status=resolved", None),
                ("POST", "/v1/recall", query),
                ("GET", "/v1/events?follow=false", None),
                ("GET", "/v1/audit?limit=100", None),
                ("GET", f"/v1/entities/{ADA}/card?scope=public", None),
                ("GET", f"/v1/entities/{ADA}/neighbors?scope=public", None),
                ("POST", "/v1/synthesize", {"entity": "team:one", "scope": "public"}),
                ("POST", "/v1/lint", {"scope": "public"}),
                ("GET", "/v1/quarantine", None),
                *(
                    ("GET", f"/v1/facts/{ids[n]}{more}", None)
                    for n in range(4)
                    for more in ("", "/provenance", "/history")
                ),
            )
        ]
        await bench.settle()
        whole = await ask(bench, "GET", "/v1/admin/audit?limit=500", by=ADMIN)
        for answer in (*answers, whole):
            for word in (b"user:ada", b"secret note", b"as Ada says"):
                assert word not in answer.body, (answer.status, answer.body)
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 1
        assert [(await ask(bench, "GET", f"/v1/facts/{each}")).status for each in ids] == [404, 404, 404, 404, 200]
        for word in (b"user:ada", b"secret note", b"as Ada says", b"team:lead"):
            assert word not in kept(bench)
        assert verify(bench.audit_rows)[1] is None
        assert not bench.node.state.erasures.unfinished()
    async with running(bench, SETTINGS):
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 1
        assert read(await ask(bench, "GET", f"/v1/tombstones/{ADA}", by=ADMIN)) == {
            "tombstoned": True, "tombstones": [tombstone], "revocations": [], "finished": [tombstone["id"]],
        }  # fmt: skip
        again = read(await ask(bench, "POST", "/v1/facts", saying(entity=ADA)), 409)
        assert again["code"] == "tombstoned"


async def test_a_dry_run_says_what_would_go_and_leaves_all_as_it_is() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await fill(bench)
        before = len(bench.records)
        found = await bury(bench, 200, dry_run=True)
        assert (found["facts"], found["as_entity"], found["as_source"], found["as_value"]) == (5, 2, 1, 1)
        assert (found["by_scope"], found["would_erase"]) == ({"public": 5}, True)
        assert len(bench.records) == before
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 4


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"scope": "galaxy"}, "tombstone_invalid_scope"), ({"scope": ""}, "tombstone_invalid_scope"),
        ({"entity_uri": ""}, "tombstone_entity_uri_invalid"), ({"entity_uri": " "}, "tombstone_entity_uri_invalid"),
        ({"entity_uri": "stigmem:conflict:x"}, "tombstone_entity_uri_invalid"),
    ],
)  # fmt: skip
async def test_a_tombstone_of_nothing_is_refused(members: dict[str, Any], code: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        assert (await bury(bench, 400, **members))["code"] == code
        assert not bench.records


async def test_only_an_admin_sees_and_makes_tombstones() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for method, target, body in (
            ("POST", "/v1/tombstones", {"entity_uri": ADA}), ("GET", f"/v1/tombstones/{ADA}", None),
            ("POST", "/v1/tombstones/tomb_x/revoke", {}),
        ):  # fmt: skip
            read(await ask(bench, method, target, body, by=caller("read", "write", "admin:federation")), 403)


async def test_a_tombstone_that_was_carried_out_can_be_revoked_once_and_brings_nothing_back() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await write(bench, entity=ADA)
        made = await bury(bench)
        await bench.settle()
        target = f"/v1/tombstones/{made['id']}/revoke"
        revoked = read(await ask(bench, "POST", target, {"reason": "wrong Ada"}, by=ADMIN))
        assert (revoked["tombstone_id"], revoked["signed_by"]) == (made["id"], bench.node.node_id)
        assert read(await ask(bench, "POST", target, {}, by=ADMIN), 409)["code"] == "tombstone_already_revoked"
        unknown = read(await ask(bench, "POST", "/v1/tombstones/tomb_none/revoke", {}, by=ADMIN), 404)
        assert unknown["code"] == "tombstone_not_found"
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 0
        await write(bench, entity=ADA)
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 1


async def test_a_legal_hold_hides_and_keeps_and_its_revocation_shows_again() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await fill(bench)
        before = read(await ask(bench, "GET", "/v1/facts?include_contradicted=true"))
        made = await bury(bench, legal_hold=True)
        await bench.settle()
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 1
        assert b"secret note" in kept(bench)
    async with running(bench, SETTINGS):
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 1
        read(await ask(bench, "POST", f"/v1/tombstones/{made['id']}/revoke", {}, by=ADMIN))
        assert read(await ask(bench, "GET", "/v1/facts?include_contradicted=true")) == before


async def test_keys_memberships_and_other_names_of_who_is_forgotten_go_too() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        body = {"entity_uri": ADA, "permissions": ["read", "write"], "description": "hers"}
        read(await ask(bench, "POST", "/v1/auth/keys", body, by=ADMIN), 201)
        read(await ask(bench, "POST", "/v1/gardens", {"slug": "crew", "name": "C", "scope": "team"}, by=ADMIN), 201)
        read(await ask(bench, "POST", "/v1/gardens/crew/members", {"entity_uri": ADA, "role": "writer"}, by=ADMIN), 201)
        room = {"garden_id": "stigmem://testnode/garden/crew", "scope": "team"}
        garden = saying("in the garden", entity=ADA, **room)
        read(await ask(bench, "POST", "/v1/facts", garden, by=ADMIN), 201)
        found = await bury(bench, 200, dry_run=True)
        assert (found["facts"], found["other_records"]) == (1, {"keys": 1, "gardens": 1})
        await bury(bench)
        await bench.settle()
        assert not bench.node.state.keys
        (held,) = bench.node.state.gardens
        assert [member.entity_uri for member in held.row.members] == ["user:admin"]
        assert not list(held.ledger.by_stamp)
        assert b"user:ada" not in kept(bench)
        assert b"in the garden" not in kept(bench)


async def test_a_start_in_the_middle_goes_on_where_the_erasure_was() -> None:
    """Of the journal of a whole erasure every beginning is one that a crash may leave; each comes to the same."""
    bench = Bench(NOW_MS)
    bench.journal.compacts = False
    async with running(bench, SETTINGS):
        await fill(bench)
        begun = len(bench.records)
        await bury(bench)
        await bench.settle()
    whole = list(bench.records)
    assert len(whole) > begun + 5
    for end in range(begun + 1, len(whole) + 1):
        again = Bench(NOW_MS)
        again.records = whole[:end]
        async with running(again, SETTINGS):
            assert read(await ask(again, "GET", "/v1/facts"))["total"] == (1 if has_tombstone(again) else 4)
            if not again.node.state.erasures.unfinished():
                continue  # there is no tombstone yet, or it is carried out already
            await again.settle()
            assert not again.node.state.erasures.unfinished()
        assert b"user:ada" not in kept(again), end
        assert b"secret note" not in kept(again), end
        assert verify(again.audit_rows)[1] is None


def has_tombstone(bench: Bench) -> bool:
    return bool(bench.node.state.erasures.tombstones)


# --- peers ---


def signed(peer: Peer, number: int = 1, **changes: Any) -> dict[str, Any]:
    draft = Tombstone(
        id=f"tomb_{number}", entity_uri=ADA, scope="*", signed_by=peer.node_id, signature="",
        created_at="2026-11-20T07:00:00Z",
    )  # fmt: skip
    made: dict[str, Any] = msgspec.to_builtins(sign_tombstone(msgspec.structs.replace(draft, **changes), peer.signer))
    return made


def revoking(peer: Peer, number: int = 1) -> dict[str, Any]:
    draft = Revocation(
        id=f"tombrevoke_{number}", tombstone_id=f"tomb_{number}", signed_by=peer.node_id, signature="",
        created_at="2026-11-20T07:10:00Z",
    )  # fmt: skip
    made: dict[str, Any] = msgspec.to_builtins(sign_revocation(draft, peer.signer))
    return made


INGEST = "/v1/federation/tombstones/ingest"


async def test_a_peers_tombstone_is_carried_out_and_told_on_and_only_its_signer_revokes_it() -> None:
    bench = Bench(NOW_MS)
    north, south = Peer(bench, 1), Peer(bench, 2)
    async with running(bench, SETTINGS):
        await write(bench, entity=ADA)
        made = signed(north)
        assert read(await south.ask("POST", INGEST, made)) == {"status": "ok", "written": True}
        assert read(await north.ask("POST", INGEST, made)) == {"status": "ok", "written": False}
        await bench.settle()
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 0
        pulled = await south.ask("GET", "/v1/federation/facts")
        assert (pulled.headers["stigmem-tombstones"], read(pulled)["facts"]) == ("1", [])
        told = read(await south.ask("GET", "/v1/federation/tombstones"))
        assert told == {"tombstones": [made | {"reason": None}], "revocations": [], "cursor": None, "next": 1}
        refused = read(await south.ask("POST", INGEST, revoking(south)), 403)
        assert refused["code"] == "tombstone_not_the_issuer"
        own = read(await ask(bench, "POST", "/v1/tombstones/tomb_1/revoke", {}, by=ADMIN), 403)
        assert own["code"] == "tombstone_not_the_issuer"
        assert read(await south.ask("POST", INGEST, revoking(north))) == {"status": "ok", "type": "revocation"}
        assert read(await ask(bench, "GET", f"/v1/tombstones/{ADA}", by=ADMIN))["tombstoned"] is False


async def test_a_signer_without_authority_over_the_entity_erases_nothing() -> None:
    bench = Bench(NOW_MS)
    north = Peer(bench, 1)
    async with running(bench, NodeSettings(seed=SEED, federation=True, tombstone_signers=("*=agent:",))):
        await write(bench, entity=ADA)
        assert read(await north.ask("POST", INGEST, signed(north)), 403)["code"] == "tombstone_unauthorised"
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 1
        (row,) = [row for row in bench.audit_rows if row.event == "tombstone_federation_rejected"]
        assert (row.subject, row.detail) == (north.peer_id, '{"reason":"tombstone_unauthorised"}')


async def test_a_signer_whose_manifest_lists_a_name_has_authority_over_what_lies_below_it() -> None:
    bench = Bench(NOW_MS)
    north = Peer(bench, 1)
    manifest = {
        "entity_uri": "stigmem://north.example", "key_id": "k", "public_key": north.signer.public_key,
        "issued_at": "2026-06-01T00:00:00Z", "expires_at": "2027-06-01T00:00:00Z", "signature": "",
        "entities": ["stigmem://north.example", north.node_id, "user:"],
    }  # fmt: skip
    bench.records.append(
        OriginRow(north.node_id, north.signer.public_key, "pinned", "", msgspec.json.encode(manifest).decode())
    )
    async with running(bench, NodeSettings(seed=SEED, federation=True)):
        for entity, status in (
            ("stigmem://north.example/agent/x", 200), ("stigmem://north.example", 200),
            ("stigmem://north.example.org/agent/x", 403), (ADA, 403), (bench.node.node_id, 403),
        ):  # fmt: skip
            made = signed(north, entity_uri=entity, id=f"tomb_{entity}")
            read(await north.ask("POST", INGEST, made), status)


async def test_a_copy_that_is_served_again_is_refused_by_its_id_and_by_whom_it_names() -> None:
    bench = Bench(NOW_MS)
    north = Peer(bench, 1, dialect="0.5")
    fact = {
        "id": "8e2c1b1e-6a51-4f0e-9a53-0d6f3d1a2c44", "entity": ADA, "relation": "memory:role",
        "value": {"type": "string", "v": "x"}, "source": "agent:n", "timestamp": "2026-11-20T07:00:00Z",
        "hlc": None, "valid_until": None, "confidence": 1.0, "scope": "public", "cid": None, "derived_from": [],
    }  # fmt: skip
    async with running(bench, NodeSettings(seed=SEED, federation=True, push=True)):
        push = "/v1/federation/facts/push"
        first = {"facts": [fact | {"source": north.node_id}]}
        assert read(await north.ask("POST", push, first), 202)["accepted"] == 1
        made = await bury(bench)
        await bench.settle()
        for body in (first, {"facts": [first["facts"][0] | {"id": "9e2c1b1e-6a51-4f0e-9a53-0d6f3d1a2c44"}]}):
            answer = read(await north.ask("POST", push, body), 202)
            assert [each["reason"] for each in answer["errors"]] == ["tombstoned"]
        read(await ask(bench, "POST", f"/v1/tombstones/{made['id']}/revoke", {}, by=ADMIN))
        assert read(await north.ask("POST", push, first), 202)["accepted"] == 0
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 0


async def test_tombstones_cross_a_link_only_where_their_scope_does() -> None:
    bench = Bench(NOW_MS)
    narrow, wide = Peer(bench, 1), Peer(bench, 2, scopes=("company", "public"))
    async with running(bench, SETTINGS):
        for scope in ("local", "company", "public", "*"):
            await bury(bench, scope=scope, entity_uri=f"user:{scope}" if scope != "*" else "user:every")
        await bench.settle()
        for peer, expected in ((narrow, ["public", "*"]), (wide, ["company", "public", "*"])):
            page = read(await peer.ask("GET", "/v1/federation/tombstones"))
            assert [each["scope"] for each in page["tombstones"]] == expected
            rest = read(await peer.ask("GET", "/v1/federation/tombstones?after=1&limit=1"))
            assert [each["scope"] for each in rest["tombstones"]] == expected[1:2]
            assert (
                read(await peer.ask("GET", "/v1/federation/tombstones?since=2027-01-01T00:00:00Z"))["tombstones"] == []
            )
        read(await wide.ask("GET", "/v1/federation/tombstones?since=never"), 422)


async def test_a_forged_tombstone_is_refused_and_suppresses_nothing() -> None:
    bench = Bench(NOW_MS)
    north = Peer(bench, 1)
    async with running(bench, SETTINGS):
        await write(bench, entity=ADA)
        for changes, status in (
            ({"signature": "AAAA"}, 400), ({"entity_uri": "user:bo"}, 400), ({"scope": "public"}, 400),
            ({"legal_hold": True}, 400), ({"key_id": "0" * 16}, 401), ({"signed_by": "stigmem://nobody"}, 401),
        ):  # fmt: skip
            read(await north.ask("POST", INGEST, signed(north) | changes), status)
        assert read(await ask(bench, "GET", "/v1/facts", by=WRITER))["total"] == 1
        assert not bench.node.state.erasures.rows


async def test_what_is_left_of_an_erased_word_is_in_no_history_and_no_query_and_still_ends_the_one_before_it() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        slot = {"entity": "team:one", "relation": "team:lead"}
        first = await write(bench, **slot, value={"type": "ref", "v": "user:bo"})
        await write(bench, **slot, value={"type": "ref", "v": ADA})
        await bury(bench)
        await bench.settle()
    async with running(bench, SETTINGS):
        every = "include_contradicted=true&include_expired=true&include_superseded=true"
        named = "entity=team:one&relation=team:lead&scope=public"
        for more in (every, f"{every}&{named}"):
            found = read(await ask(bench, "GET", f"/v1/facts?{more}"))
            assert [fact["id"] for fact in found["facts"]] == [first["id"]]
        assert read(await ask(bench, "GET", f"/v1/facts?{named}"))["total"] == 0
        history = await ask(bench, "GET", f"/v1/facts/{first['id']}/history")
        assert b"husk" not in history.body
        assert b"erased" not in history.body


async def test_a_denial_that_was_erased_is_listed_without_a_word_and_can_be_resolved() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        slot = {"entity": "team:one", "relation": "team:lead"}
        kept = await write(bench, **slot)
        await write(bench, **slot, source=ADA, confidence=0.0)
        await bury(bench)
        (conflict,) = read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"]
        assert b"user:ada" not in msgspec.json.encode(conflict)
        body = {"winning_fact_id": kept["id"]}
        read(await ask(bench, "POST", f"/v1/conflicts/{conflict['conflict_id']}/resolve", body, by=ADMIN))
        assert read(await ask(bench, "GET", "/v1/facts"))["total"] == 1


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b'{"a": ["said by user:ada"]}', True),
        (b'{"a": ["said by user:adam"]}', False),
        (b'{"user:ada": 1}', True),
        (b"not JSON, of user:ada", True),
        (b"\xff\xfe user:ada", True),
        ("{half of user:ada", True),
        ("{half of user:eve", False),
    ],
)
def test_a_text_names_somebody_whether_it_can_be_read_as_json_or_not(data: bytes | str, names: bool) -> None:
    assert Mentions(["user:ada"]).are_in_json(data) is names
