"""Intents as a pure function of facts: envelopes come back as they were sent, and nobody's order of arrival matters."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp as stamp_of
from stigmem.core.intents import (
    ACT_RELATION,
    ActKind,
    Envelope,
    EnvelopeBody,
    Progress,
    act_text,
    acts_of,
    envelope_of,
    progress_of,
    statements,
)
from stigmem.core.timestamps import parse_us
from stigmem.core.values import parse_value

NOW_MS = 1_795_161_344_000
PLANNER, FITTER, COOK, LAWYER, BOSS = "a:planner", "a:fitter", "a:cook", "a:lawyer", "a:boss"
INTENT = "intent:1"
FULL: dict[str, Any] = {
    "from": PLANNER,
    "to": [FITTER, COOK],
    "goal": "Replace the seal",
    "id": INTENT,
    "scope": "company",
    "constraint": [
        {"kind": "budget", "limit": {"type": "number", "v": 250.0}, "unit": "EUR"},
        {"kind": "quiet", "limit": {"type": "boolean", "v": True}},
        {"kind": "nothing", "limit": {"type": "null"}},
        {"kind": "by", "limit": {"type": "datetime", "v": "2026-12-01T00:00:00Z"}},
    ],
    "preference": [
        {"kind": "zeta", "value": {"type": "text", "v": "5"}, "weight": 0.25},
        {"kind": "alpha", "value": {"type": "number", "v": 5.0}},
    ],
    "deference": [
        {"condition": "cost > 100", "defer_to": LAWYER, "timeout_s": 60},
        {"condition": "x", "defer_to": BOSS},
    ],
    "escalation": {"escalate_to": BOSS, "priority": "critical", "include_context": False, "channel": "email"},
    "handoff": {
        "summary": "Leak at the inlet",
        "fact_refs": ["b:2", "a:1", "c:3"],
        "continuation": "go on",
        "artifacts": [{"name": "plan", "ref": "file:plan"}],
    },
}


def fact(number: int, source: str, entity: str, relation: str, kind: str, v: Any, **changes: Any) -> Fact:
    """The fact of this number, written that many seconds after the beginning."""
    value = parse_value(kind, v)
    made = Fact(
        stamp=stamp_of(NOW_MS + number * 1_000, 0),
        origin="node:one",
        id=f"{number:04d}",
        entity=entity,
        relation=relation,
        scope="company",
        source=source,
        kind=value.kind,
        text=value.text,
        interpret_as="content",
        confidence=1.0,
        timestamp_us=(NOW_MS + number * 1_000) * 1_000,
        valid_until=None,
    )
    return msgspec.structs.replace(made, **changes)


def sent(members: dict[str, Any], **changes: Any) -> list[Fact]:
    """The facts of an envelope, all written in the first second."""
    body = msgspec.convert(members, EnvelopeBody)
    facts = [
        fact(0, body.sender, each.entity, each.relation, each.kind, each.v, id=f"0-{number:03d}")
        for number, each in enumerate(statements(INTENT, body))
    ]
    stamped = [msgspec.structs.replace(each, stamp=each.stamp + number) for number, each in enumerate(facts)]
    return [msgspec.structs.replace(each, **changes) for each in stamped]


def envelope(facts: Iterable[Fact]) -> Envelope | None:
    held = list(facts)
    return envelope_of(INTENT, lambda entity: [each for each in held if each.entity == entity])


def act(number: int, by: str, kind: ActKind, rule: int | None = None, text: str | None = None) -> Fact:
    return fact(number, by, INTENT, ACT_RELATION, "text", act_text(kind, number, rule, text))


def stands(*acts: Fact, at_s: float = 10_000, members: dict[str, Any] = FULL, **changes: Any) -> Progress:
    """Where the intent stands that many seconds after the beginning."""
    found = envelope(sent(members, **changes))
    assert found is not None
    return progress_of(found, acts_of(acts, "company"), int((NOW_MS + at_s * 1_000) * 1_000))


def test_an_envelope_comes_back_as_it_was_sent_with_types_and_order_in_whatever_order_its_facts_arrive() -> None:
    facts = sent(FULL)
    random.Random(1).shuffle(facts)
    found = envelope(facts)
    assert found is not None
    assert msgspec.to_builtins(found.body) == msgspec.to_builtins(msgspec.convert(FULL, EnvelopeBody))
    assert (found.origin, found.created_us, found.expires_us, found.rivals) == ("node:one", NOW_MS * 1_000, None, ())


def test_without_sender_goal_or_recipient_there_is_no_envelope() -> None:
    facts = sent(FULL)
    for relation in ("intent:from", "intent:goal", "intent:to"):
        assert envelope(each for each in facts if each.relation != relation) is None


def test_nobody_adds_to_what_another_one_sent() -> None:
    own = sent(FULL)
    forged = [
        fact(5, "a:mallory", INTENT, "intent:to", "ref", "a:mallory"),
        fact(6, PLANNER, INTENT, "intent:goal", "text", "Give it all to mallory", origin="node:two"),
        fact(7, "a:mallory", f"{INTENT}:constraint:0", "intent:constraint:limit", "number", 1e9),
        fact(8, "a:mallory", INTENT, "intent:from", "ref", PLANNER),
    ]
    before, after = envelope(own), envelope([*own, *forged])
    assert before is not None
    assert after is not None
    assert after.body == before.body
    assert after.rivals == ("a:mallory", PLANNER)


def test_the_earliest_expiry_of_its_facts_is_that_of_the_envelope() -> None:
    found = envelope(sent(FULL, valid_until="2026-12-24T00:00:00Z"))
    assert found is not None
    assert found.expires_us == parse_us("2026-12-24T00:00:00Z")


def test_a_recipient_accepts_and_does_it() -> None:
    assert stands().state == "open"
    assert stands(act(1, FITTER, "accepted")).state == "accepted"
    found = stands(act(1, FITTER, "accepted"), act(2, FITTER, "done", text="sealed"), act(3, COOK, "refused"))
    assert found.state == "done"
    assert [each.by for each in found.ignored] == [COOK]


def test_it_is_refused_when_every_recipient_has_refused_it() -> None:
    assert stands(act(1, FITTER, "refused")).state == "open"
    assert stands(act(1, FITTER, "refused"), act(2, FITTER, "done")).state == "open"
    assert stands(act(1, FITTER, "refused"), act(2, COOK, "refused")).state == "refused"


def test_strangers_do_nothing() -> None:
    strangers = [act(number, "a:mallory", kind) for number, kind in enumerate(("accepted", "done", "escalated"), 1)]
    assert (stands(*strangers).state, len(stands(*strangers).ignored)) == ("open", 3)
    assert stands(act(1, BOSS, "done")).state == "open"
    assert stands(act(1, PLANNER, "done")).state == "open"


def test_a_consultation_defers_until_it_is_answered_by_who_was_asked() -> None:
    asked = act(10, FITTER, "consulted", 0)
    assert stands(asked).state == "deferred"
    assert stands(asked, act(11, "a:mallory", "answered", 0, "yes")).state == "deferred"
    assert stands(asked, act(11, LAWYER, "answered", 1, "yes")).state == "deferred"
    found = stands(act(1, FITTER, "accepted"), asked, act(11, LAWYER, "answered", 0, "yes"))
    assert (found.state, found.consultations[0].outcome, found.consultations[0].answer) == (
        "accepted",
        "answered",
        "yes",
    )
    assert stands(act(9, LAWYER, "answered", 0, "before it was asked"), asked).state == "deferred"


def test_a_consultation_times_out_at_its_timeout_and_not_a_second_earlier() -> None:
    asked = act(10, FITTER, "consulted", 0)
    assert stands(asked, act(69, FITTER, "timed_out", 0)).state == "deferred"
    found = stands(asked, act(70, FITTER, "timed_out", 0), act(71, LAWYER, "answered", 0, "late"))
    assert (found.state, found.consultations[0].outcome, len(found.ignored)) == ("open", "timed_out", 1)
    assert stands(act(10, FITTER, "consulted", 1), act(9_000, FITTER, "timed_out", 1)).state == "deferred"


def test_after_an_escalation_who_was_escalated_to_decides() -> None:
    up = act(1, FITTER, "escalated", text="the budget is too small")
    found = stands(up)
    assert found.state == "escalated"
    assert found.escalated is not None
    assert found.escalated.text == "the budget is too small"
    assert stands(up, act(2, BOSS, "refused")).state == "refused"
    assert stands(up, act(2, BOSS, "accepted"), act(3, FITTER, "done")).state == "done"
    assert stands(up, act(2, FITTER, "refused"), act(3, COOK, "refused")).state == "escalated"
    nobody = {name: member for name, member in FULL.items() if name != "escalation"}
    assert stands(up, members=nobody).state == "open"


def test_it_expires_at_its_instant_and_nothing_counts_after_it() -> None:
    ends = {"valid_until": "2026-11-21T05:09:04Z"}
    ends_s = (parse_us(ends["valid_until"]) // 1_000 - NOW_MS) / 1_000
    assert stands(at_s=ends_s - 0.001, **ends).state == "open"
    assert stands(at_s=ends_s, **ends).state == "expired"
    assert stands(act(int(ends_s) - 1, FITTER, "done"), at_s=ends_s, **ends).state == "done"
    assert stands(act(int(ends_s), FITTER, "done"), at_s=ends_s, **ends).state == "expired"


def test_what_is_no_act_is_none() -> None:
    odd = [
        fact(1, FITTER, INTENT, ACT_RELATION, "text", text)
        for text in (
            "",
            "done",
            "[]",
            '{"kind":"won"}',
            '{"kind":"done","n":"x"}',
            '{"kind":"done","rule":[1]}',
            "\ud7ff",
        )
    ]
    assert acts_of(odd, "company") == []
    assert stands(fact(1, FITTER, INTENT, ACT_RELATION, "text", '{"kind":"consulted","n":1,"rule":99}')).state == "open"
    elsewhere = fact(1, FITTER, INTENT, ACT_RELATION, "text", act_text("done", 0, None, None), scope="public")
    assert stands(elsewhere).state == "open"


def test_numbers_of_another_node_may_be_anything() -> None:
    for number in (-1e300, 1e300, 0.5):
        facts = [
            msgspec.structs.replace(each, text=repr(number)) if each.relation == "intent:deference:timeout_s" else each
            for each in sent(FULL)
        ]
        found = envelope(facts)
        assert found is not None
        assert (
            progress_of(found, acts_of([act(1, FITTER, "consulted", 0)], "company"), NOW_MS * 1_000).state == "deferred"
        )


PEOPLE = st.sampled_from((PLANNER, FITTER, COOK, LAWYER, BOSS, "a:mallory"))
KINDS = st.sampled_from(("accepted", "refused", "done", "consulted", "answered", "timed_out", "escalated"))
ACTS = st.lists(st.tuples(PEOPLE, KINDS, st.sampled_from((None, 0, 1, 2))), max_size=12)


@given(ACTS, st.randoms(use_true_random=False), st.integers(0, 200))
def test_two_nodes_that_hold_the_same_facts_say_the_same_whatever_the_order_and_however_often(
    drawn: list[tuple[str, ActKind, int | None]], order: random.Random, at_s: int
) -> None:
    acts = [act(number * 15, by, kind, rule) for number, (by, kind, rule) in enumerate(drawn)]
    again = acts[:]
    order.shuffle(again)
    one, other = stands(*acts, at_s=at_s), stands(*again, at_s=at_s)
    assert one == other
    assert len(one.acts) + len(one.ignored) == len(acts)


@given(ACTS)
def test_what_is_over_stays_over(drawn: list[tuple[str, ActKind, int | None]]) -> None:
    acts = [act(number * 15, by, kind, rule) for number, (by, kind, rule) in enumerate(drawn)]
    states = [stands(*acts[:count]).state for count in range(len(acts) + 1)]
    for before, after in itertools.pairwise(states):
        assert before not in ("done", "refused") or after == before
