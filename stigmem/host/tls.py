"""Certificates: contexts for serving and for calling peers, renewed without a restart, and who is on the other end.

TLS 1.3 or nothing. A peer's certificate must come from the operator's own authorities; which node it is for is its
URI alternative name, compared with the registered node id by whoever knows it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio

from stigmem.host.settings import HostSettings
from stigmem.host.sources import BadSettings

__all__ = ["Certificates", "TlsContexts", "certificate_uris", "client_context"]

_WATCH_S: Final = 5.0


class TlsContexts(NamedTuple):
    """How the other end of a call is known: by the host's name, or by the node id in its certificate, which the
    caller compares."""

    by_name: ssl.SSLContext
    by_node: ssl.SSLContext


class Certificates:
    """The TLS files of a node and the contexts made from them; `current` changes when the files do."""

    def __init__(self, settings: HostSettings) -> None:
        """Load the files; raises BadSettings."""
        self._settings = settings
        self._paths = [
            Path(text) for text in (settings.tls_cert_path, settings.tls_key_path, settings.tls_ca_bundle) if text
        ]
        self._seen = self._stamps()
        self.server, self.client = self._load()
        self.on_change: list[Callable[[], None]] = []
        """Called after the contexts were replaced."""

    def _stamps(self) -> list[int]:
        try:
            return [path.stat().st_mtime_ns for path in self._paths]
        except OSError:
            return []  # in the middle of being replaced: another look finds them

    def _load(self) -> tuple[ssl.SSLContext | None, TlsContexts]:
        by_name = client_context(self._settings)
        if not self._settings.tls:  # then no node is known by its certificate either
            return None, TlsContexts(by_name, by_name)
        by_node = client_context(self._settings)
        by_node.check_hostname = False  # a node id stands in its certificate, wherever the node runs
        return server_context(self._settings), TlsContexts(by_name, by_node)

    def reload(self) -> None:
        """Read the files again; raises BadSettings and keeps what was good."""
        self._seen = self._stamps()
        self.server, self.client = self._load()
        for told in self.on_change:
            told()

    async def watch(self, report: Callable[[BadSettings | None], None]) -> None:
        """Reload when a file changes; `report` gets what is wrong with it, or None when it is in use. Never ends."""
        while True:
            await trio.sleep(_WATCH_S)
            self.look(report)

    def look(self, report: Callable[[BadSettings | None], None]) -> None:
        """Reload if a file changed since the last look."""
        stamps = self._stamps()
        if stamps and stamps != self._seen:
            try:
                self.reload()
                report(None)
            except BadSettings as error:
                report(error)


def server_context(settings: HostSettings) -> ssl.SSLContext:
    """For connections that come in. With mutual TLS a certificate is asked for and, if given, must be good; that
    peers give one is checked where it is known that the caller is a peer. Raises BadSettings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    _load_own(context, settings)
    if settings.mutual_tls:
        _load_authorities(context, settings)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(settings: HostSettings) -> ssl.SSLContext:
    """For connections to others: this machine's authorities, or with a bundle only those. Raises BadSettings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    if settings.tls_ca_bundle:
        _load_authorities(context, settings)
    else:
        context.load_default_certs()
    if settings.tls_cert_path:
        _load_own(context, settings)
    return context


def _load_own(context: ssl.SSLContext, settings: HostSettings) -> None:
    try:
        context.load_cert_chain(settings.tls_cert_path, settings.tls_key_path, password=_no_password)
    except (OSError, ValueError) as error:
        raise BadSettings(
            f"the certificate {settings.tls_cert_path} and its key {settings.tls_key_path} cannot be used: {error}"
        ) from error


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal, where nobody may be.
    raise ValueError("the key is encrypted; give one without a password")


def _load_authorities(context: ssl.SSLContext, settings: HostSettings) -> None:
    try:
        context.load_verify_locations(settings.tls_ca_bundle)
    except OSError as error:
        raise BadSettings(f"the authorities in {settings.tls_ca_bundle} cannot be used: {error}") from error


def certificate_uris(found: dict[str, Any] | None) -> tuple[str, ...]:
    """The URI alternative names in what `getpeercert()` gives."""
    return tuple(value for kind, value in (found or {}).get("subjectAltName", ()) if kind == "URI")
