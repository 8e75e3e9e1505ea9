"""Webhooks: one task a subscription that tells its address of facts, in order, until it has taken each.

Theory
------
A delivery is a pull turned round: the task goes through the log after a mark, sends what its subscriber should hear,
and moves the mark when that was taken. The mark is in the journal; what is between it and the end of the log is the
queue, so there is no other, nothing can be lost from it, and a subscriber that is away for a week costs a number.

    mark 17   18 none of its business   19 sent -> 204   mark 19   20 sent -> 503, rest, sent -> 200   mark 20

* W1. At least once and in order. The next fact is sent when the mark of the last one is durable. A crash between an
  answer and its mark has the same fact sent once more, under the same event id; nothing is skipped.
* W2. A fact is sent once it is durable and applied here, so a subscriber never hears what a crash could take back.
* W3. What is taken: any 2xx. What is refused for good: every other 4xx than 408 and 429; the fact is remembered as
  refused and the next one has its turn. 410 ends the subscription. Everything else is tried again after
  min(2^n, 300) s, more or less a fifth, or what Retry-After says, without end.
* W4. A slow or dead address delays nobody else: each subscription has its own task and one request under way.
* W5. A `wake` says only that there is something. One that was taken stands for all that was stored before it was sent.

The mark also moves over what is none of the subscriber's business, with the next delivery or after
WEBHOOK_ROWS_UNMARKED_MAX facts, so that a restart does not look through everything again.

A wart: failures in a row are counted in memory. After a restart a broken subscription is shown as whole until it has
failed again as often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.query import stored_after
from stigmem.core.records import DeliveryMark, SubscriptionRow
from stigmem.node.following.subscriptions import WAKE, Signing, delivery, query_of, readable_scopes, split_address
from stigmem.node.mailbox import Mailbox, NotStored
from stigmem.node.ports import Clock, Entropy, Transport, Unreachable
from stigmem.node.state import NodeState
from stigmem.node.transaction import SubscriptionChanged, Transaction

__all__ = ["Post", "Webhook", "Webhooks"]

_GONE: Final = 410
_TRIED_AGAIN: Final = (408, 429)
_LOOK_NS: Final = 60_000_000_000
"""How often a subscriber without a valid key is looked at: it may have been given another one."""
_UNSTORED_REST_NS: Final = 5_000_000_000
_LATE_RETRY_S_MAX: Final = 3_600.0
"""The longest that an address may put us off with Retry-After."""


class Post(NamedTuple):
    """What a delivery needs of this node."""

    clock: Clock
    entropy: Entropy
    transport: Transport
    mailbox: Mailbox
    state: NodeState
    signing: Signing
    auth_required: bool


class _Refused(Exception):
    """The address will never take this fact."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


class _NotNow(Exception):
    """The delivery failed and is worth another try; `retry_after_s` is the address's advice, if it gave one."""

    def __init__(self, retry_after_s: float | None = None) -> None:
        super().__init__("not now")
        self.retry_after_s = retry_after_s


class Webhook:
    """The task of one subscription."""

    def __init__(self, subscription_id: str, post: Post) -> None:
        self._id = subscription_id
        self._post = post
        self._wake = post.clock.signal()
        self._stop = post.clock.signal()
        self._is_stopped = False
        mark = post.state.deliveries.get(subscription_id)
        row = post.state.subscriptions[subscription_id]
        self._seq = self._marked = row.begins_after if mark is None else mark.seq
        self.failures = 0
        """Deliveries that failed since the last that was taken."""

    def wake(self) -> None:
        """There may be something to tell."""
        self._wake.set()

    def stop(self) -> None:
        """The subscription is gone: end after what is being awaited."""
        self._is_stopped = True
        self._wake.set()
        self._stop.set()

    async def run(self) -> None:
        """Tell of one fact after the other; ends when the subscription is gone."""
        while not self._is_stopped:
            row = self._post.state.subscriptions.get(self._id)
            if row is None:
                return
            rest_ns = await self._step(row)
            if rest_ns is None:
                continue
            # What is stored meanwhile makes a broken address no better.
            await (self._stop if self.failures else self._wake).wait(rest_ns)

    async def _step(self, row: SubscriptionRow) -> int | None:
        """Tell of the next fact, or look through some of the log; how long to rest then, None to go on at once."""
        post = self._post
        found = stored_after(post.state.ledger, query_of(row, frozenset(row.scopes), 1), self._seq)
        fact = found.facts[0] if found.facts else None
        if fact is not None:  # who may read what is looked up among all keys, and so only when there is news
            now_us = post.clock.wall_ns() // 1_000
            scopes = readable_scopes(row, post.state, now_us, auth_required=post.auth_required)
            if not scopes:
                return _LOOK_NS
            if fact.scope not in scopes:
                fact = None  # it could be read when the subscription was made, and cannot now
        try:
            return await self._pass_over(found.seq) if fact is None else await self._tell(row, fact)
        except NotStored:  # the disk is full: it is told again, as W1 says
            return _UNSTORED_REST_NS

    async def _pass_over(self, seq: int) -> int | None:
        """Nothing up to `seq` is the subscriber's business; as `_step`. Raises NotStored."""
        self._seq = seq
        if seq - self._marked >= limits.WEBHOOK_ROWS_UNMARKED_MAX:
            await self._mark(seq, taken=False)
        if seq < self._post.state.ledger.last_seq:
            await self._post.clock.checkpoint()
            return None
        return _LOOK_NS

    async def _tell(self, row: SubscriptionRow, fact: Fact) -> int | None:
        """Send a fact and move the mark; as `_step`. Raises NotStored."""
        reached = self._post.state.ledger.last_seq if row.on_change == WAKE else fact.seq
        try:
            await self._send(row, fact)
        except _NotNow as failure:
            self.failures += 1
            return self._rest_ns(failure.retry_after_s)
        except _Refused as refused:
            if refused.status == _GONE:
                await self._post.mailbox.submit(_End(self._id))
                return None
            await self._mark(reached, taken=False, refused=refused.status)
        else:
            await self._mark(reached, taken=True)
        self._seq = reached
        self.failures = 0
        return None

    async def _send(self, row: SubscriptionRow, fact: Fact) -> None:
        """Raises _NotNow and _Refused."""
        post = self._post
        request = delivery(row, fact, post.signing, post.clock.wall_ns())
        base, timeout_ns = split_address(row.address)[0], int(limits.WEBHOOK_TIMEOUT_S * 1e9)
        try:
            answer = await post.transport.request(base, request, timeout_ns, limits.WEBHOOK_ANSWER_BYTES_MAX)
        except Unreachable as silence:
            raise _NotNow from silence
        if 200 <= answer.status < 300:
            return
        if 400 <= answer.status < 500 and answer.status not in _TRIED_AGAIN:
            raise _Refused(answer.status)
        raise _NotNow(_seconds(answer.headers.get("retry-after")))

    async def _mark(self, seq: int, *, taken: bool, refused: int = 0) -> None:
        """Make it durable how far the subscriber was told. Raises NotStored."""
        await self._post.mailbox.submit(_Mark(self._id, seq, taken=taken, refused=refused))
        self._marked = seq

    def _rest_ns(self, retry_after_s: float | None) -> int:
        base_s = min(2.0 ** min(self.failures, 20), limits.WEBHOOK_BACKOFF_S_MAX)
        if retry_after_s is not None:
            base_s = min(max(base_s, retry_after_s), _LATE_RETRY_S_MAX)
        unit = int.from_bytes(self._post.entropy.token(4), "big") / 4_294_967_296.0
        return int(base_s * (1.0 + limits.BACKOFF_JITTER * (2.0 * unit - 1.0)) * 1e9)


class Webhooks:
    """The webhooks of a node, one for each subscription."""

    def __init__(self, build: Callable[[str], Webhook], clock: Clock) -> None:
        self._build = build
        self._clock = clock
        self._running: dict[str, Webhook] = {}
        self._is_started = False

    def start(self, rows: Sequence[SubscriptionRow]) -> None:
        """Begin to deliver, to these subscriptions and those that are made from now on."""
        self._is_started = True
        for row in rows:
            self.subscription_changed(SubscriptionChanged(row))

    def __len__(self) -> int:
        return len(self._running)

    def failures(self, subscription_id: str) -> int:
        """Deliveries that failed since the last that was taken, as far as this process knows."""
        running = self._running.get(subscription_id)
        return 0 if running is None else running.failures

    def subscription_changed(self, notice: SubscriptionChanged) -> None:
        """A subscription was committed: start or stop its task."""
        row = notice.row
        if not self._is_started:
            return
        running = self._running.pop(row.subscription_id, None)
        if row.is_deleted:
            if running is not None:
                running.stop()
            return
        webhook = running or self._build(row.subscription_id)
        self._running[row.subscription_id] = webhook
        if running is None:
            self._clock.spawn("webhook", webhook.run)

    def facts_added(self) -> None:
        """There are new facts: every subscription looks."""
        for webhook in self._running.values():
            webhook.wake()


class _Mark:
    """The command that moves the mark of a subscription."""

    def __init__(self, subscription_id: str, seq: int, *, taken: bool, refused: int) -> None:
        self._id = subscription_id
        self._seq = seq
        self._taken = taken
        self._refused = refused

    def stage(self, txn: Transaction) -> None:
        state = txn.state
        if self._id not in state.subscriptions or not txn.try_reserve("subscription", self._id):
            return  # it was deleted meanwhile, or is being deleted
        before = state.deliveries.get(self._id)
        at_us = txn.now_us if self._taken else before.at_us if before is not None else 0
        txn.add(DeliveryMark(self._id, self._seq, at_us, self._refused))


class _End:
    """The command that ends a subscription whose address says that it is gone."""

    def __init__(self, subscription_id: str) -> None:
        self._id = subscription_id

    def stage(self, txn: Transaction) -> None:
        txn.reserve("subscription", self._id)
        row = txn.state.subscriptions.get(self._id)
        if row is not None:
            txn.add(row.deleted())
            txn.audit("subscription_ended", row.subscriber, subscription_id=self._id, reason="gone")


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else None
