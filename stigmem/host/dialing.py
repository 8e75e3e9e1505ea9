"""Connecting to other nodes: which addresses may be, and who must be at the other end.

A name is resolved, its address is checked, and the checked address is connected to, so that it cannot change in
between. Over TLS a peer is recognised by the node id in its certificate, anybody else by the host's name.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import trio

from stigmem.host.address_policy import AddressPolicy, check_address
from stigmem.host.tls import TlsContexts, certificate_uris

__all__ = ["Dialer", "WrongPeer"]


class WrongPeer(Exception):
    """The certificate at the other end is not that of the node expected there."""


class Dialer(httpcore.AsyncNetworkBackend):
    """Opens connections to one base address."""

    def __init__(self, policy: AddressPolicy, contexts: TlsContexts, expected: tuple[str, ...]) -> None:
        """`expected`: ids of the nodes that may be there, one of which its certificate must name; empty when no
        node is expected and the host's name decides."""
        self._inner = httpcore.TrioBackend()
        self._policy = policy
        self._contexts = contexts
        self._expected = expected

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        for address in addresses:
            check_address(address, self._policy)
        failed: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                stream = await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                return _Link(stream, self._contexts, self._expected)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(self, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("peers are not reached through sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _Link(httpcore.AsyncNetworkStream):
    """A connection that looks at the certificate before anything is said."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, contexts: TlsContexts, expected: tuple[str, ...]) -> None:
        self._inner = inner
        self._contexts = contexts
        self._expected = expected

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        if not self._expected:
            return await self._inner.start_tls(self._contexts.by_name, server_hostname, timeout)
        stream = await self._inner.start_tls(self._contexts.by_node, server_hostname, timeout)
        uris = certificate_uris(stream.get_extra_info("ssl_object").getpeercert())
        if not any(uri in self._expected for uri in uris):
            await stream.aclose()
            named = ", ".join(uris) or "no node"
            raise WrongPeer(f"its certificate names {named}, not {' or '.join(self._expected)}")
        return stream

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
