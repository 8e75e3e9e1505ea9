"""The published OpenClaw adapter, unmodified, against a node of ours with authentication on: an agent boots, recalls,
decides, hands over and escalates, and the colleague that it hands over to finds that."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interop.ours import OurNode
from tests.interop.processes import plain_environment

DRIVE = Path(__file__).with_name("openclaw_drive.py")


@pytest.fixture(scope="module")
def told(environment_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the adapter was told, driven once against a fresh node."""
    python = environment_of("a12") / "bin" / "python"
    directory = tmp_path_factory.mktemp("openclaw")
    ours = OurNode(directory / "ours", seed=b"openclaw".ljust(32, b"="))
    try:
        ours.start()
        done = subprocess.run(
            [str(python), str(DRIVE), ours.url, ours.key], cwd=directory, env=plain_environment(),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    finally:
        ours.close()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_agent_boots_with_what_its_user_prefers_and_what_constrains_its_project(told: Any) -> None:
    facts = told["boot"]["facts"]
    assert ["user:ada", "preference:colour", "green"] in facts
    assert ["project:pump", "roadmap:constraint", "no night work"] in facts
    assert told["boot"]["content"] == len(facts)
    assert told["boot"]["instructions"] == 0
    assert "green" in told["boot"]["summary"]


def test_it_recalls_what_was_said_in_words(told: Any) -> None:
    assert ["user:ada", "preference:colour", "green"] in told["recall"]["facts"]


def test_it_decides_hands_over_once_and_escalates(told: Any) -> None:
    assert len(told["decision"]) == 2
    assert told["handoff"]["created"]
    assert "intent:handoff_to" in told["handoff"]["relations"]
    assert told["handoff again"]["entity"] == told["handoff"]["entity"]
    assert told["escalation"]["created"]
    assert told["stranger"] == "refused"


def test_a_session_that_read_a_scope_must_name_its_sources_there(told: Any) -> None:
    assert told["without provenance"] == "refused"


def test_the_colleague_finds_what_was_handed_over(told: Any) -> None:
    values = [value for _, _, value in told["colleague"]["facts"]]
    assert any(value == "pump 7 leaks" or value == "agent:colleague" for value in values)
