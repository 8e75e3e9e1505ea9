"""The published client libraries, unmodified, against a node of ours with authentication on: every method."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interop.environments import NAMES
from tests.interop.ours import OurNode
from tests.interop.processes import plain_environment

DRIVE = Path(__file__).with_name("client_drive.py")
ROOT = Path(__file__).parents[2]
BEYOND = {
    "act_on_intent", "assert_batch", "delete_subscription", "follow", "get_intent", "history", "iter_conflicts",
    "iter_facts", "iter_history", "iter_intents", "lint", "list_subscriptions", "neighbors", "send_intent", "subscribe",
    "synthesize",
}  # fmt: skip
"""Methods of ours that the published client has not; `tests/client` drives them."""
KINDS = ("string", "text", "number", "fraction", "boolean", "datetime", "ref", "null")
OURS = "ours"
"""Our own client, which must pass for the published one."""
PARTS = [(name, client) for name in (*NAMES, OURS) for client in ("sync", "async")]


@pytest.fixture(scope="module")
def told(environment_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What the client of an environment was told, driven once each against a fresh node."""
    kept: dict[str, Any] = {}

    def drive(name: str) -> Any:
        if name not in kept:
            python = sys.executable if name == OURS else str(environment_of(name) / "bin" / "python")
            directory = tmp_path_factory.mktemp(f"client-{name}")
            ours = OurNode(directory / "ours", seed=name.encode().ljust(32, b"="))
            try:
                ours.start()
                done = subprocess.run(
                    [python, str(DRIVE), ours.url, ours.key], cwd=directory,
                    env=plain_environment(**({"PYTHONPATH": str(ROOT)} if name == OURS else {})),
                    capture_output=True, text=True, timeout=120, check=False,
                )  # fmt: skip
            finally:
                ours.close()
            kept[name] = json.loads(done.stdout) if done.returncode == 0 else done.stderr
        assert isinstance(kept[name], dict), kept[name]
        return kept[name]

    return drive


@pytest.mark.parametrize(("name", "client"), PARTS)
def test_every_method_of_the_client_was_driven(told: Callable[[str], Any], name: str, client: str) -> None:
    beyond = BEYOND if name == OURS else set()
    assert set(told(name)[client]["not driven"]) == beyond


@pytest.mark.parametrize(("name", "client"), PARTS)
def test_facts_of_every_kind_are_written_read_and_verified(told: Callable[[str], Any], name: str, client: str) -> None:
    found = told(name)[client]
    for kind in KINDS:
        written = found["assert_fact"][kind]
        assert found["get"][kind] == written
        assert found["verify_fact_cid"][kind] == {"genuine": "accepted", "altered": "StigmemVerificationError"}, kind
    assert found["assert_fact"]["number"]["value"]["v"] == 42
    assert found["assert_fact"]["derived"]["valid_until"] is not None
    assert found["get"]["unknown"]["error"] == "StigmemNotFoundError"


@pytest.mark.parametrize(("name", "client"), PARTS)
def test_queries_are_paged_and_filtered(told: Callable[[str], Any], name: str, client: str) -> None:
    pages = told(name)[client]["query"]
    first, second = ({fact["id"] for fact in pages[page]["facts"]} for page in ("first", "second"))
    assert len(first) == len(second) == 3
    assert not first & second
    assert [fact["relation"] for fact in pages["filtered"]["facts"]] == ["memory:derived"]


@pytest.mark.parametrize(("name", "client"), PARTS)
def test_a_conflict_is_listed_resolved_once_and_then_shown_as_resolved(
    told: Callable[[str], Any], name: str, client: str
) -> None:
    found = told(name)[client]
    assert found["resolve_conflict"]["winner"]["conflict_status"] == "resolved"
    assert found["resolve_conflict"]["again"]["error"] == "StigmemConflictError"
    ids = {conflict["conflict_id"] for conflict in found["list_conflicts"]["found"]["conflicts"]}
    resolved = {conflict["conflict_id"] for conflict in found["list_conflicts"]["resolved"]["conflicts"]}
    assert ids & resolved


@pytest.mark.parametrize(("name", "client"), PARTS)
def test_a_retracted_fact_is_gone_from_queries(told: Callable[[str], Any], name: str, client: str) -> None:
    found = told(name)[client]
    assert found["retract"]["gone"]["confidence"] == 0.0
    assert [fact for fact in found["query"]["after"]["facts"] if fact["confidence"] > 0] == []


@pytest.mark.parametrize(("name", "client"), PARTS)
def test_the_node_its_peers_and_a_subscription_are_seen(told: Callable[[str], Any], name: str, client: str) -> None:
    found = told(name)[client]
    assert found["node_info"]["node"]["auth"] == "required"
    assert found["federation_status"]["peers"] == []
    assert found["subscribe_scope"]["first"] > 0


@pytest.mark.parametrize(("name", "client"), PARTS)
def test_recall_finds_nothing_where_nothing_is(told: Callable[[str], Any], name: str, client: str) -> None:
    answer = told(name)[client]["recall"]["nothing"]
    assert (answer["facts"], answer["total_scored"], answer["truncated"]) == ([], 0, False)


@pytest.mark.parametrize(("name", "client"), PARTS)
def test_a_card_of_somebody_unknown_is_not_found(told: Callable[[str], Any], name: str, client: str) -> None:
    assert told(name)[client]["get_card"]["nothing"]["status"] == 404


@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_is_told_so(told: Callable[[str], Any], name: str) -> None:
    assert told(name)["stranger"]["error"] == "StigmemAuthError"
