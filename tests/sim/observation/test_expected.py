"""Facts that never leave their node by what they are: nobody waits for copies of them."""

from __future__ import annotations

import msgspec
import pytest

from sim.observation.expected import stays_local
from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp
from stigmem.core.resolution import conflict_id, provenance
from tests.sim.small_runs import S, approve, make_simulation

NODE = "stigmem://a.example"
PLAIN = Fact(
    stamp(1_700_000_000_000, 0), NODE, "f", "stigmem://x.example/y", "sim:claims", "public", "agent:a", "string", "v",
    "", 1.0, 1_700_000_000_000_000, None,
)  # fmt: skip
SLOT = ("stigmem://x.example/y", "sim:claims", "public")
CONFLICT = conflict_id(SLOT)
RESOLUTION = msgspec.structs.replace(
    PLAIN,
    entity="stigmem:resolution:" + CONFLICT,
    derived_from=provenance(CONFLICT, SLOT, ("f", "g"), "f", ("g",), ""),
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"relation": "stigmem:key"}, True),
        ({"entity": "stigmem:thing"}, True),
        ({"entity": "instruction:run"}, True),
        ({"relation": "instruction:run"}, True),
        ({"interpret_as": "instruction"}, True),
        ({"source": "system:clock"}, True),
        ({"derived_from": '[{"fact_id":"g"}]'}, True),
    ],
)
def test_what_a_fact_is_decides_whether_it_leaves(changes: dict[str, str], expected: bool) -> None:
    assert stays_local(msgspec.structs.replace(PLAIN, **changes), owned_sources_only=False) is expected


def test_resolutions_travel_unless_they_are_none() -> None:
    assert not stays_local(RESOLUTION, owned_sources_only=False)
    assert stays_local(msgspec.structs.replace(RESOLUTION, derived_from='[{"resolves":7}]'), owned_sources_only=False)


def test_where_sources_must_be_owned_others_stay() -> None:
    assert stays_local(PLAIN, owned_sources_only=True)
    assert not stays_local(msgspec.structs.replace(PLAIN, source=NODE + "/agent"), owned_sources_only=True)


@pytest.mark.parametrize("entity", ["stigmem://x.example/y", "stigmem:thing"])
def test_a_run_with_reserved_facts_converges(entity: str) -> None:
    simulation = make_simulation()
    for name in ("a", "b"):
        simulation.world.at(9 * S, lambda _, name=name: simulation.clients.write(name, entity, "stigmem:key", "v"))  # type: ignore[misc]
        simulation.world.at(
            9 * S, lambda _, name=name: simulation.clients.write(name, "stigmem://x.example/y", "sim:claims", name)
        )  # type: ignore[misc]
    simulation.run()
    approve(simulation)
    kept = [fact for fact in simulation.visibility.facts if fact.stays_local]
    assert len(kept) == 2
    assert len(simulation.visibility.facts) == 4
