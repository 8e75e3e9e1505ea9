"""Reading heads: bytes to a Request and what is said about its body. No I/O and no state but the bytes held back.

llhttp reads names and values and refuses most of what could be read in two ways: two lengths, signs, a length beside
a coding, folded lines, a bare CR or LF, NUL, blanks before a colon. It gets one whole head at a time, cut out here, so
that it never sees a body or the request behind it, and nothing that it believes about where a request ends counts.

Where it is more lenient than RFC 9112 allows a server to be, we are not:

1. The request line has single blanks, a version that is exactly HTTP/1.0 or HTTP/1.1, and a target of visible ASCII
   without a fragment. HTTP/0.9, HTTP/2.0 (which is how the preface of HTTP/2 reads), RTSP and ICE end here.
2. A request of HTTP/1.1 has one Host; none has two. A target in absolute form names that same host.
3. The only transfer coding is `chunked`, once, and not with HTTP/1.0.
4. A head has at most HEAD_BYTES_MAX bytes and HEADER_LINES_MAX lines.
5. Nobody leaves HTTP/1.1: CONNECT and Upgrade are refused.

What is refused depends on the bytes and not on how they were cut into reads. So a rule that is applied to a head
that is not complete yet (the request line, a bare LF, the size) is applied in the same order to one that is.

Wart: a bare CR, or a byte that no header may have, is noticed only when the head is complete.
Sources: RFC 9112 sections 2 to 6, RFC 9110 sections 5, 7 and 10.1.1.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import httptools

from stigmem.core.wire import Request
from stigmem.host.http import limits
from stigmem.host.http.refusals import Refused, refusal

__all__ = ["Head", "HeadReader"]

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_REQUEST_LINE: Final = re.compile(rb"(%s+) ([!-~]+) HTTP/([0-9])\.([0-9])\r\n" % _TOKEN)
_FIRST_BYTE: Final = re.compile(_TOKEN)
_BARE_LF: Final = re.compile(rb"(?:^|[^\r])\n")
_HOST: Final = re.compile(r"[0-9A-Za-z.\-_~%!$&'()*+,;=:\[\]]*")
_LENGTH_LINES: Final = re.compile(rb"\ncontent-length:", re.IGNORECASE)
_CODING_LINES: Final = re.compile(rb"\ntransfer-encoding:[ \t]*([^\r\n]*)", re.IGNORECASE)
_CODINGS: Final = re.compile(rb"%s+([ \t]*,[ \t]*%s+)*[ \t]*" % (_TOKEN, _TOKEN))
_ONCE: Final = frozenset({"host", "content-length", "transfer-encoding", "expect"})
"""Headers that decide about more than themselves: twice is refused."""


_VERSIONS: Final = frozenset({b"HTTP/1.1", b"HTTP/1.0"})
_NAMES: Final = {
    spelling.encode(): name
    for name in (
        "accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host",
        "user-agent",
    )
    for spelling in (name, name.title())
}  # fmt: skip
"""The names that nearly every request has, as they are spelt."""


class Head(NamedTuple):
    """A request without its body. `length`: bytes of the body, None when it comes in chunks."""

    request: Request
    length: int | None
    keep_alive: bool
    expects_continue: bool
    is_http_1_0: bool


class _Found:
    """What llhttp tells about one head; the name of its method is httptools'."""

    __slots__ = ("headers", "lines", "twice")

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.lines = 0
        self.twice = ""
        """A header of _ONCE that came twice."""

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines += 1
        key = _NAMES.get(name) or name.decode("ascii").lower()
        text = value.decode("latin-1")
        if text and text[-1] in " \t":
            text = text.rstrip(" \t")
        headers = self.headers
        if key not in headers:
            headers[key] = text
        elif key in _ONCE:
            self.twice = key
        elif key == "connection":
            headers[key] += "," + text


class HeadReader:
    """Takes heads from the front of a buffer."""

    def __init__(self) -> None:
        self._found = _Found()
        self._parser: httptools.HttpRequestParser | None = None
        self._seen = 0
        """Bytes of an incomplete head that were looked at."""
        self._line_is_good = False
        self._skipped = False
        self._host = ""
        """The last good one: a connection has one host as a rule."""

    def take(self, buffer: bytearray) -> Head | None:
        """The next head, removed from the buffer, or None when it is not complete. Raises Refused."""
        if not self._seen and not self._skipped and buffer.startswith(b"\r"):
            # One empty line before a request is ignored (RFC 9112, 2.2): some clients end a body with it.
            if len(buffer) == 1:
                return None
            if buffer.startswith(b"\r\n"):
                del buffer[:2]
                self._skipped = True
        end = buffer.find(b"\r\n\r\n", max(0, self._seen - 3))
        if end < 0 or end + 4 > limits.HEAD_BYTES_MAX:
            self._check_beginning(buffer)
            self._seen = len(buffer)
            return None
        raw = bytes(buffer[: end + 4])
        del buffer[: end + 4]
        self._seen, self._line_is_good, self._skipped = 0, False, False
        return self._read(raw)

    def _check_beginning(self, buffer: bytearray) -> None:
        """Refuse at once what no further bytes can mend: its sender may wait for us, and not send them."""
        most = limits.HEAD_BYTES_MAX
        line = buffer.find(b"\n", 0, most) + 1
        if not line:
            if len(buffer) > most:
                raise _refused(414, "target_too_long", f"a request line has at most {most} bytes")
            if buffer and not _FIRST_BYTE.match(buffer):
                raise _not_a_request()
            return
        if not self._line_is_good:
            _check_line(bytes(buffer[:line]))
            self._line_is_good = True
        if _BARE_LF.search(buffer, max(0, self._seen - 1), most):
            raise _malformed()
        if len(buffer) > most:
            raise _refused(431, "head_too_large", f"the head of a request has at most {most} bytes")

    def _read(self, raw: bytes) -> Head:
        found = self._found
        found.headers, found.lines, found.twice = {}, 0, ""
        parser = self._parser or httptools.HttpRequestParser(found)
        self._parser = None
        try:
            parser.feed_data(raw)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise self._diagnosed(raw, error) from None
        words = raw[: raw.index(b"\r\n")].split(b" ")
        # llhttp has read a line; that it is the one which our rules allow is what is left to see.
        if (
            len(words) != 3
            or words[2] not in _VERSIONS
            or words[0] != parser.get_method()
            or b"#" in words[1]
            or raw.count(b"\n") != found.lines + 2
        ):
            raise self._diagnosed(raw, None)
        if found.lines > limits.HEADER_LINES_MAX:
            raise _too_many_lines()
        if found.twice:
            raise _refused(400, "header_given_twice", f"a request has one {found.twice} header")
        headers, is_old = found.headers, words[2] == b"HTTP/1.0"
        length = _length(headers, is_old=is_old)
        if length == 0:
            self._parser = parser  # one that waits for a body is of no further use
        if "upgrade" in headers:
            raise _no_upgrade()
        method = words[0].decode("ascii")
        self._check_host(headers.get("host"), is_old=is_old)
        target = words[1].decode("ascii")
        if target[0] != "/":
            target = _target(target, method, headers.get("host", ""))
        expects = headers.get("expect")
        if expects is not None and expects.lower() != "100-continue":
            raise _refused(417, "unknown_expectation", "the only expectation that is known is 100-continue")
        connection = headers.get("connection")
        keep_alive = not is_old if connection is None else _keeps(connection, is_old=is_old)
        expects_continue = expects is not None and not is_old and length != 0
        return Head(Request(method, target, headers), length, keep_alive, expects_continue, is_old)

    def _check_host(self, host: str | None, *, is_old: bool) -> None:
        if host is None:
            if not is_old:
                raise _refused(400, "no_host", "a request of HTTP/1.1 has a Host header")
        elif host != self._host:
            if _HOST.fullmatch(host) is None:
                raise _refused(400, "bad_host", "the Host header is a name or address, and a port or none")
            self._host = host

    def _diagnosed(self, raw: bytes, error: Exception | None) -> Refused:
        """What is wrong with a head, in the order of its bytes, and by the name under which people look for it."""
        _check_line(raw[: raw.index(b"\n") + 1])
        if _BARE_LF.search(raw):
            return _malformed()
        if raw.count(b"\n") - 2 > limits.HEADER_LINES_MAX:
            return _too_many_lines()
        if isinstance(error, httptools.HttpParserUpgrade):
            return _no_upgrade()
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            return _refused(501, "unknown_method", "this node does not know the request's method")
        codings: list[bytes] = _CODING_LINES.findall(raw)
        lengths = len(_LENGTH_LINES.findall(raw))
        if len(codings) + lengths > 1:
            return _refused(400, "ambiguous_length", "give one content-length or chunks, not both")
        if codings and _CODINGS.fullmatch(codings[0]):
            return _unknown_coding()
        return _malformed()


def _check_line(line: bytes) -> None:
    """Raises Refused for a request line, its end included, that no head can begin with."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise _not_a_request()
    if found[3] != b"1" or found[4] not in b"01":
        raise _refused(505, "unknown_version", "this node speaks HTTP/1.1")
    if found[1] == b"CONNECT":
        raise _refused(501, "no_proxy", "this node is no proxy: CONNECT is not answered here")
    if b"#" in found[2]:
        raise _not_a_request()


def _length(headers: dict[str, str], *, is_old: bool) -> int | None:
    coding = headers.get("transfer-encoding")
    if coding is None:
        length = headers.get("content-length")
        return 0 if length is None else int(length)
    if is_old:
        raise _refused(400, "ambiguous_length", "HTTP/1.0 has no transfer coding")
    if coding.lower() != "chunked":
        raise _unknown_coding()
    return None


def _target(target: str, method: str, host: str) -> str:
    """The path and query of a target that begins otherwise. Raises Refused when it is none, or of another host."""
    if target == "*" and method == "OPTIONS":
        return target
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise _not_a_request()
    size = next((at for at, character in enumerate(rest) if character in "/?"), len(rest))
    if rest[:size].lower() != host.lower():
        raise _refused(400, "bad_host", "the address asked for and the Host header name different hosts")
    path = rest[size:]
    return path if path.startswith("/") else "/" + path


def _keeps(connection: str, *, is_old: bool) -> bool:
    wishes = [wish.strip().lower() for wish in connection.split(",")]
    return "close" not in wishes and (not is_old or "keep-alive" in wishes)


def _refused(status: int, code: str, message: str) -> Refused:
    return Refused(code, refusal(status, code, message))


def _not_a_request() -> Refused:
    return _refused(400, "malformed_request", "these bytes are no request of HTTP/1.1")


def _too_many_lines() -> Refused:
    return _refused(431, "too_many_headers", f"a request has at most {limits.HEADER_LINES_MAX} header lines")


def _malformed() -> Refused:
    return _refused(400, "malformed_head", "the head of the request is not as HTTP/1.1 has it")


def _unknown_coding() -> Refused:
    return _refused(501, "unknown_coding", "the only transfer coding that is known is chunked, alone")


def _no_upgrade() -> Refused:
    return _refused(501, "no_upgrade", "this node speaks HTTP/1.1 only; ask without Upgrade")
