"""Trace files as people have them: byte order marks, wild numbers, names that never leave a node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.history.tracefile import BadTrace, read_rows

ROW: dict[str, object] = {
    "t": 0, "org": "acme", "source": "agent:x", "entity": "stigmem://a.example/x/1", "relation": "sim:says",
    "value": {"type": "string", "v": "yes"}, "confidence": 1,
}  # fmt: skip


def line(**changes: object) -> bytes:
    return json.dumps(ROW | changes).encode() + b"\n"


def refused(folder: Path, *lines: bytes) -> str:
    """The sentence about a file of these lines, without the file's name."""
    path = folder / "t.jsonl"
    path.write_bytes(b"".join(lines))
    with pytest.raises(BadTrace) as caught:
        read_rows(path)
    return str(caught.value).removeprefix(f"{path}:")


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + (line() + line(t=1)).replace(b"\n", b"\r\n"))
    assert [row.t for row in read_rows(path)] == [0, 1]


@pytest.mark.parametrize("t", [1e300, -1e300, 10**30, 2**63])
def test_a_time_beyond_all_times_is_refused_with_its_line(tmp_path: Path, t: float) -> None:
    assert refused(tmp_path, line(), line(t=t)).startswith(f"2: t is {t:g}; it is a number of seconds below ")


@pytest.mark.parametrize("t", [1_700_000_000, 1_700_000_000_123_456_789, -5, 0.25])
def test_a_time_may_be_on_any_scale(tmp_path: Path, t: float) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(line(t=t))
    assert read_rows(path)[0].t == t


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", '"\\ud800"'])
def test_what_only_looks_like_json_is_told_apart_from_what_is_no_object(tmp_path: Path, text: str) -> None:
    wrong = line().replace(b'"t": 0', b'"t": ' + text.encode())
    assert refused(tmp_path, wrong).startswith("1: not JSON: NaN, an infinite number or half a character")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"relation": "stigmem:key"}, "1: relation 'stigmem:key' never leaves its node"),
        ({"entity": "Stigmem:note"}, "1: entity 'Stigmem:note' never leaves its node"),
        ({"relation": "instruction:do"}, "1: relation 'instruction:do' never leaves its node"),
        ({"entity": "instruction:x"}, "1: entity 'instruction:x' never leaves its node"),
        ({"source": "system:clock"}, "1: source 'system:clock' is for nodes themselves"),
    ],
)
def test_what_could_not_be_replicated_is_refused_and_does_not_fail_the_run(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    assert refused(tmp_path, line(**changes)).startswith(said)


def test_a_misspelt_file_is_answered_with_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_bytes(line())
    with pytest.raises(BadTrace, match=r"there is no file .*histroy\.jsonl; did you mean 'history\.jsonl'\?"):
        read_rows(tmp_path / "histroy.jsonl")
    with pytest.raises(BadTrace, match=r"there is no file .*other\.csv$"):
        read_rows(tmp_path / "other.csv")
