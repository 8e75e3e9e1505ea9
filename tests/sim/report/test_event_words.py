"""A failure is told with the events that concern whom it names, in words."""

from __future__ import annotations

from typing import Any

import pytest

from sim.report.event_words import concerning, event_line, names_in
from tests.sim.hostile import adversary, run_simulation
from tests.sim.small_runs import fault

SENT = [1_500_000_000, "sent", "north", "south", "GET /v1/federation/facts", 1_105, 77, 20_000_000]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (SENT, "north sends south GET /v1/federation/facts, 1,105 bytes, 20ms under way"),
        ([0, "sent", "south", "north", "response", 90, 7, 1_000_000], "south sends north an answer, 90 bytes, 1ms"),
        ([0, "committed", "north", 1, 80, 7], "north has stored 1 record (80 bytes)"),
        ([0, "dropped", "a", "b", "response", "loss"], "what a sent b is dropped by loss: an answer"),
        ([0, "booted", "north", 2, 131], "north has booted with 131 facts, boot 2"),
        ([0, "crash", "north", "torn"], "north loses power; what was not synced is torn"),
        ([0, "crash", "north", "nothing"], "north loses power"),
        ([0, "wiped", "west", 3], "the disk of west is wiped; 3 facts were nowhere else"),
        ([0, "fault begins", "cut", ["a", "b"]], "fault begins: cut (a, b)"),
        ([0, "violated", "audit", "the log had 3 rows"], "audit is violated: the log had 3 rows"),
        ([0, "of tomorrow", "a", 7, ["x"]], 'of tomorrow a 7 ["x"]'),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1],
)
def test_an_event_is_told_in_words(event: list[Any], words: str) -> None:
    assert words in event_line(event)


def test_an_event_is_told_in_seconds() -> None:
    assert event_line(SENT).startswith("      1.500000 s  north sends")


def test_only_words_of_their_own_are_names() -> None:
    names = ("north", "south", "nor", "mallory")
    assert names_in("south: accepted a spent token of mallory, in the north-west", names) == ["south", "mallory"]


def test_events_of_others_are_left_out_and_those_of_everybody_stay() -> None:
    cut, other = [0, "fault begins", "cut", ["west", "east"]], [0, "committed", "west", 1, 80, 7]
    ended = [0, "faults end"]
    assert concerning([cut, SENT, other, ended], ["south"]) == [SENT, ended]
    assert concerning([cut, SENT, other, ended], ["west"]) == [cut, other, ended]


def test_every_kind_of_event_that_a_run_writes_has_words() -> None:
    trouble = [
        fault("wipe", at="20s", node="west"),
        fault("partition", at="30s", for_="10s", groups=[["north"], ["south", "west"]]),
    ]
    simulation = run_simulation(*trouble, adversary("hasher"), signatures="stand-in", duration="50s")
    for event in simulation.trace.tail(400):
        assert f"  {event[1]} " not in event_line(event)
