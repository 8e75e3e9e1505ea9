"""A node that loses power at any commit skips nothing for a subscriber: whatever was acknowledged to a writer is told,
in order, under one event id however often."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import pytest

from sim.simulation.simulation import Simulation
from sim.world.disk import Fate
from sim.world.rpc import Wire
from sim.world.subscriber import TAKEN, Subscriber
from stigmem.core.wire import JSON_TYPE, Request, Response
from tests.sim.small_runs import S, approve, events, fault, make_simulation
from tests.sim.test_crash_everywhere import BOUNDARIES

WRITES = 6
AGAIN_NS = S // 2


class Followed:
    """A run in which a subscriber follows `a`, and a client writes there until each fact is acknowledged."""

    def __init__(self, *tables: str, duration: str = "30s") -> None:
        self.simulation = make_simulation(*tables, nodes=("a", "b"), duration=duration, settle="1m")
        self.subscriber = Subscriber("hook", Wire(self.simulation.network, self.simulation.directory))
        self.subscriber.answer = self._answer
        self.acknowledged: dict[str, None] = {}
        self.subscribed = False
        self._asked = 0
        world = self.simulation.world
        world.at(S // 2, self._subscribe)
        for number in range(WRITES):
            world.at((2 + number) * S + 1, self._write, f"text {number}")

    def _answer(self, request: Request) -> Response:
        """It takes some and fails at some."""
        self._asked += 1
        return Response(500) if self._asked % 3 == 0 else TAKEN

    def _subscribe(self, _: object) -> None:
        body = {"target": "public", "on_change": "webhook", "delivery_address": self.subscriber.url}

        def answered(response: Response) -> None:
            self.subscribed = response.status == 201

        if not self.subscribed:
            request = Request("POST", "/v1/subscriptions", dict(JSON_TYPE), msgspec.json.encode(body))
            self.simulation.machines["a"].console(request, answered)
            self.simulation.world.after(AGAIN_NS, self._subscribe)

    def _write(self, text: str) -> None:
        def answered(response: Any) -> None:
            if response.status == 201:
                self.acknowledged[text] = None

        if text not in self.acknowledged:
            self.simulation.clients.write(
                "a", f"stigmem://sim.example/note/{text[-1]}", "sim:claims", text, then=answered
            )
            self.simulation.world.after(AGAIN_NS, self._write, text)

    def run(self) -> Simulation:
        self.simulation.run()
        approve(self.simulation)
        return self.simulation


def judge(followed: Followed) -> None:
    """What the subscriber was told is what the node stored, in order; only the last fact told may come again."""
    node = followed.simulation.machines["a"].node
    assert node is not None
    (row,) = node.state.subscriptions.values()
    stored = [fact for fact in node.state.ledger.log[row.begins_after :] if fact.scope == "public"]
    told = [event["event_id"] for event in followed.subscriber.events]
    once = list(dict.fromkeys(told))
    assert told == [event for event in once for _ in range(told.count(event))], (
        "something came again after what follows"
    )
    names = [event["fact"]["id"] for event in followed.subscriber.events]
    assert list(dict.fromkeys(names)) == [fact.id for fact in stored]
    assert len(once) == len(stored)
    assert {fact.text for fact in stored} >= set(followed.acknowledged)
    assert node.state.deliveries[row.subscription_id].seq >= stored[-1].seq


def test_a_subscriber_hears_of_everything_over_a_lossy_wire() -> None:
    followed = Followed("[network]\nloss = 0.1\nduplicate = 0.1", duration="4m")
    followed.run()
    assert len(followed.acknowledged) == WRITES
    judge_doubled(followed)


def judge_doubled(followed: Followed) -> None:
    """As `judge` where the wire doubles packets, so that a copy may come late."""
    node = followed.simulation.machines["a"].node
    assert node is not None
    (row,) = node.state.subscriptions.values()
    stored = [fact.id for fact in node.state.ledger.log[row.begins_after :] if fact.scope == "public"]
    assert list(dict.fromkeys(event["fact"]["id"] for event in followed.subscriber.events)) == stored


@lru_cache
def undisturbed() -> int:
    """How often `a` commits before the faults end."""
    followed = Followed(fault("crash-at-commit", at="0s", node="a", commit=100_000))
    simulation = followed.run()
    judge(followed)
    assert len(followed.acknowledged) == WRITES
    return simulation.machines["a"].commits


@pytest.mark.slow
@pytest.mark.parametrize(("when", "fate"), BOUNDARIES)
def test_a_crash_at_any_commit_skips_nothing_that_was_acknowledged(when: str, fate: Fate | None) -> None:
    commits = undisturbed()
    assert commits > 2 * WRITES  # each fact has its own and that of its mark
    struck = 0
    for number in range(1, commits + 1):
        chosen: dict[str, object] = {"when": when} if fate is None else {"when": when, "fate": fate}
        followed = Followed(fault("crash-at-commit", at="0s", node="a", commit=number, down="700ms", **chosen))
        followed.run()
        struck += bool(events(followed.simulation, "crash"))
        assert len(followed.acknowledged) == WRITES, f"commit {number}"
        judge(followed)
    assert struck > 0.6 * commits
