"""What an agent signed at one node, as the next one sees it: verified where it arrives, whoever brought it."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from stigmem import Request, Response
from stigmem.core.attestation import Attestation, parse_attestation, verify_attestation
from stigmem.core.ingest import PeerLink, VerifiedFact
from stigmem.core.keys import ED25519, decode_base64, encode_base64
from stigmem.core.page import decode_entry
from stigmem.core.records import PeerRow
from stigmem.node.replication.page_verifier import EntryVerifier
from stigmem.testing import MemoryJournal, RunningNode
from tests.node.signing import AGENT, attested
from tests.node.test_page_ahead import Pair, pair

Entries = list[dict[str, Any]]


async def ask(node: RunningNode, method: str, target: str, body: Any = None) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    answer = await node.ask(Request(method, target, {}, data))
    assert answer.status in (200, 201), answer.body
    return json.loads(answer.body)


async def key_at(node: RunningNode, **more: Any) -> str:
    body = {"public_key": AGENT.public_key, "entity_uri": "agent:scout"} | more
    key_id: str = (await ask(node, "POST", "/v1/auth/agent-keys", body))["id"]
    return key_id


def said(text: str = "high", **more: Any) -> dict[str, Any]:
    value = {"type": "string", "v": text}
    return {"entity": "dam:4", "relation": "env:level", "value": value, "source": "agent:scout",
            "scope": "public"} | more  # fmt: skip


async def sign(nodes: Pair, key_id: str, number: int = 0, **body: Any) -> str:
    """North is told something signed; the id of the fact."""
    now_ms = nodes.clock.wall_ms
    nonce = f"nonce number {number:04}"
    signed = attested(said(**body), node_id=nodes.north.node.node_id, now_ms=now_ms, key_id=key_id, nonce=nonce)
    fact_id: str = (await ask(nodes.north, "POST", "/v1/facts", signed))["id"]
    return fact_id


async def shown(node: RunningNode) -> dict[str, tuple[bool | None, str | None]]:
    """Every fact's value, whether it is attested and by which key."""
    answer = await ask(node, "GET", "/v1/facts?include_superseded=true&include_contradicted=true")
    return {fact["value"]["v"]: (fact["attested"], fact["attested_key_id"]) for fact in answer["facts"]}


def changing(change: Callable[[Entries], None]) -> Callable[[Response], Response]:
    def changed(answer: Response) -> Response:
        page = json.loads(answer.body)
        change(page["facts"])
        return Response(answer.status, answer.headers, json.dumps(page).encode())

    return changed


def reasons(node: RunningNode, event: str) -> list[str]:
    return [json.loads(row.detail).get("reason", "") for row in node.journal.audit_rows if row.event == event]


async def test_a_receiver_verifies_what_was_signed_and_passes_it_on() -> None:
    journal = MemoryJournal()
    async with pair(journal) as nodes:
        key_id = await key_at(nodes.north)
        await sign(nodes, key_id)
        await ask(nodes.north, "POST", "/v1/facts", said("not signed", relation="env:flow"))
        await nodes.link()
        assert await shown(nodes.south) == {"high": (True, key_id), "not signed": (None, None)}
        # South relays it to a third node as it came, which needs nothing but north's key.
        north, south = nodes.north.node, nodes.south.node
        third = PeerRow("third", "stigmem:node:third", "http://third.example", "k", ("public",), "active", "2.1+")
        served = south.page_server.page(third, ("public",), None, 10, nodes.clock.wall_ms)
        entry, bare = (decode_entry(json.dumps(each).encode(), "2.1+") for each in json.loads(served.body)["facts"])
        assert bytes(bare.attestation) == b"null"
        fact = next(fact for fact in south.state.ledger.log if fact.text == "high")
        verify_attestation(parse_attestation(bytes(entry.attestation)), fact, north.signer.public_key, ED25519)
        # Who does not know what that is gets none.
        old = msgspec.structs.replace(third, dialect="2.1")
        assert b"attestation" not in south.page_server.page(old, ("public",), None, 10, nodes.clock.wall_ms).body
    async with pair(journal) as nodes:
        assert await shown(nodes.south) == {"high": (True, key_id), "not signed": (None, None)}


async def test_a_relay_that_leaves_a_signature_out_takes_nothing_away_for_good() -> None:
    def strip(entries: Entries) -> None:
        for entry in entries:
            entry.pop("attestation", None)

    async with pair() as nodes:
        key_id = await key_at(nodes.north)
        await sign(nodes, key_id)
        nodes.wire.changes[1] = changing(strip)
        await nodes.link()
        assert await shown(nodes.south) == {"high": (None, None)}
        (row,) = nodes.south.node.state.cursors.values()
        nodes.south.node.state.cursors[row.peer_id] = msgspec.structs.replace(row, cursor=None)
        await nodes.clock.advance(60)
        assert await shown(nodes.south) == {"high": (True, key_id)}
        assert len(nodes.south.node.state.ledger.log) == 1


def put(*path: str, to: Any) -> Callable[[Entries], None]:
    def change(entries: Entries) -> None:
        at = entries[0]["attestation"]
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = to

    return change


FORGED = {
    "another nonce": put("nonce", to="another nonce 01"),
    "a later end": put("expires_at", to="2026-11-20T08:00:00+00:00"),
    "another name": put("key", "entity_uri", to="agent:other"),
    "another key": put("key", "public_key", to=ED25519.signer(b"b" * 32).public_key),
    "a longer life of the key": put("key", "expires_at", to=None),
    "a signature of the key": put("key", "signature", to="AAAA"),
    "no signature": put("signature", to=""),
    "the form that stays": put("form", to="lines"),
    "another type": put("nonce", to=7),
}


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("mode", ["off", "warn", "enforce"])
async def test_what_was_forged_on_the_way_attests_nothing(what: str, mode: str) -> None:
    async with pair(attestation_modes=(f"public={mode}",)) as nodes:
        key_id = await key_at(nodes.north, expires_at="2027-01-01T00:00:00Z")
        await sign(nodes, key_id)
        for number in range(1, 6):
            nodes.wire.changes[number] = changing(lambda entries: FORGED[what](entries) if entries else None)
        await nodes.link()
        await nodes.clock.advance(200)
        if mode == "enforce":
            assert await shown(nodes.south) == {}
            assert reasons(nodes.south, "rejected_fact") == ["attestation_invalid"]
        else:
            assert await shown(nodes.south) == {"high": (None, None)}
            assert reasons(nodes.south, "attestation_dropped") == ["attestation_invalid"]


async def test_a_scope_that_asks_for_signatures_takes_no_other_fact_and_asks_for_it_once() -> None:
    async with pair(attestation_modes=("public=enforce", "company=warn")) as nodes:
        key_id = await key_at(nodes.north)
        await sign(nodes, key_id)
        await ask(nodes.north, "POST", "/v1/facts", said("not signed", relation="env:flow"))
        await ask(nodes.north, "POST", "/v1/facts", said("elsewhere", scope="company"))
        own = said("the node's own word", relation="env:own", source=nodes.north.node.node_id)
        await ask(nodes.north, "POST", "/v1/facts", own)
        await nodes.link()
        seen = await shown(nodes.south)
        assert seen == {"high": (True, key_id), "elsewhere": (None, None), "the node's own word": (None, None)}
        assert reasons(nodes.south, "rejected_fact") == ["attestation_required"]
        (taken,) = [json.loads(row.detail) for row in nodes.south.journal.audit_rows if row.event == "page_accepted"]
        assert taken["not_attested"] == 1
        pulls = len(nodes.wire.pulls)
        assert len({cursor for cursor, _ in nodes.wire.pulls}) == pulls, "no page was read again for it"


async def test_a_signature_that_is_put_beside_a_later_fact_is_a_replay() -> None:
    def replay(entries: Entries) -> None:
        first = next(entry for entry in entries if entry.get("attestation"))
        for entry in entries:
            if entry["fact"]["source"] == "agent:scout" and entry is not first:
                entry["attestation"] = first["attestation"]

    async with pair() as nodes:
        key_id = await key_at(nodes.north)
        first = await sign(nodes, key_id)
        for text in ("low", "high"):  # not signed: the agent's API key was enough for that
            await ask(nodes.north, "POST", "/v1/facts", said(text))
        nodes.wire.changes[1] = changing(replay)
        await nodes.link()
        answer = await ask(nodes.south, "GET", "/v1/facts?include_superseded=true")
        seen = [(fact["value"]["v"], fact["attested"], fact["id"] == first) for fact in answer["facts"]]
        assert seen == [("high", False, False), ("low", None, False), ("high", True, True)]


def _in_one_spelling(attestation: Attestation) -> Attestation:
    """Bytes have several spellings in base64, which are all the same signature."""
    one = encode_base64(decode_base64(attestation.signature))
    stated = encode_base64(decode_base64(attestation.key.signature))
    key = msgspec.structs.replace(attestation.key, signature=stated)
    return msgspec.structs.replace(attestation, signature=one, key=key)


async def test_whatever_stands_where_an_attestation_should_costs_nothing_but_itself() -> None:
    async with pair() as nodes:
        await sign(nodes, await key_at(nodes.north))
        north, south = nodes.north.node, nodes.south.node
        peer = PeerRow("p", south.node_id, "http://south.example", "k", ("public",), "active", "2.1+")
        (entry,) = json.loads(north.page_server.page(peer, ("public",), None, 1, nodes.clock.wall_ms).body)["facts"]
        good, chance = json.dumps(entry["attestation"]), Random(7)
        verifier = EntryVerifier(north.policy, north.events)
        link = PeerLink(north.node_id, "2.1+", ("public",))
        said_otherwise: list[Attestation] = []
        for _ in range(300):
            at = chance.randrange(len(good))
            text = (
                good[:at]
                + chance.choice(['"', "{", "}", "A", "0", "\\u0000", "é", ",", ":null", "[1]"])
                + good[at + 1 :]
            )
            raw = json.dumps(entry | {"attestation": "?"}).replace('"?"', text).encode()
            outcome = verifier.verify_raw(link, raw).outcome
            if isinstance(outcome, VerifiedFact) and outcome.attestation is not None:
                said_otherwise.append(_in_one_spelling(outcome.attestation))
        assert set(said_otherwise) <= {_in_one_spelling(parse_attestation(good.encode()))}
        assert north.bugs == []
