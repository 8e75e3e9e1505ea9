"""The settings of a node, as one frozen value with a safe default for everything.

Plain data: where the values come from (flags, environment, TOML, a scenario) is the host's and the
simulator's business. Units are in the names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from stigmem.core import limits
from stigmem.core.attestation import AttestationMode
from stigmem.core.decay import DecayPolicy
from stigmem.core.field_types import check_field_types
from stigmem.core.keys import ED25519, Suite
from stigmem.core.scopes import SCOPES
from stigmem.node.intake_quota import NO_INTAKE_LIMITS, IntakeLimits

__all__ = ["NodeSettings", "is_attestation_mode"]


def is_attestation_mode(text: str) -> bool:
    """Whether a text says what is asked of the facts of a scope, such as `public=enforce`."""
    scope, _, mode = text.partition("=")
    return scope in SCOPES and mode in get_args(AttestationMode)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One node's settings. `seed` is its 32-byte federation key. Raises TypeError that names the field for a value of
    another type."""

    seed: bytes = field(repr=False)
    node_url: str = "http://127.0.0.1:8765"
    node_id: str = ""
    """Empty: the id that certifies the key (spec/identity.md)."""
    suite: Suite = ED25519

    auth_required: bool = True
    source_attestation: Literal["off", "warn", "enforce"] = "off"
    attestation_required: bool = False
    """Whether every assertion made here must be signed by its agent, in either form."""
    attestation_modes: tuple[str, ...] = ()
    """What is asked of facts of a scope, made here or received, beside the off that goes without saying: `SCOPE=warn`
    or `SCOPE=enforce` (spec/attestation.md)."""

    quarantine_garden: str = ""
    """Id or slug of the garden whose moderators decide on what waits in quarantine; empty: only admins do."""

    federation: bool = False
    scopes: tuple[str, ...] = ("company", "public")
    """What this node offers its peers."""
    allow_team: bool = False
    relay: bool = True
    """Whether received public facts are served on (only certified ones, under their origin's signature)."""
    origin_keys: Literal["pinned", "vouched"] = "pinned"
    """How an origin that is no peer becomes known: certified ids always; else pinned by the operator, or
    vouched for by an approved peer."""
    unknown_origins: Literal["take", "quarantine"] = "take"
    """What becomes of facts of origins that are neither peers nor pinned (`stigmem.node.unknown_origins`)."""
    owned_sources_only: bool = False
    resolvers: tuple[str, ...] = ("*",)
    """Origins whose resolutions take effect here; `*` is everyone."""
    tombstone_signers: tuple[str, ...] = ()
    """Whose tombstones count here besides what their manifests list: `SIGNER` or `SIGNER=PREFIX`, `*` for any
    signer."""
    schema_authorities: tuple[str, ...] = ("self",)
    """Origins whose schemas of relations are in force here, the most trusted first; `self` is this node."""
    require_fresh_declarations: bool = False
    """Refuse declarations signed more than ten minutes (plus the skew bound) from our clock."""
    push: bool = False
    mtls: bool = False
    """Whether the certificate of a peer's connection must name its registered node id; the carrier says what it names
    (`stigmem.node.api.peer_auth.PEER_URI_HEADER`)."""

    pull_interval_s: float = 30.0
    pull_jitter: float = limits.PULL_JITTER
    """By which part of the interval each rest is longer or shorter, at random."""
    pull_limit: int = limits.PULL_LIMIT_DEFAULT
    pull_timeout_s: float = limits.PULL_TIMEOUT_S
    discovery_timeout_s: float = limits.DISCOVERY_TIMEOUT_S
    """How long a public document of another node may take: over a link with longer round trips nobody can join. Who
    registers waits twice as long, since the other side fetches a document meanwhile."""
    pull_wait_s: float = 0.0
    """How long a pull may wait at a peer that offers it; 0 asks for an answer at once."""
    pull_burst: float = limits.PULL_BUCKET_BURST
    pull_per_s: float = limits.PULL_BUCKET_PER_S

    intake: IntakeLimits = NO_INTAKE_LIMITS
    """How much of a peer and of an origin is taken in within a window; no limits unless some are given."""

    skew_future_ms: int = limits.SKEW_FUTURE_MS
    skew_past_ms: int = limits.SKEW_PAST_MS
    drag_ms: int = limits.DRAG_MS
    lag_warning_ms: int = limits.LAG_WARNING_MS
    lag_hard_ms: int = limits.LAG_HARD_MS

    mailbox_messages_max: int = limits.MAILBOX_MESSAGES_MAX
    write_per_s: float = 0.0
    """Facts that an entity may write a second in the long run; an hour's worth may come at once. 0 is no limit."""
    read_per_s: float = 0.0
    """As `write_per_s`, of requests that read."""
    decay_ttl_s: float = 0.0
    """Age at which a sweep ends facts without an expiry; 0 for never."""
    decay_min_confidence: float = 0.0
    """Confidence below which a sweep ends facts; 0 for none."""
    decay_policies: tuple[DecayPolicy, ...] = ()
    decay_interval_s: float = 3_600.0
    """Rest between two sweeps that the node makes by itself, where one of the above asks for any."""
    key_life_days: int = 90
    token_leeway_ms: int = limits.TOKEN_LEEWAY_MS

    def __post_init__(self) -> None:
        check_field_types(self)
        for text in self.attestation_modes:
            if not is_attestation_mode(text):
                raise ValueError(f"attestation_modes: {text!r} is no SCOPE=MODE, such as public=enforce")

    def attestation_mode(self, scope: str) -> AttestationMode:
        """What is asked of the facts of a scope; the last word on a scope counts."""
        if not self.attestation_modes:
            return "off"
        modes: dict[str, AttestationMode] = {}
        for text in self.attestation_modes:
            name, _, mode = text.partition("=")
            modes[name] = cast("AttestationMode", mode)
        return modes.get(scope, "off")

    @property
    def discovery_timeout_ns(self) -> int:
        """The same in nanoseconds."""
        return int(self.discovery_timeout_s * 1e9)

    @property
    def pull_rate_per_s(self) -> float:
        """Refill of a peer's bucket: never below four times our own pull rate, so that equals can talk."""
        return max(self.pull_per_s, 4.0 / self.pull_interval_s if self.pull_interval_s > 0 else 0.0)
