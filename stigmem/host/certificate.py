"""What a node's own certificate says: until when, and for whom.

Python shows the members of a certificate only where it came over a connection and was trusted. So a handshake with
oneself is made in memory, by a client that trusts this one certificate and does not mind that it has ended.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from stigmem.host.settings import HostSettings
from stigmem.host.tls import certificate_uris, server_context

__all__ = ["Certificate", "own_certificate"]

_NO_CHECK_TIME: Final = 0x20_0000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, for which the ssl module has no name."""
_ROUNDS: Final = 8


class Certificate(NamedTuple):
    """The members that matter here."""

    ends: datetime
    uris: tuple[str, ...]

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends; negative when it has ended."""
        return (self.ends - now).days


def own_certificate(settings: HostSettings) -> Certificate:
    """The certificate that the settings name. Raises BadSettings or ssl.SSLError when it cannot be used."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.load_verify_locations(settings.tls_cert_path)
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    found = _shaken(server_context(settings), trusting)
    return Certificate(
        datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC), certificate_uris(found)
    )


def _shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server, server_hostname="this-node")
    answers = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_ROUNDS):
        for side in (caller, answers):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            if side is caller:
                return dict(caller.getpeercert() or {})
    raise ssl.SSLError("the handshake with this certificate does not end")
