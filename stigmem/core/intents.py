"""Intents: what somebody wants to happen, as ordinary facts, and how far it has come (spec/intents.md).

An intent is an *envelope*, written once by its sender, and the *acts* of those who work on it. Both are facts, so they
cross between nodes like all others, and nothing here is stored. This module turns an envelope into the statements that
are written (`statements`), facts back into an envelope (`envelope_of`) and acts (`acts_of`), and acts into a state
(`progress_of`).

The state is a function of the envelope, the set of acts and an instant. Acts are taken in the order of their stamps
(then origin, then id), whatever the order in which they arrived, so two nodes that hold the same facts say the same;
while a cut lasts, each says what follows from the acts that it has. An example: the recipient accepts on one side of a
cut and the same recipient's colleague refuses on the other. Each side sees its own act; after the cut both see both,
and the one with the lower stamp counts first on both.

Invariants:

* I1. Facts count for an envelope only if their author (source and origin) is that of the first `intent:from` that names
  its own source. Nobody adds a constraint to what another one sent; who tries is listed as a rival.
* I2. An act counts only if the envelope gives its source that part: a recipient accepts, refuses, does, consults and
  escalates; the one deferred to answers; the one escalated to decides as a recipient does.
* I3. `done`, `refused` and `expired` are final: later acts are kept, listed and change nothing.
* I4. What a clock that is ahead says is an order like any other: a stamp is never compared with the reader's clock, but
  for the envelope's own expiry and the timeout of a consultation, which are read against the stamp of the consultation.

Known wart: a source is a name that anybody may claim on another node, here as everywhere (LIMITATIONS.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from stigmem.core import limits
from stigmem.core.canonical import compact
from stigmem.core.fact import Fact
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise_filter
from stigmem.core.values import wire_value

__all__ = [
    "ACT_KINDS", "ACT_RELATION", "Act", "ActKind", "Artifact", "Constraint", "Consultation", "Deference", "Envelope",
    "EnvelopeBody", "Escalation", "Handoff", "IntentState", "Preference", "Progress", "Statement", "TypedValue",
    "act_text", "acts_of", "envelope_of", "progress_of", "statements",
]  # fmt: skip

ACT_RELATION: Final = "intent:act"
IntentState = Literal["open", "accepted", "deferred", "escalated", "done", "refused", "expired"]
FINAL: Final = ("done", "refused", "expired")
ActKind = Literal["accepted", "refused", "done", "consulted", "answered", "timed_out", "escalated"]
ACT_KINDS: Final[tuple[ActKind, ...]] = (
    "accepted", "refused", "done", "consulted", "answered", "timed_out", "escalated",
)  # fmt: skip

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.INTENT_WORD_CHARS_MAX)]
_Uri = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.INTENT_TEXT_CHARS_MAX)]


class TypedValue(msgspec.Struct, kw_only=True):
    """A value of one of the seven types, as in a fact."""

    type: str
    v: Any = None


class Constraint(msgspec.Struct, kw_only=True):
    """A hard limit: who cannot keep all of them escalates, and does not deliver a part."""

    kind: _Word
    limit: TypedValue
    unit: _Word | None = None


class Preference(msgspec.Struct, kw_only=True):
    """A wish, with a weight relative to the others'."""

    kind: _Word
    value: TypedValue
    weight: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0


class Deference(msgspec.Struct, kw_only=True):
    """Whom to ask before deciding, and after how many seconds without an answer to go on. `timeout_s`: None waits."""

    condition: _Text
    defer_to: _Uri
    timeout_s: Annotated[int, msgspec.Meta(ge=0, le=limits.INTENT_TIMEOUT_S_MAX)] | None = None


class Escalation(msgspec.Struct, kw_only=True):
    """Who decides when a recipient cannot."""

    escalate_to: _Uri
    channel: Literal["stigmem", "email", "slack"] = "stigmem"
    priority: Literal["low", "medium", "high", "critical"] = "medium"
    include_context: bool = True


class Artifact(msgspec.Struct, kw_only=True):
    """Something that is handed over by its address."""

    name: _Word
    ref: _Uri


class Handoff(msgspec.Struct, kw_only=True):
    """What the next one needs: a summary, and the facts (ids, content ids or entities) to begin from."""

    summary: _Text
    fact_refs: Annotated[list[_Uri], msgspec.Meta(min_length=1, max_length=limits.INTENT_LIST_MAX)]
    continuation: _Text | None = None
    artifacts: Annotated[list[Artifact], msgspec.Meta(max_length=limits.INTENT_LIST_MAX)] = []


class EnvelopeBody(msgspec.Struct, kw_only=True, rename={"sender": "from"}):
    """The members of an envelope that its sender gives."""

    sender: _Uri
    to: Annotated[list[_Uri], msgspec.Meta(min_length=1, max_length=limits.INTENT_LIST_MAX)]
    goal: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.INTENT_TEXT_CHARS_MAX)]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.INTENT_ID_CHARS_MAX)] | None = None
    scope: str = "company"
    expires_at: str | None = None
    constraint: Annotated[list[Constraint], msgspec.Meta(max_length=limits.INTENT_LIST_MAX)] = []
    preference: Annotated[list[Preference], msgspec.Meta(max_length=limits.INTENT_LIST_MAX)] = []
    deference: Annotated[list[Deference], msgspec.Meta(max_length=limits.INTENT_LIST_MAX)] = []
    escalation: Escalation | None = None
    handoff: Handoff | None = None


class Statement(NamedTuple):
    """A fact of an envelope before it is one: everything but its source, scope and expiry, which all share."""

    entity: str
    relation: str
    kind: str
    v: Any


class Envelope(NamedTuple):
    """An envelope as its facts say it. `origin`: the sender's node. `rivals`: other authors who wrote under its id."""

    body: EnvelopeBody
    origin: str
    created_us: int
    expires_us: int | None
    rivals: tuple[str, ...]


class Act(NamedTuple):
    """What somebody did about an intent. `rule`: place of the deference that it is about. `at_us`: by its stamp."""

    kind: ActKind
    by: str
    rule: int | None
    text: str | None
    at_us: int
    fact: Fact


class Consultation(msgspec.Struct, kw_only=True):
    """A question under a deference: who was asked and when, and how it ended. `times_out_at`: None when it waits."""

    rule: int
    defer_to: str
    consulted_at: str
    times_out_at: str | None
    outcome: Literal["waiting", "answered", "timed_out"]
    answer: str | None = None


class Progress(msgspec.Struct):
    """Where an intent stands. `acts`: those that counted, in order; `ignored`: the others."""

    state: IntentState
    acts: list[Act]
    ignored: list[Act]
    consultations: list[Consultation]
    escalated: Act | None


# --- envelope to statements ---


def statements(intent: str, body: EnvelopeBody) -> Iterator[Statement]:
    """The facts of an envelope, in the order in which they are written (http-api 7.2)."""
    yield Statement(intent, "intent:from", "ref", body.sender)
    yield Statement(intent, "intent:goal", "text", body.goal)
    for to in body.to:
        yield Statement(intent, "intent:to", "ref", to)
    yield from _listed_statements(intent, body)
    if body.escalation is not None:
        yield Statement(intent, "intent:escalation", "string", body.escalation.priority)
        yield Statement(intent, "intent:escalate_to", "ref", body.escalation.escalate_to)
        yield Statement(intent, "intent:escalation:channel", "string", body.escalation.channel)
        context = "true" if body.escalation.include_context else "false"
        yield Statement(intent, "intent:escalation:context", "string", context)
    if body.handoff is not None:
        yield from _handoff_statements(intent, body.to[0], body.handoff)


def _listed_statements(intent: str, body: EnvelopeBody) -> Iterator[Statement]:
    for number, constraint in enumerate(body.constraint):
        name = f"{intent}:constraint:{number}"
        yield Statement(name, "intent:constraint:kind", "string", constraint.kind)
        yield Statement(name, "intent:constraint:limit", constraint.limit.type, constraint.limit.v)
        if constraint.unit is not None:
            yield Statement(name, "intent:constraint:unit", "string", constraint.unit)
        yield Statement(intent, "intent:constraint", "ref", name)
    for number, preference in enumerate(body.preference):
        name = f"{intent}:preference:{number}"
        yield Statement(name, "intent:preference:kind", "string", preference.kind)
        yield Statement(name, "intent:preference:value", preference.value.type, preference.value.v)
        yield Statement(name, "intent:preference:weight", "number", preference.weight)
        yield Statement(intent, "intent:preference", "ref", name)
    for number, deference in enumerate(body.deference):
        name = f"{intent}:deference:{number}"
        yield Statement(name, "intent:deference:condition", "text", deference.condition)
        yield Statement(name, "intent:deference:defer_to", "ref", deference.defer_to)
        if deference.timeout_s is not None:
            yield Statement(name, "intent:deference:timeout_s", "number", deference.timeout_s)
        yield Statement(intent, "intent:deference", "ref", name)


def _handoff_statements(intent: str, to: str, handoff: Handoff) -> Iterator[Statement]:
    yield Statement(intent, "intent:handoff_to", "ref", to)
    yield Statement(intent, "intent:handoff_summary", "text", handoff.summary)
    for ref in handoff.fact_refs:
        yield Statement(intent, "intent:context_ref", "ref", ref)
    if handoff.continuation is not None:
        yield Statement(intent, "intent:continuation", "text", handoff.continuation)
    for number, artifact in enumerate(handoff.artifacts):
        name = f"{intent}:artifact:{number}"
        yield Statement(name, "intent:artifact:name", "string", artifact.name)
        yield Statement(name, "intent:artifact:ref", "ref", artifact.ref)
        yield Statement(intent, "intent:artifact", "ref", name)


# --- facts to envelope ---


def envelope_of(intent: str, facts_of: Callable[[str], Iterable[Fact]]) -> Envelope | None:
    """The envelope of an id, or None. `facts_of`: the facts of an entity that stand for the reader, in any order.

    A part whose facts did not all arrive yet is left out; without sender, goal and a recipient there is no envelope.
    """
    facts = sorted(facts_of(intent))
    senders = [fact for fact in facts if fact.relation == "intent:from" and _names(fact) == fact.source]
    if not senders:
        return None
    first = senders[0]
    author = (first.source, first.origin, first.scope)
    rivals = tuple(dict.fromkeys(fact.source for fact in facts if _rivals(fact, author)))

    def said(entity: str) -> dict[str, list[Fact]]:
        """What the author says of an entity, by relation, in the order in which it was said."""
        by_relation: dict[str, list[Fact]] = {}
        for fact in facts if entity == intent else sorted(facts_of(entity)):
            if (fact.source, fact.origin, fact.scope) == author:
                by_relation.setdefault(fact.relation, []).append(fact)
        return by_relation

    own = said(intent)
    if "intent:goal" not in own or "intent:to" not in own:
        return None
    mine = [fact for group in own.values() for fact in group if fact.relation != ACT_RELATION]
    expires_us = min((fact.expires_us for fact in mine if fact.expires_us is not None), default=None)
    body = EnvelopeBody(
        sender=first.source,
        to=[fact.text for fact in own["intent:to"]],
        goal=own["intent:goal"][-1].text,
        id=intent,
        scope=first.scope,
        expires_at=None if expires_us is None else format_us(expires_us),
        constraint=_children(own, "intent:constraint", said, _constraint),
        preference=_children(own, "intent:preference", said, _preference),
        deference=_children(own, "intent:deference", said, _deference),
        escalation=_escalation(own),
        handoff=_handoff(own, said),
    )
    return Envelope(body, first.origin, min(fact.timestamp_us for fact in mine), expires_us, rivals)


def _names(fact: Fact) -> str:
    return normalise_filter(fact.text)


def _rivals(fact: Fact, author: tuple[str, str, str]) -> bool:
    return fact.relation != ACT_RELATION and (fact.source, fact.origin, fact.scope) != author


_Said = dict[str, list[Fact]]
T = TypeVar("T")


def _children(own: _Said, relation: str, said: Callable[[str], _Said], read: Callable[[_Said], T | None]) -> list[T]:
    """The parts of a list, in the order in which they were named; each at most once."""
    names = dict.fromkeys(fact.text for fact in own.get(relation, ()))
    found = (read(said(name)) for name in names)
    return [each for each in found if each is not None]


def _one(said: _Said, relation: str) -> Fact | None:
    found = said.get(relation)
    return found[-1] if found else None


def _text(said: _Said, relation: str) -> str | None:
    found = _one(said, relation)
    return None if found is None else found.text


def _typed(fact: Fact) -> TypedValue:
    wire = wire_value(fact.kind, fact.text, fact.interpret_as)
    return TypedValue(type=wire["type"], v=wire["v"])


def _number(said: _Said, relation: str) -> float | None:
    found = _one(said, relation)
    return float(found.text) if found is not None and found.kind == "number" else None


def _constraint(said: _Said) -> Constraint | None:
    kind, limit = _text(said, "intent:constraint:kind"), _one(said, "intent:constraint:limit")
    if kind is None or limit is None:
        return None
    return Constraint(kind=kind, limit=_typed(limit), unit=_text(said, "intent:constraint:unit"))


def _preference(said: _Said) -> Preference | None:
    kind, value = _text(said, "intent:preference:kind"), _one(said, "intent:preference:value")
    weight = _number(said, "intent:preference:weight")
    if kind is None or value is None:
        return None
    return Preference(kind=kind, value=_typed(value), weight=1.0 if weight is None else weight)


def _deference(said: _Said) -> Deference | None:
    condition, defer_to = _text(said, "intent:deference:condition"), _text(said, "intent:deference:defer_to")
    timeout = _number(said, "intent:deference:timeout_s")
    if condition is None or defer_to is None:
        return None
    # Another node's number may be anything.
    timeout_s = None if timeout is None else int(min(max(timeout, 0.0), limits.INTENT_TIMEOUT_S_MAX))
    return Deference(condition=condition, defer_to=defer_to, timeout_s=timeout_s)


def _escalation(own: _Said) -> Escalation | None:
    to = _text(own, "intent:escalate_to")
    if to is None:
        return None
    found = {
        "escalate_to": to,
        "channel": _text(own, "intent:escalation:channel"),
        "priority": _text(own, "intent:escalation"),
    }
    members: dict[str, Any] = {name: text for name, text in found.items() if text is not None}
    members["include_context"] = _text(own, "intent:escalation:context") != "false"
    try:
        return msgspec.convert(members, Escalation)
    except msgspec.ValidationError:  # another node's words: a priority that is none of the four
        return Escalation(escalate_to=to, include_context=members["include_context"])


def _handoff(own: _Said, said: Callable[[str], _Said]) -> Handoff | None:
    summary = _text(own, "intent:handoff_summary")
    if summary is None:
        return None
    return Handoff(
        summary=summary,
        fact_refs=[fact.text for fact in own.get("intent:context_ref", ())],
        continuation=_text(own, "intent:continuation"),
        artifacts=_children(own, "intent:artifact", said, _artifact),
    )


def _artifact(said: _Said) -> Artifact | None:
    name, ref = _text(said, "intent:artifact:name"), _text(said, "intent:artifact:ref")
    return None if name is None or ref is None else Artifact(name=name, ref=ref)


# --- acts ---


class _ActText(msgspec.Struct, omit_defaults=True):
    """The value of an act's fact. `n`: how many acts of this author came before, since an author who says the same
    again in a slot of many values says nothing new."""

    kind: ActKind
    n: int = 0
    rule: int | None = None
    text: str | None = None


_read_act: Final = msgspec.json.Decoder(_ActText).decode


def act_text(kind: ActKind, n: int, rule: int | None, text: str | None) -> str:
    """The value of the fact that states an act."""
    return compact(msgspec.to_builtins(_ActText(kind, n, rule, text))).decode()


def acts_of(facts: Iterable[Fact], scope: str) -> list[Act]:
    """The acts among the facts of an intent that stand, in order. What cannot be read is no act."""
    found = []
    for fact in sorted(facts):
        if fact.relation != ACT_RELATION or fact.scope != scope:
            continue
        try:
            said = _read_act(fact.text)
        except msgspec.MsgspecError:
            continue
        found.append(Act(said.kind, fact.source, said.rule, said.text, fact.wall_ms * 1_000, fact))
    return found


class _Fold:
    """Taking acts one after the other."""

    def __init__(self, envelope: Envelope) -> None:
        body = envelope.body
        self.state: IntentState = "open"
        self.escalated: Act | None = None
        self.consultations: dict[int, Consultation] = {}
        self._rules = body.deference
        self._recipients = dict.fromkeys(normalise_filter(to) for to in body.to)
        self._escalate_to = None if body.escalation is None else normalise_filter(body.escalation.escalate_to)
        self._refusers: dict[str, None] = {}
        self._due_us: dict[int, int | None] = {}

    def take(self, act: Act) -> bool:
        """Whether the act counted."""
        if self.state in FINAL:
            return False
        if act.kind in ("consulted", "answered", "timed_out"):
            return self._consult(act)
        if not self._decides(act.by):
            return False
        if act.kind == "escalated":
            if self._escalate_to is None or self.escalated is not None:
                return False
            self.escalated, self.state = act, "escalated"
        elif act.kind == "refused":
            self._refuse(act.by)
        else:
            self.state = "done" if act.kind == "done" else "accepted"
        return True

    def _decides(self, by: str) -> bool:
        """Whether this source works on the intent: a recipient that has not refused, or who was escalated to."""
        was_asked = self.escalated is not None and by == self._escalate_to
        return was_asked or (by in self._recipients and by not in self._refusers)

    def _refuse(self, by: str) -> None:
        self._refusers[by] = None
        is_last = all(each in self._refusers for each in self._recipients)
        # Once it was escalated, only who was escalated to ends it.
        if is_last if self.escalated is None else by == self._escalate_to:
            self.state = "refused"

    def _consult(self, act: Act) -> bool:
        if act.rule is None or not 0 <= act.rule < len(self._rules):
            return False
        rule, held = self._rules[act.rule], self.consultations.get(act.rule)
        if act.kind == "consulted":
            if held is not None or not self._decides(act.by):
                return False
            due_us = None if rule.timeout_s is None else act.at_us + rule.timeout_s * 1_000_000
            self._due_us[act.rule] = due_us
            self.consultations[act.rule] = Consultation(
                rule=act.rule,
                defer_to=rule.defer_to,
                consulted_at=format_us(act.at_us),
                times_out_at=None if due_us is None else format_us(due_us),
                outcome="waiting",
            )
            return True
        if held is None or held.outcome != "waiting":
            return False
        if act.kind == "answered":
            if act.by != normalise_filter(rule.defer_to):
                return False
            held.outcome, held.answer = "answered", act.text
            return True
        due_us = self._due_us[act.rule]
        if not self._decides(act.by) or due_us is None or act.at_us < due_us:
            return False
        held.outcome = "timed_out"
        return True


def progress_of(envelope: Envelope, acts: Sequence[Act], now_us: int) -> Progress:
    """Where an intent stands at an instant, in microseconds since the epoch. `acts`: in any order."""
    fold = _Fold(envelope)
    counted: list[Act] = []
    ignored: list[Act] = []
    ends_us = envelope.expires_us
    for act in sorted(acts, key=lambda each: each.fact):
        in_time = ends_us is None or act.at_us < ends_us
        (counted if in_time and fold.take(act) else ignored).append(act)
    state = fold.state
    consultations = [fold.consultations[rule] for rule in sorted(fold.consultations)]
    if state not in FINAL:
        if ends_us is not None and now_us >= ends_us:
            state = "expired"
        elif state != "escalated" and any(each.outcome == "waiting" for each in consultations):
            state = "deferred"
    return Progress(state, counted, ignored, consultations, fold.escalated)
