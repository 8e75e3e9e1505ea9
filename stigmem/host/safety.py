"""Whether settings may be used together: what is unsafe is refused, with a sentence that says what would be right.

Pure checks of values. Files are looked at by `stigmem.host.tls` and by `stigmem doctor`.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from stigmem.core.decay import read_policies
from stigmem.core.keys import ED25519, decode_base64
from stigmem.core.scopes import is_scope
from stigmem.host.settings import HostSettings
from stigmem.host.sources import BadSettings
from stigmem.node.settings import is_attestation_mode

__all__ = ["check_settings", "is_loopback", "is_wildcard"]


def is_loopback(host: str) -> bool:
    """Whether an address or name stays on this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether a bind address means every address of this machine."""
    return host in ("", "0.0.0.0", "::", "*")  # noqa: S104


def check_settings(settings: HostSettings) -> None:
    """Raises BadSettings for the first thing that must not be."""
    _check_names(settings)
    _check_tls(settings)
    _check_key(settings)
    _check_decay(settings)
    if not settings.auth_required and not is_loopback(settings.host):
        raise BadSettings(
            "without authentication a node may listen on this machine only, not on "
            f"{settings.host or 'every address'}: drop --no-auth-required, or use --host 127.0.0.1"
        )
    if settings.federation_enabled:
        _check_federation(settings)


def _check_decay(settings: HostSettings) -> None:
    try:
        read_policies(settings.decay_policies)
    except ValueError as error:
        raise BadSettings(str(error)) from error


def _check_names(settings: HostSettings) -> None:
    if settings.node_url:
        parts = urlsplit(settings.node_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise BadSettings(
                f"node_url must be an http or https address such as https://node.example, not {settings.node_url!r}"
            )
        if settings.tls and parts.scheme == "http":
            raise BadSettings(f"with a certificate this node speaks https, and node_url says {settings.node_url}")
    unknown = [scope for scope in settings.federation_scopes if not is_scope(scope)]
    if unknown:
        raise BadSettings(f"federation_scopes knows local, team, company and public, not {unknown[0]!r}")
    for text in settings.attestation_modes:
        if not is_attestation_mode(text):
            raise BadSettings(f"attestation_modes is a list such as public=enforce,company=warn, and has {text!r}")


def _check_tls(settings: HostSettings) -> None:
    if bool(settings.tls_cert_path) != bool(settings.tls_key_path):
        raise BadSettings("TLS needs both tls_cert_path and tls_key_path")
    if settings.tls_ca_bundle and not settings.tls_cert_path:
        raise BadSettings("tls_ca_bundle asks peers for certificates, which needs tls_cert_path and tls_key_path too")


def _check_key(settings: HostSettings) -> None:
    if not settings.federation_privkey:
        if settings.federation_pubkey:
            raise BadSettings("federation_pubkey without federation_privkey says nothing; give both or neither")
        return
    try:
        seed = decode_base64(settings.federation_privkey)
    except ValueError:
        seed = b""
    if len(seed) != 32:
        raise BadSettings("federation_privkey must be a 32-byte Ed25519 seed in base64url")
    if settings.federation_pubkey and settings.federation_pubkey != ED25519.signer(seed).public_key:
        raise BadSettings("federation_pubkey is not the public half of federation_privkey")


def _check_federation(settings: HostSettings) -> None:
    if is_wildcard(settings.host) and not settings.node_url:
        raise BadSettings("a node that listens on every address must tell its peers one of them: give --node-url")
    named = urlsplit(settings.node_url).hostname if settings.node_url else settings.host
    stays_here = is_loopback(settings.host) and is_loopback(named or "")
    if not stays_here and not settings.mutual_tls and not settings.federation_insecure:
        raise BadSettings(
            "federation beyond this machine needs mutual TLS (tls_cert_path, tls_key_path and tls_ca_bundle), or "
            "--federation-insecure where something else protects the way"
        )
