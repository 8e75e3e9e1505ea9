"""Which test holds the edge of which bound.

A test that stands in this folder says so by `@edge`; one that stands beside the behaviour that it is about is named
below, and has to name the bound. `test_every_bound_has_its_edge.py` compares all of it with the module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = ["EDGES", "ELSEWHERE", "edge"]

Test = TypeVar("Test", bound=Callable[..., Any])

EDGES: Final[dict[str, list[str]]] = {}
"""Bound -> the tests of this folder that hold its edge."""


def edge(*names: str) -> Callable[[Test], Test]:
    """A test that holds the edges of these bounds."""

    def noted(test: Test) -> Test:
        for name in names:
            EDGES.setdefault(name, []).append(test.__name__)
        return test

    return noted


_CORE, _NODE, _HOST = "tests/core/", "tests/node/", "tests/host/"
ELSEWHERE: Final = {
    "AGENT_KEYS_PER_ENTITY_MAX": f"{_NODE}test_agent_keys.py",
    "ATTESTATION_BYTES_MAX": f"{_CORE}test_attestation.py",
    "ATTESTATION_LIFE_S_MAX": f"{_CORE}test_attestation.py",
    "ATTESTATION_NONCE_CHARS_MAX": f"{_CORE}test_attestation.py",
    "ATTESTATION_NONCE_CHARS_MIN": f"{_CORE}test_attestation.py",
    "ATTESTATION_SKEW_S": f"{_CORE}test_attestation.py",
    "AUDIT_ROWS_SCANNED_MAX": f"{_NODE}test_api_audit.py",
    "AUDIT_SCANS_MAX": f"{_NODE}test_api_audit.py",
    "BACKOFF_JITTER": f"{_NODE}test_backoff.py",
    "BATCH_FACTS_MAX": f"{_NODE}test_api_batch.py",
    "CLEAN_PAGES_TO_DOUBLE": f"{_NODE}test_backoff.py",
    "CLOCK_HOLD_S": f"{_NODE}test_clock_in_doubt.py",
    "CLOCK_JUMP_MS": f"{_NODE}test_clock_in_doubt.py",
    "DERIVED_FROM_DEPTH_MAX": f"{_CORE}test_ingest.py",
    "JSON_DEPTH_MAX": f"{_CORE}test_json_values.py",
    "SCHEMA_DEPTH_MAX": f"{_NODE}test_schemas.py",
    "SCHEMA_PATTERN_BYTES_MAX": f"{_NODE}test_schemas.py",
    "DISCOVERY_BYTES_MAX": f"{_NODE}test_sizes.py",
    "DRAG_MS": f"{_CORE}test_hlc.py",
    "ELSEWHERE_NAMED_MAX": f"{_NODE}test_first_peers.py",
    "ELSEWHERE_ORIGINS_MAX": f"{_NODE}test_first_peers.py",
    "EVENT_HEARTBEAT_NS": f"{_NODE}test_events.py",
    "EVENT_STREAMS_PER_CALLER_MAX": f"{_NODE}test_events.py",
    "FACT_BYTES_MAX": f"{_CORE}test_page.py",
    "GARDENS_MAX": f"{_NODE}test_gardens.py",
    "GARDEN_MEMBERS_MAX": f"{_NODE}test_gardens.py",
    "HOLDING_CHARS_MAX": f"{_NODE}test_already_held_hint.py",
    "HOLDING_LOOKED_AT_MAX": f"{_NODE}test_already_held_hint.py",
    "HOLDING_NAMED_MAX": f"{_NODE}test_already_held_hint.py",
    "JOB_ROWS_MIN": f"{_NODE}test_synthesis_and_lint.py",
    "KEYLESS_BODY_BYTES_MAX": f"{_NODE}test_head_admission.py",
    "KEYS_MAX": f"{_NODE}test_api_keys.py",
    "KEYS_MINTED_BURST": f"{_NODE}test_api_keys.py",
    "LONG_POLLS_PER_PEER_MAX": f"{_NODE}test_long_polls.py",
    "MANIFEST_CHARS_MAX": "tests/sim/test_manifests_with_facts.py",
    "MANIFEST_NAMES_MAX": f"{_NODE}test_api_manifest.py",
    "MANIFEST_PUTS_PER_HOUR": f"{_NODE}test_api_manifest.py",
    "NODE_ID_CHARS_MAX": f"{_CORE}test_token.py",
    "NONCES_PER_PEER_MAX": f"{_CORE}test_nonces.py",
    "NONCE_WINDOW_MS": f"{_CORE}test_nonces.py",
    "OPEN_BODY_BYTES_MAX": f"{_NODE}test_head_admission.py",
    "ORIGINS_MAX": f"{_NODE}test_origins.py",
    "PEERS_MAX": f"{_NODE}test_conformance_federation.py",
    "PENDING_PEERS_MAX": f"{_NODE}test_conformance_federation.py",
    "PULL_JITTER": f"{_NODE}test_backoff.py",
    "PULL_PAGES_PER_DRAIN_MAX": f"{_NODE}test_page_ahead.py",
    "PUSH_FACTS_MAX": f"{_NODE}test_api_push.py",
    "QUARANTINE_LIFE_S": f"{_NODE}test_quarantine.py",
    "QUARANTINE_PER_ORIGIN_MAX": f"{_NODE}test_quarantine.py",
    "QUARANTINE_PER_PEER_MAX": f"{_NODE}test_quarantine.py",
    "QUOTA_NAMES_MAX": f"{_NODE}test_quotas.py",
    "RECEIPTS_BYTES_MAX": f"{_NODE}test_api_batch.py",
    "RECEIPTS_MAX": f"{_NODE}test_api_batch.py",
    "RECEIPT_LIFE_S": f"{_NODE}test_api_batch.py",
    "REFUSED_DELIVERIES_MAX": f"{_HOST}test_journal.py",
    "REPEATED_PAGES_BURST": "tests/sim/test_waiting_pulls.py",
    "REPEATED_PAGES_PER_S": "tests/sim/test_waiting_pulls.py",
    "REQUEST_BYTES_MAX": f"{_NODE}test_head_admission.py",
    "RESOLUTION_COVERS_MAX": f"{_NODE}test_sizes.py",
    "SKEW_FUTURE_MS": f"{_CORE}test_ingest.py",
    "SKEW_PAST_MS": f"{_CORE}test_ingest.py",
    "STRANGER_AUDIT_ROWS_PER_MINUTE": f"{_NODE}test_quotas.py",
    "STRING_BYTES_MAX": f"{_NODE}test_sizes.py",
    "SUBSCRIPTIONS_PER_SUBSCRIBER_MAX": f"{_NODE}test_subscriptions.py",
    "TOKEN_CHARS_MAX": f"{_CORE}test_token.py",
    "TOKEN_LEEWAY_MS": f"{_CORE}test_token.py",
    "TOKEN_REACH_MS": f"{_CORE}test_token.py",
    "TURN_HASHED_MAX": f"{_NODE}test_start_from_a_long_journal.py",
    "TURN_HASHED_REST_NS": f"{_NODE}test_start_from_a_long_journal.py",
    "TURN_RECORDS_MAX": f"{_NODE}test_batch.py",
    "TURN_REDERIVED_WORDS_MAX": f"{_NODE}test_slots_derived_anew.py",
    "VOIDED_MAX": f"{_CORE}test_voiding.py",
    "VOID_NOTE_CHARS_MAX": f"{_CORE}test_voiding.py",
    "VOID_REACH_MS": f"{_CORE}test_voiding.py",
    "WEBHOOK_ROWS_UNMARKED_MAX": f"{_NODE}test_subscriptions.py",
}
"""Bound -> the file of the test beside the behaviour, which names it."""
