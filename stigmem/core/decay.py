"""Decay: what time does to how far a fact is believed, as a reading (http-api 3.8, 6.2).

A fact never changes. What a reader of this node is told of its confidence and expiry is a function of the fact, the
operator's policies and the instant:

* a policy of mode `confidence` halves the confidence every `half_life_s`, down to `min_confidence` and never up;
* a **sweep** ends facts here and now: it leaves one local record for each (`stigmem.core.records.SweptFact`), which is
  no fact, goes to no peer, and brings a fact's end forward but never back. A policy of mode `retract` names what a
  sweep ends by its age, and of the node's own facts takes back; without policies the two thresholds of `Thresholds`
  name what ends.

The policy of a fact is the most specific one that fits: an exact relation before a prefix (the longer before the
shorter) before `*`, and an exact scope before `*`; of equals the first in the operator's list. Facts in the reserved
spaces `stigmem:` and `rel:` never decay. Of which no policy speaks, a half-life in the schema of the relation fades.

Example: with a half-life of an hour, a fact of 0.8 is read as 0.2 after two hours, on this node; its peers, and its
content id, know nothing of it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Protocol

import msgspec

from stigmem.core.fact import Fact

__all__ = ["DecayPolicies", "DecayPolicy", "HalfLives", "Thresholds", "read_policies"]

_POLICIES_MAX: Final = 1_000
_Seconds = Annotated[float, msgspec.Meta(gt=0.0, le=1e10)]


class DecayPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. `relation`: exact, a prefix and `*`, or `*`. `ttl_s`: the age at which mode `retract` ends a fact;
    `half_life_s`: that of mode `confidence`. Mode `dry_run` only counts what mode `retract` would end."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    relation: Annotated[str, msgspec.Meta(min_length=1)] = "*"
    scope: Literal["local", "team", "company", "public", "*"] = "*"
    mode: Literal["retract", "confidence", "dry_run"]
    ttl_s: _Seconds | None = None
    half_life_s: _Seconds | None = None
    min_confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    exempt_relations: tuple[str, ...] = ()

    def fits(self, fact: Fact) -> bool:
        """Whether the rule speaks of this fact."""
        named = self.relation in ("*", fact.relation) or (
            self.relation.endswith("*") and fact.relation.startswith(self.relation[:-1])
        )
        return named and self.scope in ("*", fact.scope) and fact.relation not in self.exempt_relations

    @property
    def precedence(self) -> tuple[int, int, int]:
        """Sorts the most specific rule first."""
        wild = self.relation.endswith("*")
        return (int(wild), -len(self.relation) if wild else 0, int(self.scope == "*"))


class Thresholds(msgspec.Struct, frozen=True):
    """What a sweep without policies ends: facts without an expiry that are at least `ttl_s` old, and facts that are
    less sure than `min_confidence`. None for neither."""

    ttl_s: float | None
    min_confidence: float | None

    def ends(self, fact: Fact, confidence: float, now_us: int) -> bool:
        """Whether a live fact of this confidence is ended."""
        if self.ttl_s is not None and fact.valid_until is None and now_us - fact.timestamp_us >= 1e6 * self.ttl_s:
            return True
        return self.min_confidence is not None and 0.0 < confidence < self.min_confidence


class HalfLives(Protocol):
    """What schemas of relations say about fading (`stigmem.core.schemas.SchemaBook`)."""

    def __len__(self) -> int: ...

    def half_life_s(self, relation: str) -> float | None: ...


class DecayPolicies:
    """The operator's rules, most specific first, and below them what the schemas of relations say."""

    def __init__(self, policies: tuple[DecayPolicy, ...], half_lives: HalfLives) -> None:
        self._policies = sorted(policies, key=lambda policy: policy.precedence)
        self._half_lives = half_lives

    def __bool__(self) -> bool:
        """Whether a confidence may be read to be another one than was stated."""
        return bool(self._policies or len(self._half_lives))

    def named(self, policy_id: str) -> DecayPolicy | None:
        return next((policy for policy in self._policies if policy.id == policy_id), None)

    def of(self, fact: Fact) -> DecayPolicy | None:
        """The rule of a fact, or None."""
        if not self._policies or fact.is_system or fact.relation.startswith("rel:"):
            return None
        return next((policy for policy in self._policies if policy.fits(fact)), None)

    def confidence(self, fact: Fact, now_us: int) -> float:
        """How sure a fact is read to be at an instant."""
        policy = self.of(fact)
        if policy is None:
            fades = not fact.is_system and not fact.relation.startswith("rel:")
            half_life_s, least = self._half_lives.half_life_s(fact.relation) if fades else None, 0.0
        else:
            half_life_s = policy.half_life_s if policy.mode == "confidence" else None
            least = policy.min_confidence
        if half_life_s is None:
            return fact.confidence
        age_s = max(0, now_us - fact.timestamp_us) / 1e6
        faded: float = fact.confidence * 0.5 ** (age_s / half_life_s)
        return max(faded, min(least, fact.confidence))


def read_policies(text: str) -> tuple[DecayPolicy, ...]:
    """The rules that a JSON array holds; none for an empty text. Raises ValueError with a sentence."""
    if not text.strip():
        return ()
    try:
        found = msgspec.json.decode(text.encode(), type=tuple[DecayPolicy, ...])
    except msgspec.MsgspecError as error:
        raise ValueError(f"the decay policies are no JSON array of policies: {error}") from error
    if len(found) > _POLICIES_MAX:
        raise ValueError(f"at most {_POLICIES_MAX} decay policies are looked through for each fact")
    for policy in found:
        needed = "half_life_s" if policy.mode == "confidence" else "ttl_s"
        if getattr(policy, needed) is None:
            raise ValueError(f"the decay policy {policy.id!r} of mode {policy.mode} needs {needed}")
    if len({policy.id for policy in found}) < len(found):
        raise ValueError("two decay policies have one id")
    return found
