"""What a caller may not read is not there: shown for every operation of the node, by comparing two worlds.

One world holds what the caller may not read, the other one does not, and all else is the same. Hidden things are
written in milliseconds of their own. Whatever the caller asks, it gets the same answers: followed through their
cursors, which are sealed and set aside, as are ids made of chance. People met provenance that named facts of closed
scopes, keys that only write and learned by guessing what others had said, and a log that named everybody with a key.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
import trio

from stigmem.core.scopes import SCOPES
from stigmem.core.wire import Response, StreamedResponse
from stigmem.node.api.routing import Operation
from stigmem.node.callers import PERMISSIONS, Principal
from stigmem.node.node import ROUTER
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, Peer, ask, caller, read, saying
from tests.node.probes import probes
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True)
WHOLE = Principal("agent:shared", frozenset(PERMISSIONS), key_id="whole")
CALLERS = {
    "everything but in one scope": caller(*PERMISSIONS, scopes=("public",)),
    "only reads, in one scope": caller("read", scopes=("public",)),
    "only reads, in two": caller("read", scopes=("team", "public")),
    "only writes": caller("write", scopes=("public",)),
    "only writes, in every scope": caller("write"),
    "reads and federates, in one scope": caller("read", "federate", scopes=("public",)),
    "only administers, in one scope": caller("admin", scopes=("public",)),
    "only federates, in every scope": caller("federate"),
}
PAGES_MAX = 40
"""Pages of one row are followed so far."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SEALED = re.compile(r'"(?:cursor|signing_secret|raw_key|known_at)":"[^"]+"|^id: ?.*$', re.MULTILINE)


class World:
    """One node, what symbols stand for in it, and what a caller was answered."""

    def __init__(self, by: Principal, *, hidden: bool) -> None:
        self.by = by
        self.hidden = hidden
        self.bench = Bench(NOW_MS)
        self.peer = Peer(self.bench, 1)
        self.names: dict[str, str] = {}
        self.transcript: list[tuple[str, str]] = []
        self.asked: dict[str, None] = {}
        self.peer_sees_no_more = "read" in by.permissions
        for symbol in ("open", "secret", "nowhere", "both"):
            unheard = hashlib.sha256(symbol.encode()).hexdigest()
            self.names[f"{symbol}.id"] = str(uuid.UUID(unheard[:32]))
            self.names[f"{symbol}.cid"] = f"sha256:{unheard}"
            self.names[f"{symbol}.conflict"] = f"stigmem:conflict:{uuid.UUID(unheard[32:])}"

    # --- what there is ---

    async def say(self, symbol: str, scope: str, text: str, *, secret: bool, **members: Any) -> None:
        """A fact of somebody who may write everything; a secret one only in the world that holds what is hidden."""
        self.bench.wall_ms += 1
        if self.hidden or not secret:
            made = read(await ask(self.bench, "POST", "/v1/facts", saying(text, scope=scope, **members), by=WHOLE), 201)
            self.names[f"{symbol}.id"], self.names[f"{symbol}.cid"] = made["id"], made["cid"]

    async def fill(self) -> None:
        sees = "read" in self.by.permissions
        for scope in SCOPES:
            secret = not (sees and scope in self.by.scopes)
            name = "secret" if secret else "open"
            for number in range(3):
                source = f"agent:{name if number else 'first'}"
                await self.say(name, scope, f"words {number}", secret=secret, entity=f"user:{name}", source=source)
            await self.say(name, scope, "guess", secret=secret, entity="user:both", source="agent:secret")
            await self.say(name, scope, "swordfish", secret=secret, entity=f"user:{name}", relation="secret:relation")
            ref = {"type": "ref", "v": f"user:{name}"}
            await self.say(f"{name}.ref", scope, "", secret=secret, entity="user:both", relation="rel:to", value=ref)
            await self.conflicts(name, scope, secret=secret)
        named = [{"fact_id": self.names["secret.id"]}, {"hash": self.names["secret.cid"], "note": "see there"},
                 {"fact_id": self.names["open.id"], "hash": self.names["secret.cid"]}, {"other": [1]}]  # fmt: skip
        await self.say("derived", "public", "sum", secret=not (sees and "public" in self.by.scopes), entity="user:sum",
                       derived_from=named)  # fmt: skip
        await self.others()

    async def conflicts(self, name: str, scope: str, *, secret: bool) -> None:
        """Note the conflict of a scope, and settle it where it is that of the last thing said."""
        self.bench.wall_ms += 1
        if secret and not self.hidden:
            return
        listed = read(await ask(self.bench, "GET", "/v1/conflicts?status=unresolved", by=WHOLE))["conflicts"]
        found = [each for each in listed if each["fact_a"]["scope"] == scope]
        for each in found:
            symbol = "both" if each["fact_a"]["entity"] == "user:both" else name
            self.names[f"{symbol}.conflict"] = each["conflict_id"]
        if scope == "team" and found:
            body = {"winning_fact_id": found[-1]["members"][0], "resolution_note": "swordfish"}
            read(await ask(self.bench, "POST", f"/v1/conflicts/{found[-1]['conflict_id']}/resolve", body, by=WHOLE))

    async def others(self) -> None:
        """What others do that is hidden from whoever is no administrator, or of other scopes."""
        self.bench.wall_ms += 1
        if not self.hidden:
            return
        batch = {"facts": [saying("guess", entity="user:buried", scope="company")], "idempotency_key": "k1"}
        read(await ask(self.bench, "POST", "/v1/facts/batch", batch, by=WHOLE))
        alias = {"raw_uri": "user:nowhere", "canonical_uri": "user:buried"}
        read(await ask(self.bench, "POST", "/v1/aliases", alias, by=WHOLE), 201)
        if self.by.permissions & {"admin", "audit.read"}:  # they see who holds what, and the others only their own
            return
        hook = {"target": "company", "on_change": "webhook", "delivery_address": "https://hooks.example/x"}
        read(await ask(self.bench, "POST", "/v1/subscriptions", hook, by=WHOLE), 201)
        for secret in ("k" * 40, "l" * 40):
            key = {"entity_uri": "user:holder", "raw_key": secret, "allowed_scopes": ["company"]}
            made = read(await ask(self.bench, "POST", "/v1/auth/keys", key, by=WHOLE), 201)
        read(await ask(self.bench, "DELETE", f"/v1/auth/keys/{made['id']}", by=WHOLE), 204)

    # --- what is asked, and answered ---

    async def sweep(self, *, reads: bool) -> None:
        """Every probe of every operation: those that only look, or those that may change something."""
        for operation in ROUTER.operations:
            looks = operation.method == "GET" or operation.name in ("recall", "lint", "synthesis", "verify_cid")
            # A peer reads what is public, which is hidden from some callers.
            if looks is reads and (operation.permission != "peer" or self.peer_sees_no_more):
                for path, query, body in probes(operation):
                    await self.look(operation, path, query, body)

    async def look(self, operation: Operation, path: str, query: dict[str, Any], body: Any) -> None:
        cursor: str | None = None
        for page in range(PAGES_MAX):
            given = query if cursor is None else query | {"cursor": cursor}
            what = f"{operation.method} {path} {query} {msgspec.json.encode(body).decode()} page {page}"
            answer = await self.ask(operation, path, given, body)
            self.transcript.append((what, self._told(answer)))
            self.asked[operation.name] = None
            told = msgspec.json.decode(answer.body) if answer.body.startswith(b"{") else {}
            cursor = told.get("cursor") if operation.query is not None and answer.status == 200 else None
            if cursor is None or "cursor" not in operation.query.__struct_encode_fields__:  # type: ignore[union-attr]
                return

    async def ask(self, operation: Operation, path: str, query: dict[str, Any], body: Any) -> Response:
        self.bench.wall_ms += 1
        meant = "/".join(quote(self.names.get(part, part), safe=":") for part in path.split("/"))
        pairs = {name: self.names.get(str(value), str(value)) for name, value in query.items()}
        target = f"{meant}?{urlencode(pairs)}" if pairs else meant
        data = None if body is None else self._meant(msgspec.json.encode(body).decode()).encode()
        with trio.fail_after(20):
            try:
                if operation.permission == "peer":
                    answer = await self.peer.ask(operation.method, target, data)
                else:
                    answer = await ask(self.bench, operation.method, target, data, by=self.by)
                if isinstance(answer, StreamedResponse):
                    pieces = b"".join([piece async for piece in answer.chunks])
                    answer = Response(answer.status, answer.headers, pieces)
            except trio.Cancelled:
                print(f"{operation.name} gave no answer to {target}")
                raise
        return answer

    def _meant(self, text: str) -> str:
        for symbol, value in self.names.items():
            text = text.replace(f'"{symbol}"', f'"{value}"')
        return text

    def _told(self, answer: Response) -> str:
        """An answer in symbols, without what is sealed and what is made of chance."""
        headers = {name: text for name, text in answer.headers.items() if name != "x-stigmem-next-cursor"}
        text = _SEALED.sub("<sealed>", answer.body.decode())
        for symbol, value in sorted(self.names.items()):
            text = text.replace(value, f"<{symbol}>")
        return f"{answer.status} {headers} {_UUID.sub('<uuid>', text)}"


@pytest.mark.parametrize("who", CALLERS)
async def test_a_caller_cannot_tell_a_world_with_what_it_may_not_read_from_one_without(who: str) -> None:
    worlds = []
    for hidden in (True, False):
        world = World(CALLERS[who], hidden=hidden)
        async with running(world.bench, SETTINGS):
            await world.fill()
            await world.sweep(reads=True)
            await world.sweep(reads=False)
            await world.sweep(reads=True)
        worlds.append(world)
    with_hidden, without = worlds
    left = [o.name for o in ROUTER.operations if o.name not in with_hidden.asked]
    assert not with_hidden.peer_sees_no_more or left == [], "an operation that was not asked: see tests/node/probes.py"
    for (what, told), (_, expected) in zip(with_hidden.transcript, without.transcript, strict=True):
        assert told == expected, what
        named = [symbol for symbol in ("<secret.id>", "<secret.cid>") if symbol in told]
        assert all(symbol.strip("<>") in what for symbol in named), f"{what} names {named}"


async def test_the_worlds_differ_for_whoever_may_read_everything() -> None:
    seen = []
    for hidden in (True, False):
        world = World(caller("read", scopes=("public",)), hidden=hidden)
        async with running(world.bench, SETTINGS):
            await world.fill()
            world.by = WHOLE
            await world.sweep(reads=True)
        seen.append(world.transcript)
    with_hidden, without = map(dict, seen)
    differ = {what.split(" {")[0] for what, told in with_hidden.items() if without.get(what) != told}
    for path in ("/v1/facts", "/v1/facts/secret.id", "/v1/facts/secret.cid/provenance", "/v1/conflicts", "/v1/audit",
                 "/v1/audit/export", "/v1/admin/audit", "/v1/events", "/v1/recall"):  # fmt: skip
        assert any(path == each.split(" ")[1] for each in differ), path


# --- what people met ---


async def test_provenance_names_no_fact_of_a_closed_scope_and_keeps_what_else_it_says() -> None:
    bench, public = Bench(NOW_MS), caller("read", scopes=("public",))
    async with running(bench, SETTINGS):
        closed = read(await ask(bench, "POST", "/v1/facts", saying("swordfish", scope="company"), by=WHOLE), 201)
        open_ = read(await ask(bench, "POST", "/v1/facts", saying("open", entity="user:a"), by=WHOLE), 201)
        entries = [
            {"fact_id": closed["id"], "hash": closed["cid"]}, {"hash": closed["cid"], "note": "see there"},
            {"fact_id": open_["id"], "hash": open_["cid"]}, {"fact_id": "nowhere"}, {"note": "x"},
        ]  # fmt: skip
        body = saying("sum", entity="user:sum", derived_from=entries)
        made = read(await ask(bench, "POST", "/v1/facts", body, by=WHOLE), 201)
        assert made["derived_from"] == entries
        target = f"/v1/facts/{made['id']}"
        assert read(await ask(bench, "GET", target, by=WHOLE))["derived_from"] == entries
        shown = [{"note": "see there"}, entries[2], {"note": "x"}]
        assert read(await ask(bench, "GET", target, by=public))["derived_from"] == shown
        (listed,) = read(await ask(bench, "GET", "/v1/facts?entity=user:sum", by=public))["facts"]
        assert listed["derived_from"] == shown
        for path in (f"{target}/provenance", target, "/v1/facts", "/v1/events?replay=true&wait=false", "/v1/audit"):
            answer = await ask(bench, "GET", path, by=public)
            text = answer.body
            if isinstance(answer, StreamedResponse):
                text = b"".join([piece async for piece in answer.chunks])
            assert closed["id"].encode() not in text, path
            assert closed["cid"].encode() not in text, path


async def test_a_key_that_only_writes_does_not_learn_by_guessing_what_others_said() -> None:
    bench, writer = Bench(NOW_MS), caller("write", entity="agent:mine")
    async with running(bench, SETTINGS):
        guess = saying("swordfish", source="agent:other")
        said = read(await ask(bench, "POST", "/v1/facts", guess, by=WHOLE), 201)
        bench.wall_ms += 5_000
        made = read(await ask(bench, "POST", "/v1/facts", guess, by=writer), 201)
        assert made["id"] != said["id"]
        assert made["timestamp"] != said["timestamp"]
        other = read(await ask(bench, "POST", "/v1/facts", saying("no", source="agent:third"), by=writer), 201)
        assert other["contradicted"] is False
        own = saying("mine", source="agent:mine", entity="user:b")
        first, again = [read(await ask(bench, "POST", "/v1/facts", own, by=writer), 201) for _ in range(2)]
        assert first["id"] == again["id"], "its own words are there for it"
        conflict = read(await ask(bench, "GET", "/v1/conflicts", by=WHOLE))["conflicts"][0]
        target = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
        for winner in (said["id"], "nobody"):
            read(await ask(bench, "POST", target, {"winning_fact_id": winner}, by=writer), 404)


async def test_a_key_that_only_writes_sweeps_its_own_words_and_does_not_learn_how_many_others_there_are() -> None:
    bench, writer = Bench(NOW_MS), caller("write", entity="agent:mine")
    async with running(bench, SETTINGS):
        theirs = read(await ask(bench, "POST", "/v1/facts", saying("theirs", source="agent:other"), by=WHOLE), 201)
        own = read(await ask(bench, "POST", "/v1/facts", saying("mine", source="agent:mine"), by=writer), 201)
        bench.wall_ms += 1_000
        counted = await ask(bench, "POST", "/v1/decay/sweep?ttl_seconds=0&dry_run=true", by=writer)
        assert read(counted) == {"scanned": 1, "decayed": 0, "dry_run": True}
        assert read(await ask(bench, "POST", "/v1/decay/sweep?ttl_seconds=0", by=writer))["decayed"] == 1
        ends = {each["id"]: each["valid_until"] for each in read(
            await ask(bench, "GET", "/v1/facts?include_contradicted=true&include_expired=true", by=WHOLE))["facts"]
        }  # fmt: skip
        assert ends[theirs["id"]] is None
        assert ends[own["id"]] is not None


async def test_the_narrowest_key_is_not_told_who_else_holds_one() -> None:
    bench, narrow = Bench(NOW_MS), caller("read", scopes=("public",), entity="user:holder3")
    async with running(bench, SETTINGS):
        for number in range(4):
            key = {"entity_uri": f"user:holder{number}", "raw_key": f"{number}" * 40}
            read(await ask(bench, "POST", "/v1/auth/keys", key, by=WHOLE), 201)
        rows = read(await ask(bench, "GET", "/v1/audit", by=narrow))["entries"]
        assert [row["entity_uri"] for row in rows] == ["user:holder3"]
        assert b"holder0" not in (await ask(bench, "GET", "/v1/audit/export", by=narrow)).body
        for by in (WHOLE, caller("read", "admin", scopes=("public",))):
            assert len(read(await ask(bench, "GET", "/v1/audit", by=by))["entries"]) == 4
