"""The metrics that a scenario may expect something of, by name.

Names and units only: a run's values are `sim.analysis.result`'s to tell. Every code that a node may give for what it
turned away is listed, so that an expectation on a misspelt code is refused instead of being met by nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["CATCH_UP", "LAG", "METRICS", "REJECTIONS", "TIMED", "is_timed", "known_metrics"]

LAG: Final = ("lag.p50", "lag.p90", "lag.p99", "lag.max")
"""Of every copy outside its origin; missing ones at their age when the run ended."""
CATCH_UP: Final = "catch_up"
"""From the end of a fault to the last copy of what was written before it: the worst fault, or `catch_up.<name>`."""
TIMED: Final = (
    *LAG, CATCH_UP, "convergence", "comeback.p50", "comeback.p99", "comeback.max", "joining.p50", "joining.p99",
    "joining.max",
)  # fmt: skip
"""Measured in seconds; their bounds may be written as durations. `convergence`: from the end of the writes and of the
faults to the last copy. `comeback`: how long nodes were without what went with a disk. `joining`: the lag since they
joined of nodes that joined late, of what was there before them."""
METRICS: Final = (
    *TIMED, "missing", "conflicts.open", "conflicts.resolved", "conflicts.divergent", "facts", "nodes", "requests",
    "bytes", "bytes_delivered", "bytes_lost", "events", "rejections", "refused_writes", "destroyed",
    "unsaid", "recalled.own", "recalled.others",
)  # fmt: skip
"""`requests`: those that were sent, answered or not. `bytes`: those that were sent; what was sent and neither delivered
nor lost was still on its way at the end, and a packet that came twice was delivered twice. `unsaid`: facts that the
node which wrote them has forgotten with an old backup that was restored. `recalled`: of the findings
about a subject that its own team, or other teams, had been acknowledged by then, the share that an agent was answered
with, over all recalls."""
REJECTIONS: Final = (
    "agent_key_malformed", "attestation_invalid", "attestation_key_expired", "attestation_required",
    "malformed_schema", "tombstone_busy", "tombstone_key_unknown", "tombstone_malformed", "tombstone_not_found",
    "tombstone_not_the_issuer", "tombstone_signature_invalid", "tombstone_signer_unknown", "tombstone_unauthorised",
    "tombstoned", "tombstones_full",
    "cid_mismatch", "cid_required", "cursor_malformed", "declaration_sig", "declaration_stale", "entry_incomplete",
    "garden_leak", "hlc_malformed", "hlc_skew", "iat_in_future", "iat_too_old", "id_collision", "id_required",
    "instruction_federation_inbound", "invalid_interpret_as", "invalid_iss", "invalid_scope", "invalid_signature",
    "invalid_sub", "invalid_token", "malformed token", "malformed_fact", "malformed_manifest", "manifest_events",
    "manifest_signature", "manifest_window", "missing_nonce", "nbf_in_future", "node_id_differs",
    "nonce_already_seen", "origin_not_sender", "origin_sig_invalid", "origin_stamp_unproven", "origin_unresolvable",
    "page_malformed", "page_version", "peer_not_approved", "peer_not_found", "quarantine_full", "reserved_namespace",
    "rotation_chain",
    "scope_not_in_origin_grant", "scope_violation", "source_not_owned", "tenant_not_in_origin_grant",
    "tenant_policy_unsafe", "token_expired", "token_lifetime_exceeded", "too_many_tokens", "unexpected_status",
    "valid_until_extension", "value_too_large", "voided", "well_known_key_differs_or_unreachable",
)  # fmt: skip
"""Codes of facts, tokens, pages and declarations that were turned away (federation 2.6, 3.5)."""


def known_metrics(faults: Iterable[str] = ()) -> tuple[str, ...]:
    """Every metric, those of single codes (`rejections.<code>`) and of faults of these names included."""
    return (*METRICS, *(f"{CATCH_UP}.{name}" for name in faults), *(f"rejections.{code}" for code in REJECTIONS))


def is_timed(metric: str) -> bool:
    """Whether a metric is a time. What stands in brackets after its name, which copies it looks at, does not count."""
    name = metric.partition("[")[0]
    return name in TIMED or name.startswith(f"{CATCH_UP}.")
