"""What a key for scope `public` can learn of other scopes: nothing, shown for every operation of the node.

Two worlds: one holds public facts only, the other the same and hidden ones among them. Whoever may read only `public`
gets the same answers in both, whatever it asks, texts that have to be opaque set aside. The same is shown of facts in a
garden and of somebody who may read every scope and is no member. What such a caller may see is that there is a garden
and who its members are (http-api 3.13), and in the whole log that something was written; both worlds have the garden,
and the caller has no `audit.read`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from stigmem.core import conflicts, query
from stigmem.core.timestamps import format_us
from stigmem.core.wire import Request, Response, StreamedResponse
from stigmem.node.callers import PERMISSIONS, Principal
from stigmem.node.node import ROUTER
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True)
LIMITED = caller(*PERMISSIONS, scopes=("public",), entity="agent:shared")
WIDER = caller(*PERMISSIONS, scopes=("team", "public"), entity="agent:shared")
WHOLE = Principal("agent:shared", frozenset(PERMISSIONS), key_id="whole")
OUTSIDER = caller(*(name for name in PERMISSIONS if name != "audit.read"), entity="agent:outsider")
HIDDEN = ("local", "team", "company")
GARDEN = "stigmem://localhost:8765/garden/crew"
SECRET = "swordfish"
_OPAQUE = re.compile(
    rb'"cursor":"[A-Za-z0-9_.:-]+"|^id: ?[\w.:-]+$|^[0-9a-f-]{36},|"(?:recall_id|subscription_id)":"[0-9a-f-]{36}"|'
    rb'"id":"[0-9a-f-]{36}"'
    rb'(?=,"(?:fact_id|peer_id|garden_id|entity_uri|subscription_id|subscriber_identity)":)|"signing_secret":"[^"]+"',
    re.MULTILINE,
)
"""Cursors, the names of audit rows and ids that are drawn at random: they differ from world to world and say
nothing."""


class World:
    """One node, and the answers that the limited caller got from it."""

    room = ""
    """What a request for hidden conflicts says beside their names."""

    def __init__(self, bench: Bench, names: dict[str, str], by: Principal, *, hidden: bool) -> None:
        self.bench = bench
        self.by = by
        self.names = names
        self.hidden = hidden
        self.peer = Peer(bench, 1)
        self.transcript: list[str] = []
        self.asked: dict[str, None] = {}

    async def write(self, name: str, scope: str, text: str, **members: Any) -> None:
        """A fact under a name of the test's own, by somebody who may write everything."""
        self.bench.wall_ms += 1
        if self.is_told(scope) or self.hidden:
            body = self.made(scope, saying(text, scope=scope, **members))
            found = read(await ask(self.bench, "POST", "/v1/facts", body, by=WHOLE), 201)
            self.names[f"{name}.id"], self.names[f"{name}.cid"] = found["id"], found["cid"]

    def is_told(self, scope: str) -> bool:
        """Whether the limited caller may read what is written with this scope."""
        return scope in self.by.scopes

    def made(self, scope: str, body: dict[str, Any]) -> dict[str, Any]:
        """A write as it is sent."""
        return body

    async def fill(self) -> None:
        """Public facts with hidden ones between them: same names, contradictions, a resolution, a batch, sources."""
        for number in range(6):
            for scope in HIDDEN:
                await self.write(
                    f"h{number}{scope}", scope, f"{SECRET} {number}", entity=f"user:{number % 2}", source=f"a:{number}"
                )
            await self.write(f"p{number}", "public", f"v{number}", entity=f"user:{number % 2}", source=f"a:{number}")
        await self.write("same", "company", "v0", entity="user:0")
        await self.write(
            "only", "company", SECRET, entity="user:hidden", relation="maint:hidden", source="agent:hidden"
        )
        self.bench.wall_ms += 1
        if self.hidden:
            if not self.room:  # an alias belongs to no garden, and who has the key of who gave it is shown it
                alias = {"raw_uri": "user:alias", "canonical_uri": "user:hidden"}
                read(await ask(self.bench, "POST", "/v1/aliases", alias, by=WHOLE), 201)
                intent = envelope(SECRET, "company")
                read(await ask(self.bench, "POST", "/v1/intents", intent, by=WHOLE), 201)
                done = {"kind": "accepted", "by": "agent:shared"}
                read(await ask(self.bench, "POST", "/v1/intents/intent:known/acts", done, by=WHOLE), 201)
            body = self.made("company", saying(SECRET, scope="company", entity="user:batch"))
            batch = {"facts": [body], "idempotency_key": "k"}
            read(await ask(self.bench, "POST", "/v1/facts/batch", batch, by=WHOLE))
            await self.settle_one()
        self.bench.wall_ms += 1
        sources = [{"fact_id": self.names["only.id"]}, {"hash": self.names["h0company.cid"]}]
        await self.write("derived", "public", "sum", entity="user:sum", derived_from=sources)

    async def settle_one(self) -> None:
        """Note the hidden conflicts by their scope, and settle one of them."""
        conflicts = read(await ask(self.bench, "GET", f"/v1/conflicts{self.room}", by=WHOLE))["conflicts"]
        secret = [entry for entry in conflicts if self.room or entry["fact_a"]["scope"] != "public"]
        for entry in secret:
            for scope in HIDDEN if self.room else (entry["fact_a"]["scope"],):
                self.names[f"conflict.{scope}"] = entry["conflict_id"]
        chosen = next(entry for entry in secret if entry["conflict_id"] == self.names["conflict.company"])
        target = f"/v1/conflicts/{chosen['conflict_id']}/resolve{self.room}"
        read(await ask(self.bench, "POST", target, {"winning_fact_id": chosen["fact_a"]["id"]}, by=WHOLE))

    async def look(self, method: str, target: str, body: Any = None, *, peer: bool = False) -> bytes:
        """Ask as the limited caller, or as a peer with public scope, and note the answer."""
        self.bench.wall_ms += 1
        if peer:
            response = await self.peer.ask(method, target, body)
        else:
            response = await ask(self.bench, method, target, body, by=self.by)
        if isinstance(response, StreamedResponse):
            body = b"".join([piece async for piece in response.chunks])
            response = Response(response.status, response.headers, body)
        operation, _ = ROUTER.find(method, target.partition("?")[0])
        self.asked[operation.name] = None
        told = re.sub("cursor=[^&]+|(?<=/subscriptions/)[0-9a-f-]{36}", "", target)
        self._note(f"{method} {told}", response)
        return response.body

    def _note(self, what: str, response: Response) -> None:
        headers = {name: text for name, text in response.headers.items() if name != "x-stigmem-next-cursor"}
        self.transcript.append(f"{what} -> {response.status} {headers} {_OPAQUE.sub(b'', response.body).decode()}")

    async def walk(self, target: str, *, peer: bool = False) -> None:
        """Every page of a list."""
        cursor: str | None = ""
        while cursor is not None:
            page = msgspec.json.decode(await self.look("GET", f"{target}&cursor={cursor}", peer=peer))
            cursor = page["cursor"] if page.get("has_more", True) else None


class GardenWorld(World):
    """Where what is hidden is not hidden by its scope, but is in a garden of which the limited caller is no member."""

    room = f"?garden_id={GARDEN}"

    def is_told(self, scope: str) -> bool:
        return scope == "public"

    def made(self, scope: str, body: dict[str, Any]) -> dict[str, Any]:
        return body if scope == "public" else body | {"scope": "public", "garden_id": GARDEN}

    async def fill(self) -> None:
        body = {"slug": "crew", "name": "Crew", "scope": "public"}
        read(await ask(self.bench, "POST", "/v1/gardens", body, by=WHOLE), 201)
        await super().fill()


def envelope(goal: str, scope: str) -> dict[str, Any]:
    """An intent whose id anybody can guess, and which is handed over with facts that not everybody may read."""
    handoff = {"summary": "s", "fact_refs": ["user:0", "user:hidden"]}
    return {
        "id": "intent:known", "from": "agent:shared", "to": ["agent:shared"], "goal": goal, "scope": scope,
        "handoff": handoff,
    }  # fmt: skip


async def reads(world: World) -> None:
    names, then = world.names, format_us(world.bench.wall_ms * 1_000)
    for limit in (1, 50):
        for filters in ("box=inbox&", "box=outbox&", "state=accepted&", "of=a:0&", "scope=company&"):
            await world.look("GET", f"/v1/intents?{filters}limit={limit}")
    await world.look("GET", "/v1/intents/intent:known")
    await world.look("GET", "/v1/intents/intent:known?include_expired=true")
    for limit in (1, 2, 3, 50):
        for filters in ("", "entity=user:0&", "relation=maint:status&", "source=agent:hidden&", "entity=user:hidden&"):
            for more in (
                "",
                "include_contradicted=true&",
                "include_superseded=true&",
                "min_confidence=0.5&after=2026-11-20T07:55:44.005Z&",
            ):
                await world.walk(f"/v1/facts?{filters}{more}limit={limit}")
        for filters in ("", "status=unresolved&", "status=resolved&"):
            await world.walk(f"/v1/conflicts?{filters}limit={limit}")
        for filters in ("", f"fact_id={names['only.id']}&", "source=agent:hidden&", "entity_uri=agent:shared&"):
            await world.walk(f"/v1/audit?{filters}limit={limit}")
        await world.walk(f"/v1/federation/audit?limit={limit}")
        await world.walk(f"/v1/federation/facts?limit={limit}", peer=True)
    for filters in ("", "entity=user:0&", "source=agent:hidden&", "after=2026-11-20T07:55:44.005Z&"):
        await world.look("GET", f"/v1/events?{filters}replay=true&wait=false")
    for name in sorted(names):
        if name.startswith("conflict."):
            await world.look("GET", f"/v1/conflicts/{names[name]}")
            await world.look("GET", f"/v1/conflicts/{names[name]}?garden_id={GARDEN}")
            await world.look("GET", f"/v1/conflicts/{names[name]}?as_of={then}")
            continue
        await world.look("GET", f"/v1/facts/{names[name]}?as_of={then}")
        for path in ("", "/provenance", "/history", "/history?all_authors=true"):
            await world.look("GET", f"/v1/facts/{names[name]}{path}")
        await world.look("POST", f"/v1/facts/{names[name]}/verify-cid")
        await world.look("GET", f"/v1/audit/facts/{names[name]}")
    for scope in HIDDEN:
        await world.look("GET", f"/v1/facts?scope={scope}")
        await world.look("GET", f"/v1/recall?query=hidden&scope={scope}")
        await world.look("GET", f"/v1/scopes/{scope}/synthesize")
        await world.look("POST", "/v1/lint", {"scope": scope})
    for entity in ("user:0", "user:1", "user:hidden", "user:sum"):
        for scope in ("public", "local"):
            await world.look("GET", f"/v1/cards/{entity}?scope={scope}")
            await world.look("GET", f"/v1/graph/neighbors?entity={entity}&scope={scope}&depth=3&page_size=1")
        await world.look("GET", f"/v1/cards/{entity}?garden_id={GARDEN}")
        await world.look("GET", f"/v1/graph/neighbors?entity={entity}&scope=public&garden_id={GARDEN}")
        await world.look("POST", "/v1/synthesis", {"scope": "public", "entity": entity})
        await world.look("POST", "/v1/lint", {"scope": "public", "entity": entity, "stale_lookahead_s": 86_400})
    for point in (
        f"as_of={then}&limit=1",
        f"as_of={then}&status=resolved",
        "known_at=s:3",
        f"as_of={then}&garden_id={GARDEN}",
    ):
        await world.look("GET", f"/v1/conflicts?{point}")
    await world.look("GET", "/v1/scopes/public/synthesize?include_expired=true&limit=3")
    await world.look("POST", "/v1/synthesis", {"scope": "public", "include_expired": True})
    await world.look("POST", "/v1/lint", {"scope": "public"})
    await world.look("GET", f"/v1/scopes/public/synthesize?garden_id={GARDEN}")
    await world.look("POST", "/v1/synthesis", {"scope": "public", "garden_id": GARDEN})
    await world.look("POST", "/v1/lint", {"scope": "public", "garden_id": GARDEN})
    await world.look("POST", f"/v1/decay/sweep?ttl_seconds=0&garden_id={GARDEN}")
    await world.look("GET", "/v1/lint/jobs/nothing")
    for uri in ("user:0", "user:hidden", "user:hiden", "user:alias"):
        await world.look("GET", f"/v1/entities/resolve?uri={uri}&threshold=0")
        await world.look("GET", f"/v1/facts?entity={uri}")
    await world.look("GET", "/v1/aliases")
    await world.look("GET", "/v1/schemas")
    await world.look("GET", "/v1/schemas/shop:price")
    for question in ("status v1 user", "hidden", "sum of user 0"):
        for more in ({}, {"include_neighbors": False, "min_confidence": 0}, {"limit": 1, "token_budget": 20}):
            body = {"query": question, "scope": "public", "explain": True} | more
            await world.look("POST", "/v1/recall", body)
            await world.look("POST", "/v1/recall", body | {"garden_id": GARDEN})
    for target in (
        "/v1/audit/export", "/v1/audit/export?limit=2", "/v1/admin/audit", "/v1/me", "/v1/auth/keys", "/healthz",
        "/v1/auth/keys/expiring-soon", "/v1/admin/clock", "/.well-known/stigmem", "/.well-known/stigmem-manifest.json",
        "/v1/doctor", "/v1/admin/cid-backfill/status", "/v1/federation/origins",
        "/v1/federation/peers", "/v1/federation/peers/peer-1", f"/v1/federation/manifest/{world.bench.node.node_id}",
    ):  # fmt: skip
        await world.look("GET", target)
    for target in (
        "/v1/quarantine", f"/v1/quarantine/{names['only.id']}", "/v1/gardens", "/v1/gardens/crew",
        "/v1/gardens/crew/members", f"/v1/facts?garden_id={GARDEN}",
        f"/v1/conflicts?garden_id={GARDEN}", f"/v1/events?wait=false&garden_id={GARDEN}",
        "/v1/events?wait=false&replay=true", "/v1/events?wait=false&replay=true&source=agent:hidden",
    ):  # fmt: skip
        await world.look("GET", target)
    await world.look("GET", "/v1/federation/tombstones", peer=True)
    await world.look("POST", "/v1/federation/tombstones/ingest", {"id": "tomb_x"}, peer=True)
    for scope in ("*", "public", "team"):
        body = {"entity_uri": "user:hidden", "scope": scope, "dry_run": True}
        await world.look("POST", "/v1/tombstones", body)
    await world.look("GET", "/v1/tombstones/user:hidden")
    await world.look("POST", "/v1/tombstones/tomb_x/revoke", {})


async def subscribed(world: World) -> None:
    """Subscriptions of the limited caller: what they are told, and how that is counted."""
    hook = {"on_change": "webhook", "delivery_address": "https://hooks.example/x"}
    for target in ("user:0", "user:hidden", "public", "company"):
        made = msgspec.json.decode(await world.look("POST", "/v1/subscriptions", {"target": target, **hook}))
        if "id" in made:
            await world.look("GET", f"/v1/subscriptions/{made['id']}")
            await world.look("GET", f"/v1/subscriptions/{made['id']}/events?limit=2")
            await world.look("DELETE", f"/v1/subscriptions/{made['id']}")
    await world.look("GET", "/v1/subscriptions")


async def writes(world: World) -> None:
    names = world.names
    for scope in (*HIDDEN, "public"):
        await world.look("POST", "/v1/facts", saying(f"{SECRET} 0", scope=scope, entity="user:0"))
        batch = {"facts": [saying(SECRET, scope=scope, entity="user:batch")], "idempotency_key": "k"}
        await world.look("POST", "/v1/facts/batch", batch)
    await world.look("POST", "/v1/facts", saying(f"{SECRET} 0", entity="user:0", garden_id=GARDEN))
    for kind in ("accepted", "done"):
        await world.look("POST", "/v1/intents/intent:known/acts", {"kind": kind})
        await world.look("POST", "/v1/intents", envelope("Something else", "public"))
    for name in ("conflict.company", "conflict.team", "conflict.local"):
        for more in ("", f"?garden_id={GARDEN}"):
            body = {"winning_fact_id": names["h0team.id"]}
            await world.look("POST", f"/v1/conflicts/{names[name]}/resolve{more}", body)
    for verb in ("admit", "reject"):
        await world.look("POST", f"/v1/quarantine/{names['only.id']}/{verb}")
    for verb in ("promote", "reject"):
        await world.look("POST", f"/v1/gardens/crew/{verb}", {"fact_id": names["only.id"]})
    await world.look("POST", "/v1/gardens", {"slug": "another", "name": "another", "scope": "public"})
    await world.look("POST", "/v1/gardens/crew/members", {"entity_uri": "agent:x"})
    await world.look("PATCH", "/v1/gardens/crew/members/agent:shared", {"role": "reader"})
    for target in ("/v1/gardens/crew/members/agent:shared", "/v1/gardens/crew"):
        await world.look("DELETE", target)
    await world.look("POST", "/v1/auth/keys", {"raw_key": "k" * 32, "entity_uri": "a:b", "allowed_scopes": ["team"]})
    await world.look("DELETE", "/v1/auth/keys/whole")
    await world.look("POST", "/v1/auth/keys/whole/rotate")
    for more in ({}, {"entity_uri": "agent:hidden"}):  # the id of a key that is made is drawn, so none is
        await world.look("POST", "/v1/auth/agent-keys", {"public_key": "no key"} | more)
    await world.look("GET", "/v1/auth/agent-keys?everybody=true")
    await world.look("DELETE", "/v1/auth/agent-keys/nowhere")
    await world.look("POST", "/v1/auth/agent-keys/nowhere/rotate", {"public_key": "A" * 43})
    await world.look("POST", "/v1/federation/facts/push", {"facts": [{"id": names["only.id"]}]}, peer=True)
    await world.look("POST", "/v1/federation/peers", {})
    await world.look("PUT", "/v1/federation/manifest", {})
    for scope in HIDDEN:
        await world.look("POST", f"/v1/decay/sweep?scope={scope}&ttl_seconds=0&dry_run=true")
        await world.look("POST", "/v1/decay/sweep", {"scope": scope})
    await world.look("POST", "/v1/decay/sweep?ttl_seconds=0&dry_run=true")
    await world.look("POST", "/v1/decay/sweep?min_confidence=1")
    await world.look("GET", "/v1/decay/jobs/nothing")
    for raw in ("user:new", "user:other"):
        await world.look("POST", "/v1/aliases", {"raw_uri": raw, "canonical_uri": "user:0"})
    await world.look("DELETE", "/v1/aliases/user:new")
    await world.look("DELETE", "/v1/aliases/user:nobody")
    await world.look("PATCH", "/v1/federation/peers/nobody", {"allowed_scopes": []})
    await world.look("POST", "/v1/federation/origins", {"node_id": "n:x", "public_key": "x"})
    await world.look("POST", "/v1/federation/origins/n:x/confirm", {"pubkey_fingerprint": "x"})
    for action in ("approve", "revoke"):
        await world.look("POST", f"/v1/federation/peers/nobody/{action}", {"pubkey_fingerprint": "x"})
    await world.look("DELETE", "/v1/federation/peers/nobody")
    await world.look("POST", "/v1/admin/clock/confirm")
    since = format_us((NOW_MS - 86_400_000) * 1_000)
    await world.look("POST", "/v1/admin/clock/void", {"since": since})
    await world.look("POST", "/v1/admin/clock/void", {"since": since, "dry_run": False})
    for operation in ROUTER.operations:
        if "later" in operation.tags:
            await world.look(operation.method, re.sub(r"\{\w+\}", "x", operation.path), {})


@pytest.mark.parametrize(
    ("kind", "by"),
    [(World, LIMITED), (World, WIDER), (GardenWorld, OUTSIDER)],
    ids=["public", "team-and-public", "no-member-of-the-garden"],
)
async def test_who_may_not_read_something_cannot_tell_whether_it_is_there(kind: type[World], by: Principal) -> None:
    names: dict[str, str] = {}
    transcripts = []
    for hidden in (True, False):
        bench = Bench(NOW_MS)
        world = kind(bench, names, by, hidden=hidden)
        async with running(bench, SETTINGS):
            await world.fill()
            await reads(world)
            await subscribed(world)
            await writes(world)
            await reads(world)
        assert [o.name for o in ROUTER.operations if o.name not in world.asked] == []
        transcripts.append(world.transcript)
    for with_hidden, without in zip(*transcripts, strict=True):
        assert with_hidden == without


async def test_what_is_hidden_is_there_for_those_who_may_read_it() -> None:
    bench = Bench(NOW_MS)
    names: dict[str, str] = {}
    world = World(bench, names, LIMITED, hidden=True)
    async with running(bench, SETTINGS):
        await world.fill()
        for name in ("only.id", "h0company.cid"):
            read(await ask(bench, "GET", f"/v1/facts/{names[name]}", by=WHOLE))
        found = read(await ask(bench, "GET", "/v1/facts?include_contradicted=true&scope=team", by=WHOLE))
        assert SECRET in str(found)
        assert read(await ask(bench, "GET", f"/v1/conflicts/{names['conflict.company']}", by=WHOLE))


async def test_a_cursor_stands_for_the_last_thing_shown_and_not_for_what_is_hidden_behind_it() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for number, scope in enumerate(
            ("public", "public", "company", "company", "local", "local", "public", "public")
        ):
            bench.wall_ms += 1
            body = saying(f"v{number}", scope=scope, entity=f"a:{scope}:{number > 3}", source=f"a:{number}")
            read(await ask(bench, "POST", "/v1/facts", body, by=WHOLE), 201)
        for target in ("/v1/facts?include_contradicted=true&limit=2", "/v1/conflicts?limit=1", "/v1/audit?limit=2"):
            # What comes next after the page is hidden, and something readable follows it.
            limited, whole = [read(await ask(bench, "GET", target, by=by))["cursor"] for by in (WIDER, WHOLE)]
            assert limited == whole, target
            assert limited


async def test_a_receipt_is_for_the_rights_it_was_written_with() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        batch = {"facts": [saying(SECRET, scope="company")], "idempotency_key": "k"}
        assert read(await ask(bench, "POST", "/v1/facts/batch", batch, by=WHOLE))["accepted"] == 1
        (result,) = read(await ask(bench, "POST", "/v1/facts/batch", batch, by=LIMITED))["results"]
        assert (result["status"], result["error"]["code"]) == ("rejected", "scope_not_allowed")


async def test_an_id_that_two_facts_share_shows_the_one_that_may_be_read() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS) as node:
        body = saying(SECRET, scope="company")
        secret = read(await ask(bench, "POST", "/v1/facts", body, by=WHOLE), 201)
        held = node.state.ledger.get(secret["id"])
        assert held is not None
        squatter = msgspec.structs.replace(
            held, origin="n:squatter", scope="public", text="mine", certified=False, received_from="n:squatter", seq=2
        )
        node.state.apply(squatter)
        shown = read(await bench.ask(Request("GET", f"/v1/facts/{secret['id']}"), LIMITED))
        assert (shown["value"]["v"], shown["scope"]) == ("mine", "public")
        assert read(await ask(bench, "GET", f"/v1/facts/{secret['id']}", by=WHOLE))["scope"] == "company"


async def test_a_bound_on_the_rows_looked_at_does_not_count_hidden_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "ROWS_SCANNED_MAX", 3)
    monkeypatch.setattr(conflicts, "PLACES_SCANNED_MAX", 3)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for number, scope in enumerate(("team", "team", "public", *("company",) * 6, *("local",) * 6)):
            bench.wall_ms += 1
            relation = f"m:{number // 2 if number > 2 else 0}"
            body = saying(f"v{number}", scope=scope, relation=relation, source=f"a:{number % 2}")
            read(await ask(bench, "POST", "/v1/facts", body, by=WHOLE), 201)
        name = "stigmem%3A%2F%2Flab.example%2Fdevice%2Fpump-7"
        for target in ("/v1/facts?", f"/v1/facts?entity={name}&"):
            page = read(await ask(bench, "GET", f"{target}include_contradicted=true", by=WIDER))
            assert [fact["value"]["v"] for fact in page["facts"]] == ["v2", "v1", "v0"]
            assert page["cursor"] is None
        listed = read(await ask(bench, "GET", "/v1/conflicts", by=WIDER))
        assert (len(listed["conflicts"]), listed["has_more"]) == (1, False)
