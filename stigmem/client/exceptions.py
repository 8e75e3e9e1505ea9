"""What can go wrong between a client and a node. Where no answer came at all, the error is one of httpx."""

from __future__ import annotations

from typing import Any

from stigmem.core.errors import StigmemError

__all__ = [
    "StigmemAuthError", "StigmemConflictError", "StigmemError", "StigmemHTTPError", "StigmemNotFoundError", "error_of",
]  # fmt: skip


class StigmemHTTPError(StigmemError):
    """The node refused. `status_code` is the status, `detail` what it said: a text, or an object with `code`."""

    def __init__(self, status_code: int, detail: Any) -> None:
        code = detail.get("code") if isinstance(detail, dict) else None
        super().__init__(code if isinstance(code, str) else f"http_{status_code}", f"HTTP {status_code}: {detail}")
        self.status_code = status_code
        self.detail = detail


class StigmemAuthError(StigmemHTTPError):
    """The key is missing, not valid, or may not do this (401, 403)."""


class StigmemNotFoundError(StigmemHTTPError):
    """There is no such thing, or none that the key may see (404)."""


class StigmemConflictError(StigmemHTTPError):
    """It contradicts what is there already (409)."""


def error_of(status: int, detail: Any) -> StigmemHTTPError:
    """The error of an answer with this status."""
    kinds = {401: StigmemAuthError, 403: StigmemAuthError, 404: StigmemNotFoundError, 409: StigmemConflictError}
    return kinds.get(status, StigmemHTTPError)(status, detail)
