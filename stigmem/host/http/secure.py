"""TLS on a connection: the handshake, and who is on the other end. Which certificates count is `stigmem.host.tls`."""

from __future__ import annotations

import socket
import ssl

import trio

from stigmem.host.http.plain import PlainStream
from stigmem.host.tls import certificate_uris

__all__ = ["SecureStream", "Stream", "secured"]

SecureStream = trio.SSLStream[trio.SocketStream]
Stream = PlainStream | SecureStream


async def secured(raw: socket.socket, context: ssl.SSLContext) -> tuple[SecureStream, tuple[str, ...] | None]:
    """The stream to speak over, and the URIs in the caller's certificate: empty without one, None where none is asked
    for. Raises BrokenResourceError when the handshake fails; its time is bounded by whoever calls."""
    under = trio.SocketStream(trio.socket.from_stdlib_socket(raw))
    stream = trio.SSLStream(under, context, server_side=True, https_compatible=True)
    await stream.do_handshake()
    if context.verify_mode == ssl.CERT_NONE:
        return stream, None
    return stream, certificate_uris(stream.getpeercert())
