"""What a web page must not be able to have this node do, decided on the head of a request.

A browser sends requests for any page that its user looks at, also to addresses of the user's own machine. Three things
make that dangerous for a node that asks nobody for a key, and each has its own answer:

1. *Writing blind.* A page may POST to any address as long as the body claims to be a form or plain text; the answer is
   hidden from it, what the request did stays. So bodies must be JSON by their Content-Type: a page may send that only
   after a preflight, which this node never answers with consent.
2. *Cross-origin requests* name the page they come from in Origin (and newer browsers say `cross-site` in
   Sec-Fetch-Site). Only the node's own page of documentation is welcome. Following a link to it is not a request of
   the page's own.
3. *Rebinding.* A page on a name whose address is changed to 127.0.0.1 is of one origin with the node, and may read
   everything; but the name in Host is still the stranger's. So only names of this machine count.

With authentication on, a page has no key to send and a browser adds none, so 2 and 3 are without danger, and a reverse
proxy may use whatever names it likes; bodies that say that they are something else than JSON are refused all the same.
The control socket is no door for browsers and is not asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from stigmem.core.wire import Response, json_response
from stigmem.host.safety import is_loopback

__all__ = ["web_refusal"]

_FOREIGN_SITES: Final = ("cross-site", "same-site")


def web_refusal(headers: Mapping[str, str], *, auth_required: bool) -> Response | None:
    """Why a request with these headers (names in lower case) is refused, or None when it may be answered."""
    if not auth_required:
        host = headers.get("host")
        if host is not None and not _is_of_this_machine(host):
            return _refusal(
                403, "foreign_host",
                "without authentication this node answers to names of this machine only, such as localhost, not to "
                f"{host[:200]!r}",
            )  # fmt: skip
        if _is_foreign(headers):
            return _refusal(
                403, "foreign_origin", "without authentication this node answers no requests of other web pages"
            )
    if _has_body(headers) and not _is_json(headers.get("content-type"), required=not auth_required):
        return _refusal(415, "unsupported_media_type", "a body must be JSON, with Content-Type: application/json")
    return None


@lru_cache(maxsize=256)
def _is_of_this_machine(host: str) -> bool:
    # Asked with every request, nearly always about the same name; taking it apart costs a tenth of a request.
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return False
    name = (parts.hostname or "").removesuffix(".")
    return parts.netloc == host and "@" not in host and is_loopback(name)


def _is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a page of another origin asks. A browser that follows a link sends no Origin, and says `navigate`."""
    origin = headers.get("origin")
    if origin is not None:
        return origin.partition("://")[2].lower() != headers.get("host", "").lower()
    return headers.get("sec-fetch-site") in _FOREIGN_SITES and headers.get("sec-fetch-mode") != "navigate"


def _has_body(headers: Mapping[str, str]) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip("0") != ""


def _is_json(content_type: str | None, *, required: bool) -> bool:
    if content_type is None:
        return not required
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _refusal(status: int, code: str, message: str) -> Response:
    return json_response(status, {"detail": message, "code": code})
