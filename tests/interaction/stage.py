"""The nodes of a story, the wire between them, and what is to be told of what they do.

Nodes are those that are deployed, on the ports of `stigmem.testing`. Told is: a pull that brought something or was
refused, what a journal took in that a reader would want to know, and every change of what a node makes of it (its
conflicts). Not told: pulls that bring nothing, cursors and nonces, the audit rows of every write and page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import trio

from stigmem import Request, Response, Unreachable
from stigmem.core.audit import AuditRow
from stigmem.core.fact import Fact
from stigmem.core.keys import ED25519, Signer
from stigmem.core.records import DeadLetter, OriginRow, Record
from stigmem.core.timestamps import parse_us
from stigmem.core.uris import RESOLUTION_PREFIX
from stigmem.node.settings import NodeSettings
from stigmem.testing import OPERATOR, ManualClock, MemoryJournal, RunningNode, ScriptedTransport, running_node
from tests.interaction.names import Names

__all__ = ["PULL", "Actor", "Stage"]

PULL = "/v1/federation/facts"
_QUIET_EVENTS = ("fact_write", "page_accepted")
_QUIET_DETAILS = (
    "local_wall_ms",
    "remote_wall_ms",
    "max_future_skew_ms",
    "max_past_skew_ms",
    "sender_node_id",
    "iss",
    "by",
    "node_id",
    "count",
    "cid",
    "public_key",
    "fact_id",
    "entity",
    "relation",
    "scope",
    "origin",
)

Edit = Callable[[dict[str, Any]], object]
"""What a hand on the wire does to the JSON of a page."""


class Stage:
    """Every node of a story by its name, one clock, and the lines told since they were taken last."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.clock = ManualClock()
        self.start_ms = self.clock.wall_ms
        self.names = Names(self.start_ms)
        self.actors: dict[str, Actor] = {}
        self.edits: dict[tuple[str, str], Edit] = {}
        """(who asks, who answers) -> what happens to the page on its way."""
        self.nursery = nursery
        self._lines: list[str] = []

    def tell(self, line: str) -> None:
        self._lines.append(line)

    def tell_at(self, line: str) -> None:
        """A line with the instant at which it happened."""
        self._lines.append(f"{self.now():>5}  {line}")

    def now(self) -> str:
        """True time since the story began, in minutes and whole seconds."""
        seconds = self.clock.monotonic_ns // 1_000_000_000
        return f"{seconds // 60}:{seconds % 60:02}"

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines

    def who(self, url: str) -> str:
        """The name of the node at an address."""
        return urlsplit(url).netloc.partition(".")[0]

    def look(self) -> None:
        """Tell what has changed in what the nodes make of their facts."""
        for actor in self.actors.values():
            actor.look()


class Actor:
    """One node of a story, running or not."""

    def __init__(self, stage: Stage, name: str, number: int, **settings: Any) -> None:
        self.stage = stage
        self.name = name
        self.url = f"http://{name}.example"
        self.clock = stage.clock.skewed(0)
        self.journal = _Journal(self)
        self.running: RunningNode | None = None
        self.stops_after_commit = False
        self.is_old = False
        """Whether it behaves as a publisher of dialect 0.5 whose cursors are stamps."""
        self._number = number
        self._boots = 0
        self._plug = self._ended = trio.Event()
        self._conflicts: dict[str, str] = {}
        common = {
            "auth_required": False,
            "federation": True,
            "pull_interval_s": 10.0,
            "pull_jitter": 0.0,
            "pull_burst": 1_000.0,
        }
        self.settings = NodeSettings(**(common | {"seed": bytes([number]) * 32, "node_url": self.url} | settings))
        self.signer: Signer = ED25519.signer(self.settings.seed)

    async def power_on(self) -> None:
        self._boots += 1
        wire = _Wire(self)
        self.journal.hangs_after_commit = False
        self._plug, self._ended = trio.Event(), trio.Event()
        await self.stage.nursery.start(self._live, wire)
        assert self.running is not None
        self.stage.names.give(self.running.node.node_id, self.name)

    async def _live(self, wire: _Wire, task_status: trio.TaskStatus[None]) -> None:
        seed = self._number * 100 + self._boots
        async with running_node(
            self.settings, clock=self.clock, journal=self.journal, transport=wire, seed=seed
        ) as self.running:
            task_status.started()
            await self._plug.wait()
        self._ended.set()

    async def power_off(self) -> None:
        if self.running is not None:
            self.running = None
            self._plug.set()
            await self._ended.wait()

    @property
    def node(self) -> RunningNode:
        if self.running is None:
            raise ValueError(f"{self.name} is off")
        return self.running

    def request(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Request:
        return Request(method, target, headers or {}, b"" if body is None else json.dumps(body).encode())

    async def ask(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of the answer to an operator's request; status 0 when there is none."""
        pending = self.node.begin(self.request(method, target, body), OPERATOR)
        await self.stage.clock.settle()
        if pending.response is None:
            return 0, None
        return pending.response.status, json.loads(pending.response.body) if pending.response.body else None

    # --- telling ---

    def stored(self, records: Sequence[Record]) -> None:
        """The journal took these in."""
        names, tell = self.stage.names, self.stage.tell_at
        for record in records:
            if isinstance(record, Fact):
                known = record.id in names
                letter = names.fact(record.id)
                origin = names.shorten(record.origin)
                if not known:
                    tell(f"{self.name} stores {letter}: {self.describe(record)}")
                else:
                    via = names.shorten(record.received_from or "")
                    tell(
                        f"{self.name} stores {letter}, from {via}" + ("" if via == origin else f", written at {origin}")
                    )
            elif isinstance(record, DeadLetter) and record.retry_ms is not None:
                due = names.instant(record.retry_ms)
                tell(
                    f"{self.name} keeps {names.shorten(record.name)} aside and tries it again at {due} of its own clock"
                )
            elif isinstance(record, OriginRow) and record.public_key:
                what = "keeps the manifest of" if record.manifest else "takes a key for"
                tell(f"{self.name} {what} {names.shorten(record.node_id)}: {record.how}")
            elif isinstance(record, AuditRow) and record.event not in _QUIET_EVENTS:
                tell(f"{self.name} notes {record.event}{self._details(record)}")

    def _details(self, row: AuditRow) -> str:
        names = self.stage.names
        detail = json.loads(row.detail)
        parts = [names.fact(row.fact_id)] if row.fact_id and row.fact_id in names else []
        parts += [f"{key} {names.shorten(str(value))}" for key, value in detail.items() if key not in _QUIET_DETAILS]
        peer = self.peer_name(row.subject)
        return (f" about {peer}" if peer else "") + (f": {', '.join(parts)}" if parts else "")

    def peer_name(self, subject: str) -> str:
        """The node that a peer id stands for here, or the node of a node id; empty for everything else."""
        if self.running is not None and subject in self.running.node.state.peers:
            return self.stage.who(self.running.node.state.peers[subject].node_url)
        short = self.stage.names.shorten(subject)
        return short if short in self.stage.actors else ""

    def describe(self, fact: Fact) -> str:
        """What a fact says, in a line."""
        names = self.stage.names
        by = fact.source.removeprefix("agent:")
        if fact.entity.startswith(RESOLUTION_PREFIX):
            told = f"{names.conflict(fact.entity.removeprefix(RESOLUTION_PREFIX))} is resolved, {fact.text}"
        elif fact.is_retraction:
            told = f"not {self.subject(fact.entity)} {fact.text}"
        else:
            told = f"{self.subject(fact.entity)} {fact.text}"
        told += f", by {names.shorten(by)} at {names.shorten(fact.origin)}"
        return told + (f", {fact.scope}" if fact.scope != "public" else "")

    def subject(self, entity: str) -> str:
        return entity.removeprefix("device:")

    def look(self) -> None:
        """Tell which conflicts are new here, gone, or stand otherwise than before."""
        if self.running is None:
            return
        names, found = self.stage.names, {}
        for conflict in self.running.node.state.conflicts.all():
            members = " ".join(names.fact(fact.id) for fact in conflict.members)
            note = f', "{conflict.note}"' if conflict.note else ""
            found[names.conflict(conflict.id)] = f"{conflict.status}: {members}{note}"
        for name, told in found.items():
            if self._conflicts.get(name) != told:
                self.stage.tell_at(f"{self.name} has {name} {told}")
        for name in self._conflicts:
            if name not in found:
                self.stage.tell_at(f"{self.name} has no {name} any more")
        self._conflicts = found


class _Journal(MemoryJournal):
    """A journal that tells what it takes in."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self._actor = actor

    async def commit(self, records: Sequence[Record]) -> None:
        if not self.full:
            self._actor.stored(records)
            self.hangs_after_commit = self._actor.stops_after_commit
        await super().commit(records)


class _Wire(ScriptedTransport):
    """What one node asks the others, told when the answer is there."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self._actor = actor

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        stage, asker, answerer = self._actor.stage, self._actor.name, self._actor.stage.who(url)
        target = stage.actors.get(answerer)
        self.nodes = {} if target is None or target.running is None else {url: target.running}
        path, _, query = request.target.partition("?")
        if target is not None and target.running is None:
            self.answers[url, path] = lambda _: None
        else:
            self.answers.pop((url, path), None)
        sent = request
        if target is not None and target.is_old and path == PULL:
            sent = Request(request.method, f"{PULL}?limit=500", request.headers, request.body)
        asked = stage.now()
        try:
            answer = await super().request(url, sent, timeout_ns, body_max)
        except Unreachable as silence:
            stage.tell_at(f"{asker} asks {answerer} since {asked}: {silence.code}")
            raise
        if target is not None and (target.is_old or (self._actor.is_old and path != PULL)):
            answer = _as_old(answer, path, query)
        edit = stage.edits.get((asker, answerer))
        if edit is not None and path == PULL and answer.status == 200:
            page = json.loads(answer.body)
            edit(page)
            answer = Response(answer.status, answer.headers, json.dumps(page).encode())
        self._tell(asker, answerer, path, query, answer)
        return answer

    def _tell(self, asker: str, answerer: str, path: str, query: str, answer: Response) -> None:
        stage = self._actor.stage
        if path != PULL:
            what = {"/.well-known/stigmem": "who it is", "/.well-known/stigmem-manifest.json": "its manifest"}
            name = what.get(path, f"the manifest of {stage.names.shorten(unquote(path.rpartition('/')[2]))}")
            stage.tell_at(
                f"{asker} asks {answerer} for {name}" + ("" if answer.status == 200 else f": {answer.status}")
            )
            return
        given = parse_qs(query)
        after = stage.names.cursor(given.get("cursor", [None])[0])
        body = json.loads(answer.body) if answer.body[:1] == b"{" else {}
        if answer.status != 200:
            stage.tell_at(
                f"{asker} pulls from {answerer} after {after}: {answer.status} {body.get('detail', '')}".rstrip()
            )
            return
        letters = " ".join(stage.names.fact(entry.get("fact", entry)["id"]) for entry in body["facts"])
        if letters:
            more = ", and there is more" if body["has_more"] else ""
            cursor = stage.names.cursor(body["cursor"])
            stage.tell_at(f"{asker} pulls from {answerer} after {after}: {letters}; {cursor}{more}")


def _as_old(answer: Response, path: str, query: str) -> Response:
    """What a publisher of dialect 0.5 would have said: its pages are sorted by stamps, which are compared as text."""
    body = json.loads(answer.body)
    if path == "/.well-known/stigmem":
        body["federation_version"] = "0.5"
        body.pop("federation_extensions", None)
    elif path == PULL and answer.status == 200:
        given = parse_qs(query)
        cursor, limit = given.get("cursor", [""])[0], int(given.get("limit", ["100"])[0])
        for fact in body["facts"]:  # it stamps with what its wall clock shows, and forgets what it showed before
            fact["hlc"] = f"{parse_us(fact['timestamp']) // 1_000}.0"
        later = sorted((fact for fact in body["facts"] if fact["hlc"] > cursor), key=lambda fact: str(fact["hlc"]))
        chosen = later[:limit]
        body["facts"], body["has_more"] = chosen, len(later) > limit
        body["cursor"] = chosen[-1]["hlc"] if chosen else cursor or None
    return Response(answer.status, answer.headers, json.dumps(body).encode())
