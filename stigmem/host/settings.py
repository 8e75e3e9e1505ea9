"""Every setting of a deployed node: name, type, default, meaning and bounds, once.

The command line, the environment, the TOML file and `config show` all read this table; where values come from is
`stigmem.host.sources`, and whether they are safe together is `stigmem.host.safety`. Names are those of the
reference where it has the setting (http-api 11, federation C).
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_type_hints

from stigmem.core import limits
from stigmem.core.decay import read_policies
from stigmem.core.field_types import check_field_types
from stigmem.core.keys import ED25519
from stigmem.node.intake_quota import IntakeLimits
from stigmem.node.settings import NodeSettings

__all__ = ["SETTINGS", "HostSettings", "Setting", "node_settings"]

_HOUR_S: Final = 3_600.0
_WRITES_PER_HOUR: Final = 3_600_000
"""A thousand a second and key, for as long as one likes: far above any agent, below what stops others."""
_READS_PER_HOUR: Final = 36_000_000


def _is(
    default: Any,
    meaning: str,
    *,
    least: float | None = None,
    most: float | None = None,
    secret: bool = False,
) -> Any:
    return field(default=default, metadata={"meaning": meaning, "least": least, "most": most, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """The settings of one deployed node. Empty text means "not set"."""

    data_dir: Path = _is(Path("stigmem-data"), "Directory of the journal and the key")  # noqa: RUF009
    host: str = _is("127.0.0.1", "Address to listen on; 0.0.0.0 for every address of this machine")
    port: int = _is(8765, "Port to listen on; 0 for any free one", least=0, most=65_535)
    node_url: str = _is("", "Address under which others reach this node; made of host and port when empty")
    node_id: str = _is("", "Name of this node; the id that certifies its key when empty")

    auth_required: bool = _is(True, "Whether every caller needs an API key")
    api_key_max_age_days: int = _is(90, "Longest life of an API key, in days; 0 for no end", least=0, most=36_500)
    source_attestation_mode: Literal["off", "warn", "enforce"] = _is(
        "off", "Whether a fact's source must be the caller's own entity"
    )
    attestation_required: bool = _is(False, "Whether every fact asserted here must be signed by its agent")
    attestation_modes: tuple[str, ...] = _is(
        (), "Scopes whose facts, made here or received, should or must be signed whole: SCOPE=warn or SCOPE=enforce"
    )
    rate_limit_write_per_hour: int = _is(
        _WRITES_PER_HOUR,
        "Facts that an entity may write in an hour, over all its keys, and at once; 0 for no limit",
        least=0,
        most=10**9,
    )
    rate_limit_read_per_hour: int = _is(
        _READS_PER_HOUR,
        "Requests to read that an entity may make in an hour, over all its keys, and at once; 0 for no limit",
        least=0,
        most=10**9,
    )
    decay_ttl_seconds: int = _is(
        0, "Age in seconds at which facts without an expiry end for readers of this node; 0 for never",
        least=0, most=10**10,
    )  # fmt: skip
    decay_min_confidence: float = _is(
        0.0, "Confidence below which facts end for readers of this node; 0 for none", least=0.0, most=1.0
    )
    decay_policies: str = _is("", "JSON array of policies of decay (docs/settings.md); empty for none")
    connections_max: int = _is(
        1_000, "Connections open at one time; the longest idle one makes room", least=1, most=10**5
    )

    quarantine_garden_id: str = _is(
        "", "Id or slug of the garden whose moderators admit and reject what waits; only admins do when empty"
    )

    federation_enabled: bool = _is(False, "Whether this node exchanges facts with approved peers")
    federation_scopes: tuple[str, ...] = _is(("company", "public"), "Scopes that may cross to and from peers")
    federation_allow_team: bool = _is(False, "Whether team facts may cross to peers whose declaration has the scope")
    federation_relay: bool = _is(True, "Whether public facts of others are passed on, under their origin's signature")
    federation_insecure: bool = _is(False, "Allow federation beyond this machine without mutual TLS")
    federation_pull_interval_s: float = _is(30.0, "Seconds between two pulls of a peer", least=0.05, most=86_400)
    federation_pull_jitter: float = _is(
        limits.PULL_JITTER,
        "Part of the interval by which each rest is longer or shorter at random",
        least=0.0,
        most=0.5,
    )
    federation_pull_wait_s: float = _is(
        20.0, "Seconds a pull may wait at a peer for news, which makes it visible at once; 0 to ask and go",
        least=0.0, most=limits.PULL_WAIT_S_MAX,
    )  # fmt: skip
    federation_discovery_timeout_s: float = _is(
        limits.DISCOVERY_TIMEOUT_S,
        "Seconds that a document of another node may take, such as a new peer's; over slower links nobody can join",
        least=0.1,
        most=600.0,
    )
    federation_pull_timeout_s: float = _is(
        limits.PULL_TIMEOUT_S, "Seconds that a page of a peer may take; waiting for news does not count",
        least=0.1, most=600.0,
    )  # fmt: skip
    federation_push_enabled: bool = _is(False, "Whether peers may push facts to this node")
    federation_quota_window_s: float = _is(
        86_400.0, "Seconds over which what a peer or an origin brings is counted; a day begins at midnight UTC",
        least=1.0, most=31_536_000.0,
    )  # fmt: skip
    federation_quota_peer_facts: int = _is(
        1_000_000, "Facts that one peer may bring in a window; what exceeds waits there. 0 for no limit",
        least=0, most=10**12,
    )  # fmt: skip
    federation_quota_peer_bytes: int = _is(
        2 * 1024**3, "Bytes of facts that one peer may bring in a window; 0 for no limit", least=0, most=10**15
    )
    federation_quota_peer_origins: int = _is(
        1_000, "Nodes whose facts one peer may bring in a window; 0 for no limit", least=0, most=10**9
    )
    federation_quota_peer_entities: int = _is(
        1_000_000, "Entities about which one peer may bring facts in a window; 0 for no limit", least=0, most=10**12
    )
    federation_quota_origin_facts: int = _is(
        250_000, "Facts of one node taken in within a window, whoever brings them; 0 for no limit",
        least=0, most=10**12,
    )  # fmt: skip
    federation_quota_origin_bytes: int = _is(
        512 * 1024**2, "Bytes of facts of one node taken in within a window; 0 for no limit", least=0, most=10**15
    )
    federation_pubkey: str = _is("", "Public half of the federation key, base64url; checked against the private half")
    federation_privkey: str = _is(
        "", "Federation key: 32-byte seed, base64url; made once into the data directory when empty", secret=True
    )
    federation_origin_keys: Literal["pinned", "vouched"] = _is(
        "pinned", "Whether an approved peer's word is enough for the key of an origin with a name of its own choice"
    )
    federation_unknown_origins: Literal["take", "quarantine"] = _is(
        "take", "Whether facts of nodes that are neither peers nor confirmed wait until somebody admits them"
    )
    federation_resolvers: tuple[str, ...] = _is(("*",), "Nodes whose resolutions of conflicts take effect; * for all")
    federation_tombstone_signers: tuple[str, ...] = _is(
        (), "Whose tombstones count beside what their manifests list: SIGNER or SIGNER=PREFIX, * for any signer"
    )
    schema_authorities: tuple[str, ...] = _is(
        ("self",), "Nodes whose schemas of relations are in force here, the most trusted first; self is this node"
    )
    federation_owned_sources_only: bool = _is(False, "Refuse facts of peers in the name of this node's own entities")
    federation_fresh_declarations: bool = _is(False, "Refuse declarations signed more than ten minutes ago")
    federation_addresses: Literal["any", "public"] = _is(
        "any", "Where peers may live: `public` refuses private and loopback addresses"
    )
    federation_hlc_max_future_skew_s: int = _is(
        limits.SKEW_FUTURE_MS // 1000, "Seconds a received stamp may be ahead of this clock", least=1, most=86_400
    )
    federation_hlc_max_past_skew_s: int = _is(
        limits.SKEW_PAST_MS // 1000, "Seconds a received stamp may be behind it; 0 for no bound", least=0, most=10**10
    )
    peer_token_leeway_s: int = _is(
        limits.TOKEN_LEEWAY_MS // 1000, "Seconds by which the times of a peer's token may be off", least=0, most=300
    )

    tls_cert_path: str = _is("", "Certificate chain of this node, PEM; turns on TLS")
    tls_key_path: str = _is("", "Its private key, PEM")
    tls_ca_bundle: str = _is("", "Authorities that peers' certificates must come from, PEM; turns on mutual TLS")

    mcp: bool = _is(False, "Whether models may use this node at /mcp, with an API key; needs the extra [mcp]")

    embed_enabled: bool = _is(False, "Whether recall goes by meaning too; by the extra [semantic], or by embed_url")
    embed_url: str = _is("", "Endpoint that gives vectors to texts; it is sent facts of every scope that is asked in")
    embed_model: str = _is("", "Model that the endpoint is asked for")
    embed_api_key: str = _is("", "Key that the endpoint wants, as a bearer token", secret=True)

    log_style: Literal["console", "json"] = _is("console", "Form of the log on standard error")
    log_level: Literal["debug", "info", "warning", "error"] = _is("info", "Least level of a log line")

    def __post_init__(self) -> None:
        check_field_types(self)

    @property
    def tls(self) -> bool:
        return bool(self.tls_cert_path)

    @property
    def mutual_tls(self) -> bool:
        return self.tls and bool(self.tls_ca_bundle)

    def url(self, port: int) -> str:
        """The address that others use, given the port that was bound."""
        if self.node_url:
            return self.node_url.rstrip("/")
        host = "localhost" if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104
        named = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls else 'http'}://{named}:{port}"


class Setting(NamedTuple):
    """One row of the table."""

    name: str
    type: Any
    default: Any
    meaning: str
    least: float | None
    most: float | None
    secret: bool

    @property
    def variable(self) -> str:
        return "STIGMEM_" + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


def _table() -> dict[str, Setting]:
    types = get_type_hints(HostSettings)
    table = {}
    for member in fields(HostSettings):
        if member.default is MISSING:
            raise TypeError(f"the setting {member.name} has no default")
        table[member.name] = Setting(member.name, types[member.name], member.default, **member.metadata)
    return table


SETTINGS: Final = _table()
"""Every setting by name, in the order in which they are shown."""


def node_settings(settings: HostSettings, *, seed: bytes, node_id: str, port: int) -> NodeSettings:
    """What the node itself takes from these settings."""
    return NodeSettings(
        seed=seed,
        node_url=settings.url(port),
        node_id=node_id,
        suite=ED25519,
        auth_required=settings.auth_required,
        source_attestation=settings.source_attestation_mode,
        attestation_required=settings.attestation_required,
        attestation_modes=settings.attestation_modes,
        quarantine_garden=settings.quarantine_garden_id,
        federation=settings.federation_enabled,
        scopes=settings.federation_scopes,
        allow_team=settings.federation_allow_team,
        relay=settings.federation_relay,
        origin_keys=settings.federation_origin_keys,
        unknown_origins=settings.federation_unknown_origins,
        owned_sources_only=settings.federation_owned_sources_only,
        resolvers=settings.federation_resolvers,
        tombstone_signers=settings.federation_tombstone_signers,
        schema_authorities=settings.schema_authorities,
        require_fresh_declarations=settings.federation_fresh_declarations,
        push=settings.federation_push_enabled,
        mtls=settings.mutual_tls,
        pull_interval_s=settings.federation_pull_interval_s,
        pull_jitter=settings.federation_pull_jitter,
        pull_timeout_s=settings.federation_pull_timeout_s,
        discovery_timeout_s=settings.federation_discovery_timeout_s,
        pull_wait_s=settings.federation_pull_wait_s,
        intake=IntakeLimits(
            window_s=settings.federation_quota_window_s,
            peer_facts=settings.federation_quota_peer_facts,
            peer_bytes=settings.federation_quota_peer_bytes,
            peer_origins=settings.federation_quota_peer_origins,
            peer_entities=settings.federation_quota_peer_entities,
            origin_facts=settings.federation_quota_origin_facts,
            origin_bytes=settings.federation_quota_origin_bytes,
        ),
        skew_future_ms=settings.federation_hlc_max_future_skew_s * 1_000,
        skew_past_ms=settings.federation_hlc_max_past_skew_s * 1_000,
        token_leeway_ms=settings.peer_token_leeway_s * 1_000,
        write_per_s=settings.rate_limit_write_per_hour / _HOUR_S,
        read_per_s=settings.rate_limit_read_per_hour / _HOUR_S,
        decay_ttl_s=float(settings.decay_ttl_seconds),
        decay_min_confidence=settings.decay_min_confidence,
        decay_policies=read_policies(settings.decay_policies),
        key_life_days=settings.api_key_max_age_days,
    )
