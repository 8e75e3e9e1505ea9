"""Bounds of what a caller sends: a text or number of exactly the bound is taken, one more is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from stigmem.core import limits
from stigmem.node.settings import NodeSettings
from tests.core.received import LINK, Draft, Receiver
from tests.limits.table import edge
from tests.node.api import ADMIN, NOW_MS, SEED, Peer, ask, read, saying
from tests.node.still import Bench, running

SETTINGS = NodeSettings(seed=SEED, node_url="http://here.example", federation=True)


class Sent(NamedTuple):
    """A request that is refused with this status when a part of it is one longer than its bound."""

    method: str
    path: str
    body: Any
    status: int = 422
    headers: dict[str, str] | None = None


def _key(**members: Any) -> Sent:
    return Sent("POST", "/v1/auth/keys", {"entity_uri": "user:a", "raw_key": "k" * 40} | members)


REQUESTS: dict[str, Callable[[int], Sent]] = {
    "URI_CHARS_MAX": lambda n: Sent("POST", "/v1/facts", saying(entity="u" * n)),
    "SESSION_CHARS_MAX": lambda n: Sent("GET", "/v1/facts", None, 400, {"stigmem-session": "s" * n}),
    "DERIVED_FROM_MAX": lambda n: Sent("POST", "/v1/facts", saying(derived_from=[{"note": "x"}] * n)),
    "PAGE_LIMIT_MAX": lambda n: Sent("GET", f"/v1/facts?limit={n}", None),
    "AUDIT_PAGE_LIMIT_MAX": lambda n: Sent("GET", f"/v1/admin/audit?limit={n}", None),
    "AUDIT_EXPORT_ROWS_MAX": lambda n: Sent("GET", f"/v1/audit/export?limit={n}", None),
    "IDEMPOTENCY_KEY_CHARS_MAX": lambda n: Sent(
        "POST", "/v1/facts/batch", {"facts": [saying()], "idempotency_key": "i" * n}
    ),
    "KEY_SECRET_CHARS_MAX": lambda n: _key(raw_key="k" * n),
    "KEY_DESCRIPTION_CHARS_MAX": lambda n: _key(description="d" * n),
    "GARDEN_NAME_CHARS_MAX": lambda n: Sent("POST", "/v1/gardens", {"slug": "s", "name": "n" * n}),
    "GARDEN_DESCRIPTION_CHARS_MAX": lambda n: Sent(
        "POST", "/v1/gardens", {"slug": "s", "name": "n", "description": "d" * n}
    ),
    "RECALL_QUERY_CHARS_MAX": lambda n: Sent("POST", "/v1/recall", {"query": "q" * n}),
}


@edge(*REQUESTS)
@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_at_its_bound_is_taken_and_one_beyond_it_is_refused(name: str) -> None:
    most: int = getattr(limits, name)
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for size, taken in ((most + 1, False), (most, True)):
            sent = REQUESTS[name](size)
            answer = await ask(bench, sent.method, sent.path, sent.body, by=ADMIN, headers=sent.headers)
            assert (answer.status < 300) is taken, (size, answer.status, answer.body[:300])
            if not taken:
                assert answer.status == sent.status
                assert str(most).encode() in answer.body.replace(b",", b""), "the sentence names the bound"


@edge("KEY_SECRET_CHARS_MIN")
async def test_a_secret_that_is_one_character_too_short_is_refused() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for size, status in ((limits.KEY_SECRET_CHARS_MIN - 1, 422), (limits.KEY_SECRET_CHARS_MIN, 201)):
            sent = _key(raw_key="k" * size)
            read(await ask(bench, sent.method, sent.path, sent.body, by=ADMIN), status)


@edge("AUDIT_SEQ_MAX")
async def test_a_row_number_beyond_what_json_readers_read_exactly_is_refused() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for seq, status in ((limits.AUDIT_SEQ_MAX + 1, 422), (limits.AUDIT_SEQ_MAX, 200)):
            read(await ask(bench, "GET", f"/v1/admin/audit?cursor={seq}", by=ADMIN), status)


@edge("KEY_OVERLAP_S", "KEY_OVERLAP_S_MAX")
async def test_a_rotated_key_works_on_for_a_day_unless_told_otherwise_and_for_a_month_at_most() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        made = []
        for number in range(2):
            sent = _key(raw_key=f"{number}" * 40)
            made.append(read(await ask(bench, "POST", sent.path, sent.body, by=ADMIN), 201)["id"])
        read(await ask(bench, "POST", f"/v1/auth/keys/{made[0]}/rotate", by=ADMIN), 201)
        longest = limits.KEY_OVERLAP_S_MAX
        for overlap_s, status in ((longest + 1, 422), (longest, 201)):
            target = f"/v1/auth/keys/{made[1]}/rotate?overlap_s={overlap_s}"
            read(await ask(bench, "POST", target, by=ADMIN), status)
        ends = {}
        for row in bench.node.state.keys.values():
            if row.expires_us is not None:
                ends[row.expires_us // 1_000_000 - NOW_MS // 1_000] = row.entity_uri
        assert sorted(ends)[:2] == [limits.KEY_OVERLAP_S, limits.KEY_OVERLAP_S_MAX]


@edge("RESOLUTION_NOTE_CHARS_MAX")
async def test_a_resolvers_note_at_its_bound_is_taken() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        first = read(await ask(bench, "POST", "/v1/facts", saying("one")), 201)
        read(await ask(bench, "POST", "/v1/facts", saying("two", source="agent:other")), 201)
        (conflict,) = read(await ask(bench, "GET", "/v1/conflicts"))["conflicts"]
        target = f"/v1/conflicts/{conflict['conflict_id']}/resolve"
        for size, status in ((limits.RESOLUTION_NOTE_CHARS_MAX + 1, 422), (limits.RESOLUTION_NOTE_CHARS_MAX, 200)):
            body = {"winning_fact_id": first["id"], "resolution_note": "n" * size}
            read(await ask(bench, "POST", target, body, by=ADMIN), status)


@edge("QUARANTINE_NOTE_CHARS_MAX")
async def test_a_moderators_reason_at_its_bound_is_read() -> None:
    bench = Bench(NOW_MS)
    async with running(bench, SETTINGS):
        for size, status in ((limits.QUARANTINE_NOTE_CHARS_MAX + 1, 422), (limits.QUARANTINE_NOTE_CHARS_MAX, 404)):
            for verb in ("admit", "reject"):
                target = f"/v1/quarantine/nobody/{verb}?reason={'r' * size}"
                read(await ask(bench, "POST", target, by=ADMIN), status)


@edge("VALUE_JSON_BYTES_MAX")
async def test_a_value_whose_escapes_are_as_long_as_they_may_be_is_taken() -> None:
    bench = Bench(NOW_MS)
    most = limits.VALUE_JSON_BYTES_MAX
    async with running(bench, SETTINGS):
        whole, rest = divmod(most, 6)  # a control character is six bytes of JSON
        for text, status in (("\x01" * whole + "x" * (rest + 1), 413), ("\x01" * whole + "x" * rest, 201)):
            read(await ask(bench, "POST", "/v1/facts", saying(text)), status)


@edge("CURSOR_CHARS_MAX", "PULL_WAIT_S_MAX", "PULL_LIMIT_DEFAULT", "PAGE_LIMIT_DEFAULT")
async def test_what_a_peer_asks_for_has_its_bounds() -> None:
    bench = Bench(NOW_MS)
    peer = Peer(bench, 1)
    async with running(bench, SETTINGS):
        batch = {"facts": [saying("x", entity=f"user:{n}") for n in range(limits.PULL_LIMIT_DEFAULT + 1)]}
        read(await ask(bench, "POST", "/v1/facts/batch", batch))
        facts = "/v1/federation/facts"
        for size, status in ((limits.CURSOR_CHARS_MAX + 1, 422), (limits.CURSOR_CHARS_MAX, 200)):
            read(await peer.ask("GET", f"{facts}?cursor={'c' * size}"), status)
        for wait, status in ((limits.PULL_WAIT_S_MAX + 0.001, 422), (limits.PULL_WAIT_S_MAX, 200)):
            read(await peer.ask("GET", f"{facts}?wait={wait}"), status)
        assert len(read(await peer.ask("GET", facts))["facts"]) == limits.PULL_LIMIT_DEFAULT
        assert len(read(await ask(bench, "GET", "/v1/facts"))["facts"]) == limits.PAGE_LIMIT_DEFAULT


@edge("FACT_ID_CHARS_MAX")
def test_an_id_of_a_foreign_node_may_be_so_long() -> None:
    link_ids = ((limits.FACT_ID_CHARS_MAX + 1, "malformed_fact"), (limits.FACT_ID_CHARS_MAX, None))
    for size, code in link_ids:
        draft = Draft.of()
        draft.fact["id"] = "i" * size
        assert Receiver().take(draft, LINK._replace(dialect="2.1")) == code
