"""Errors as part of the interface: a stable code, one sentence, the guilty side.

Exception types, and how a caller is told that a member is not valid, live here. A `Refusal` is an answer to somebody
who asked for something this node will not do (the caller is at fault, HTTP status included); a `Rejection` is raised
for one fact, token or declaration that a peer sent and this node does not accept (the peer is at fault). Neither is
ever raised for a bug of ours: those are ordinary Python exceptions.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

import msgspec

__all__ = ["JournalCorrupt", "Refusal", "Rejection", "StigmemError", "invalid", "shown"]

_SHOWN_CHARS_MAX: Final = 256
"""A refusal shows what was given, and is no mirror for megabytes of it."""
_SECRETS: Final = ("raw_key",)
"""Members that are not shown again."""


class StigmemError(Exception):
    """Base of every error that is part of the interface. `code` is stable, `message` is one sentence, `field` the
    member that is meant, with dots between levels, or None. One text alone is code and message."""

    def __init__(self, code: str, message: str | None = None, *, field: str | None = None) -> None:
        message = code if message is None else message
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class Refusal(StigmemError):
    """A request that is answered with an error status.

    The message is the member `detail` of the body. `extra` members stand beside it; `headers` are pairs of lower-case
    name and text, and join the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        extra: dict[str, Any] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(code, message, field=field)
        self.status = status
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


def invalid(
    field: str,
    message: str,
    *,
    where: Literal["body", "query"] = "body",
    code: str = "validation_failed",
    kind: str = "value_error",
    given: Any = None,
) -> Refusal:
    """A 422 for one member or parameter. `field`: with dots between levels, or empty for the whole body. `kind`: the
    machine-readable type of the fault. `given`: what was sent there."""
    loc = [where, *(field.split(".") if field else [])]
    item = {"type": kind, "loc": loc, "msg": message, "input": None if loc[-1] in _SECRETS else shown(given)}
    return Refusal(422, code, message, field=field or None, extra={"errors": [item]})


def shown(given: Any) -> Any:
    """What of an input a refusal shows: what was sent, and of what is long the beginning, as text."""
    if isinstance(given, dict):
        given = {name: None if name in _SECRETS else each for name, each in given.items()}
    try:
        text = given if isinstance(given, str) else msgspec.json.encode(given).decode()
        text.encode()
    except (UnicodeEncodeError, OverflowError, RecursionError):
        return json.dumps(given)[:_SHOWN_CHARS_MAX]  # half a character, escaped
    return given if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX]
