"""The transport port over httpx: requests to other nodes, bounded in time and size and in where they go.

One client per node address, kept open between pulls. No redirects, no proxies from the environment, no
compression. What may be connected to is `stigmem.host.dialing`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Final
from urllib.parse import urlsplit

import httpcore
import httpx
import trio

from stigmem.core.wire import Request, Response
from stigmem.host.address_policy import AddressPolicy, Forbidden
from stigmem.host.dialing import Dialer, WrongPeer
from stigmem.host.tls import TlsContexts
from stigmem.host.tls_errors import tls_reason
from stigmem.node.ports import Unreachable

__all__ = ["HttpTransport", "parts_of"]

_CONNECT_S: Final = 5.0
_IDLE_S: Final = 60.0
"""Below the 75 s after which our own servers close an idle connection."""
_LINES_MAX: Final = 256
_BROKEN_OFF: Final = (httpx.HTTPError, httpx.StreamError, httpcore.NetworkError, httpcore.ProtocolError)
"""What reading a body that was closed may raise."""


class _Connections(httpx.AsyncBaseTransport):
    """httpx over a pool whose connections a Dialer opens."""

    def __init__(self, dialer: Dialer, tls: ssl.SSLContext) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, network_backend=dialer, max_connections=8, keepalive_expiry=_IDLE_S
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Line:
    """The client of one address, and how many requests are under way on it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.users = 0


class HttpTransport:
    """Requests over HTTP."""

    def __init__(
        self,
        contexts: Callable[[], TlsContexts],
        policy: AddressPolicy = "any",
        expected: Callable[[str], tuple[str, ...]] = lambda _: (),
    ) -> None:
        """`contexts` gives the certificates of new connections; `expected` the ids of the nodes registered at an
        address, one of which must then be in the certificate found there."""
        self._contexts = contexts
        self._policy: AddressPolicy = policy
        self._expected = expected
        self._lines: dict[tuple[str, tuple[str, ...]], _Line] = {}
        self._spare: list[_Line] = []

    def renew(self) -> None:
        """Open new connections from now on: certificates have changed."""
        self._spare += self._lines.values()
        self._lines.clear()

    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        """The peer's answer, whatever its status. Raises Unreachable with `timeout`, `refused`,
        `forbidden_address`, `tls`, `san_mismatch`, `body_too_large`, `bad_url` or `broken_answer`."""
        _check_url(url)
        line = self._line(url)
        line.users += 1
        try:
            with trio.fail_after(timeout_ns / 1e9):
                return await _exchange(line.client, url, request, body_max)
        except trio.TooSlowError as error:
            raise Unreachable("timeout", f"{url} did not answer in {timeout_ns / 1e9:g} s") from error
        except Forbidden as error:
            raise Unreachable("forbidden_address", f"{url}: {error}") from error
        except WrongPeer as error:
            raise Unreachable("san_mismatch", f"{url}: {error}") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, httpx.HTTPError) as error:
            raise _unreachable(url, error) from error
        except (httpx.InvalidURL, ValueError) as error:
            raise Unreachable("bad_url", f"{url} is no address: {error}") from error
        finally:
            line.users -= 1
            await self._close_spare()

    def _line(self, url: str) -> _Line:
        expected = self._expected(url)
        # Connections made when nobody was expected at an address are not those of a node that registered since.
        line = self._lines.pop((url, expected), None)
        if line is None:
            contexts = self._contexts()
            client = httpx.AsyncClient(
                transport=_Connections(Dialer(self._policy, contexts, expected), contexts.by_name),
                timeout=httpx.Timeout(None, connect=_CONNECT_S),
                follow_redirects=False,
                trust_env=False,
            )
            line = _Line(client)
        self._lines[url, expected] = line  # the newest is last, so that the first to go is the longest unused
        if len(self._lines) > _LINES_MAX:
            self._spare.append(self._lines.pop(next(iter(self._lines))))
        return line

    async def _close_spare(self) -> None:
        idle = [line for line in self._spare if not line.users]
        self._spare = [line for line in self._spare if line.users]
        for line in idle:
            with trio.CancelScope(shield=True):
                await line.client.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        self.renew()
        for line in self._spare:
            await line.client.aclose()
        self._spare.clear()


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise Unreachable("bad_url", f"{url} is no http or https address")


async def _exchange(client: httpx.AsyncClient, url: str, request: Request, body_max: int) -> Response:
    headers = request.headers | {"accept-encoding": "identity"}  # a compressed page has no honest size
    async with client.stream(
        request.method, url + request.target, headers=headers, content=request.body or None
    ) as answer:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise Unreachable("broken_answer", f"{url} answered compressed, which was not asked for")
        body = await _body(answer, body_max)
        if body is None:
            raise Unreachable("body_too_large", f"{url} answered with more than {body_max} bytes")
        return Response(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, body)


async def _body(answer: httpx.Response, body_max: int) -> bytes | None:
    """The body, or None when it is too large."""
    body = bytearray()
    async with aclosing(parts_of(answer)) as parts:
        async for part in parts:
            body += part
            if len(body) > body_max:
                return None
            # What has arrived may be ten thousand chunks of a byte each: others get their turn between them.
            await trio.lowlevel.checkpoint()
    return bytes(body)


async def parts_of(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The pieces of a body, as they came. Whoever stops early, or is cancelled, closes what they are read from, so that
    the generators under this one come to their end by themselves."""
    parts = answer.aiter_raw()
    try:
        async for part in parts:
            yield part
    finally:
        with trio.CancelScope(shield=True), suppress(*_BROKEN_OFF):
            await answer.aclose()
            async for _ in parts:
                pass


def _unreachable(url: str, error: Exception) -> Unreachable:
    reason = tls_reason(error)
    if reason is not None:
        return Unreachable("tls", f"{url}: TLS failed: {reason}")
    if isinstance(error, (httpcore.ConnectError, httpcore.ConnectTimeout)):
        return Unreachable("refused", f"{url} cannot be reached: {error}")
    return Unreachable("broken_answer", f"{url} broke off: {str(error) or type(error).__name__}")
