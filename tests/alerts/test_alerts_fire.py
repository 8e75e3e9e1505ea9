"""Each alert fires in a simulated federation, or process, that has what it is about, and none in a quiet one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sim.check import CHECKERS
from sim.scenario.planning import make_plan
from sim.scenario.reading import parse_scenario
from sim.simulation.simulation import Simulation
from stigmem.core.audit import ChainHead, append
from stigmem.host.gauges import NodeCollector, ProcessCollector, StateCollector
from stigmem.host.observe import Observer
from stigmem.node.settings import NodeSettings
from tests.alerts.promql import NotUnderstood, Samples, parse
from tests.alerts.rules import RULES, Watch, read_rules
from tests.alerts.scrape import add_metrics, watched
from tests.builders import SALT
from tests.node.api import NOW_MS, SEED
from tests.node.still import Bench, running

_TEXT = """
[scenario]
name = "alerts"
seed = 3
duration = "{duration}"
settle = "1m"
signatures = "stand-in"
converges = false
[federation]
nodes = [{nodes}]
topology = "line"
pull_interval = "{interval}"
scopes = ["public"]
{federation}
[network]
latency = "40ms"
{more}
"""
WRITERS = '[[workload]]\nkind = "writers"\nrate = "{rate}"\nfresh = true\n'


def hostile(kind: str, more: str = "") -> str:
    return f'[[adversary]]\nkind = "{kind}"\nnode = "mallory"\nat = "30s"\n{more}\n'


def fired(
    more: str,
    *,
    duration: str = "3m",
    interval: str = "10s",
    federation: str = "",
    scrape_s: float = 15.0,
    rate: str = "20/m",
    nodes: str = '"north", "south", "west"',
) -> list[str]:
    more += WRITERS.format(rate=rate)
    text = _TEXT.format(duration=duration, interval=interval, federation=federation, more=more, nodes=nodes)
    with watched(scrape_s) as (watch, simulations):
        simulation = Simulation(make_plan(parse_scenario(text), Path()), checkers=CHECKERS)
        simulations.append(simulation)
        simulation.run()
    assert simulation.violation is None
    return watch.names


NAMED = 'node_ids = "named"\norigin_keys = "vouched"'
QUOTA = 'relay = false\nquota = { window = "1h", peer_facts = 50 }'
STEP = '[[fault]]\nkind = "clock-step"\nnode = "west"\nat = "1m"\nby = "1h"\n'


@pytest.mark.parametrize(
    ("more", "how", "alerts"),
    [
        (hostile("clock-pusher"), {}, ["StigmemPeerClockDrifts"]),
        (hostile("token-abuser"), {}, ["StigmemHandshakeFailures"]),
        (hostile("replayer"), {}, ["StigmemReplays"]),
        (hostile("overreach"), {}, ["StigmemScopeViolation"]),
        (hostile("false-voucher", 'origin = "west"'), {"federation": NAMED}, ["StigmemOriginKeyConflict"]),
        (
            hostile("instruction", "good = 1"), {"duration": "6m", "interval": "5s", "scrape_s": 30.0},
            ["StigmemInstructionFromPeer", "StigmemQuarantineBacklog"],
        ),
        (
            hostile("instruction", 'for = "30m"'),
            {"duration": "26h", "interval": "20m", "scrape_s": 280.0, "rate": "2/h", "nodes": '"north", "south"'},
            ["StigmemInstructionFromPeer", "StigmemQuarantineForgotten"],
        ),
        (STEP, {"duration": "12m", "interval": "20s"}, ["StigmemClockInDoubt"]),
        (
            hostile("spreader", "facts = 200"),
            {"duration": "15m", "federation": QUOTA, "scrape_s": 30.0, "rate": "6/h"},
            ["StigmemLag", "StigmemPeerOverQuota"],
        ),
    ],
    ids=["stamps", "tokens", "replays", "scopes", "keys", "instructions", "forgotten", "clock", "quota"],
)  # fmt: skip
def test_an_alert_fires_where_it_should_and_no_other_does(more: str, how: dict[str, str], alerts: list[str]) -> None:
    assert fired(more, **how) == alerts  # type: ignore[arg-type]


def test_in_a_quiet_federation_with_a_crash_and_a_short_cut_nothing_fires() -> None:
    faults = '[[fault]]\nkind = "crash"\nnode = "west"\nat = "30m"\nfor = "30s"\n'
    faults += '[[fault]]\nkind = "partition"\ngroups = [["north"], ["south", "west"]]\nat = "1h"\nfor = "3m"\n'
    work = '[[workload]]\nkind = "contradictions"\nrate = "12/h"\nentities = 20\n'
    assert fired(work + faults, duration="3h", interval="1m", scrape_s=60.0, rate="6/h") == []


async def _of_a_process(
    *, days_left: float | None = None, broken: bool = False, event: str = "", bug: bool = False
) -> list[str]:
    """What fires for a process with one thing wrong, of two scrapes."""
    bench = Bench(NOW_MS)
    ends = None if days_left is None else datetime.now(UTC) + timedelta(days=days_left)
    watch, samples = Watch(read_rules(RULES.read_text("utf-8"))), Samples()
    async with running(bench, NodeSettings(seed=SEED)) as node:
        told = Observer()
        process = ProcessCollector(
            certificate_ends=lambda: ends, audit_log_broken=lambda: broken, log_lines_dropped=lambda: 0
        )
        told.watch(node.state, StateCollector(node), process=(NodeCollector(node), process))
        for at_s in (0.0, 15.0):
            if at_s and event:
                told.committed([append(ChainHead(), event, "peer", None, {}, 0, salt=SALT)])
            if at_s and bug:
                node.events.bug(ValueError("one"))
            for registry in (told._process, told._registry):
                add_metrics(samples, at_s, "north", registry.collect())
            watch.look(samples, at_s)
        node.events.bugs.clear()
    return watch.names


@pytest.mark.parametrize(
    ("wrong", "alerts"),
    [
        ({"days_left": 30.0}, []),
        ({"days_left": 10.0}, ["StigmemCertificateEnds"]),
        ({"days_left": 1.0}, ["StigmemCertificateEnds", "StigmemCertificateEndsNow"]),
        ({"broken": True}, ["StigmemAuditLogBroken"]),
        ({"event": "san_mismatch"}, ["StigmemCertificateOfAnotherNode"]),
        ({"bug": True}, ["StigmemBug"]),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_process_alone_fires(wrong: dict[str, object], alerts: list[str]) -> None:
    assert await _of_a_process(**wrong) == alerts  # type: ignore[arg-type]


def test_every_rule_of_the_file_was_seen_to_fire_above() -> None:
    seen = [name for mark in (*_marks(test_an_alert_fires_where_it_should_and_no_other_does),
                              *_marks(test_what_is_wrong_with_a_process_alone_fires)) for name in mark]  # fmt: skip
    assert sorted(dict.fromkeys(seen)) == sorted(rule.name for rule in read_rules(RULES.read_text("utf-8")))


def _marks(test: object) -> list[list[str]]:
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    return [row[-1] for row in mark.args[1]]


# --- the evaluator ---


@pytest.mark.parametrize(
    "text",
    [
        "up", "up > up", "up + 1 > 0", "up > 5m", "avg(up) > 1", "max_over_time(up[5m]) > 1", "increase(up) > 1",
        "increase(up[5m] offset 1h) > 1", "sum by node (up) > 1", 'up{a=1} > 0', 'up{a="b"', "up > 1 and up > 2",
        "rate(increase(up[5m])[5m]) > 1", "up > 1 5", "up{a>\"1\"} > 0", "up > -1", "",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstood):
        parse(text)


@pytest.mark.parametrize(
    "line", ["      - record: x", "        expr: up > 1", "  - name: other", "        keep_firing_for: 5m"]
)
def test_a_line_of_the_file_that_is_not_understood_is_refused(line: str) -> None:
    head = "groups:\n  - name: stigmem\n    rules:\n      - alert: One\n        expr: up > 0\n"
    assert [rule.name for rule in read_rules(head)] == ["One"]
    with pytest.raises(NotUnderstood):
        read_rules(head + line + "\n")


def test_an_increase_counts_what_samples_show_and_knows_a_reset() -> None:
    samples = Samples()
    for at_s, value in ((0, 10), (60, 12), (120, 1), (180, 4)):
        samples.add(at_s, "c_total", [("node", "a")], value)
    samples.add(180, "c_total", [("node", "b")], 9)
    assert parse("increase(c_total[3m]) > 0").holds(samples, 180) == {(("node", "a"),): 6.0}
    assert parse("sum(increase(c_total[3m])) >= 6").holds(samples, 180) == {(): 6.0}
    assert parse("rate(c_total[1m]) > 0").holds(samples, 180) == {(("node", "a"),): 0.05}
    assert parse('sum by (node) (c_total{node=~"a|b", node!="a"}) == 9').holds(samples, 180) == {(("node", "b"),): 9.0}
    assert parse("c_total > 0").holds(samples, 479) != {}
    assert parse("c_total > 0").holds(samples, 480) == {}, "a sample of five minutes ago is no present one"


def test_an_alert_waits_for_as_long_as_its_rule_says_and_begins_anew_after_a_gap() -> None:
    head = "groups:\n  - name: stigmem\n    rules:\n      - alert: One\n        expr: up > 0\n        for: 2m\n"
    watch, samples = Watch(read_rules(head)), Samples()
    for at_s, value in ((0, 1), (60, 1), (90, 0), (120, 1), (180, 1), (239, 1), (240, 1)):
        samples.add(at_s, "up", [], value)
        watch.look(samples, at_s)
        assert bool(watch.fired) == (at_s == 240)
