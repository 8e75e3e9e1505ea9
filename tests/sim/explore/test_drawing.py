"""What is drawn: every kind, the same scenario for the same number, and only what can be run."""

from __future__ import annotations

import pytest

from sim.explore.drawing import draw, scenario_text
from sim.explore.features import SORTS, all_features, draw_features
from sim.explore.palettes import NOT_DRAWN, PALETTES
from sim.explore.tally import parts_of
from sim.kinds import find_kinds
from sim.scenario.reading import parse_scenario, plain_values

KINDS = [(sort, kind) for sort in SORTS for kind in find_kinds(sort)]
NUMBERS = range(1, 13)


@pytest.mark.parametrize(("sort", "kind"), KINDS, ids=str)
def test_every_kind_is_drawn_or_is_exempt_with_a_reason(sort: str, kind: str) -> None:
    if (sort, kind) in NOT_DRAWN:
        assert NOT_DRAWN[sort, kind]
        assert f"{sort} {kind}" not in all_features()
        return
    among = frozenset({f"{sort} {kind}", "workload writers", "vouched keys", "named ids"})
    assert any((sort, kind) in list(parts_of(draw(number, among).values)) for number in NUMBERS)


def test_what_is_exempt_or_has_a_palette_is_there() -> None:
    keys = {(sort, kind, key) for sort, kind in KINDS for key in find_kinds(sort)[kind].__struct_encode_fields__}
    assert NOT_DRAWN.keys() <= set(KINDS)
    assert PALETTES.keys() <= keys


def test_a_number_draws_the_same_scenario_whatever_was_drawn_before() -> None:
    once = [draw(number).values for number in (4, 7)]
    assert once == [draw(number).values for number in (7, 4)][::-1]
    assert once[0] != once[1]


def test_a_file_of_a_drawn_scenario_is_that_scenario() -> None:
    drawn = draw(19)
    assert plain_values(parse_scenario(scenario_text(drawn.values, "Drawn."))) == drawn.values


def test_features_are_switched_off_by_many_and_by_few() -> None:
    from random import Random

    sizes = [len(draw_features(Random(number))) / len(all_features()) for number in range(60)]
    assert min(sizes) < 0.2 < 0.8 < max(sizes)
