"""The alert rules speak of what a node tells: every metric and every event in them exists."""

from __future__ import annotations

import re
from pathlib import Path

from stigmem.core.audit import EVENTS
from tests.host.nodes import assertion, client_of, node_at

RULES = (Path(__file__).resolve().parents[2] / "docs/security/alerts.yml").read_text("utf-8")
ALERTS = re.findall(r"- alert: (\w+)\n +expr: (.+)\n", RULES)
ONLY_OVER_TLS = ("stigmem_certificate_days_left",)


def test_every_rule_has_a_name_of_its_own_a_severity_and_a_sentence() -> None:
    names = [name for name, _ in ALERTS]
    assert len(names) == len(dict.fromkeys(names)) == RULES.count("- alert:") > 10
    assert len(re.findall(r"labels: {severity: (?:warning|critical)}\n", RULES)) == len(names)
    assert len(re.findall(r'annotations: {summary: "[A-Z][^"]+"}\n', RULES)) == len(names)


def test_every_event_in_a_rule_is_one_that_a_node_records() -> None:
    choices = [each for _, expr in ALERTS for each in re.findall(r'event_type=~?"([^"]+)"', expr)]
    named = [event for each in choices for event in each.split("|")]
    assert named
    assert [event for event in named if event not in EVENTS] == []


async def test_every_metric_in_a_rule_is_one_that_a_node_shows(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        await client.post("/v1/facts", json=assertion(1))
        shown = (await client.get("/metrics")).text
    named = {metric: None for _, expr in ALERTS for metric in re.findall(r"stigmem_\w+", expr)}
    types = re.findall(r"^# TYPE (\w+) ", shown, re.MULTILINE)
    assert [name for name in named if name not in types and name not in ONLY_OVER_TLS] == []
