"""Subscriptions and their webhooks: who is told, in which order and words, and what becomes of what was not taken."""

from __future__ import annotations

import base64
import hashlib
import hmac
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import trio

from stigmem.core import limits
from stigmem.core.records import DeliveryMark
from stigmem.core.wire import Request, Response
from stigmem.node.callers import Principal
from stigmem.node.ports import JournalFull
from stigmem.node.settings import NodeSettings
from stigmem.testing import ManualClock, MemoryJournal, RunningNode, ScriptedTransport, running_node
from tests.node.api import ADMIN, SEED, WRITER, caller, read, saying

SETTINGS = NodeSettings(seed=SEED)
HOOK, PATH = "http://hook.example:8080", "/take?team=a"
GOOD = Response(204)


class Hook:
    """What is at the address: answers in order, the last of them for ever."""

    def __init__(self, transport: ScriptedTransport, *answers: Response | None) -> None:
        self.requests: list[Request] = []
        self.answers = list(answers) or [GOOD]
        transport.answers[HOOK, PATH.partition("?")[0]] = self.take

    def take(self, request: Request) -> Response | None:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(request.body) for request in self.requests]

    @property
    def values(self) -> list[str]:
        return [event["fact"]["value_v"] for event in self.events]


def tasks_named(name: str) -> int:
    """How many tasks with this name are alive."""
    found, nurseries = 0, list(trio.lowlevel.current_task().parent_nursery.parent_task.child_nurseries)
    while nurseries:
        for task in nurseries.pop().child_tasks:
            found += task.name == name
            nurseries += task.child_nurseries
    return found


async def ask(node: RunningNode, method: str, target: str, body: Any = None, by: Principal | None = WRITER) -> Response:
    return await node.ask(Request(method, target, {}, b"" if body is None else msgspec.json.encode(body)), by)


async def subscribe(node: RunningNode, by: Principal = WRITER, **members: Any) -> dict[str, Any]:
    body = {"target": "public", "on_change": "webhook", "delivery_address": HOOK + PATH} | members
    made: dict[str, Any] = read(await ask(node, "POST", "/v1/subscriptions", body, by), 201)
    return made


async def write(node: RunningNode, *texts: str, **members: Any) -> None:
    for text in texts:
        read(await ask(node, "POST", "/v1/facts", saying(text, **members), ADMIN), 201)
    await node.clock.settle()


def parts(*answers: Response | None) -> tuple[Hook, dict[str, Any]]:
    transport = ScriptedTransport()
    return Hook(transport, *answers), {"transport": transport}


async def test_a_webhook_is_told_of_each_fact_once_and_in_order_and_of_nothing_before() -> None:
    hook, ports = parts()
    async with running_node(SETTINGS, **ports) as node:
        await write(node, "before")
        made = await subscribe(node)
        await write(node, "one", "two", "three")
        assert hook.values == ["one", "two", "three"]
        first, fact = hook.events[0], read(await ask(node, "GET", "/v1/facts?include_contradicted=true"))["facts"][2]
        assert first == {
            "event_id": first["event_id"], "idempotency_key": first["event_id"], "subscription_id": made["id"],
            "event_type": "fact_asserted",
            "fact": {
                "id": fact["id"], "entity": fact["entity"], "relation": fact["relation"], "value_type": "string",
                "value_v": "one", "source": fact["source"], "timestamp": fact["timestamp"], "scope": "public",
                "confidence": 1.0, "garden_id": None,
            },
        }  # fmt: skip
        assert (hook.requests[0].method, hook.requests[0].target) == ("POST", PATH)


async def test_a_delivery_is_signed_as_standard_webhooks_are() -> None:
    hook, ports = parts()
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node)
        await write(node, "one")
        headers, body = hook.requests[0].headers, hook.requests[0].body
        event = hook.events[0]["event_id"]
        assert headers["x-stigmem-event-id"] == headers["webhook-id"] == event
        assert headers["content-type"] == "application/json"
        assert int(headers["webhook-timestamp"]) == node.clock.wall_ms // 1_000
        secret = base64.b64decode(made["signing_secret"].removeprefix("whsec_"))
        signed = f"{event}.{headers['webhook-timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{mac}"


async def test_the_same_subscription_is_made_once() -> None:
    _, ports = parts()
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node)
        assert await subscribe(node) == made
        named = await subscribe(node, target="user:ada", idempotency_key="k-1")
        assert (await subscribe(node, target="user:bob", idempotency_key="k-1"))["id"] == named["id"]
        assert (named["target"], named["target_kind"]) == ("user:ada", "entity")
        other = await subscribe(node, by=caller("read", entity="agent:other"))
        assert len({made["id"], named["id"], other["id"]}) == 3
        listed = read(await ask(node, "GET", "/v1/subscriptions"))
        assert ([each["id"] for each in listed["subscriptions"]], listed["total"]) == ([named["id"], made["id"]], 2)


async def test_a_subscription_is_its_owners_alone() -> None:
    _, ports = parts()
    other = caller("read", entity="agent:other")
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node)
        path = f"/v1/subscriptions/{made['id']}"
        assert read(await ask(node, "GET", path)) == made
        for method, target in (("GET", path), ("GET", f"{path}/events"), ("DELETE", path)):
            assert (await ask(node, method, target, by=other)).status == 404
        assert (await ask(node, "DELETE", path)).status == 204
        assert (await ask(node, "GET", path)).status == 404
        assert len(node.node.webhooks) == 0


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"target": ""}, 422), ({"target": "  "}, 400), ({"target": "stigmem://lab/garden/x"}, 404),
        ({"on_change": "mail"}, 422), ({"delivery_address": "ftp://x/y"}, 422), ({"delivery_address": "http://"}, 422),
        ({"delivery_address": "http://a:b@c/"}, 422), ({"delivery_address": "http://a/ b"}, 422),
        ({"delivery_address": "http://a:99999/"}, 422), ({"target": "company"}, 403),
    ],
)  # fmt: skip
async def test_what_cannot_be_subscribed_to_is_refused(members: dict[str, Any], status: int) -> None:
    _, ports = parts()
    body = {"target": "public", "on_change": "webhook", "delivery_address": HOOK} | members
    async with running_node(SETTINGS, **ports) as node:
        by = caller("read", scopes=("public",))
        assert (await ask(node, "POST", "/v1/subscriptions", body, by)).status == status
        assert node.node.state.subscriptions == {}


async def test_an_entity_is_followed_in_the_scopes_of_its_subscriber_and_in_no_other() -> None:
    hook, ports = parts()
    async with running_node(SETTINGS, **ports) as node:
        await subscribe(node, target="User:ADA", by=caller("read", scopes=("public",)))
        await write(node, "public", entity="user:ada")
        await write(node, "company", entity="user:ada", scope="company")
        await write(node, "about another")
        assert hook.values == ["public"]


FAILURES: list[Response | None] = [Response(500), Response(408), Response(429), Response(302), None]


@pytest.mark.parametrize("failure", FAILURES, ids=["500", "408", "429", "302", "silence"])
async def test_what_was_not_taken_is_told_again_until_it_is_and_what_comes_after_it_waits(
    failure: Response | None,
) -> None:
    hook, ports = parts(failure, failure, GOOD)
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node)
        await write(node, "one", "two")
        await node.clock.advance(60)
        assert hook.values == ["one", "one", "one", "two"]
        assert len({event["event_id"] for event in hook.events}) == 2
        shown = read(await ask(node, "GET", f"/v1/subscriptions/{made['id']}"))
        assert (shown["consecutive_failures"], shown["circuit_open"]) == (0, False)
        assert shown["last_delivered_at"] is not None


async def test_waits_grow_to_five_minutes_and_a_broken_address_is_shown_as_one() -> None:
    hook, ports = parts(Response(503))
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node)
        await write(node, "one")
        times = []
        while len(times) < 14:
            before = len(hook.requests)
            while len(hook.requests) == before:
                await node.clock.advance(0.5)
            times.append(node.clock.monotonic_ns / 1e9)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert all(0.79 * 2 ** (n + 2) <= gap <= 1.21 * 2 ** (n + 2) + 0.5 for n, gap in enumerate(gaps[:6]))
        assert all(240 <= gap <= 361 for gap in gaps[8:])
        shown = read(await ask(node, "GET", f"/v1/subscriptions/{made['id']}"))
        assert (shown["consecutive_failures"], shown["circuit_open"]) == (15, True)


async def test_an_address_may_ask_for_more_time() -> None:
    hook, ports = parts(Response(429, {"retry-after": "120"}), GOOD)
    async with running_node(SETTINGS, **ports) as node:
        await subscribe(node)
        await write(node, "one")
        await node.clock.advance(90)
        assert len(hook.requests) == 1
        await node.clock.advance(60)
        assert hook.values == ["one", "one"]


async def test_what_is_refused_for_good_is_not_told_again_and_shown_as_failed() -> None:
    hook, ports = parts(Response(400), GOOD)
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node)
        await write(node, "one", "two")
        await node.clock.advance(3_600)
        assert hook.values == ["one", "two"]
        found = read(await ask(node, "GET", f"/v1/subscriptions/{made['id']}/events"))["events"]
        assert [event["delivery_status"] for event in found] == ["failed", "delivered"]


async def test_an_address_that_is_gone_ends_its_subscription() -> None:
    hook, ports = parts(Response(410))
    async with running_node(SETTINGS, **ports) as node:
        await subscribe(node)
        await write(node, "one", "two")
        assert hook.values == ["one"]
        assert read(await ask(node, "GET", "/v1/subscriptions"))["subscriptions"] == []
        assert node.node.state.deliveries == {}
        assert "subscription_ended" in [row.event for row in node.journal.audit_rows]


async def test_a_wake_says_that_there_is_something_and_stands_for_all_that_was_stored() -> None:
    hook, ports = parts(None, GOOD)
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node, on_change="wake")
        await write(node, "one", "two", "three")
        await node.clock.advance(60)
        assert len(hook.events) == 2  # the first went unanswered
        event = hook.events[1]["event_id"]
        assert hook.events[1] == {
            "event_id": event, "idempotency_key": event, "subscription_id": made["id"], "event_type": "wake",
        }  # fmt: skip
        await write(node, "four")
        assert len(hook.events) == 3


async def test_events_are_listed_oldest_first_with_what_became_of_them() -> None:
    hook, ports = parts(GOOD, None)
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node)
        await write(node, *[f"text {number}" for number in range(5)])
        path = f"/v1/subscriptions/{made['id']}/events?limit=2"
        pages, cursor = [], ""
        while True:
            page = read(await ask(node, "GET", path + cursor))
            pages.append(page["events"])
            if page["cursor"] is None:
                break
            cursor = f"&cursor={page['cursor']}"
        assert [len(page) for page in pages] == [2, 2, 1]
        events = [event for page in pages for event in page]
        assert [event["payload"]["value_v"] for event in events] == [f"text {number}" for number in range(5)]
        assert [event["delivery_status"] for event in events] == ["delivered"] + 4 * ["pending"]
        assert [event["id"] for event in events[:2]] == [event["event_id"] for event in hook.events]
        assert (await ask(node, "GET", path + "&cursor=x")).status == 400


async def test_a_mark_survives_a_restart_and_what_was_not_taken_is_told_again() -> None:
    clock, journal = ManualClock(), MemoryJournal()
    hook, ports = parts(GOOD, GOOD, None)
    async with running_node(SETTINGS, clock=clock, journal=journal, **ports) as node:
        made = await subscribe(node)
        await write(node, "one", "two", "three", "four")
    again, ports = parts()
    async with running_node(SETTINGS, clock=clock, journal=journal, **ports) as node:
        assert (hook.values, again.values) == (["one", "two", "three"], ["three", "four"])
        assert hook.events[2]["event_id"] == again.events[0]["event_id"]
        assert (await subscribe(node))["id"] == made["id"]


async def test_a_full_disk_has_a_fact_told_again_and_not_skipped() -> None:
    journal = MemoryJournal()
    hook, ports = parts()
    async with running_node(SETTINGS, journal=journal, **ports) as node:
        await subscribe(node)
        await write(node, "one")
        hook.answers = [None]
        await write(node, "two", "three")
        hook.answers = [GOOD]
        journal.full = True
        await node.clock.advance(30)
        journal.full = False
        await node.clock.advance(30)
        assert list(dict.fromkeys(hook.values)) == ["one", "two", "three"]
        assert hook.values.count("three") == 1


async def test_a_subscriber_without_a_key_hears_nothing_and_gets_it_all_when_it_has_one_again() -> None:
    hook, ports = parts()
    key = {"raw_key": "the first secret of these tests, and long", "entity_uri": "agent:s", "permissions": ["read"]}
    async with running_node(SETTINGS, **ports) as node:
        made = read(await ask(node, "POST", "/v1/auth/keys", key, ADMIN), 201)
        body = {"target": "public", "on_change": "webhook", "delivery_address": HOOK + PATH}
        bearer = {"authorization": f"Bearer {key['raw_key']}"}
        answer = await node.ask(Request("POST", "/v1/subscriptions", bearer, msgspec.json.encode(body)))
        assert answer.status == 201
        await write(node, "one")
        await ask(node, "DELETE", f"/v1/auth/keys/{made['id']}", by=ADMIN)
        await write(node, "two", "three")
        await node.clock.advance(600)
        assert hook.values == ["one"]
        again = key | {"raw_key": "the second secret of these tests, and long"}
        read(await ask(node, "POST", "/v1/auth/keys", again, ADMIN), 201)
        await node.clock.advance(61)
        assert hook.values == ["one", "two", "three"]


async def test_an_anonymous_subscriber_hears_nothing_once_keys_are_asked_for() -> None:
    journal = MemoryJournal()
    hook, ports = parts()
    open_to_all = NodeSettings(seed=SEED, auth_required=False)
    async with running_node(open_to_all, journal=journal, **ports) as node:
        body = {"target": "public", "on_change": "webhook", "delivery_address": HOOK + PATH}
        assert (await ask(node, "POST", "/v1/subscriptions", body, None)).status == 201
        await write(node, "one")
        assert hook.values == ["one"]
    async with running_node(SETTINGS, journal=journal, **ports) as node:
        await write(node, "two")
        await node.clock.advance(600)
        assert hook.values == ["one"]


async def test_so_many_subscriptions_and_no_more() -> None:
    _, ports = parts()
    async with running_node(SETTINGS, **ports) as node:
        for number in range(limits.SUBSCRIPTIONS_PER_SUBSCRIBER_MAX):
            await subscribe(node, target=f"user:{number}")
        body = {"target": "user:more", "on_change": "webhook", "delivery_address": HOOK}
        assert (await ask(node, "POST", "/v1/subscriptions", body)).status == 429
        assert (await subscribe(node, target="user:1"))["target"] == "user:1"


async def test_a_subscription_that_is_deleted_leaves_no_task_behind_that_waits_for_its_broken_address() -> None:
    _, ports = parts(Response(503, {"retry-after": "3600"}))
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node)
        await write(node, "one")
        assert tasks_named("webhook") == 1
        assert (await ask(node, "DELETE", f"/v1/subscriptions/{made['id']}")).status == 204
        await node.clock.settle()
        assert tasks_named("webhook") == 0


async def test_a_mark_moves_over_what_is_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_ROWS_UNMARKED_MAX", 10)
    _, ports = parts()
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node, target="user:nobody")
        await write(node, *[f"text {number}" for number in range(25)])
        mark = node.node.state.deliveries[made["id"]]
        assert (mark.seq, mark.at_us) == (20, 0)


async def test_a_full_disk_ends_no_webhook_whose_mark_was_to_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_ROWS_UNMARKED_MAX", 3)
    journal = MemoryJournal()
    hook, ports = parts()
    async with running_node(SETTINGS, journal=journal, **ports) as node:
        await subscribe(node, target="user:ada")
        await write(node, "one", "two")
        committed = journal.commit

        async def full_for_marks(records: Any) -> None:
            if all(isinstance(record, DeliveryMark) for record in records):
                raise JournalFull("disk_full", "no space is left on the device")
            await committed(records)

        monkeypatch.setattr(journal, "commit", full_for_marks)
        await write(node, "three", "four")
        monkeypatch.setattr(journal, "commit", committed)
        await write(node, "about her", entity="user:ada")
        await node.clock.advance(30)
        assert hook.values == ["about her"]


async def test_a_subscriber_does_not_hear_later_what_it_could_not_read_when_it_subscribed() -> None:
    hook, ports = parts()
    narrow = {
        "raw_key": "the first secret of these tests, and long", "entity_uri": "agent:s", "permissions": ["read"],
        "allowed_scopes": ["public"],
    }  # fmt: skip
    wide = narrow | {"raw_key": "the second secret of these tests, and long", "allowed_scopes": ["public", "company"]}
    bearers = [{"authorization": f"Bearer {key['raw_key']}"} for key in (narrow, wide)]
    async with running_node(SETTINGS, **ports) as node:
        for key in (narrow, wide):
            read(await ask(node, "POST", "/v1/auth/keys", key, ADMIN), 201)
        body = msgspec.json.encode({"target": "user:ada", "on_change": "webhook", "delivery_address": HOOK + PATH})
        made = read(await node.ask(Request("POST", "/v1/subscriptions", bearers[0], body)), 201)
        await write(node, "hidden", entity="user:ada", scope="company")
        await write(node, "seen", entity="user:ada")
        assert hook.values == ["seen"]
        for bearer in bearers:
            answer = read(await node.ask(Request("GET", f"/v1/subscriptions/{made['id']}/events", bearer)))
            assert [event["payload"]["value_v"] for event in answer["events"]] == ["seen"]


async def test_a_narrower_key_of_the_subscriber_is_shown_the_events_that_it_may_read() -> None:
    _, ports = parts()
    async with running_node(SETTINGS, **ports) as node:
        made = await subscribe(node, target="user:ada")
        await write(node, "hidden", entity="user:ada", scope="company")
        await write(node, "seen", entity="user:ada")
        path = f"/v1/subscriptions/{made['id']}/events"
        for by, texts in ((WRITER, ["hidden", "seen"]), (WRITER._replace(scopes=frozenset({"public"})), ["seen"])):
            events = read(await ask(node, "GET", path, by=by))["events"]
            assert [event["payload"]["value_v"] for event in events] == texts


async def test_a_scope_that_a_key_may_not_read_any_more_is_passed_over() -> None:
    hook, ports = parts()
    first = {"raw_key": "the first secret of these tests, and long", "entity_uri": "agent:s", "permissions": ["read"]}
    async with running_node(SETTINGS, **ports) as node:
        made = read(await ask(node, "POST", "/v1/auth/keys", first, ADMIN), 201)
        body = {"target": "user:ada", "on_change": "webhook", "delivery_address": HOOK + PATH}
        bearer = {"authorization": f"Bearer {first['raw_key']}"}
        assert (await node.ask(Request("POST", "/v1/subscriptions", bearer, msgspec.json.encode(body)))).status == 201
        narrower = first | {"raw_key": "the second secret of these tests, and long", "allowed_scopes": ["public"]}
        read(await ask(node, "POST", "/v1/auth/keys", narrower, ADMIN), 201)
        await ask(node, "DELETE", f"/v1/auth/keys/{made['id']}", by=ADMIN)
        await write(node, "hidden", entity="user:ada", scope="company")
        await write(node, "seen", entity="user:ada")
        assert hook.values == ["seen"]
