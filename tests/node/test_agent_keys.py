"""Agents' keys and what is signed with them, over HTTP: the published form by its vectors, ours in every member."""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.core import limits
from stigmem.core.keys import ED25519, encode_base64
from stigmem.core.timestamps import format_us
from stigmem.node.callers import Principal
from stigmem.node.settings import NodeSettings
from tests.core.vectors import Case, cases, document
from tests.node.api import ADMIN, NOW_MS, SEED, WRITER, ask, caller, read, saying
from tests.node.signing import AGENT, attested
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED)
OTHER = ED25519.signer(b"b" * 32)
KEYS = "/v1/auth/agent-keys"


def as_caller(entity: str) -> Principal:
    return caller("read", "write", entity=entity)


async def registered(bench: Bench, public_key: str = AGENT.public_key, by: Principal = WRITER, **more: Any) -> str:
    made: str = read(await ask(bench, "POST", KEYS, {"public_key": public_key} | more, by=by), 201)["id"]
    return made


def signing(bench: Bench, key_id: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The body with the attestation that its agent makes now, for the node on the bench."""
    return attested(body, node_id=bench.node.node_id, now_ms=bench.wall_ms, key_id=key_id, **more)


def public_key_of(where: str, case: Case) -> str:
    return str(document(where, "attestations")["keys"][case["signer"]]["public"])


@pytest.mark.parametrize(("where", "case"), cases("attestations", "register", "attest", "attest_required"))
async def test_the_published_form_is_taken_and_refused_as_published(where: str, case: Case) -> None:
    bench = Bench(NOW_MS)
    settings = NodeSettings(seed=SEED, attestation_required=case.get("kind") == "attest_required")
    expected = case["expected"]
    async with running(bench, settings):
        if case["kind"] == "register":
            found = read(await ask(bench, "POST", KEYS, {"public_key": case["public_key"]}), expected["http_status"])
            assert found.get("public_key") == expected.get("stored_public_key")
            return
        keys = document(where, "attestations")["keys"]
        names = {}
        for name, row in document(where, "attestations")["registered"].items():
            made = read(await ask(bench, "POST", KEYS, {"public_key": keys[row["key"]]["public"],
                                                        "entity_uri": row["owner"]}, by=ADMIN), 201)  # fmt: skip
            names[name] = made["id"]
            if row["status"] == "revoked":
                read(await ask(bench, "DELETE", f"{KEYS}/{made['id']}", by=ADMIN), 204)
        body = case["request"]
        if "attestation" in body:
            known = body["attestation"]["key_id"]
            body = body | {"attestation": body["attestation"] | {"key_id": names.get(known, known)}}
        answer = await ask(bench, "POST", "/v1/facts", body, by=as_caller(case.get("caller", "agent:admin")))
        found = read(answer, expected["http_status"])
        if expected["verdict"] == "ok":
            assert found["attested_key_id"] == names[expected["attested_key_id"]]
            assert found["attested"] is expected["attested_a12"]
            assert (found["entity"], found["source"]) == (expected["stored_entity"], expected["stored_source"])
        elif expected["http_status"] == 400:
            reason = expected["reason"]
            for name, made_id in names.items():
                reason = reason.replace(name, made_id)
            assert found["detail"] == reason


async def test_a_key_has_a_life_and_only_its_entity_and_admins_see_and_end_it() -> None:
    bench = Bench(NOW_MS)
    stranger = as_caller("agent:stranger")
    async with running(bench, SETTINGS):
        ends = format_us(NOW_MS * 1_000 + 1_000_000)
        first = await registered(bench, description="at the dam", expires_at=ends)
        assert read(await ask(bench, "GET", KEYS)) == [
            {"id": first, "entity_uri": "agent:writer", "public_key": AGENT.public_key, "description": "at the dam",
             "registered_at": format_us(NOW_MS * 1_000), "status": "active", "expires_at": ends, "revoked_at": None},
        ]  # fmt: skip
        assert read(await ask(bench, "GET", KEYS, by=stranger)) == []
        read(await ask(bench, "GET", f"{KEYS}?everybody=true", by=stranger), 403)
        assert len(read(await ask(bench, "GET", f"{KEYS}?everybody=true", by=ADMIN))) == 1
        read(await ask(bench, "DELETE", f"{KEYS}/{first}", by=stranger), 403)
        read(await ask(bench, "POST", f"{KEYS}/{first}/rotate", {"public_key": OTHER.public_key}, by=stranger), 403)
        body = {"public_key": OTHER.public_key, "entity_uri": "agent:writer"}
        read(await ask(bench, "POST", KEYS, body, by=stranger), 403)
        second = read(
            await ask(bench, "POST", f"{KEYS}/{first}/rotate?overlap_s=3", {"public_key": OTHER.public_key}), 201
        )
        bench.wall_ms += 2_000  # the end that it had is nearer than the overlap
        assert [row["status"] for row in read(await ask(bench, "GET", KEYS))] == ["active", "expired"]
        found = read(await ask(bench, "POST", "/v1/facts", signing(bench, first, saying())), 400)
        assert found["code"] == "agent_key_expired"
        read(await ask(bench, "DELETE", f"{KEYS}/{second['id']}"), 204)
        read(await ask(bench, "DELETE", f"{KEYS}/{second['id']}"), 409)
        found = read(await ask(bench, "POST", "/v1/facts", signing(bench, second["id"], saying(), signer=OTHER)), 400)
        assert found["code"] == "agent_key_revoked"
        found = read(await ask(bench, "POST", KEYS, {"public_key": OTHER.public_key + "="}), 409)
        assert found["code"] == "agent_key_revoked"  # nor does it come back under another name
    async with running(bench, SETTINGS):
        assert [row["status"] for row in read(await ask(bench, "GET", KEYS))] == ["revoked", "expired"]


async def test_an_entity_has_so_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AGENT_KEYS_PER_ENTITY_MAX", 2)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        await registered(bench)
        await registered(bench)
        found = read(await ask(bench, "POST", KEYS, {"public_key": AGENT.public_key}), 409)
        assert found["code"] == "too_many_agent_keys"
        await registered(bench, by=as_caller("agent:else"))


WHOLE = saying(
    "3.2", confidence=0.75, valid_until="2031-06-01T00:00:00Z", derived_from=[{"note": "gauge"}], scope="company"
)
CHANGES: dict[str, Any] = {
    "entity": "stigmem://lab.example/device/pump-8", "relation": "maint:other", "scope": "public",
    "value": {"type": "text", "v": "3.2"}, "confidence": 0.5, "valid_until": None, "derived_from": [],
    "source": "agent:else",
}  # fmt: skip


@pytest.mark.parametrize("member", CHANGES)
async def test_a_signature_covers_every_member_of_what_is_said(member: str) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        key_id = await registered(bench)
        good = signing(bench, key_id, WHOLE)
        found = read(await ask(bench, "POST", "/v1/facts", good | {member: CHANGES[member]}), 400)
        assert found["code"] == "attestation_invalid"
        made = read(await ask(bench, "POST", "/v1/facts", good), 201)
        assert (made["attested"], made["attested_key_id"]) == (True, key_id)


async def test_what_is_attested_is_found_by_it_and_survives_a_restart() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        key_id = await registered(bench, description="at the dam")
        made = read(await ask(bench, "POST", "/v1/facts", signing(bench, key_id, saying("signed"))), 201)
        read(await ask(bench, "POST", "/v1/facts", saying("not signed", relation="maint:other")), 201)
    async with running(bench, SETTINGS):
        found = read(await ask(bench, "GET", "/v1/facts?attested=true"))["facts"]
        assert [(fact["id"], fact["attested"], fact["attested_key_id"]) for fact in found] == [
            (made["id"], True, key_id)
        ]
        assert read(await ask(bench, "GET", "/v1/facts?attested=false"))["facts"] == []
        (entry,) = read(await ask(bench, "GET", "/v1/audit?attested=true", by=ADMIN))["entries"]
        assert (entry["fact_id"], entry["attested_key_id"]) == (made["id"], key_id)
        assert (entry["attested_key_entity_uri"], entry["attested_key_description"]) == ("agent:writer", "at the dam")


async def test_a_write_that_comes_again_is_answered_and_a_nonce_used_for_something_else_is_refused() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        key_id = await registered(bench)
        good = signing(bench, key_id, saying("on"))
        first = read(await ask(bench, "POST", "/v1/facts", good), 201)
        assert read(await ask(bench, "POST", "/v1/facts", good), 201)["id"] == first["id"]
        found = read(await ask(bench, "POST", "/v1/facts", signing(bench, key_id, saying("off"))), 409)
        assert found["code"] == "attestation_replayed"
        off = signing(bench, key_id, saying("off"), nonce="another nonce 01")
        read(await ask(bench, "POST", "/v1/facts", off), 201)
        # Said again by whoever has the old signature, it would be the agent's newest word.
        assert read(await ask(bench, "POST", "/v1/facts", good), 409)["code"] == "attestation_replayed"


async def test_a_word_that_was_said_without_a_signature_can_be_said_again_with_one() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        key_id = await registered(bench)
        plain = read(await ask(bench, "POST", "/v1/facts", saying("on")), 201)
        assert (plain["attested"], plain["attested_key_id"]) == (None, None)
        signed = read(await ask(bench, "POST", "/v1/facts", signing(bench, key_id, saying("on"))), 201)
        assert signed["attested"] is True
        assert signed["supersedes"] == plain["id"]


@pytest.mark.parametrize("late_s", [0, 60])
async def test_a_signature_is_good_in_its_window_alone(late_s: int) -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        good = signing(bench, await registered(bench), saying())
        bench.wall_ms += late_s * 1_000
        read(await ask(bench, "POST", "/v1/facts", good), 400 if late_s else 201)


async def test_a_scope_can_ask_for_signatures_and_another_one_for_none() -> None:
    bench = Bench(NOW_MS)
    settings = NodeSettings(seed=SEED, attestation_modes=("public=enforce", "company=warn"))
    async with running(bench, settings):
        key_id = await registered(bench)
        for scope, status in (("public", 400), ("company", 201), ("team", 201)):
            found = read(await ask(bench, "POST", "/v1/facts", saying(scope=scope)), status)
            assert ("attestation" in str(found.get("warnings"))) is (scope == "company")
        text = "stigmem://lab.example/device/pump-7\nmaint:status\nstring\nok\nagent:writer"
        lines = {"key_id": key_id, "signature": encode_base64(AGENT.sign(text.encode()))}
        found = read(await ask(bench, "POST", "/v1/facts", saying(attestation=lines)), 400)
        assert found["code"] == "attestation_required"  # five lines say nothing of the scope
        batch = {"facts": [saying("a"), signing(bench, key_id, saying("b"))], "atomic": False}
        results = read(await ask(bench, "POST", "/v1/facts/batch", batch))["results"]
        assert [each.get("error", {}).get("code") for each in results] == ["attestation_required", None]
        signed = signing(bench, key_id, saying("ok", scope="public"), nonce="another nonce 01")
        assert read(await ask(bench, "POST", "/v1/facts", signed), 201)["attested"] is True


@pytest.mark.parametrize("text", ["public", "public=maybe", "world=warn", "=warn", ""])
def test_what_is_asked_of_a_scope_is_said_in_one_way(text: str) -> None:
    with pytest.raises(ValueError, match="attestation_modes"):
        NodeSettings(seed=SEED, attestation_modes=(text,))


async def test_what_an_erased_agent_signed_and_its_key_are_gone_from_the_journal() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        key_id = await registered(bench)
        read(await ask(bench, "POST", "/v1/facts", signing(bench, key_id, saying("signed"))), 201)
        other = await registered(bench, OTHER.public_key, by=as_caller("agent:else"))
        body = signing(bench, other, saying("stays", source="agent:else", relation="maint:other"), signer=OTHER)
        read(await ask(bench, "POST", "/v1/facts", body, by=as_caller("agent:else")), 201)
        wanted = {"entity_uri": "agent:writer", "reason": "asked for"}
        read(await ask(bench, "POST", "/v1/tombstones", wanted, by=ADMIN), 201)
        await bench.clock.settle()
        assert [row["id"] for row in read(await ask(bench, "GET", f"{KEYS}?everybody=true", by=ADMIN))] == [other]
    kept = repr([record for record in bench.records if type(record).__name__ in ("AttestedFact", "AgentKeyRow")])
    assert AGENT.public_key not in kept
    assert OTHER.public_key in kept
    async with running(bench, SETTINGS):
        (fact,) = read(await ask(bench, "GET", "/v1/facts"))["facts"]
        assert (fact["source"], fact["attested"]) == ("agent:else", True)


async def test_in_a_garden_the_name_of_the_garden_is_signed_too() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        key_id = await registered(bench)
        read(await ask(bench, "POST", "/v1/gardens", {"slug": "crew", "name": "Crew", "scope": "company"}), 201)
        room = saying("inside", scope="company", garden_id="stigmem://127.0.0.1:8765/garden/crew")
        good = signing(bench, key_id, room)
        read(await ask(bench, "POST", "/v1/facts", {**good, "garden_id": None}), 400)
        assert read(await ask(bench, "POST", "/v1/facts", good), 201)["attested"] is True
