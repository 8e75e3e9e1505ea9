"""The trace: what is recorded, what its digest is over, and how two traces are compared."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sim.world.trace import Stop, Trace, TraceUnreadable, first_difference, read_trace
from sim.world.world import World

TWO, THREE, DREI = (f'{{"t_ns":0,"event":"{kind}","details":["north",7]}}' for kind in ("two", "three", "drei"))


def recorded(path: Path | None, *kinds: str) -> Trace:
    """A trace with an event of each kind, closed."""
    trace = Trace(World(), path)
    for kind in kinds:
        trace.event(kind, "north", 7)
    trace.close()
    return trace


def test_the_file_holds_every_event_in_order(tmp_path: Path) -> None:
    recorded(tmp_path / "t.gz", "booted", "crash")
    assert read_trace(tmp_path / "t.gz") == [[0, "booted", "north", 7], [0, "crash", "north", 7]]


def test_the_digest_does_not_depend_on_whether_a_file_is_written(tmp_path: Path) -> None:
    assert recorded(None, "booted", "crash").close() == recorded(tmp_path / "t.gz", "booted", "crash").close()


def test_the_digest_depends_on_the_order_of_events() -> None:
    assert recorded(None, "booted", "crash").close() != recorded(None, "crash", "booted").close()


def test_equal_traces_give_equal_files_byte_for_byte(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        recorded(tmp_path / folder / "t.gz", "booted")
    assert (tmp_path / "a/t.gz").read_bytes() == (tmp_path / "b/t.gz").read_bytes()


def test_a_packet_is_recorded_with_its_size_checksum_and_delay() -> None:
    trace = Trace(World())
    trace.packet("a", "b", "GET /x", b"123456789", 40)
    assert trace.tail(1) == [[0, "sent", "a", "b", "GET /x", 9, 0xCBF43926, 40]]


def test_members_have_names_in_the_file_and_places_in_the_digest(tmp_path: Path) -> None:
    trace = Trace(World(), tmp_path / "t.gz")
    trace.commit("north", 2, b"123456789", {"facts": ["f-1"], "refused": [["f-2", "clock_skew_future"]]})
    trace.event("crash", "north", "kept")
    digest = trace.close()
    first, second = map(json.loads, gzip.decompress((tmp_path / "t.gz").read_bytes()).splitlines())
    assert first == {
        "t_ns": 0, "event": "committed", "node": "north", "records": 2, "bytes": 9, "crc32": 0xCBF43926,
        "facts": ["f-1"], "refused": [["f-2", "clock_skew_future"]],
    }  # fmt: skip
    assert second == {"t_ns": 0, "event": "crash", "node": "north", "unsynced": "kept"}
    assert read_trace(tmp_path / "t.gz") == [[0, "committed", "north", 2, 9, 0xCBF43926], [0, "crash", "north", "kept"]]
    unwritten = Trace(World())
    unwritten.commit("north", 2, b"123456789")
    unwritten.event("crash", "north", "kept")
    assert unwritten.close() == digest


def test_the_tail_is_the_last_events_oldest_first() -> None:
    trace = recorded(None, "one", "two", "three")
    assert [event[1] for event in trace.tail(2)] == ["two", "three"]


def test_stopped_packets_are_counted_by_link_and_rule() -> None:
    trace = Trace(World())
    for kind in ("dropped", "dropped", "held"):
        trace.event(kind, "a", "b", "GET /x", "cut")
    trace.event("sent", "a", "b", "GET /x", "cut")
    assert trace.stops == {Stop("a", "b", "cut"): 3}


def test_equal_traces_have_no_difference(tmp_path: Path) -> None:
    recorded(tmp_path / "a.gz", "booted", "crash")
    recorded(tmp_path / "b.gz", "booted", "crash")
    assert first_difference(tmp_path / "a.gz", tmp_path / "b.gz") is None


def test_the_first_differing_event_is_found_with_what_came_before(tmp_path: Path) -> None:
    recorded(tmp_path / "a.gz", "one", "two", "three", "four")
    recorded(tmp_path / "b.gz", "one", "two", "drei", "vier")
    found = first_difference(tmp_path / "a.gz", tmp_path / "b.gz", context=1)
    assert found is not None
    assert (found.number, found.first, found.second) == (3, THREE, DREI)
    assert found.before == (TWO,)


def test_a_trace_that_ends_early_differs_there(tmp_path: Path) -> None:
    recorded(tmp_path / "a.gz", "one")
    recorded(tmp_path / "b.gz", "one", "two")
    found = first_difference(tmp_path / "a.gz", tmp_path / "b.gz")
    assert found is not None
    assert (found.number, found.first, found.second) == (2, None, TWO)


@pytest.mark.parametrize("damage", ["missing", "plain text", "cut off", "no events", "a list"])
def test_what_is_no_trace_is_refused_with_a_sentence_that_names_it(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "t.gz"
    recorded(path, *(["booted"] * 2_000))
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        kinds = {
            "plain text": b"hello",
            "cut off": whole[: len(whole) // 2],
            "no events": gzip.compress(b"{oops\n"),
            "a list": gzip.compress(b'[0,"crash"]\n'),
        }
        path.write_bytes(kinds[damage])
    with pytest.raises(TraceUnreadable, match=str(path)) as refused:
        read_trace(path)
    assert "b'" not in str(refused.value)  # a sentence, and nothing of what Python says to itself
    assert "Compressed file ended" not in str(refused.value)
