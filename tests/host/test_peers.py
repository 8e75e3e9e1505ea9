"""How things stand with peers: for people at a terminal, over HTTP, and in metrics under one name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from stigmem.core.audit import ChainHead, append
from stigmem.core.records import PeerRow
from stigmem.host.cli import main
from stigmem.host.cli.peers import COLUMNS, named, peer_line, short
from stigmem.host.observe import Observer
from stigmem.host.run import Deployed
from tests.builders import SALT
from tests.host.authority import Authority
from tests.host.nodes import assertion, client_of, node_at
from tests.host.test_federation import FEDERATED, introduce, until

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
UUIDS = ("3f1c0000-1111-2222-3333-444444444444", "3f1d0000-1111-2222-3333-444444444444")


def row(number: int = 0, **members: Any) -> dict[str, Any]:
    return {
        "peer_id": UUIDS[number], "node_id": f"stigmem:node:{UUIDS[1 - number]}", "node_url": f"http://n{number}:1",
        "status": "active", "state": "active", "allowed_scopes": ["company", "public"],
        "pubkey_fingerprint": f"sha256:{number}abc", "exchange": None,
    } | members  # fmt: skip


def exchange(**members: Any) -> dict[str, Any]:
    return {
        "last_contact_at": "2030-01-01T11:59:48Z", "last_page_at": "2030-01-01T11:59:48Z", "lag_s": 0.0,
        "next_pull_at": "2030-01-01T12:00:30Z", "last_error": None, "failures": {}, "facts_taken": 42,
        "facts_waiting": 0,
    } | members  # fmt: skip


def told(**members: Any) -> dict[str, str]:
    return dict(zip(COLUMNS, peer_line(row(**members), NOW), strict=True))


def test_a_peer_is_a_line_of_short_names_and_of_how_things_stand() -> None:
    found = told(exchange=exchange())
    assert found == {
        "peer": "3f1c0000", "node": "3f1d0000", "address": "http://n0:1", "state": "active", "scopes": "company,public",
        "contact": "12 s ago", "lag": "none", "facts": "42", "next pull": "in 30 s",
    }  # fmt: skip
    assert sum(map(len, found.values())) + 2 * len(COLUMNS) < 100, "it fits a terminal; it was 265 columns wide"


def test_what_has_not_been_yet_is_said_and_not_left_to_be_guessed() -> None:
    found = told(exchange=exchange(last_contact_at=None, next_pull_at=None, lag_s=125.0, facts_waiting=3))
    assert (found["contact"], found["lag"], found["next pull"]) == ("never", "2 min", "now")
    assert found["facts"] == "42 (3 not due yet)"
    over = exchange(over_quota=["peer_facts"], quota_until="2030-01-01T15:00:00Z")
    assert told(exchange=over)["facts"] == "42 (over its quota, more in 3 h)"
    assert told(exchange=exchange(next_pull_at="2030-01-01T11:59:59Z"))["next pull"] == "now"
    assert told(state="pending_approval")["state"] == "waits for approval"
    assert told()["contact"] == ""


@pytest.mark.parametrize(
    ("before", "expected"),
    [("2030-01-01T12:00:00Z", "0 s ago"), ("2030-01-01T11:59:01Z", "59 s ago"), ("2030-01-01T11:59:00Z", "1 min ago"),
     ("2030-01-01T11:00:00Z", "1 h ago"), ("2029-12-31T12:00:01Z", "23 h ago"), ("2029-12-31T12:00:00Z", "1 d ago"),
     ("2030-01-01T12:00:09Z", "0 s ago")],
)  # fmt: skip
def test_a_length_of_time_is_told_in_its_largest_unit(before: str, expected: str) -> None:
    assert told(exchange=exchange(last_contact_at=before))["contact"] == expected


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("3f1c", [0]), (UUIDS[0], [0]), ("stigmem:node:aaaaaaaa-1-2-3-4", [0]), ("bbbb", [1]),
        ("stigmem:node:bb", [1]), ("http://n1:1", [1]), ("http://n1:1/", [1]), ("sha256:0abc", [0]), ("sha256:1", [1]),
        ("0ab", [0]), ("3f1", [0, 1]), ("stigmem:node:", [0, 1]), ("x", []), ("", []), ("http://n", []),
    ],
)  # fmt: skip
def test_the_beginning_of_a_name_is_enough_where_it_means_one_peer(name: str, found: list[int]) -> None:
    rows = [row(0, node_id="stigmem:node:aaaaaaaa-1-2-3-4"), row(1, node_id="stigmem:node:bbbbbbbb-1-2-3-4")]
    assert [rows.index(each) for each in named(rows, name)] == found


def test_a_name_of_ones_own_choice_is_not_cut() -> None:
    assert short("north-of-the-river") == "north-of-the-river"
    assert short(f"stigmem:node:{UUIDS[0]}") == short(UUIDS[0]) == "3f1c0000"


# --- real nodes ---


async def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert await trio.to_thread.run_sync(main, list(words)) == 0
    return capsys.readouterr().out


def value(text: str, name: str) -> float:
    (found,) = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)]
    return float(found)


async def scraped(node: Deployed) -> str:
    async with client_of(node) as client:
        return (await client.get("/metrics")).text


async def test_peers_that_exchange_facts_are_told_alike_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with node_at(tmp_path / "north", **FEDERATED) as north, node_at(tmp_path / "south", **FEDERATED) as south:
        await introduce(north, south)
        await introduce(south, north)
        async with client_of(north) as client:
            assert (await client.post("/v1/facts", json=assertion())).status_code == 201
        await until(lambda: len(south.node.state.ledger) == 1)
        async with client_of(south) as client:
            (record,) = (await client.get("/v1/federation/peers")).json()["peers"]
            found = record["exchange"]
            one = (await client.get(f"/v1/federation/peers/{record['peer_id']}")).json()["exchange"]
        assert (found["facts_taken"], found["facts_waiting"], found["last_error"], found["lag_s"]) == (1, 0, None, 0.0)
        assert found["last_page_at"] <= found["last_contact_at"]
        assert one["facts_taken"] == 1
        out = await said(capsys, "federation", "peers", "--data-dir", str(tmp_path / "south"))
        assert record["peer_id"][:8] in out
        assert record["peer_id"] not in out
        text = await scraped(south)
        name = north.identity.node_id
        assert value(text, f'stigmem_federation_taken_total{{node="{name}"}}') == 1
        assert value(text, f'stigmem_federation_ingress_total{{node="{name}",status="accepted"}}') == 1
        assert value(text, f'stigmem_replication_lag_seconds{{node="{name}"}}') == 0
        assert value(text, f'stigmem_facts_waiting{{node="{name}"}}') == 0
        now = datetime.now(UTC).timestamp()
        for family in ("stigmem_pull_last_success", "stigmem_peer_last_contact"):
            assert now - 60 < value(text, f'{family}_timestamp_seconds{{node="{name}"}}') <= now
        assert value(await scraped(north), f'stigmem_federation_egress_total{{node="{south.identity.node_id}"') == 1
        assert "peer_id" not in text


async def test_a_peer_that_does_not_answer_is_told_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with node_at(tmp_path / "north", **FEDERATED) as north:
        async with node_at(tmp_path / "south", **FEDERATED) as south:
            await introduce(north, south)
            await introduce(south, north)
            name, url = south.identity.node_id, south.url
        async with client_of(north) as client:

            async def failed() -> bool:
                (record,) = (await client.get("/v1/federation/peers")).json()["peers"]
                return bool((record["exchange"] or {}).get("failures", {}).get("refused"))

            with trio.fail_after(20):
                while not await failed():
                    await trio.sleep(0.05)
            (record,) = (await client.get("/v1/federation/peers")).json()["peers"]
        assert record["exchange"]["last_error"]["code"] == "refused"
        out = await said(capsys, "federation", "peers", "--data-dir", str(tmp_path / "north"))
        assert f"the last pull brought no page (refused): {url} cannot be reached" in out
        assert value(await scraped(north), f'stigmem_pull_failures_total{{node="{name}",reason="refused"}}') >= 1


async def test_a_process_tells_its_versions_and_the_days_of_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with node_at(tmp_path / "d") as node:
        text = await scraped(node)
        assert 'stigmem_build_info{python="3.' in text
        assert value(text, "stigmem_audit_log_broken") == 0
        assert value(text, "stigmem_log_lines_dropped_total") == 0
        assert "stigmem_certificate_days_left" not in text
    async with node_at(tmp_path / "e", **authority.files("north")) as node:
        assert value(node.observer.metrics(whole=True).body.decode(), "stigmem_certificate_days_left") > 1


def test_metrics_name_nobody_who_holds_a_key_and_no_stranger() -> None:
    """Dashboards are seen by many, and each key holder's name was a label."""
    observer, head = Observer(), ChainHead()
    known = PeerRow("peer-1", "stigmem:node:one", "http://one", "k", ("public",), "active", "2.1")

    observer.watch(SimpleNamespace(peers={"peer-1": known}))  # type: ignore[arg-type]
    rows = [
        *((("fact_write"), f"user:{n}", "f", {"cid": "c"}) for n in range(50)),
        ("fact_write", "system:operator", "f", {"cid": "c"}),
        ("quota_breach", "user:ada", None, {"dimension": "fact_write"}),
        ("rejected_fact", "peer-1", "f", {"reason": "bad"}),
        ("rejected_fact", "made-up-by-a-stranger", "f", {"reason": "bad"}),
    ]
    for event, subject, fact_id, detail in rows:
        made = append(head, event, subject, fact_id, detail, 0, salt=SALT)
        head = ChainHead(made.seq, made.hash)
        observer.committed([made])
    text = observer.metrics(whole=True).body.decode()
    assert "user:" not in text
    assert "made-up" not in text
    assert value(text, 'stigmem_fact_write_total{principal="key",tenant="default"}') == 50
    assert value(text, 'stigmem_fact_write_total{principal="system:operator",tenant="default"}') == 1
    assert value(text, 'stigmem_quota_breach_total{dimension="fact_write",principal="key"') == 1
    assert value(text, 'stigmem_federation_ingress_total{node="stigmem:node:one",status="bad"}') == 1
    assert value(text, 'stigmem_federation_ingress_total{node="unknown",status="bad"}') == 1
