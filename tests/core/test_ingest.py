"""Ingest: every rejection code and the order of the checks (spec/ingest.md)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from stigmem.core import limits
from stigmem.core.errors import Rejection
from stigmem.core.fact import Fact
from stigmem.core.hlc import format_stamp, stamp
from stigmem.core.ingest import PeerLink, verify
from stigmem.core.page import decode_entry
from stigmem.core.timestamps import format_us
from tests.builders import T0_MS, fact, resolution
from tests.core.received import LINK, ORIGIN, OURS, RELAY, STRANGER, Draft, Receiver

OLD = PeerLink(ORIGIN, "0.5", ("company", "public"))
FOREIGN = PeerLink(ORIGIN, "2.1", ("company", "public"))
VIA_RELAY = PeerLink(RELAY, "2.1+", ("company", "public"))


class Fault(NamedTuple):
    """One thing wrong with an entry: the code it must get, the member it is about, and how it is made."""

    code: str
    member: str
    make: Callable[[Draft], Any]


def _set(part: str, **members: Any) -> Callable[[Draft], Any]:
    return lambda draft: getattr(draft, part).update(members)


def _too_early(draft: Draft) -> None:
    draft.fact["hlc"] = format_stamp(stamp(T0_MS + limits.SKEW_FUTURE_MS + 1, 0))


FAULTS = [
    Fault("entry_incomplete", "signature", lambda draft: setattr(draft, "signature", "absent")),
    Fault("id_required", "id", lambda draft: draft.fact.pop("id")),
    Fault("cid_required", "cid", lambda draft: setattr(draft, "cid", None)),
    Fault("origin_not_sender", "node_id", _set("origin", node_id="")),
    Fault("origin_unresolvable", "node_id", _set("origin", node_id=STRANGER)),
    Fault("origin_sig_invalid", "signature", lambda draft: setattr(draft, "signature", "AAAA")),
    Fault("scope_not_in_origin_grant", "grant", _set("origin", allowed_scopes=["team"])),
    Fault("tenant_not_in_origin_grant", "tenant", _set("origin", allowed_tenants=["acme"])),
    Fault("tenant_policy_unsafe", "tenant", _set("origin", tenant="acme", allowed_tenants=["acme"])),
    Fault("malformed_fact", "confidence", _set("fact", confidence=1.5)),
    Fault("garden_leak", "garden", _set("fact", garden_id="a garden")),
    Fault("reserved_namespace", "relation", _set("fact", relation="stigmem:ttl")),
    Fault("source_not_owned", "source", _set("fact", source=OURS)),
    Fault("malformed_fact", "value", _set("fact", value={"type": "number", "v": "5"})),
    Fault("cid_mismatch", "cid", lambda draft: setattr(draft, "cid", "sha256:" + "0" * 64)),
    Fault("malformed_fact", "timestamp", _set("fact", timestamp="yesterday")),
    Fault("hlc_malformed", "hlc", _set("fact", hlc="abc")),
    Fault("hlc_skew", "hlc", _too_early),
]
"""In the order in which they are looked for."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code}-{fault.member}")
def test_each_fault_has_its_code(fault: Fault) -> None:
    receiver, draft = Receiver(), Draft.of()
    fault.make(draft)
    assert receiver.take(draft) == fault.code
    assert len(receiver.ledger) == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in itertools.combinations(FAULTS, 2) if pair[0].member != pair[1].member],
    ids=lambda fault: f"{fault.code}-{fault.member}",
)
def test_of_two_faults_the_earlier_check_speaks(first: Fault, second: Fault) -> None:
    receiver, draft = Receiver(), Draft.of()
    second.make(draft)
    first.make(draft)
    assert receiver.take(draft) == first.code


def test_a_good_entry_is_taken_in_every_dialect() -> None:
    for link in (LINK, FOREIGN, OLD):
        receiver = Receiver()
        assert receiver.take(Draft.of(), link) is None
        (stored,) = receiver.ledger.log
        assert (stored.origin, stored.received_from) == (ORIGIN, ORIGIN)
        assert stored.certified == (link is not OLD)


# --- scopes, names and sources ---


@pytest.mark.parametrize(
    ("scope", "granted", "code"),
    [
        ("local", ("company", "public"), "scope_violation"),
        ("team", ("company", "public"), "scope_violation"),
        ("team", ("team", "public"), None),
        ("company", ("public",), "scope_violation"),
        ("company", ("company",), None),
        ("banana", ("company", "public"), "invalid_scope"),
    ],
)
def test_a_scope_that_the_link_does_not_grant_stays_out(scope: str, granted: tuple[str, ...], code: str | None) -> None:
    draft = Draft.of(scope=scope)
    assert Receiver().take(draft, LINK._replace(scopes=granted)) == code
    old_code = "malformed_fact" if scope == "banana" else code
    assert Receiver().take(draft, OLD._replace(scopes=granted)) == old_code


def test_a_scope_violation_says_what_was_granted() -> None:
    with pytest.raises(Rejection) as caught:
        Receiver().judge(Draft.of(scope="team").raw("2.1+"))
    assert caught.value.detail == {"scope": "team", "permitted": ["company", "public"]}


@pytest.mark.parametrize("name", ["stigmem:conflict:x", "stigmem:node:origin", "stigmem:"])
@pytest.mark.parametrize("member", ["entity", "relation"])
def test_reserved_names_stay_out_and_formal_uris_do_not(member: str, name: str) -> None:
    for text, code in ((name, "reserved_namespace"), ("stigmem://lab.example/a/b", None)):
        changes: dict[str, Any] = {member: text}
        assert Receiver().take(Draft.of(**changes)) == code


def test_a_resolution_may_come_in_if_its_relation_is_not_reserved() -> None:
    settled = resolution(3, fact(1, "x"), fact(2, "y"), origin=ORIGIN)
    assert Receiver().take(Draft.of(settled)) is None
    assert Receiver().take(Draft.of(settled, relation="stigmem:ttl")) == "reserved_namespace"


@pytest.mark.parametrize(
    "derived",
    [
        '[{"resolves":1}]',
        '[{"resolves":"x","entity":"e","winner":"w"}]',
        '[{"resolves":"stigmem:conflict:x","entity":"","winner":"w"},{"fact_id":"w"}]',
        '[{"resolves":"stigmem:conflict:x","entity":"e","winner":"v"},{"fact_id":"w"}]',
        '[{"resolves":"stigmem:conflict:x","entity":"e","winner":"w"},{"fact_id":"w"},{"fact_id":"w"}]',
        '[{"resolves":"another","entity":"e","winner":"w"},{"fact_id":"w"}]',
    ],
)
def test_a_resolution_that_is_not_well_formed_is_malformed(derived: str) -> None:
    settled = resolution(3, fact(1, "x"), fact(2, "y"), origin=ORIGIN)
    odd = msgspec.structs.replace(settled, entity="stigmem:resolution:stigmem:conflict:x", derived_from=derived)
    assert Receiver().take(Draft.of(odd)) == "malformed_fact"


@pytest.mark.parametrize(
    ("source", "owned", "code"),
    [
        (OURS, False, "source_not_owned"),
        ("system:stigmem", False, "source_not_owned"),
        ("agent:admin", False, None),
        ("agent:admin", True, "source_not_owned"),
        ("agent:somebody", False, None),
        ("agent:somebody", True, "source_not_owned"),
        (ORIGIN, True, None),
        (ORIGIN + "/agent/x", True, None),
        (ORIGIN + "x", True, "source_not_owned"),
    ],
)
def test_a_source_that_belongs_to_somebody_else_stays_out(source: str, owned: bool, code: str | None) -> None:
    assert Receiver(owned_sources_only=owned).take(Draft.of(source=source)) == code


@pytest.mark.parametrize(
    ("origin", "source", "owned"),
    [(ORIGIN, ORIGIN, True), (ORIGIN, ORIGIN + "/agent/x", True), (ORIGIN, "agent:x", False), (OURS, "agent:x", True)],
)
def test_whether_an_origin_owns_its_source_is_said(origin: str, source: str, owned: bool) -> None:
    receiver, draft = Receiver(), Draft.of(origin=origin, source=source)
    candidate = verify(decode_entry(draft.raw("2.1+"), "2.1+"), VIA_RELAY, receiver.policy)
    assert candidate.source_owned == owned


# --- lengths, values, instants, stamps ---


@pytest.mark.parametrize("member", ["entity", "relation", "source"])
def test_names_have_one_to_two_thousand_characters(member: str) -> None:
    for length, code in ((0, "malformed_fact"), (1, None), (2048, None), (2049, "malformed_fact")):
        changes: dict[str, Any] = {member: "x" * length}
        assert Receiver().take(Draft.of(**changes)) == code


def test_ids_are_bounded() -> None:
    for length, code in ((128, None), (129, "malformed_fact")):
        draft = Draft.of()
        draft.fact["id"] = "i" * length
        assert Receiver().take(draft) == code


@pytest.mark.parametrize("confidence", [-0.01, 1.01, 5, -1])
def test_confidence_lies_between_nothing_and_certainty(confidence: float) -> None:
    assert Receiver().take(Draft.of(confidence=confidence)) == "malformed_fact"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"type": "zzz", "v": "x"}, "malformed_fact"),
        ({"type": "string", "v": {"a": 1}}, "malformed_fact"),
        ({"type": "string", "v": None}, "malformed_fact"),
        ({"type": "boolean", "v": "true"}, "malformed_fact"),
        ({"type": "boolean", "v": 1}, "malformed_fact"),
        ({"type": "number", "v": True}, "malformed_fact"),
        ({"type": "number", "v": 10**400}, "malformed_fact"),
        ({"type": "null", "v": 0}, "malformed_fact"),
        ({"type": "ref", "v": ""}, "malformed_fact"),
        ({"type": "datetime", "v": "soon"}, "malformed_fact"),
        ({"type": "text", "v": "é" * 40_000}, "value_too_large"),
        ({"type": "string", "v": "x", "interpret_as": "code"}, "invalid_interpret_as"),
        ({"type": "string", "v": "x", "interpret_as": None}, None),
        ({"type": "number", "v": 5}, None),
    ],
)
def test_a_value_is_of_its_type(value: dict[str, Any], code: str | None) -> None:
    draft = Draft.of()
    draft.fact["value"] = value
    assert Receiver().take(draft) == code


@pytest.mark.parametrize("member", ["timestamp", "valid_until"])
@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59-23:59"])
def test_instants_are_instants(member: str, text: str) -> None:
    draft = Draft.of()
    draft.fact[member] = text
    assert Receiver().take(draft) == "malformed_fact"


@pytest.mark.parametrize("text", ["", "abc", "-5.0", "1e3.0", "9" * 400, "1.2.3", "+1.0", "12345678901234567.0"])
def test_stamps_are_digits(text: str) -> None:
    draft = Draft.of()
    draft.fact["hlc"] = text
    assert Receiver().take(draft) == "hlc_malformed"


def test_a_stamp_beyond_the_calendar_cannot_be_stored() -> None:
    draft = Draft.of()
    draft.fact["hlc"] = "9999999999999999.0"
    assert Receiver(skew_future_ms=0).take(draft) == "hlc_malformed"


def test_a_fact_without_stamp_gets_one_from_its_write_time_that_all_receivers_share() -> None:
    draft = Draft.of()
    draft.fact["hlc"] = None
    receiver = Receiver()
    assert receiver.take(draft, OLD) is None
    assert receiver.ledger.log[0].stamp == stamp(T0_MS + 1, 0)


@pytest.mark.parametrize(
    ("offset_ms", "code"),
    [
        (limits.SKEW_FUTURE_MS, None),
        (limits.SKEW_FUTURE_MS + 1, "hlc_skew"),
        (-limits.SKEW_PAST_MS, None),
        (-limits.SKEW_PAST_MS - 1, "hlc_skew"),
    ],
)
def test_a_stamp_outside_the_skew_bounds_stays_out_with_its_direction_and_size(
    offset_ms: int, code: str | None
) -> None:
    draft = Draft.of(stamp=stamp(T0_MS + offset_ms, 0))
    assert Receiver().take(draft) == code
    if code is not None:
        with pytest.raises(Rejection) as caught:
            Receiver().judge(draft.raw("2.1+"))
        assert caught.value.detail == {
            "sender_node_id": ORIGIN, "direction": "future" if offset_ms > 0 else "past", "skew_ms": offset_ms,
            "remote_wall_ms": T0_MS + offset_ms, "local_wall_ms": T0_MS,
            "max_future_skew_ms": limits.SKEW_FUTURE_MS, "max_past_skew_ms": limits.SKEW_PAST_MS,
        }  # fmt: skip


def test_history_is_taken_while_catching_up_and_when_relayed_and_the_future_never_is() -> None:
    old, early = stamp(T0_MS - 2 * limits.SKEW_PAST_MS, 0), stamp(T0_MS + limits.SKEW_FUTURE_MS + 1, 0)
    for link in (LINK._replace(catching_up=True), VIA_RELAY):
        assert Receiver().take(Draft.of(stamp=old), link) is None
        assert Receiver().take(Draft.of(stamp=early), link) == "hlc_skew"


def test_skew_is_looked_at_only_for_facts_that_are_new() -> None:
    receiver = Receiver()
    assert receiver.take(Draft.of()) is None
    receiver.now_ms = T0_MS + 2 * limits.SKEW_PAST_MS
    assert receiver.take(Draft.of()) == "repeated"


# --- content ids ---


@pytest.mark.parametrize(
    ("dialect", "cid", "code"),
    [("0.5", None, None), ("0.5", "absent", None), ("0.5", "", None), ("2.1", None, "cid_required"),
     ("2.1", "absent", "cid_required"), ("2.1", "", "cid_required"), ("0.5", "sha256:x", "cid_mismatch")],
)  # fmt: skip
def test_a_content_id_may_be_missing_in_the_old_dialect_only(dialect: str, cid: str | None, code: str | None) -> None:
    draft = Draft.of()
    draft.cid = cid
    assert Receiver().take(draft, LINK._replace(dialect=dialect)) == code


@pytest.mark.parametrize("dialect", ["0.5", "2.1"])
def test_the_hash_of_an_integer_is_good_in_both_spellings(dialect: str) -> None:
    spelled = msgspec.structs.replace(fact(1, origin=ORIGIN, kind="number"), text="5")
    for cid in ("ours", spelled.cid if dialect == "0.5" else spelled.cid8):
        draft = Draft.of(kind="number", text="5.0")
        draft.cid = cid
        assert Receiver().take(draft, LINK._replace(dialect=dialect)) is None
    draft = Draft.of(kind="number", text="6.0")
    draft.cid = spelled.cid if dialect == "0.5" else spelled.cid8
    assert Receiver().take(draft, LINK._replace(dialect=dialect)) == "cid_mismatch"


@pytest.mark.parametrize("of", ["arrays", "objects", "both"])
@pytest.mark.parametrize("depth", [limits.DERIVED_FROM_DEPTH_MAX, limits.DERIVED_FROM_DEPTH_MAX + 1, 900])
def test_provenance_is_nested_only_so_deep(depth: int, of: str) -> None:
    inner: Any = 1
    for number in range(depth - 2):
        inner = {"b": inner} if of == "objects" or (of == "both" and number % 2) else [inner]
    draft = Draft.of()
    draft.fact["derived_from"] = [{"a": inner}]
    code = None if depth <= limits.DERIVED_FROM_DEPTH_MAX else "malformed_fact"
    assert Receiver().take(draft, OLD) == code


def test_a_stored_fact_has_the_expiry_text_of_its_writer() -> None:
    receiver = Receiver()
    until = format_us((T0_MS + 5) * 1000).replace("+00:00", "Z")
    assert receiver.take(Draft.of(valid_until=until)) is None
    stored: Fact = receiver.ledger.log[0]
    assert (stored.valid_until, stored.expires_us) == (until, (T0_MS + 5) * 1000)


def test_a_confidence_of_minus_zero_is_stored_as_zero() -> None:
    receiver = Receiver()
    assert receiver.take(Draft.of(confidence=-0.0)) is None
    assert str(receiver.ledger.log[0].confidence) == "0.0"


def test_an_id_that_commits_to_its_fact_is_not_given_to_another_nodes_uncertified_one() -> None:
    receiver = Receiver()
    certified = Draft.of(fact(1, origin=ORIGIN))
    assert receiver.take(certified) is None
    link = PeerLink(RELAY, "2.1", ("company", "public"))
    claimed = Draft.of(fact(2, "another", origin=RELAY))
    claimed.fact["id"] = certified.fact["id"]
    assert receiver.take(claimed, link) == "id_collision"
    unclaimed = Draft.of(fact(3, "a third", origin=RELAY))
    unclaimed.fact["id"] = "x-1"
    assert receiver.take(unclaimed, link) is None
    assert [held.origin for held in receiver.ledger.log] == [ORIGIN, RELAY]
