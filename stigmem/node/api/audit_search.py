"""Looking through the audit log away from the writer's turn: a bounded part of it, in a task, with a place to go on.

What is looked for is `stigmem.node.api.audit`. The journal shows committed rows only, so an answer made here shows
nothing that a crash could take back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from stigmem.core import limits
from stigmem.core.audit import AuditRow
from stigmem.core.errors import Refusal
from stigmem.core.wire import Response
from stigmem.node.api.background import ConcurrencyLimit, answer_in_background
from stigmem.node.api.routing import Outcome
from stigmem.node.responses import busy
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:
    from stigmem.node.api.call import Call
    from stigmem.node.node import Node

__all__ = ["answer_later", "cursor_of", "look_through", "start_of"]

_ROWS_PER_READ: Final = 500

Entry = TypeVar("Entry")


async def look_through(
    node: Node,
    accept: Callable[[AuditRow], Entry | None],
    start: int,
    wanted: int,
    *,
    newest_first: bool = True,
) -> tuple[list[Entry], int | None]:
    """What `accept` makes of the rows beyond a sequence number, and the number to go on from, or None at the end.

    That there is more is said only once another row was accepted, and the place is that of the last accepted one:
    hidden rows must show neither as further pages nor in a cursor.
    """
    found: list[Entry] = []
    place = shown = start
    for _ in range(limits.AUDIT_ROWS_SCANNED_MAX // _ROWS_PER_READ):
        rows = await node.context.journal.audit(place, _ROWS_PER_READ, newest_first=newest_first)
        if not rows:
            return found, None
        for row in rows:
            entry = accept(row)
            if entry is not None:
                if len(found) == wanted:
                    return found, shown
                found.append(entry)
                shown = row.seq
            place = row.seq
        await node.context.clock.checkpoint()
    return found, place


def answer_later(call: Call, txn: Transaction, answer: Callable[[], Awaitable[Response]]) -> Outcome:
    """Charge a caller for a look at the log and have a task make the answer."""
    call.node.charge(txn, call.principal, "fact_read")
    full = busy("too many requests look through the audit log")
    return answer_in_background(call, ConcurrencyLimit("audit", "", limits.AUDIT_SCANS_MAX, full), answer)


def start_of(call: Call, txn: Transaction, cursor: str | None) -> int:
    """The sequence number to begin beyond: that of a cursor, or else just past the newest committed row."""
    if cursor is None:
        return txn.state.head.seq + 1
    head, _, seq = call.node.cursor_codec.open(cursor).partition(":")
    if head != "audit" or not seq.isdigit():
        raise Refusal(400, "invalid_cursor", "the cursor is one of another list", field="cursor")
    return int(seq)


def cursor_of(call: Call, place: int | None) -> str | None:
    """The cursor of a place in the log."""
    return None if place is None else call.node.cursor_codec.close(f"audit:{place}")
