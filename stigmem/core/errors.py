"""Errors as part of the interface: a stable code, one sentence, the guilty side.

Only exception types live here. A `Refusal` is an answer to somebody who asked for something this node
will not do (the caller is at fault, HTTP status included); a `Rejection` is raised for one fact, token or
declaration that a peer sent and this node does not accept (the peer is at fault). Neither is ever raised for a
bug of ours: those are ordinary Python exceptions.
"""

from __future__ import annotations

from typing import Any, Literal

__all__ = ["JournalCorrupt", "Refusal", "Rejection", "StigmemError", "Style", "invalid"]

Style = Literal["text", "code", "list", "raw"]
"""The body of an error answer (http-api 3.0): ``text`` gives ``{"detail": message}``, ``code`` gives
``{"detail": {"code", "message", "field", ...}}``, ``list`` the array of a failed validation (422), ``raw`` exactly the
members of `extra`."""


class StigmemError(Exception):
    """Base of every error that is part of the interface. `code` is stable, `message` is one sentence, `field` the
    member that is meant, with dots between levels, or None."""

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class Refusal(StigmemError):
    """A request that is answered with an error status.

    `style` chooses the body. `extra` members join the detail object (for ``list`` the member `items` is the array);
    `headers` are pairs of lower-case name and text, and join the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        style: Style = "code",
        extra: dict[str, Any] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(code, message, field=field)
        self.status = status
        self.style = style
        self.extra = extra or {}
        self.headers = headers


class Rejection(StigmemError):
    """One thing sent by a peer that is not accepted; `detail` goes to the audit row as it is, so it holds JSON values.

    The codes of facts are those of federation 3.5, the codes of tokens those of federation 2.6.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message, field=field)
        self.detail = detail or {}


class JournalCorrupt(StigmemError):
    """What the journal holds cannot be this node's history; the node refuses to start on it."""

    def __init__(self, message: str) -> None:
        super().__init__("journal_corrupt", message)


def invalid(field: str, message: str, *, kind: str = "value_error", given: Any = None) -> Refusal:
    """A 422 for one field of a body, in the array form that existing clients read (http-api 3.0). `field`: with dots
    between levels, or empty for the whole body. `kind`: the machine-readable type. `given`: what was sent, if shown."""
    loc = field.split(".") if field else []
    item = {"type": kind, "loc": ["body", *loc], "msg": message, "input": given}
    return Refusal(422, "validation_failed", message, field=field, style="list", extra={"items": [item]})
