"""Decay as a reading: which policy speaks of a fact, and what it says at an instant."""

from __future__ import annotations

import pytest

from stigmem.core.decay import DecayPolicies, DecayPolicy, Thresholds, read_policies
from stigmem.core.ledger import Ledger
from stigmem.core.schemas import SchemaBook
from tests.builders import T0_MS, fact

HOUR_US = 3_600_000_000
NOW_US = T0_MS * 1_000
NO_SCHEMAS = SchemaBook((), "")


def halving(name: str, relation: str = "*", **members: object) -> DecayPolicy:
    return DecayPolicy(id=name, relation=relation, mode="confidence", half_life_s=3_600.0, **members)  # type: ignore[arg-type]


def named(*policies: DecayPolicy, relation: str = "maint:status", scope: str = "public") -> str | None:
    policy = DecayPolicies(policies, NO_SCHEMAS).of(fact(1, slot=("a:b", relation, scope)))
    return None if policy is None else policy.id


def test_two_half_lives_leave_a_quarter_and_no_age_adds_anything() -> None:
    policies = DecayPolicies((halving("all"),), NO_SCHEMAS)
    old = fact(1, at=0, confidence=0.8)
    assert policies.confidence(old, NOW_US + 2 * HOUR_US) == pytest.approx(0.2)
    assert policies.confidence(old, NOW_US) == 0.8
    assert policies.confidence(old, NOW_US - HOUR_US) == 0.8


def test_the_least_confidence_of_a_policy_raises_nothing() -> None:
    policies = DecayPolicies((halving("all", min_confidence=0.5),), NO_SCHEMAS)
    late = NOW_US + 10 * HOUR_US
    assert policies.confidence(fact(1, at=0, confidence=0.8), late) == 0.5
    assert policies.confidence(fact(1, at=0, confidence=0.3), late) == 0.3


def test_the_most_specific_policy_speaks() -> None:
    anything, prefix, longer, exact = (
        halving("anything"), halving("prefix", "maint:*"), halving("longer", "maint:st*"),
        halving("exact", "maint:status"),
    )  # fmt: skip
    assert named(anything, prefix, longer, exact) == "exact"
    assert named(anything, prefix, longer) == "longer"
    assert named(anything, prefix) == "prefix"
    assert named(anything, prefix, relation="site:in") == "anything"
    assert named(halving("any scope"), halving("public", scope="public")) == "public"
    assert named(halving("first"), halving("second")) == "first"


def test_reserved_and_exempt_relations_have_no_policy() -> None:
    assert named(halving("all"), relation="rel:subject") is None
    assert named(halving("all"), relation="stigmem:ttl") is None
    assert named(halving("all", exempt_relations=("maint:status",))) is None


def test_thresholds_end_what_is_old_or_unsure() -> None:
    old = fact(1, at=0)
    assert Thresholds(3_600.0, None).ends(old, 1.0, NOW_US + HOUR_US)
    assert not Thresholds(3_600.0, None).ends(old, 1.0, NOW_US + HOUR_US - 1)
    assert not Thresholds(0.0, None).ends(fact(1, at=0, valid_until="2030-01-01T00:00:00Z"), 1.0, NOW_US + HOUR_US)
    assert Thresholds(None, 0.5).ends(old, 0.4, NOW_US)
    assert not Thresholds(None, 0.5).ends(old, 0.5, NOW_US)
    assert not Thresholds(None, None).ends(old, 0.1, NOW_US)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "no JSON array"), ('[{"id": "a", "mode": "fade"}]', "no JSON array"),
     ('[{"id": "a", "mode": "confidence"}]', "half_life_s"), ('[{"id": "a", "mode": "retract"}]', "ttl_s"),
     ('[{"id": "a", "mode": "retract", "ttl_s": 1}, {"id": "a", "mode": "retract", "ttl_s": 2}]', "one id")],
)  # fmt: skip
def test_policies_that_cannot_be_meant_are_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_policies(text)
    assert read_policies("") == ()


def test_a_sweep_brings_an_end_forward_and_never_back() -> None:
    ledger = Ledger()
    ledger.add(fact(1, at=0, valid_until="2026-11-20T08:00:00Z", seq=1))
    ledger.add(fact(2, at=1, slot=("a:c", "maint:status", "public"), seq=2))
    own_us = ledger.log[0].expires_us
    assert own_us is not None
    ledger.sweep(1, own_us + HOUR_US)
    assert ledger.expires_us(ledger.log[0]) == own_us
    ledger.sweep(2, NOW_US + 5)
    ledger.sweep(2, NOW_US + 9)
    assert ledger.expires_us(ledger.log[1]) == NOW_US + 5
    ledger.advance(NOW_US + 4)
    assert ledger.live(ledger.log[1])
    ledger.advance(NOW_US + 5)
    assert not ledger.live(ledger.log[1])
    assert not ledger.as_of(NOW_US + 6).live(ledger.log[1])
