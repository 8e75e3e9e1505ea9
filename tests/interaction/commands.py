"""The commands of stories; README.md says what each does."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import msgspec
import trio

from stigmem.core.declaration import declare
from stigmem.core.keys import fingerprint
from stigmem.core.timestamps import format_us
from stigmem.core.token import mint
from stigmem.testing import Pending
from tests.interaction.stage import PULL, Actor, Stage
from tests.interaction.story import Block

__all__ = ["NoSuchCommand", "run_story"]

PEERS = "/v1/federation/peers"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}


class NoSuchCommand(ValueError):
    """A story has a line that is no command."""


async def run_story(blocks: list[Block]) -> list[Block]:
    """The story with what happens now in the place of what was told."""
    told: list[Block] = []
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        story = _Story(Stage(nursery))
        try:
            for block in blocks:
                for line in block.commands:
                    await story.run(line)
                told.append(Block(block.head, story.stage.take()))
        except Exception as error:  # raised below as itself, not in the group that a nursery makes of it
            failure = error
        for actor in story.stage.actors.values():
            await actor.power_off()
    if failure is not None:
        raise failure
    return told


def _seconds(text: str) -> float:
    """`90s`, `5m`, `-250ms`."""
    number = text.rstrip("msh")
    return float(number) * _UNITS[text[len(number) :]]


class _Story:
    """The state of a story between its commands; every method without an underscore is a command."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._tokens: dict[str, str] = {}
        self._pending: list[tuple[str, Pending]] = []

    async def run(self, line: str) -> None:
        """Execute one line: a verb, words, and options `name=value`."""
        verb, *words = shlex.split(line)
        name = verb.replace("-", "_")
        command: Callable[..., Awaitable[None]] | None = None if name.startswith("_") else getattr(self, name, None)
        if command is None or name == "run" or not inspect.iscoroutinefunction(command):
            raise NoSuchCommand(f"{line!r}: there is no command {verb!r}")
        plain = [word for word in words if "=" not in word]
        options = dict(word.split("=", 1) for word in words if "=" in word)
        try:
            await command(*plain, **options)
        except TypeError as error:
            raise NoSuchCommand(f"{line!r}: {error}") from error
        await self.stage.clock.settle()
        self.stage.look()

    def _actor(self, name: str) -> Actor:
        if name not in self.stage.actors:
            raise NoSuchCommand(f"there is no node {name!r}")
        return self.stage.actors[name]

    # --- nodes and time ---

    async def nodes(self, *names: str, **settings: str) -> None:
        values = {
            name: json.loads(value) if value[:1] in '0123456789"[tf' else value for name, value in settings.items()
        }
        for name in names:
            actor = self.stage.actors[name] = Actor(self.stage, name, len(self.stage.actors) + 1, **values)
            await actor.power_on()
        self.stage.tell(f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} on")

    async def wait(self, length: str) -> None:
        left = _seconds(length)
        while left > 0:
            await self.stage.clock.advance(min(left, 1.0))
            self.stage.look()
            left -= 1.0
        await self._answered()

    async def power_off(self, name: str) -> None:
        await self._actor(name).power_off()
        self.stage.tell_at(f"{name} is off")

    async def power_on(self, name: str) -> None:
        actor = self._actor(name)
        actor.stops_after_commit = False
        self.stage.tell_at(f"{name} is on")
        await actor.power_on()

    async def stop_after_commit(self, name: str) -> None:
        self._actor(name).stops_after_commit = True
        self.stage.tell(f"the next commit of {name} will be its last act")

    async def disk(self, name: str, state: str) -> None:
        self._actor(name).journal.full = state == "full"
        self.stage.tell(f"the disk of {name} {'is full' if state == 'full' else 'has room'}")

    async def clock(self, name: str, error: str) -> None:
        actor = self._actor(name)
        actor.clock.wall_ms = self.stage.clock.wall_ms + round(_seconds(error) * 1_000)
        self.stage.tell(f"the clock of {name} is {error} off")

    # --- writing and reading ---

    async def say(
        self,
        node: str,
        entity: str,
        value: str,
        *,
        by: str,
        scope: str = "public",
        confidence: str = "1",
        until: str = "",
    ) -> None:
        actor = self._actor(node)
        body: dict[str, Any] = {
            "entity": f"device:{entity}", "relation": "is", "value": {"type": "string", "v": value},
            "source": f"agent:{by}", "scope": scope, "confidence": float(confidence),
        }  # fmt: skip
        if until:
            body["valid_until"] = format_us(actor.clock.wall_ms * 1_000 + round(_seconds(until) * 1e6))
        status, answer = await actor.ask("POST", "/v1/facts", body)
        if status == 201:
            self.stage.tell(f"{node} answers 201: {self.stage.names.fact(answer['id'])}")
        else:
            self._refused(node, status, answer)

    async def retract(self, node: str, entity: str, value: str, *, by: str, scope: str = "public") -> None:
        await self.say(node, entity, value, by=by, scope=scope, confidence="0")

    async def facts(self, node: str, entity: str = "") -> None:
        query = f"?entity={quote(f'device:{entity}')}" if entity else ""
        status, answer = await self._actor(node).ask("GET", f"/v1/facts{query}")
        if status != 200:
            self._refused(node, status, answer)
            return
        shown = []
        for record in answer["facts"]:
            if not record["entity"].startswith("stigmem:") and record["confidence"] > 0:
                said = f"{self.stage.names.fact(record['id'])} {record['entity'].removeprefix('device:')}"
                shown.append(f"{said} {record['value']['v']}, by {record['source'].removeprefix('agent:')}")
        self.stage.tell(f"{node} shows: {'; '.join(shown) or 'nothing'}")

    async def resolve(self, node: str, entity: str, winner: str, *, note: str) -> None:
        actor = self._actor(node)
        _, listed = await actor.ask("GET", "/v1/conflicts")
        found = [each for each in listed["conflicts"] if each["fact_a"]["entity"] == f"device:{entity}"]
        body = {"winning_fact_id": self.stage.names.long(winner), "resolution_note": note}
        status, answer = await actor.ask("POST", f"/v1/conflicts/{found[0]['conflict_id']}/resolve", body)
        if status == 200:
            self.stage.tell(f"{node} answers 200: {self.stage.names.fact(answer['resolution_fact_id'])}")
        else:
            self._refused(node, status, answer)

    def _refused(self, node: str, status: int, answer: Any) -> None:
        if not status:
            self.stage.tell(f"{node} does not answer")
            return
        self.stage.tell(f"{node} answers {status}: {self.stage.names.shorten(answer['detail'])}")

    # --- peers ---

    async def join(self, *names: str, scopes: str = "public") -> None:
        lines = self.stage.take()
        for asker, at in pairwise(names):
            for one, other in ((asker, at), (at, asker)):
                await self.register(one, other, scopes=scopes)
                await self.approve(other, one)
        # Of a handshake that went well only the facts are told that were there at once.
        lines += [
            line
            for line in self.stage.take()
            if (" pulls from " in line and ": 401 " not in line) or " stores " in line
        ]
        for line in lines:
            self.stage.tell(line)
        for one, other in pairwise(names):
            self.stage.tell(f"{one} and {other} are peers for {scopes.replace(',', ' and ')}")

    async def register(self, asker: str, at: str, *, scopes: str = "public") -> None:
        one = self._actor(asker)
        made = declare(
            one.signer, node_id=one.node.node.node_id, node_url=one.url, scopes=tuple(scopes.split(",")),
            signed_at=format_us(one.clock.wall_ms * 1_000),
        )  # fmt: skip
        status, answer = await self._actor(at).ask("POST", PEERS, msgspec.to_builtins(made))
        if status == 201:
            self.stage.tell(f"{at} answers 201: {asker} is {answer['status']}")
        else:
            self._refused(at, status, answer)

    async def approve(self, node: str, peer: str) -> None:
        body = {"pubkey_fingerprint": fingerprint(self._actor(peer).signer.public_key)}
        await self._decide(node, peer, "approve", body)

    async def revoke(self, node: str, peer: str) -> None:
        await self._decide(node, peer, "revoke", None)

    async def _decide(self, node: str, peer: str, verb: str, body: Any) -> None:
        actor = self._actor(node)
        _, listed = await actor.ask("GET", PEERS)
        (row,) = [row for row in listed["peers"] if row["node_url"] == self._actor(peer).url]
        status, answer = await actor.ask("POST", f"{PEERS}/{row['peer_id']}/{verb}", body)
        if status == 200:
            self.stage.tell(f"{node} answers 200: {peer} is {answer['status']}")
        else:
            self._refused(node, status, answer)

    async def old(self, name: str) -> None:
        self._actor(name).is_old = True
        self.stage.tell(f"{name} speaks dialect 0.5, and its cursors are stamps compared as text")

    # --- the wire ---

    async def pull(
        self, asker: str, at: str, *, token: str, cursor: str = "", wait: str = "", scopes: str = "public"
    ) -> None:
        one, other = self._actor(asker), self._actor(at)
        if token not in self._tokens:
            self._tokens[token] = mint(
                one.signer, issuer=one.node.node.node_id, audience=other.node.node.node_id,
                scopes=tuple(scopes.split(",")), nonce=f"{asker}/{token}", now_ms=one.clock.wall_ms,
            )  # fmt: skip
        query = "?limit=100"
        if cursor:
            query += "&cursor=" + quote(self.stage.names.long(f"cursor {cursor}"))
        query += f"&wait={_seconds(wait):g}" if wait else ""
        headers = {"authorization": f"Bearer {self._tokens[token]}"}
        self._pending.append((at, other.node.begin(other.request("GET", PULL + query, headers=headers))))
        await self.stage.clock.settle()
        await self._answered()
        for name, _ in self._pending:
            self.stage.tell(f"{name} holds its answer")

    async def _answered(self) -> None:
        waiting = []
        for at, pending in self._pending:
            if pending.response is None:
                waiting.append((at, pending))
                continue
            body = json.loads(pending.response.body)
            if pending.response.status == 200:
                letters = " ".join(self.stage.names.fact(entry.get("fact", entry)["id"]) for entry in body["facts"])
                told = f"{letters or 'no facts'}; {self.stage.names.cursor(body['cursor'])}"
                self.stage.tell(f"{at} answers the pull with 200: {told}")
            else:
                self.stage.tell(f"{at} answers the pull with {pending.response.status}: {body['detail']}")
        self._pending = waiting

    async def spoil(self, asker: str, answerer: str, letter: str, *, value: str = "", scope: str = "") -> None:
        fact_id = self.stage.names.long(letter)

        def edit(page: dict[str, Any]) -> None:
            for entry in page["facts"]:
                fact = entry.get("fact", entry)
                if fact["id"] == fact_id:
                    fact["value"]["v"] = value or fact["value"]["v"]
                    fact["scope"] = scope or fact["scope"]

        self.stage.edits[asker, answerer] = edit
        self.stage.tell(f"on the way from {answerer} to {asker}, {letter} is changed")

    async def honest(self, asker: str, answerer: str) -> None:
        del self.stage.edits[asker, answerer]
        self.stage.tell(f"pages from {answerer} reach {asker} as they are")
