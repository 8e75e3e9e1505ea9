"""Operations that peers call: pulling facts, fetching manifests, discovery (federation 1.3, 3.1).

Handlers only. Registration and approval, which people call, are `stigmem.node.api.peers`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from stigmem.core import limits
from stigmem.core.declaration import EXTENSIONS
from stigmem.core.errors import Refusal, StigmemError
from stigmem.core.manifest import parse_manifest
from stigmem.core.wire import CLOCK_HEADER, JSON_TYPE, Response, json_response
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Answer, InBackground, Operation, Outcome
from stigmem.node.callers import PeerCaller
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.replication.first_peers import ELSEWHERE_HEADER, tags_of
from stigmem.node.replication.lag import LagMonitor
from stigmem.node.replication.long_polls import LongPolls
from stigmem.node.replication.page_server import PageServer, narrow
from stigmem.node.replication.pull_request import HOLDING_HEADER, held_by_asker
from stigmem.node.replication.puller import Pullers
from stigmem.node.replication.tombstone_reader import TOMBSTONES_HEADER
from stigmem.node.replication.tombstones_served import tombstones_for
from stigmem.node.responses import busy, render
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "FederationApi"]

_NONE: Final[frozenset[str]] = frozenset()

NAMESPACES = ["stigmem:", "rel:", "memory:", "intent:", "roadmap:", "preference:", "garden:"]


class PullParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/federation/facts`. `wait`: seconds the answer may be held for news. `echo`: the peer
    reads from the beginning and may have lost its own facts: serve it those too."""

    scope: str | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=limits.CURSOR_CHARS_MAX)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.PAGE_LIMIT_MAX)] = limits.PULL_LIMIT_DEFAULT
    wait: Annotated[float, msgspec.Meta(ge=0.0, le=limits.PULL_WAIT_S_MAX)] = 0.0
    echo: bool = False


class _Hints(NamedTuple):
    """What a question says of facts: ids that need not be sent, and origins for which a wait need not end."""

    held: frozenset[str]
    elsewhere: frozenset[str]


class _Pull(NamedTuple):
    """A question for facts, and what it may be answered with."""

    call: ApiRequest
    peer: PeerCaller
    scopes: tuple[str, ...]
    hints: _Hints


class FederationApi:
    """What peers ask for."""

    def __init__(
        self,
        *,
        identity: Identity,
        quotas: Quotas,
        page_server: PageServer,
        lag: LagMonitor,
        long_polls: LongPolls,
        pullers: Pullers,
    ) -> None:
        self._identity = identity
        self._quotas = quotas
        self._page_server = page_server
        self._lag = lag
        self._long_polls = long_polls
        self._pullers = pullers
        self._last_cursor_sent: dict[str, str | None] = {}
        """Peer -> cursor of our last page to it: going on from there is free of charge."""

    # --- pulling facts ---

    def get_facts(self, call: ApiRequest, txn: Transaction) -> Outcome:
        peer = call.need_peer()
        given: PullParameters = call.query
        peer_id = peer.row.peer_id
        scopes = narrow(peer.scopes, given.scope)
        if not scopes:
            if self._quotas.may_audit(peer_id, txn.monotonic_ns):
                asked = (given.scope or "")[:64]
                txn.audit("scope_violation", peer_id, requested_scope=asked, permitted=sorted(peer.scopes))
            raise Refusal(403, "scope_not_permitted", "scope not permitted for this peer")
        self._pullers.peer_seen(peer_id)
        expected = self._last_cursor_sent.get(peer_id)
        if given.cursor is None or given.cursor != expected:
            # Going on from our last page costs the peer nothing and is never refused; asking again, or from the
            # beginning, is.
            self._quotas.charge_pull(txn, peer)
            self._lag.refuse_if_stale(txn, peer_id)
        held = held_by_asker(call.request.headers.get(HOLDING_HEADER, ""))
        waits = given.wait > 0.0 and not self._page_server.has_news(peer.row, scopes, given.cursor, held)
        if waits and self._long_polls.has_room(peer_id) and txn.try_reserve("wait", peer_id):
            deadline_ns = txn.monotonic_ns + int(given.wait * 1e9)
            # It waits once its nonce is stored, and not before: who could not be taken in is answered now, and only
            # now.
            elsewhere = tags_of(call.request.headers.get(ELSEWHERE_HEADER, ""))
            pull = _Pull(call, peer, scopes, _Hints(held, elsewhere))
            return InBackground(partial(self._wait, pull, deadline_ns))
        return self.answer_pull(call, txn, peer, scopes, held)

    def _wait(self, pull: _Pull, deadline_ns: int, answer: Answer) -> None:
        self._long_polls.add(_WaitingPull(self, pull, deadline_ns, answer))

    def first_seq(self, call: ApiRequest, scopes: tuple[str, ...]) -> int:
        """The sequence number after which the page of a pull begins."""
        return self._page_server.start(call.query.cursor, scopes)

    def looked(self, peer: PeerCaller, scopes: tuple[str, ...], hints: _Hints, seq: int) -> tuple[bool, int]:
        """Whether something after a sequence number ends a wait, and up to where that was looked for."""
        server = self._page_server
        return server.has_news_after(peer.row, scopes, seq, hints.held, hints.elsewhere), server.last_seq

    def answer_pull(
        self,
        call: ApiRequest,
        txn: Transaction,
        peer: PeerCaller,
        scopes: tuple[str, ...],
        held: frozenset[str],
        elsewhere: frozenset[str] = _NONE,
    ) -> Response:
        """The page of a pull, with the lag header; a page with team facts is audited. Facts of origins that come from
        `elsewhere` are left out: the next question names those that did."""
        given: PullParameters = call.query
        served = self._page_server.page(
            peer.row, scopes, given.cursor, given.limit, txn.now_ms, echo=given.echo, held=held, elsewhere=elsewhere
        )
        if served.team_facts:
            txn.audit("team_egress", peer.row.peer_id, count=served.team_facts)
        if served.facts:
            call.facts = served.facts
            self._last_cursor_sent[peer.row.peer_id] = served.cursor
        else:
            self._last_cursor_sent.pop(peer.row.peer_id, None)
        headers = dict(JSON_TYPE)
        tombstones = len(tombstones_for(txn.state.erasures, peer.scopes)) if txn.state.erasures.rows else 0
        if tombstones:
            headers[TOMBSTONES_HEADER] = str(tombstones)
        lag_ms = self._lag.worst_ms(txn.monotonic_ns)
        if lag_ms > txn.settings.lag_warning_ms:
            headers["x-stigmem-replication-lag"] = str(lag_ms)
        return Response(200, headers, served.body)

    @property
    def tombstones(self) -> int:
        """How many tombstones and revocations this node knows."""
        return self._page_server.tombstones

    # --- who this node is ---

    def get_manifest(self, call: ApiRequest, txn: Transaction) -> Outcome:
        """The manifest of this node, or of an origin it knows: what relays vouch with."""
        name = call.params["node"]
        if self._identity.is_own_name(name):
            return json_response(200, self._identity.manifest(txn.now_us))
        row = txn.state.origins.get(name)
        if row is None or not row.manifest or parse_manifest(msgspec.json.decode(row.manifest)).expired(txn.now_us):
            raise Refusal(404, "manifest_not_found", "manifest not found or expired")
        return Response(200, JSON_TYPE, row.manifest.encode())

    def get_own_manifest(self, call: ApiRequest, txn: Transaction) -> Outcome:
        if not txn.settings.federation:
            raise Refusal(404, "federation_disabled", "federation is disabled on this node")
        return json_response(200, self._identity.manifest(txn.now_us))

    def get_discovery(self, call: ApiRequest, txn: Transaction) -> Outcome:
        settings, identity = txn.settings, self._identity
        document: dict[str, Any] = {
            "version": "1.0",
            "node_id": identity.node_id,
            "node_url": settings.node_url,
            "auth": "required" if settings.auth_required else "none",
            "federation": "enabled" if settings.federation else "disabled",
            "source_attestation": settings.source_attestation,
            "namespaces": NAMESPACES,
            "spec": None,
            "cors": {"dev_localhost": False, "configured": False},
        }
        if settings.federation:
            document |= {
                "entity_uri": identity.entity_uri,
                "federation_pubkey": identity.signer.public_key,
                "federation_version": "2.1",
                "federation_extensions": list(EXTENSIONS),
                "federation_endpoints": {
                    "peers": "/v1/federation/peers",
                    "facts": "/v1/federation/facts",
                    "push": "/v1/federation/facts/push" if settings.push else None,
                },
                "replication_lag_ms": self._lag.worst_ms(txn.monotonic_ns),
            }
        if CLOCK_HEADER not in call.request.headers:
            return json_response(200, document)
        # What the machine's clock shows, doubted or not: peers in doubt compare theirs with it (spec/hlc.md).
        shown_ms = txn.now_ms + txn.clock_lead_ns // 1_000_000
        return json_response(200, document, {CLOCK_HEADER: str(shown_ms)})

    def get_health(self, call: ApiRequest, txn: Transaction) -> Outcome:
        return json_response(200, {"status": "ok"})


class _WaitingPull:
    """A pull that waits for news; a submission once it is released."""

    __slots__ = (
        "_answer", "_api", "_looked_at", "_pull", "_response", "_tombstones", "deadline_ns",
    )  # fmt: skip

    leans_on_records = True

    def __init__(self, api: FederationApi, pull: _Pull, deadline_ns: int, answer: Answer) -> None:
        self._api = api
        self._pull = pull
        self._looked_at = api.first_seq(pull.call, pull.scopes)
        """Up to this sequence number nothing ends the wait: facts do not change, and are not looked at twice."""
        self._tombstones = api.tombstones
        self._answer = answer
        self._response: Response | None = None
        self.deadline_ns = deadline_ns

    @property
    def peer_id(self) -> str:
        return self._pull.peer.row.peer_id

    def is_for(self, answer: Callable[[Response], None]) -> bool:
        return self._pull.call.reply_to is answer

    def has_news(self) -> bool:
        if self._api.tombstones != self._tombstones:
            return True
        found, seq = self._api.looked(self._pull.peer, self._pull.scopes, self._pull.hints, self._looked_at)
        if not found:
            self._looked_at = seq
        return found

    def stage(self, txn: Transaction) -> None:
        call, peer, scopes, hints = self._pull
        row = txn.state.peers.get(self.peer_id)
        if row is None or row.status != peer.row.status:
            self._response = render(Refusal(401, "peer_not_approved", "peer_not_approved"))
        elif row.scopes != peer.row.scopes:
            self._response = render(busy("what this link carries has changed"))
        else:
            self._response = self._api.answer_pull(call, txn, peer, scopes, *hints)

    def release(self) -> None:
        if self._response is not None:
            self._answer(self._response)

    def fail(self, error: StigmemError) -> None:
        self._answer(render(Refusal(507, error.code, error.message)))


OPERATIONS = (
    Operation(
        "health", "GET", "/healthz", "open", FederationApi.get_health,
        "Whether the node answers", answer=dict, tags=("node",),
    ),
    Operation(
        "discovery", "GET", "/.well-known/stigmem", "open", FederationApi.get_discovery,
        "Who this node is and what it speaks",
        answer=dict, tags=("node",),
    ),
    Operation(
        "own_manifest", "GET", "/.well-known/stigmem-manifest.json", "open", FederationApi.get_own_manifest,
        "This node's signed manifest", answer=dict, refusals=(404,), tags=("federation",),
    ),
    Operation(
        "pull_facts", "GET", "/v1/federation/facts", "peer", FederationApi.get_facts,
        "Facts after a cursor, for a peer",
        query=PullParameters, answer=dict, refusals=(401, 403, 404, 422, 429, 503, 507), tags=("federation",),
    ),
    Operation(
        "get_manifest", "GET", "/v1/federation/manifest/{node}", "peer|read", FederationApi.get_manifest,
        "The manifest of this node or of an origin it knows", answer=dict, refusals=(401, 403, 404, 503, 507),
        tags=("federation",),
    ),
)  # fmt: skip
