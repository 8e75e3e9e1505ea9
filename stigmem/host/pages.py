"""The documents that a node serves about itself: the OpenAPI document and the page to try it on.

Made when somebody asks for the first time, and kept: they change with the program, not with the data.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

import msgspec

from stigmem.core.wire import JSON_TYPE, Response
from stigmem.host.openapi import document
from stigmem.node.node import ROUTER

__all__ = ["page"]

_HTML: Final = {
    "content-type": "text/html; charset=utf-8",
    # The page brings everything with it and talks to the node it came from, and to nobody else.
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
}


def page(path: str, server_url: str) -> Response | None:
    """The document at a path, or None when there is none."""
    if path == "/openapi.json":
        return _openapi(server_url)
    return _docs() if path == "/docs" else None


@lru_cache(maxsize=8)
def _openapi(server_url: str) -> Response:
    return Response(200, JSON_TYPE, msgspec.json.encode(document(ROUTER.operations, server_url)))


@lru_cache(maxsize=1)
def _docs() -> Response:
    return Response(200, _HTML, files("stigmem.host").joinpath("docs.html").read_bytes())
