"""Vectors of the hybrid logical clock: text, order, ticking and receiving with a controlled clock."""

from __future__ import annotations

from typing import Any

import pytest

from stigmem.core.errors import Rejection
from stigmem.core.hlc import (
    Stamp,
    check_skew,
    format_stamp,
    parse_stamp,
    receive,
    stamp,
    stamp_counter,
    stamp_wall_ms,
    tick,
)
from tests.core.vectors import Case, cases, expectation


def pair(value: Stamp) -> list[int]:
    return [stamp_wall_ms(value), stamp_counter(value)]


@pytest.mark.parametrize(("where", "case"), cases("hlc", "parse"))
def test_stamps_are_read_strictly(where: str, case: Case) -> None:
    expected = expectation(case)
    if expected["verdict"] == "refused":
        with pytest.raises(Rejection) as caught:
            parse_stamp(case["input"])
        assert caught.value.code == "hlc_malformed"
    else:
        assert pair(parse_stamp(case["input"])) == expected["pair"]


@pytest.mark.parametrize(("where", "case"), cases("hlc", "compare"))
def test_stamps_compare_as_integers_whatever_their_padding(where: str, case: Case) -> None:
    first, second = map(parse_stamp, case["input"])
    assert (first > second) - (first < second) == expectation(case)["result"]


@pytest.mark.parametrize(("where", "case"), cases("hlc", "format"))
def test_stamps_are_written_padded(where: str, case: Case) -> None:
    assert format_stamp(stamp(*case["input"])) == expectation(case)["text"]


@pytest.mark.parametrize(("where", "case"), cases("hlc", "sequence"))
def test_the_clock_moves_as_the_contract_says(where: str, case: Case) -> None:
    deviations = {item["step"]: item for item in case.get("deviation", {}).get("items", ())}
    clock, ours = stamp(*case["start"]), True
    for number, step in enumerate(case["steps"]):
        before, clock, refused = clock, *_act(clock, step, case["bounds"])
        expected = step["expected"]
        if "refused" in expected:
            assert refused is not None
            assert refused == {name: expected["refused"].get(name) for name in refused}
            assert clock == before
            continue
        assert refused is None
        assert clock > before
        drag = deviations.get(number, {}).get("kind") == "drag_over_5s"
        ours = ours and not drag
        if drag:
            # A clock of ours that ran ahead by itself stays where it is: the remote stamp did not move it.
            assert stamp_wall_ms(clock) <= max(deviations[number]["ours"]["max_wall_ms"], stamp_wall_ms(before))
        elif "ours_pair" in step:
            assert pair(clock) == step["ours_pair"]
        elif ours:
            assert pair(clock) == expected["pair"]
        if ours and "ours_text" in step:
            assert format_stamp(clock) == step["ours_text"]


def _act(clock: Stamp, step: dict[str, Any], bounds: dict[str, int]) -> tuple[Stamp, dict[str, Any] | None]:
    """The clock after a step, and what was refused about it."""
    now = step["now_ms"]
    if step["op"] == "tick":
        return tick(clock, now), None
    try:
        remote = parse_stamp(step["remote"])
    except Rejection:
        return clock, {"reason": "unparsable"}
    skew = check_skew(remote, now, future_ms=bounds["max_future_skew_ms"], past_ms=bounds["max_past_skew_ms"])
    if skew is not None:
        return clock, {"direction": skew[0], "skew_ms": skew[1]}
    return receive(clock, remote, now), None
