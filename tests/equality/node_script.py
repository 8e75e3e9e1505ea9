"""The fixed script of requests: three nodes, every operation, refusals, a full disk, power cuts and federation.

Three nodes: `north` is asked most, `south` is its peer, `west` is the peer of `south` only. A
peer that lies, or one of an older dialect, is a real one whose answers a hand on the wire edits.
The script asserts nothing; what it is answered is compared with what was recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import trio

from tests.equality.sqlite import sqlite_lines
from tests.equality.transcript import Step, Transcript
from tests.equality.worlds import OPERATOR, Machine, Request, Response, World

__all__ = ["run_script"]

ADMIN = "the administrator's secret, long enough"
WRITER = "the writer's secret, which is long enough"
READER = "the reader's secret, which is long enough"
GUEST = "the guest's secret, for public facts only"
PEERS = "/v1/federation/peers"
PULL = "/v1/federation/facts"
KEYS = "/v1/auth/keys"
_VARIABLE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=sha256:)[0-9a-f]{64}|(?<=cursor=)[^&]{16,}")
"""What a step's name leaves out: ids and cursors, so that a step keeps its name when they change."""
PUMP = "stigmem://lab.example/device/pump-7"


def run_script() -> list[Step]:
    """Run the script; its steps with what they were answered."""
    transcript = Transcript()
    trio.run(_run, transcript)
    return transcript.steps


async def _run(transcript: Transcript) -> None:
    async with trio.open_nursery() as nursery:
        script = _Script(World(transcript), transcript, nursery)
        for part in (
            script.open_doors, script.facts, script.refused_facts, script.batches, script.conflicts, script.keys,
            script.crashes, script.registration, script.replication, script.relay, script.tokens, script.lies,
            script.old_dialect, script.waiting, script.pushed, script.stored_in_the_end,
        ):  # fmt: skip
            await part()
        nursery.cancel_scope.cancel()


def members(text: object = "ok", **changes: Any) -> dict[str, Any]:
    """The members of a write."""
    value = text if isinstance(text, dict) else {"type": "string", "v": text}
    body = {"entity": PUMP, "relation": "maint:status", "value": value, "source": "agent:writer", "scope": "public"}
    return body | changes


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[Response], Response]:
    """A hand on the wire that changes the JSON of an answer."""

    def edit(answer: Response) -> Response:
        body = json.loads(answer.body)
        change(body)
        return Response(answer.status, answer.headers, json.dumps(body, separators=(",", ":")).encode())

    return edit


class _Script:
    def __init__(self, world: World, transcript: Transcript, nursery: trio.Nursery) -> None:
        self.world = world
        self.transcript = transcript
        common: dict[str, Any] = {"federation": True, "push": True, "pull_interval_s": 10.0, "pull_jitter": 0.0}
        self.north = Machine(world, nursery, "north", 1, **common, source_attestation="warn", write_per_s=3_000 / 3_600)
        self.south = Machine(
            world, nursery, "south", 2, **common, auth_required=False, allow_team=True,
            scopes=("team", "company", "public"), pull_wait_s=5.0,
        )  # fmt: skip
        self.west = Machine(world, nursery, "west", 3, **common, auth_required=False, origin_keys="vouched")
        self.ids: dict[str, str] = {}

    # --- how a step is made ---

    async def ask(
        self,
        name: str,
        machine: Machine,
        method: str,
        target: str,
        body: Any = None,
        *,
        by: str = ADMIN,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """One request as a step; its answer's JSON, if it is JSON. `by` is a secret; empty: nobody."""
        self.transcript.begin(f"{name}: {method} {_VARIABLE.sub('*', target)[:80]}")
        await self.world.advance(0.001)
        answers = await machine.ask(self.request(method, target, body, by, headers))
        self.transcript.answered(machine.name, answers)
        text = answers[0].body if answers else b""
        return json.loads(text) if text[:1] in (b"{", b"[") else None

    def request(
        self, method: str, target: str, body: Any = None, by: str = ADMIN, headers: dict[str, str] | None = None
    ) -> Request:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        bearer = {"authorization": f"Bearer {by}"} if by else {}
        return Request(method, target, bearer | (headers or {}), data)

    async def together(self, name: str, machine: Machine, *requests: Request) -> None:
        """Requests that meet in one turn, as a step; answers in the order in which they came."""
        self.transcript.begin(name)
        await self.world.advance(0.001)
        found: list[Response] = []
        for request in requests:
            machine.offer(request, found.append)
        await self.world.rest()
        self.transcript.answered(machine.name, found)

    async def passes(self, name: str, seconds: float) -> None:
        """A time in which the nodes are left to themselves, as a step."""
        self.transcript.begin(name)
        await self.world.advance(seconds)

    async def say(self, name: str, machine: Machine, text: object = "ok", *, by: str = WRITER, **changes: Any) -> str:
        """A write as a step; the fact's id."""
        answer = await self.ask(name, machine, "POST", "/v1/facts", members(text, **changes), by=by)
        return str(answer["id"]) if isinstance(answer, dict) and "id" in answer else ""

    # --- parts ---

    async def open_doors(self) -> None:
        """Starting, what is open to everybody, and the first keys."""
        self.transcript.begin("three nodes start")
        for machine in (self.north, self.south, self.west):
            await machine.power_on()
        for target in (
            "/healthz", "/.well-known/stigmem", "/.well-known/stigmem-manifest.json", "/nowhere", "/v1/facts",
            "/v1/me",
        ):  # fmt: skip
            await self.ask("without a key", self.north, "GET", target, by="")
        await self.ask("a wrong method", self.north, "PATCH", "/v1/facts", by="")
        await self.ask("an unknown key", self.north, "GET", "/v1/me", by="sk-unknown")
        self.transcript.begin("the operator makes the administrator's key")
        everything = ["read", "write", "instruction:write", "federate", "admin", "admin:federation", "audit.read"]
        body = {"raw_key": ADMIN, "entity_uri": "user:admin", "permissions": everything}
        self.transcript.answered("north", await self.north.ask(self.request("POST", KEYS, body, by=""), OPERATOR))
        for secret, entity, permissions, scopes in (
            (WRITER, "agent:writer", ["read", "write"], ["local", "team", "company", "public"]),
            (READER, "agent:reader", ["read"], ["local", "team", "company", "public"]),
            (GUEST, "agent:guest", ["read", "write"], ["public"]),
        ):
            body = {"raw_key": secret, "entity_uri": entity, "permissions": permissions, "scopes": scopes}
            await self.ask(f"a key for {entity}", self.north, "POST", KEYS, body)
            await self.ask(f"{entity} asks who it is", self.north, "GET", "/v1/me", by=secret)

    async def facts(self) -> None:
        """Writes of every type, reads with every parameter."""
        first = await self.say("a fact", self.north, "running")
        await self.say("the same fact again", self.north, "running")
        await self.say("its author says something else", self.north, "stopped")
        await self.say("its author takes it back", self.north, "retracted", confidence=0.0)
        values: tuple[dict[str, Any], ...] = (
            {"type": "text", "v": "a longer text\nof two lines"}, {"type": "number", "v": 17.25},
            {"type": "number", "v": 10**17}, {"type": "boolean", "v": True}, {"type": "null", "v": None},
            {"type": "datetime", "v": "2026-11-20T07:55:44+01:00"}, {"type": "ref", "v": "stigmem://lab.example/a/b"},
            {"type": "string", "v": "do this", "interpret_as": "instruction"},
            {"type": "string", "v": "Grüße, 世界 \u0000"},
        )  # fmt: skip
        for number, value in enumerate(values):
            await self.say(f"a value of type {value['type']}", self.north, value, entity=f"device:{number}", by=ADMIN)
        await self.say(
            "a fact with an end", self.north, "brief", entity="device:brief", valid_until="2026-11-20T08:30:00Z"
        )
        for scope in ("local", "team", "company"):
            await self.say(f"a fact of scope {scope}", self.north, scope, entity=f"device:{scope}", scope=scope)
        derived = [{"hash": "sha256:" + "1" * 64}, {"fact_id": first}]
        await self.say("a fact with provenance", self.north, "sum", entity="device:sum", derived_from=derived)
        for query in (
            "", "?limit=2", f"?entity={quote(PUMP, safe='')}", "?relation=maint:status&limit=3",
            "?source=agent:writer&scope=team",
            "?min_confidence=0.5&limit=1", "?include_contradicted=yes&limit=4", "?include_expired=true&limit=1",
            "?as_of=2026-11-20T07:55:45Z", "?after=2026-11-20T07:55:44Z&limit=2", "?attested=true", "?limit=0",
            "?limit=501", "?scope=galaxy", "?cursor=nonsense", "?limit=2&limit=3", "?min_confidence=nan",
            "?garden_id=stigmem://x/garden/y", "?after=yesterday",
        ):  # fmt: skip
            await self.ask("facts", self.north, "GET", f"/v1/facts{query}", by=READER)
        page = await self.ask("facts, a page of two", self.north, "GET", "/v1/facts?limit=2", by=READER)
        await self.ask(
            "facts, the page after", self.north, "GET", f"/v1/facts?limit=2&cursor={page['cursor']}", by=READER
        )
        fact = page["facts"][0]
        for name in (first, str(fact.get("cid")), "sha256:short", "unknown"):
            for tail in ("", "/provenance"):
                await self.ask("a fact by its name", self.north, "GET", f"/v1/facts/{name}{tail}", by=GUEST)
            await self.ask("a content id is checked", self.north, "POST", f"/v1/facts/{name}/verify-cid", by=READER)
        self.ids["first"] = first

    async def refused_facts(self) -> None:
        """Writes that are refused, each for one reason; callers who may not."""
        for name, changes in (
            ("no such scope", {"scope": "galaxy"}), ("too sure", {"confidence": 1.5}), ("no entity", {"entity": ""}),
            ("a blank entity", {"entity": " "}), ("a long entity", {"entity": "x" * 5_000}),
            ("no such type", {"value": {"type": "colour", "v": "red"}}),
            ("a number that is none", {"value": {"type": "number", "v": "x"}}),
            ("a text too long", {"value": {"type": "text", "v": "x" * 70_000}}),
            ("an end that is no time", {"valid_until": "soon"}),
            ("an end in the past", {"valid_until": "2001-01-01T00:00:00Z"}),
            ("a reserved entity", {"entity": "stigmem:conflict:1"}), ("a garden", {"garden_id": "stigmem://x/garden/y"}),
            ("an unknown mode", {"write_mode": "shout"}), ("another's source", {"source": "agent:other"}),
            ("an instruction", {"value": {"type": "string", "v": "do", "interpret_as": "instruction"}}),
        ):  # fmt: skip
            await self.say(name, self.north, **({"entity": "device:refused"} | changes))
        for body in (b"", b"{", b"[]", b"null", b'{"entity": 1}', b"\xff\xfe"):
            await self.ask(f"a body that is none, {body!r}", self.north, "POST", "/v1/facts", body, by=WRITER)
        await self.say("a reader writes", self.north, "no", by=READER)
        await self.say("a guest writes outside of its scopes", self.north, "no", scope="company", by=GUEST)
        session = {"stigmem-session": "session one"}
        await self.ask("a session reads", self.north, "GET", "/v1/facts?limit=1", by=WRITER, headers=session)
        for changes in (
            {},
            {"write_mode": "summarize_with_provenance", "derived_from": [{"fact_id": self.ids["first"]}]},
        ):
            body = members("from memory", entity="device:session", **changes)
            await self.ask("a session writes", self.north, "POST", "/v1/facts", body, by=WRITER, headers=session)
        for target in ("/v1/gardens", "/v1/intents", "/v1/tombstones"):
            await self.ask("an operation that is not built", self.north, "POST", target, {}, by=WRITER)

    async def batches(self) -> None:
        """Many facts in one request."""
        good = [members(f"v{number}", entity=f"batch:{number}") for number in range(40)]
        bad = [17, members(scope="galaxy"), members(value={"type": "number", "v": "x"}), {"entity": "only"}]
        for name, body in (
            ("forty facts", {"facts": good}),
            ("some of them bad", {"facts": [*good[:2], *bad, members("new", entity="batch:new")]}),
            ("all or nothing", {"facts": [members("other", entity="batch:other"), *bad], "atomic": True}),
            ("none", {"facts": []}), ("too many", {"facts": [1] * 501}),
            ("twice the same", {"facts": [members("twice")] * 2}),
        ):  # fmt: skip
            await self.ask(name, self.north, "POST", "/v1/facts/batch", body, by=WRITER)
        keyed = {"facts": [members("once", entity="batch:once")], "idempotency_key": "one"}
        other = {"facts": [members("twice", entity="batch:once")], "idempotency_key": "one"}
        for body in (keyed, keyed, other):
            await self.ask("a batch with a key", self.north, "POST", "/v1/facts/batch", body, by=WRITER)
        post = [self.request("POST", "/v1/facts/batch", keyed | {"idempotency_key": "two"}, by=WRITER)] * 2
        write = self.request("POST", "/v1/facts", members("in one turn", entity="batch:turn"), by=WRITER)
        await self.together("the same write twice and a read in one turn", self.north, *post, write, write,
                            self.request("GET", "/v1/facts?entity=batch:turn", by=READER))  # fmt: skip

    async def conflicts(self) -> None:
        """Contradictions: made, read, resolved, broken open again."""
        valve: dict[str, Any] = {"entity": "device:valve", "relation": "maint:state"}
        await self.say("a word", self.north, "open", **valve)
        await self.say("another word", self.north, "closed", source="agent:guest", by=GUEST, **valve)
        await self.say("a third word", self.north, "stuck", source="user:admin", by=ADMIN, confidence=0.4, **valve)
        await self.say("a private word", self.north, "open", scope="local", **valve)
        await self.say("its contradiction", self.north, "shut", scope="local", source="user:admin", by=ADMIN, **valve)
        found = (await self.ask("conflicts", self.north, "GET", "/v1/conflicts", by=READER))["conflicts"]
        for query in ("?status=unresolved&limit=1", "?status=resolved", "?limit=0", "?cursor=x", "?status=whatever"):
            await self.ask("conflicts", self.north, "GET", f"/v1/conflicts{query}", by=GUEST)
        await self.ask(
            "facts in conflict", self.north, "GET", "/v1/facts?entity=device:valve&include_contradicted=true", by=READER
        )
        public = next(each for each in found if each["fact_a"]["scope"] == "public")
        local = next(each for each in found if each["fact_a"]["scope"] == "local")
        target = f"/v1/conflicts/{public['conflict_id']}"
        await self.ask("one conflict", self.north, "GET", target, by=READER)
        await self.ask("a conflict out of reach", self.north, "GET", f"/v1/conflicts/{local['conflict_id']}", by=GUEST)
        for body in ({}, {"winning_fact_id": "unknown"}, {"resolution_note": "x" * 5_000}, b"{",
                     {"new_value": {"type": "string", "v": "do", "interpret_as": "instruction"}}):  # fmt: skip
            await self.ask("a resolution that is none", self.north, "POST", f"{target}/resolve", body, by=WRITER)
        winner = {"winning_fact_id": public["members"][0], "resolution_note": "looked at it"}
        resolve = self.request("POST", f"{target}/resolve", winner, by=WRITER)
        await self.together("two resolutions in one turn", self.north, resolve, resolve)
        await self.ask("the conflict after it", self.north, "GET", target, by=READER)
        await self.say("a new word opens it again", self.north, "leaking", source="agent:guest", by=GUEST, **valve)
        await self.ask("the conflict after that", self.north, "GET", target, by=READER)
        fresh = {"new_value": {"type": "string", "v": "replaced"}, "resolution_note": "a new valve"}
        await self.ask("a resolution by a new value", self.north, "POST", f"{target}/resolve", fresh, by=WRITER)
        await self.ask("the conflict in the end", self.north, "GET", target, by=READER)
        await self.ask("what stands", self.north, "GET", "/v1/facts?entity=device:valve", by=GUEST)
        await self.say("a retraction by an author", self.north, "retracted", confidence=0.0, **valve)
        await self.say(
            "a denial by somebody else", self.north, "replaced", source="agent:guest", by=GUEST, confidence=0.0, **valve
        )
        await self.ask("what stands after them", self.north, "GET", "/v1/facts?entity=device:valve", by=GUEST)

    async def keys(self) -> None:
        """The life of keys, and the audit log that tells of it."""
        body = {"entity_uri": "agent:short", "permissions": ["read"], "expires_at": "2026-12-01T00:00:00Z"}
        made = await self.ask("a key made by the node", self.north, "POST", KEYS, body)
        secret = str(made["raw_key"])
        for change in ({"permissions": ["fly"]}, {"expires_at": "soon"}, {"entity_uri": ""}, {"raw_key": "short"},
                       {"expires_at": "2001-01-01T00:00:00Z"}, {"tenant_id": "other"}):  # fmt: skip
            await self.ask("a key that cannot be", self.north, "POST", KEYS, body | change)
        await self.ask("a writer makes a key", self.north, "POST", KEYS, body, by=WRITER)
        await self.ask("whose keys", self.north, "GET", KEYS, by=secret)
        for query in ("", "?within_days=100", "?within_days=0"):
            await self.ask("keys that end soon", self.north, "GET", f"{KEYS}/expiring-soon{query}")
        rotated = await self.ask(
            "a key is rotated", self.north, "POST", f"{KEYS}/{made['id']}/rotate?overlap_s=60", by=secret
        )
        await self.ask("the old one still works", self.north, "GET", "/v1/me", by=secret)
        await self.passes("a minute passes", 61.0)
        await self.ask("the old one has ended", self.north, "GET", "/v1/me", by=secret)
        target = f"{KEYS}/{rotated['id']}"
        await self.ask("somebody else ends it", self.north, "DELETE", target, by=WRITER)
        await self.ask("it is ended", self.north, "DELETE", target)
        await self.ask("it is ended again", self.north, "DELETE", target)
        for target in (
            "/v1/audit?limit=3", "/v1/audit?entity_uri=agent:guest&limit=2", "/v1/audit?cursor=x",
            "/v1/audit?attested=true&limit=1",
            "/v1/audit/export?limit=3", f"/v1/audit/facts/{self.ids['first']}", "/v1/admin/audit?limit=5",
            "/v1/admin/audit?cursor=7&limit=2&event_type=key_created",
            "/v1/admin/audit?since=2026-11-20T07:56:00Z&limit=1",
            "/v1/federation/audit?limit=2",
        ):  # fmt: skip
            await self.ask("the audit log", self.north, "GET", target)
        await self.ask("the audit log to a reader", self.north, "GET", "/v1/admin/audit", by=READER)

    async def crashes(self) -> None:
        """A full disk, a restart, a cut between commit and answer, a clock set back."""
        north = self.north
        north.disk_full = True
        write = self.request("POST", "/v1/facts", members("too much", entity="device:disk"), by=WRITER)
        look = self.request("GET", "/v1/facts?limit=1", by=READER)
        refused = self.request("POST", "/v1/facts", members(scope="galaxy"), by=WRITER)
        await self.together("the disk is full", north, write, write, look, refused)
        north.disk_full = False
        await self.together("the disk has room", north, write)
        self.transcript.begin("a restart")
        await north.power_off()
        await north.power_on()
        await self.ask(
            "the same fact after a restart",
            north,
            "POST",
            "/v1/facts",
            members("too much", entity="device:disk"),
            by=WRITER,
        )
        await self.ask("conflicts after a restart", north, "GET", "/v1/conflicts", by=READER)
        north.stops_after_commit = True
        await self.say("the power goes between commit and answer", north, "unheard", entity="device:disk")
        self.transcript.begin("and comes back")
        await north.power_off()
        await north.power_on()
        await self.say("the write that was not answered, again", north, "unheard", entity="device:disk")
        north.offset_ms = -3_600_000
        await self.say("the wall clock was set back an hour", north, "earlier", entity="device:disk")
        north.offset_ms = 0
        await self.passes("time for what has ended", 2_400.0)
        await self.ask("facts that have ended", north, "GET", "/v1/facts?entity=device:brief", by=READER)
        await self.ask(
            "facts that have ended, wanted",
            north,
            "GET",
            "/v1/facts?entity=device:brief&include_expired=true",
            by=READER,
        )
        many = [self.request("POST", "/v1/facts", members(f"{n}", entity="device:rate"), by=GUEST) for n in range(3)]
        await self.together("another's source", north, *many)
        self.transcript.begin("a principal writes too much")
        flood = self.request(
            "POST", "/v1/facts", members("flood", entity="device:rate", source="agent:guest"), by=GUEST
        )
        answers = [answer for _ in range(3_100) for answer in await north.ask(flood)]
        turned_away = [answer for answer in answers if answer.status != 201]
        self.transcript.answered("north", answers[:1] + turned_away[:2])

    async def handshake(self, asker: Machine, at: Machine, *scopes: str) -> str:
        """A node registers at another one and is approved there; its peer id there."""
        answer = await self.ask(f"{asker.name} registers at {at.name}", at, "POST", PEERS, asker.declaration(*scopes))
        return str(answer["peer_id"])

    async def approve(self, asker: Machine, at: Machine, peer_id: str) -> None:
        # Nobody is an administrator where no key is needed: the operator approves.
        self.transcript.begin(f"{at.name} approves {asker.name}")
        body = {"pubkey_fingerprint": asker.fingerprint}
        request = self.request("POST", f"{PEERS}/{peer_id}/approve", body, by="")
        self.transcript.answered(at.name, await at.ask(request, OPERATOR))

    async def registration(self) -> None:
        """Peers: declarations good and bad, approval, revocation, deletion."""
        north, south, west = self.north, self.south, self.west
        for body in (b"", b"{}", b"[]"):
            await self.ask("a declaration that is none", north, "POST", PEERS, body)
        bad = json.loads(south.declaration("public")) | {"allowed_scopes": ["company"]}
        await self.ask("a declaration that was changed", north, "POST", PEERS, bad)
        await self.ask("a declaration by a reader", north, "POST", PEERS, south.declaration("public"), by=READER)
        peer = await self.handshake(south, north, "company", "public")
        target = f"{PEERS}/{peer}"
        await self.ask("the same declaration", north, "POST", PEERS, south.declaration("company", "public"))
        for body in ({"pubkey_fingerprint": west.fingerprint}, {}, b""):
            await self.ask("an approval that does not fit", north, "POST", f"{target}/approve", body)
        await self.ask("a pull before approval", north, "GET", PULL, by=south.token(north, "public"))
        await self.approve(south, north, peer)
        await self.approve(south, north, peer)
        for path in (PEERS, target, f"{PEERS}/unknown"):
            await self.ask("peers", north, "GET", path)
        await self.ask("an active peer is deleted", north, "DELETE", target)
        await self.ask("it is revoked", north, "POST", f"{target}/revoke")
        await self.ask("its pull", north, "GET", PULL, by=south.token(north, "public"))
        await self.ask("it is deleted", north, "DELETE", target)
        self.ids["south at north"] = await self.handshake(south, north, "company", "public")
        await self.approve(south, north, self.ids["south at north"])
        for asker, at, scopes in (
            (north, south, ("team", "company", "public")), (south, west, ("company", "public")),
            (west, south, ("public",)),
        ):  # fmt: skip
            peer = self.ids[f"{asker.name} at {at.name}"] = await self.handshake(asker, at, *scopes)
            await self.approve(asker, at, peer)

    async def replication(self) -> None:
        """Pages between real nodes."""
        await self.passes("pullers read", 30.0)
        await self.say("south has another opinion", self.south, "broken", entity="device:valve", relation="maint:state",
                       source="agent:south", by="")  # fmt: skip
        await self.say("a company fact in the south", self.south, "plan", entity="device:plan", scope="company", by="")
        await self.say("a team fact in the south", self.south, "secret", entity="device:team", scope="team", by="")
        await self.passes("pullers read again", 30.0)
        for machine in (self.north, self.south, self.west):
            await self.ask("conflicts", machine, "GET", "/v1/conflicts", by=READER if machine is self.north else "")
            await self.ask("the valve", machine, "GET", "/v1/facts?entity=device:valve&include_contradicted=true",
                           by=READER if machine is self.north else "")  # fmt: skip
        await self.ask("what federation did", self.north, "GET", "/v1/federation/audit?limit=20")
        self.transcript.begin("south loses its disk's power")
        await self.south.power_off()
        await self.passes("silence", 60.0)
        self.transcript.begin("south is back")
        await self.south.power_on()
        await self.passes("and is read again", 90.0)

    async def relay(self) -> None:
        """A third node: facts of north through south, an origin's key, a manifest put by hand."""
        await self.say("a fact in the north", self.north, "relayed", entity="device:relay")
        await self.passes("it goes on to the west", 40.0)
        await self.ask("it is in the west", self.west, "GET", "/v1/facts?entity=device:relay", by="")
        for name in (self.north.node_id, self.west.node_id, self.south.node_id, "stigmem:node:unknown"):
            await self.ask("a manifest", self.west, "GET", f"/v1/federation/manifest/{quote(name, safe='')}", by="")
        manifest = await self.ask("a manifest to put", self.west, "GET", "/.well-known/stigmem-manifest.json", by="")
        for body in (manifest, manifest, {**manifest, "signature": "AAAA"}, {}, b"{"):
            await self.ask("a manifest put by hand", self.north, "PUT", "/v1/federation/manifest", body)

    async def tokens(self) -> None:
        """Pulls by hand, with good and bad tokens."""
        north, south = self.north, self.south
        once = south.token(north, "public", nonce="used once")
        for name in ("a token", "the same token"):
            await self.ask(name, north, "GET", f"{PULL}?limit=1", by=once)
        for text in (
            "nonsense",
            once[:-4] + "AAAA",
            self.west.token(north, "public"),
            south.token(self.west, "public"),
        ):
            await self.ask("a bad token", north, "GET", PULL, by=text)
        for query in ("?limit=0", "?wait=nan", "?wait=31", "?scope=local", "?scope=company&limit=1",
                      "?cursor=garbage&limit=1",
                      "?cursor=1795161344000.0&limit=1", "?echo=yes&limit=1", "?limit=2&cursor=s:1"):  # fmt: skip
            await self.ask("a pull", north, "GET", f"{PULL}{query}", by=south.token(north, "company", "public"))
        north.offset_ms = 7_200_000
        await self.ask(
            "a token made by a clock that is two hours behind", north, "GET", PULL, by=south.token(north, "public")
        )
        north.offset_ms = 0
        await self.ask("tombstones", north, "GET", "/v1/federation/tombstones", by=south.token(north, "public"))
        page = await self.ask(
            "a page of two", north, "GET", f"{PULL}?limit=2", by=south.token(north, "company", "public")
        )
        for _ in range(2):
            target = f"{PULL}?limit=2&cursor={quote(page['cursor'])}"
            page = await self.ask("the page after", north, "GET", target, by=south.token(north, "company", "public"))
        for number in range(3):
            await self.ask(
                f"the beginning again, {number}", north, "GET", f"{PULL}?limit=500", by=south.token(north, "public")
            )

    async def lies(self) -> None:
        """Pages that a hand on the wire has changed: one bad fact, a bad page, a scope too far, a fast clock."""
        edits = self.world.edits
        place = ("north", self.south.url + PULL)

        def spoil(body: dict[str, Any]) -> None:
            for entry in body.get("facts", [])[:1]:
                entry["fact"]["value"]["v"] = "spoilt"

        def widen(body: dict[str, Any]) -> None:
            for entry in body.get("facts", [])[:1]:
                entry["fact"]["scope"] = "team"

        def rename(body: dict[str, Any]) -> None:
            for entry in body.get("facts", [])[:1]:
                entry["fact"]["entity"] = "stigmem:conflict:forged"

        def version(body: dict[str, Any]) -> None:
            body["v"] = 3

        def cursorless(body: dict[str, Any]) -> None:
            body["cursor"] = 5

        for name, change in (
            ("a spoilt value", spoil), ("a scope too far", widen), ("a reserved name", rename),
            ("a page of version 3", version), ("a cursor that is a number", cursorless),
        ):  # fmt: skip
            edits[place] = edited(change)
            for number in range(2):
                await self.say(
                    f"south says {number}",
                    self.south,
                    f"{name} {number}",
                    entity=f"lie:{name}",
                    source=f"agent:{number}",
                    by="",
                )
            await self.passes(name, 25.0)
            del edits[place]
            await self.passes(f"after {name}", 65.0)
        edits[place] = lambda _: Response(500, {}, b"oops")
        await self.passes("a server error", 25.0)
        edits[place] = lambda _: Response(429, {"retry-after": "20"}, b"")
        await self.passes("too many requests", 60.0)
        edits[place] = lambda _: Response(200, {}, b"<html>")
        await self.passes("no JSON", 60.0)
        del edits[place]
        await self.passes("honest again", 120.0)
        self.south.offset_ms = 900_000
        await self.say("south's clock is fast", self.south, "tomorrow", entity="device:fast", by="")
        await self.passes("a fact from the future waits", 60.0)
        self.south.offset_ms = 0
        await self.passes("until its time has come", 1_200.0)
        await self.ask("the fact from the future", self.north, "GET", "/v1/facts?entity=device:fast", by=READER)
        await self.ask("what federation did", self.north, "GET", "/v1/federation/audit?limit=30")
        await self.ask("what federation refused", self.north, "GET", "/v1/federation/audit?event_type=rejected_fact")

    async def old_dialect(self) -> None:
        """South and west forget each other and meet again as nodes of an older dialect."""

        def old(body: dict[str, Any]) -> None:
            body["federation_version"] = "0.5"
            body.pop("federation_extensions", None)

        for one, other in ((self.south, self.west), (self.west, self.south)):
            self.world.edits[one.name, f"{other.url}/.well-known/stigmem"] = edited(old)
            peer = self.ids[f"{other.name} at {one.name}"]
            for method, path in (("POST", f"{PEERS}/{peer}/revoke"), ("DELETE", f"{PEERS}/{peer}")):
                self.transcript.begin(f"{one.name} forgets {other.name}: {method}")
                self.transcript.answered(one.name, await one.ask(self.request(method, path, by=""), OPERATOR))
        for one, other in ((self.south, self.west), (self.west, self.south)):
            peer = await self.handshake(other, one, "company", "public")
            await self.approve(other, one, peer)
        await self.passes("old pages", 40.0)
        await self.say("west speaks", self.west, "old words", entity="device:old", source="agent:west", by="")
        await self.passes("old pages with news", 40.0)
        self.west.offset_ms = 20_000
        await self.say(
            "west's clock steps forward", self.west, "ahead", entity="device:old2", source="agent:west", by=""
        )
        await self.passes("a stamp ahead is read", 30.0)
        self.west.offset_ms = 0
        await self.say("west's clock steps back", self.west, "behind", entity="device:old3", source="agent:west", by="")
        await self.passes("what sorts below the cursor", 60.0)
        await self.ask("it is in the south", self.south, "GET", "/v1/facts?source=agent:west", by="")

    async def waiting(self) -> None:
        """Pulls that wait for news."""
        north, south = self.north, self.south
        page = await self.ask("where the end is", north, "GET", f"{PULL}?limit=500", by=south.token(north, "public"))
        while page["has_more"]:
            target = f"{PULL}?limit=500&cursor={quote(page['cursor'])}"
            page = await self.ask("on to the end", north, "GET", target, by=south.token(north, "public"))
        target = f"{PULL}?wait=20&cursor={quote(page['cursor'])}"
        for name, news, seconds in (("news come", True, 1.0), ("nothing comes", False, 25.0)):
            self.transcript.begin(f"a pull waits: {name}")
            found: list[Response] = []
            north.offer(self.request("GET", target, by=south.token(north, "public")), found.append)
            await self.world.rest()
            self.transcript.answered("north", found)
            if news:
                await self.say("the news", north, "news", entity="device:news")
            await self.passes(f"then {name}", seconds)
            self.transcript.answered("north", found)

    async def pushed(self) -> None:
        """Facts that a peer brings."""
        page = await self.ask(
            "what south has", self.south, "GET", f"{PULL}?limit=500", by=self.west.token(self.south, "public")
        )
        entries = page["facts"][-3:] if isinstance(page, dict) and "facts" in page else []
        for name, facts in (
            ("facts of its own", entries),
            ("no facts", []),
            ("a number", [1]),
            ("too many", [1] * 501),
        ):
            await self.ask(
                f"south pushes {name}",
                self.north,
                "POST",
                f"{PULL}/push",
                {"facts": facts},
                by=self.south.token(self.north, "public"),
            )
        await self.ask("a push without a token", self.north, "POST", f"{PULL}/push", {"facts": []}, by="")

    async def stored_in_the_end(self) -> None:
        """The journals as SQLite has them."""
        for machine in (self.north, self.south, self.west):
            self.transcript.begin(f"the database of {machine.name}")
            for line in sqlite_lines(machine.rows):
                self.transcript.stored(machine.name, "line", line)
