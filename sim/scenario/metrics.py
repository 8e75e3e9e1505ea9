"""The metrics that a scenario may expect something of, by name.

Names and units only: a run's values are `sim.analysis.result`'s to tell. Every code that a node may give for what it
turned away is listed, so that an expectation on a misspelt code is refused instead of being met by nothing.
"""

from __future__ import annotations

from typing import Final

__all__ = ["METRICS", "REJECTIONS", "TIMED", "known_metrics"]

TIMED: Final = ("lag.p50", "lag.p90", "lag.p99", "lag.max", "convergence")
"""Measured in seconds; their bounds may be written as durations."""
METRICS: Final = (
    *TIMED, "conflicts.open", "conflicts.resolved", "conflicts.divergent", "facts", "nodes", "requests", "bytes",
    "events", "rejections", "refused_writes", "destroyed",
)  # fmt: skip
REJECTIONS: Final = (
    "cid_mismatch", "cid_required", "cursor_malformed", "declaration_sig", "declaration_stale", "entry_incomplete",
    "garden_leak", "hlc_malformed", "hlc_skew", "iat_in_future", "iat_too_old", "id_collision", "id_required",
    "instruction_federation_inbound", "invalid_interpret_as", "invalid_iss", "invalid_scope", "invalid_signature",
    "invalid_sub", "invalid_token", "malformed token", "malformed_fact", "malformed_manifest", "manifest_events",
    "manifest_signature", "manifest_window", "missing_nonce", "nbf_in_future", "node_id_differs",
    "nonce_already_seen", "origin_not_sender", "origin_sig_invalid", "origin_stamp_unproven", "origin_unresolvable",
    "page_malformed", "page_version", "peer_not_approved", "peer_not_found", "reserved_namespace", "rotation_chain",
    "scope_not_in_origin_grant", "scope_violation", "source_not_owned", "tenant_not_in_origin_grant",
    "tenant_policy_unsafe", "token_expired", "token_lifetime_exceeded", "too_many_tokens", "unexpected_status",
    "valid_until_extension", "value_too_large", "well_known_key_differs_or_unreachable",
)  # fmt: skip
"""Codes of facts, tokens, pages and declarations that were turned away (federation 2.6, 3.5)."""


def known_metrics() -> tuple[str, ...]:
    """Every metric, those of single codes (`rejections.<code>`) included."""
    return (*METRICS, *(f"rejections.{code}" for code in REJECTIONS))
