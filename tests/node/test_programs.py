"""Random programs of writes, batches, pushes and resolutions, many of them in one turn: the last word of a source on a
slot takes effect, no stamp is issued twice, and a restart shows the same."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from stigmem.core.audit import verify
from stigmem.core.fact import Fact
from stigmem.core.wire import Request, Response
from stigmem.node.node import Node
from stigmem.node.settings import NodeSettings
from tests.node.api import NOW_MS, SEED, WRITER, Peer, ask, read, saying
from tests.node.still import Bench, running
from tests.node.test_api_push import PUSH, entry, fact

SETTINGS = NodeSettings(seed=SEED, federation=True, push=True, pull_burst=1e9)
EVERYTHING = "/v1/facts?limit=500&include_contradicted=true&include_expired=true"


def word(random: Random) -> dict[str, Any]:
    """An assertion or a retraction about one of two things."""
    denies = random.random() < 0.4
    return saying(
        "no" if denies else random.choice("xyz"), entity=random.choice(("e:1", "e:2")), relation="m:s",
        confidence=0.0 if denies else 1.0, source=random.choice(("s:1", "s:2")),
    )  # fmt: skip


class Program:
    """What is asked of a node in one turn, and about what somebody decided in it."""

    def __init__(self, bench: Bench, random: Random, peers: list[Peer]) -> None:
        self._bench, self._random, self._peers = bench, random, peers
        self.requests: list[Request] = []
        self.words: list[tuple[int, list[dict[str, Any]]]] = []
        self.settled: dict[str, None] = {}
        for _ in range(random.choice((1, 1, 2, 3, 6))):
            random.choice((self._write, self._write, self._batch, self._push, self._resolve))()

    def _post(self, target: str, body: Any, **headers: str) -> None:
        self.requests.append(Request("POST", target, headers, json.dumps(body).encode()))

    def _write(self) -> None:
        said = word(self._random)
        self.words.append((len(self.requests), [said]))
        self._post("/v1/facts", said)

    def _batch(self) -> None:
        said = [word(self._random) for _ in range(self._random.randint(1, 4))]
        self.words.append((len(self.requests), said))
        self._post("/v1/facts/batch", {"facts": said})

    def _push(self) -> None:
        peer, random = self._random.choice(self._peers), self._random
        ahead_ms = self._bench.wall_ms - NOW_MS + random.choice((-2_000, 0, 3_000))
        entity, confidence = random.choice(("e:1", "e:2")), random.choice((1.0, 0.0))
        made = fact(peer, 1, ahead_ms=ahead_ms, entity=entity, text=random.choice("xyz"), confidence=confidence)
        self._post(PUSH, {"facts": [entry(peer, made)]}, authorization=f"Bearer {peer.token()}")

    def _resolve(self) -> None:
        conflicts = [each for each in self._bench.node.state.conflicts.all() if each.status == "unresolved"]
        if conflicts:
            conflict = self._random.choice(conflicts)
            self.settled[conflict.slot[0]] = None
            winner = self._random.choice(conflict.members).id
            self._post(f"/v1/conflicts/{conflict.id}/resolve", {"winning_fact_id": winner})

    def last_words(self, answers: list[Response]) -> list[tuple[bool, str]]:
        """Of each entity and source, whether its last word asserts something, and the id of the fact that answered."""
        found = {}
        for number, said in self.words:
            body = json.loads(answers[number].body)
            ids = [result["fact_id"] for result in body["results"]] if "results" in body else [body["id"]]
            for each, fact_id in zip(said, ids, strict=True):
                found[each["entity"], each["source"]] = each["confidence"] > 0, fact_id
        return [last for (entity, _), last in found.items() if entity not in self.settled]


async def together(bench: Bench, requests: list[Request]) -> list[Response]:
    """The answers to requests that are in the mailbox at once."""
    return await bench.ask_all(requests, WRITER)


async def run_some(bench: Bench, node: Node, random: Random, peers: list[Peer], turns: int) -> None:
    ledger = node.state.ledger
    for _ in range(turns):
        bench.monotonic_ms += 60_000
        bench.wall_ms += random.choice((0, 1, 1, 7, -3_000))
        program = Program(bench, random, peers)
        if not program.requests:
            continue
        answers = await together(bench, program.requests)
        assert {answer.status for answer in answers} <= {200, 201, 202, 404, 409, 422}
        for asserts, fact_id in program.last_words(answers):
            held = ledger.get(fact_id)
            assert held is not None
            if asserts:
                assert ledger.live(held)
            else:
                own = [f for f in ledger.facts_of(held.slot) if (f.source, f.origin) == (held.source, node.node_id)]
                assert not [f for f in own if ledger.live(f)]


async def shown(bench: Bench) -> list[Any]:
    targets = (EVERYTHING, "/v1/facts?limit=500", "/v1/conflicts?limit=500")
    facts, standing, conflicts = [read(await ask(bench, "GET", target)) for target in targets]
    return [facts, standing, sorted(conflicts["conflicts"], key=lambda each: str(each["conflict_id"]))]


@pytest.mark.parametrize("seed", range(40))
async def test_the_last_word_takes_effect_however_much_happens_in_one_turn(seed: int) -> None:
    random, bench = Random(seed), Bench(NOW_MS)
    peers = [Peer(bench, number) for number in (1, 2)]
    async with running(bench, SETTINGS) as node:
        await run_some(bench, node, random, peers, 10)
        before = await shown(bench)
    async with running(bench, SETTINGS) as node:
        assert await shown(bench) == before
        bench.wall_ms -= random.choice((0, 5_000, 600_000))
        await run_some(bench, node, random, peers, 4)
    own = [record.stamp for record in bench.records if isinstance(record, Fact) and record.received_from is None]
    assert own == sorted(set(own))
    assert verify(bench.audit_rows)[1] is None
