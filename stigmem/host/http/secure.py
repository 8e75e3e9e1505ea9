"""TLS on a connection: the handshake, and who is on the other end. Which certificates count is `stigmem.host.tls`."""

from __future__ import annotations

import ssl

import trio

from stigmem.host.tls import certificate_uris

__all__ = ["Stream", "secured"]

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


async def secured(raw: trio.SocketStream, context: ssl.SSLContext) -> tuple[Stream, tuple[str, ...] | None]:
    """The stream to speak over, and the URIs in the caller's certificate: empty without one, None where none is asked
    for. Raises BrokenResourceError when the handshake fails; its time is bounded by whoever calls."""
    stream = trio.SSLStream(raw, context, server_side=True, https_compatible=True)
    await stream.do_handshake()
    if context.verify_mode == ssl.CERT_NONE:
        return stream, None
    return stream, certificate_uris(stream.getpeercert())
