"""Server-sent events are read as they were written, in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core.event_stream import BrokenStream, EventReader, ServerEvent, block

LINES = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)), max_size=20)


def fed(data: bytes, size: int = 1) -> list[ServerEvent]:
    reader = EventReader()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [event for piece in pieces for event in reader.feed(piece)]


@given(st.lists(st.tuples(LINES, LINES.filter(bool)), max_size=5), st.integers(1, 40))
def test_what_was_written_is_read_whatever_the_pieces(events: list[tuple[str, str]], size: int) -> None:
    data = b"".join(block(text, event="fact", place=place, comment="c") for text, place in events)
    assert fed(data, size) == [ServerEvent(text, "fact", place) for text, place in events]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
def test_every_kind_of_line_end_is_one(end: bytes, size: int) -> None:
    data = end.join([b"data: one", b"data:two", b"id: 7", b"", b": nothing", b"", b"retry: 20", b"", b"data", b"", b""])
    # A carriage return at the very end may be half of a line end, so the last block is only complete with more.
    assert fed(data + b"x", size) == [
        ServerEvent("one\ntwo", "message", "7"), ServerEvent(None, retry_ms=20), ServerEvent(""),
    ]  # fmt: skip


def test_a_block_without_data_moves_the_place_and_a_comment_does_nothing() -> None:
    assert fed(block(place="9", comment="nothing new") + block(comment="still")) == [ServerEvent(None, id="9")]


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert fed(b"\xef\xbb\xbfdata: x\n\n") == [ServerEvent("x")]


@pytest.mark.parametrize("data", [b"data: \xff\n\n", b"x" * 5_000_000])
def test_what_is_no_stream_of_events_is_refused(data: bytes) -> None:
    with pytest.raises(BrokenStream):
        fed(data, 100_000)
