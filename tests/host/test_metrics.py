"""Who is shown what in `/metrics`: how a process fares is for anybody, what follows from facts for who may read them.

Whoever reached the port was shown how many facts there were of all scopes, and the ids of the peers' nodes.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from stigmem.core.wire import JSON_TYPE, Request
from tests.host.nodes import Deployed, assertion, client_of, node_at

_TIMED = re.compile(r"^stigmem_request_latency_seconds_(?:sum|bucket|created).*\n", re.MULTILINE)
_KEYS = {
    "every scope": {"permissions": ["read"], "allowed_scopes": ["local", "team", "company", "public"]},
    "one scope": {"permissions": ["read", "write"], "allowed_scopes": ["public"]},
    "writes only": {"permissions": ["write", "admin"], "allowed_scopes": ["local", "team", "company", "public"]},
}


async def console(node: Deployed, method: str, path: str, body: object) -> None:
    data = msgspec.json.encode(body)
    made = await node.control.exchange(Request(method, path, dict(JSON_TYPE), data))
    assert made.status == 201, made.body


async def scrapes(directory: Path, *, hidden: bool) -> dict[str, str]:
    """What nobody and the holders of the keys are shown, without times."""
    found = {}
    async with node_at(directory, auth_required=True) as node, client_of(node) as client:
        for number, rights in enumerate(_KEYS.values()):
            key = {"entity_uri": f"agent:{number}", "raw_key": str(number) * 40} | rights
            await console(node, "POST", "/v1/auth/keys", key)
        for number in range(2 if hidden else 0):
            body = assertion(1, scope="company", source=f"agent:{number}", value={"type": "string", "v": f"{number}"})
            await console(node, "POST", "/v1/facts", body)
        for name in ("nobody", "a guess", *_KEYS):
            secret = str([*_KEYS].index(name)) * 40 if name in _KEYS else "guess" * 8
            headers = {} if name == "nobody" else {"authorization": f"Bearer {secret}"}
            shown = await client.get("/metrics", headers=headers)
            assert shown.status_code == 200
            found[name] = _TIMED.sub("", shown.text)
    return found


async def test_nobody_learns_from_metrics_what_is_in_scopes_that_it_may_not_read(tmp_path: Path) -> None:
    with_hidden = await scrapes(tmp_path / "one", hidden=True)
    without = await scrapes(tmp_path / "two", hidden=False)
    for name in ("nobody", "a guess", "one scope", "writes only"):
        assert with_hidden[name] == without[name], name
        assert "stigmem_facts" not in with_hidden[name]
        assert "node=" not in with_hidden[name]
    assert "\nstigmem_facts 2.0\n" in with_hidden["every scope"]
    assert "\nstigmem_conflicts_open 1.0\n" in with_hidden["every scope"]
    assert "\nstigmem_facts 0.0\n" in without["every scope"]


async def test_anybody_is_told_how_the_process_fares(tmp_path: Path) -> None:
    shown = (await scrapes(tmp_path, hidden=True))["a guess"]
    for name in (
        "stigmem_request_latency_seconds_count{", "stigmem_build_info{", "stigmem_clock_in_doubt 0.0",
        "stigmem_bugs_total 0.0", "stigmem_mailbox_messages 0.0", "stigmem_audit_log_broken 0.0",
    ):  # fmt: skip
        assert f"\n{name}" in shown, name


async def test_without_authentication_a_scrape_is_whole(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node, client_of(node) as client:
        await client.post("/v1/facts", json=assertion(1))
        assert "\nstigmem_facts 1.0\n" in (await client.get("/metrics")).text
