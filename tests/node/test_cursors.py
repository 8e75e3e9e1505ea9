"""Cursors of local callers: what they open to, and what they look like to a terminal."""

from __future__ import annotations

from stigmem.node.cursors import CursorCodec


def test_no_cursor_begins_like_an_option_of_a_command_line() -> None:
    """One in sixty-four did, and `--cursor -xyz` was read as two options."""
    codec = CursorCodec(bytes(32))
    cursors = [codec.close(str(number)) for number in range(512)]
    assert [cursor for cursor in cursors if cursor.startswith("-")] == []
    assert sum(cursor.startswith(".") for cursor in cursors) > 0
    assert [codec.open(cursor) for cursor in cursors] == [str(number) for number in range(512)]
