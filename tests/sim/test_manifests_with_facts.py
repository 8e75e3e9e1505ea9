"""Keys of origins travel with their first facts: nobody asks a peer who an origin is when it said so already."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sim.check.base import Checker, CheckResult
from sim.ports import Observed
from sim.simulation.simulation import Simulation
from stigmem.core import limits
from stigmem.core.errors import Rejection
from stigmem.core.page import decode_entry
from stigmem.node.replication.page_server import PageServer
from tests.core.received import Draft
from tests.sim.small_runs import WRITES, approve, fault, make_simulation


class Answers(Checker):
    """Every answer to a peer: who gave it, to whom, what was asked, and what it was."""

    name = "answers-seen"

    def __init__(self, observed: Observed) -> None:
        super().__init__(observed)
        self.pages: list[tuple[str, str, list[dict[str, Any]]]] = []
        self.manifests_asked: list[tuple[str, str]] = []

    def on_response(self, served: Any) -> None:
        target = served.request.target
        if target.startswith("/v1/federation/manifest/"):
            self.manifests_asked.append((served.asker, target))
        if target.startswith("/v1/federation/facts") and served.response.status == 200:
            page = msgspec.json.decode(served.response.body)
            self.pages.append((served.machine, served.asker, page["facts"]))

    def result(self) -> CheckResult:
        return self.holds("seen")


def run_line(*parts: str, **changes: Any) -> tuple[Simulation, Answers]:
    simulation = make_simulation(
        WRITES, *parts, checkers=[Answers], topology="line", nodes=("a", "b", "c", "d"), **changes
    )
    simulation.run()
    approve(simulation)
    answers = simulation.checkers[0]
    assert isinstance(answers, Answers)
    return simulation, answers


def carried(answers: Answers, server: str, asker: str) -> list[tuple[str, str]]:
    """(origin, origin named in the manifest) of each manifest that came with facts over one link."""
    return [
        (entry["origin"]["node_id"], entry["origin_manifest"]["entities"][-1])
        for machine, peer, entries in answers.pages
        if (machine, peer) == (server, asker)
        for entry in entries
        if entry["origin_manifest"] is not None
    ]


def test_an_origins_manifest_comes_once_over_a_link_and_nobody_asks_for_it() -> None:
    simulation, answers = run_line()
    assert answers.manifests_asked == []
    names = dict(simulation.name_of_node)
    over = {
        (server, asker): [names[origin] for origin, _ in carried(answers, server, asker)]
        for server, asker in (("b", "a"), ("c", "d"), ("b", "c"), ("a", "b"))
    }
    assert {link: sorted(origins) for link, origins in over.items()} == {
        ("b", "a"): ["c", "d"], ("c", "d"): ["a", "b"], ("b", "c"): ["a"], ("a", "b"): []
    }  # fmt: skip
    for node in (machine.node for machine in simulation.machines.values()):
        assert node is not None
        assert sorted(node.state.origins) == sorted(names.keys() - {node.node_id})


def test_a_node_that_lost_its_disk_is_told_again_who_the_origins_are() -> None:
    _, answers = run_line(fault("wipe", node="d", at="40s", down="2s"))
    origins = [origin for origin, _ in carried(answers, "c", "d")]
    assert len(origins) == 4
    assert {origins.count(origin) for origin in origins} == {2}
    assert answers.manifests_asked == []


def never_first(self: PageServer, origin: str) -> int:
    return 0


def test_who_gets_no_manifest_asks_for_it_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageServer, "_first_of", never_first)
    _, answers = run_line()
    assert len(answers.manifests_asked) == 6  # a of c and d, d of a and b, b of d, c of a


@pytest.mark.parametrize("lie", ["another's", "unsigned", "too long", "no object"])
def test_a_manifest_that_is_no_good_teaches_nothing_and_costs_one_question(
    lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = PageServer.page

    def page(self: PageServer, *arguments: Any, **options: Any) -> Any:
        served = honest(self, *arguments, **options)
        found = msgspec.json.decode(served.body)
        for entry in found["facts"]:
            manifest = entry["origin_manifest"]
            if manifest is None:
                continue
            if lie == "another's":
                manifest["entities"] = ["stigmem:node:somebody"]
            elif lie == "unsigned":
                manifest["signature"] = "A" * 86
            elif lie == "too long":
                manifest["more"] = "x" * limits.MANIFEST_CHARS_MAX
            else:
                entry["origin_manifest"] = [manifest]
        return served._replace(body=msgspec.json.encode(found))

    monkeypatch.setattr(PageServer, "page", page)
    _, answers = run_line()
    assert len(answers.manifests_asked) == 6


def test_a_fact_of_the_greatest_length_is_taken_with_a_manifest_and_not_a_byte_longer() -> None:
    entry = Draft.of().entry("2.1+")
    manifest = {"entities": ["x" * 4_000]}
    room = limits.FACT_BYTES_MAX + len(msgspec.json.encode(manifest))
    long = entry | {"origin_manifest": manifest}
    padding = room - len(msgspec.json.encode(long | {"padding": ""}))
    assert decode_entry(msgspec.json.encode(long | {"padding": "x" * padding}), "2.1+").origin is not None
    with pytest.raises(Rejection, match="at most"):
        decode_entry(msgspec.json.encode(long | {"padding": "x" * (padding + 1)}), "2.1+")
    bare = entry | {"padding": "x" * limits.FACT_BYTES_MAX}
    with pytest.raises(Rejection, match="at most"):
        decode_entry(msgspec.json.encode(bare), "2.1+")
