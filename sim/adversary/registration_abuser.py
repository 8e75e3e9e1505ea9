"""Registration-abuser: declarations that are not true, and addresses that do not bear them out (S-13, S-15, S-16; S-17
where declarations must be fresh; the sizes and redirections of S-18).

A node fetches the discovery document of the address that is declared, once, in bounded time and size, and follows no
redirection; it answers `rejected` unless the key that signed is the one served there under the declared node id. What
was rejected once may be declared rightly afterwards, and becomes pending. A pending peer's token is worth nothing, and
neither is a revoked one's. Whoever declares the id of an honest node changes nothing about that node's own peers.

It never becomes a peer: each time it is pending the victim's operator revokes it, and it begins anew. Where a document
is the lie, an answer is judged only while that document is still served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from sim.adversary.base import Adversary, members
from sim.kinds import kind
from sim.ports import PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core import limits
from stigmem.core.declaration import PENDING, Declaration, signed_bytes
from stigmem.core.keys import encode_base64
from stigmem.core.timestamps import format_us
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["Declared", "RegistrationAbuser"]

_PATH: Final = "/v1/federation/peers"
_STALE_MS: Final = limits.DECLARATION_AGE_MS_MAX + limits.SKEW_FUTURE_MS + 60_000
_STRANGE_KEY: Final = encode_base64(bytes(range(32)))
_NOBODY: Final = "http://nobody.sim"


class _Attempt(NamedTuple):
    """What is declared, in words; the members of the declaration that are changed before and after signing; and the
    document that is served meanwhile, "" for the genuine one."""

    what: str
    before: Mapping[str, Any] = MappingProxyType({})
    after: Mapping[str, Any] = MappingProxyType({})
    document: str = ""


_DOCUMENTS: Final[dict[str, Callable[[dict[str, Any]], Response | None]]] = {
    "another key": lambda mine: _json(mine | {"federation_pubkey": _STRANGE_KEY}),
    "another node id": lambda mine: _json(mine | {"node_id": "stigmem://nobody.sim"}),
    "no key": lambda mine: _json({key: value for key, value in mine.items() if key != "federation_pubkey"}),
    "no JSON": lambda _: Response(200, {"content-type": "text/html"}, b"<!doctype html>"),
    "a list": lambda _: Response(200, JSON_TYPE, b"[" * 10_000 + b"]" * 10_000),
    "too many bytes": lambda mine: _json(mine | {"padding": "x" * (2 * limits.DISCOVERY_BYTES_MAX)}),
    "a redirection": lambda mine: Response(302, {"location": mine["node_url"]}, b""),
    "nothing": lambda _: Response(404, JSON_TYPE, b'{"detail":"Not Found"}'),
    "silence": lambda _: None,
}


class Declared(dict[tuple[str, str], int]):
    """(what, state or status) -> answers, over all victims."""


@dataclass
class _Progress:
    """How far one victim has been tried."""

    number: int = -1
    document: str = ""


@kind("registration-abuser")
class RegistrationAbuser(Adversary):
    """Every `period` another false declaration; after the last one a true one, and while that is pending a token,
    until the victim's operator revokes it. Nobody ever reads it."""

    joins = False

    period: Duration = parse_duration("5s")
    """How often each victim is sent a declaration."""

    def act(self, peer: PeerEnv) -> None:
        for victim in peer.victims:
            peer.every(self.period, partial(self._declare, peer, victim))

    def _declare(self, peer: PeerEnv, victim: str, number: int) -> None:
        attempts = _attempts(peer, victim)
        attempt = attempts[number % len(attempts)]
        progress = peer.memory(_Progress, victim)
        progress.number, progress.document = number, attempt.document
        request = Request("POST", _PATH, JSON_TYPE, _declaration(peer, victim, attempt))
        peer.send(victim, request, partial(self._judge, peer, victim, attempt, number))

    def _judge(self, peer: PeerEnv, victim: str, attempt: _Attempt, number: int, answer: Response | str) -> None:
        if not isinstance(answer, Response):
            return
        found, declared = members(answer), peer.memory(Declared)
        state = str(found.get("status", answer.status))
        declared[attempt.what, state] = declared.get((attempt.what, state), 0) + 1
        if answer.status != 201 or state != PENDING:
            return
        is_judged = peer.memory(_Progress, victim).number == number or not attempt.document
        if attempt.what != "the truth" and is_judged and peer.has_true_wire:
            peer.report(victim, f"a declaration with {attempt.what} is pending")
        token = peer.authorised("GET", "/v1/federation/facts?limit=1", peer.token(victim))
        peer.owe(victim, token, "a token of a peer that nobody approved", "peer_not_approved")
        peer.send(victim, token, partial(self._judge_token, peer, victim, str(found["peer_id"])))

    def _judge_token(self, peer: PeerEnv, victim: str, peer_id: str, answer: Response | str) -> None:
        if isinstance(answer, Response) and answer.status in (200, 403) and peer.has_true_wire:
            peer.report(victim, "a token of a peer that nobody approved was accepted")
        revoke = Request("POST", f"{_PATH}/{peer_id}/revoke", JSON_TYPE, b"{}")
        peer.console(victim, revoke, lambda _: None)

    def describe(self, peer: PeerEnv, victim: str, genuine: dict[str, Any]) -> Response | None:
        document = peer.memory(_Progress, victim).document
        return _DOCUMENTS[document](genuine) if document else super().describe(peer, victim, genuine)


def _attempts(peer: PeerEnv, victim: str) -> list[_Attempt]:
    others = [name for name in peer.federation.nodes if name != victim]
    found = [
        _Attempt("the victim's own id", {"node_id": _id_of(peer, victim)}),
        *(_Attempt(f"the id of {name}", {"node_id": _id_of(peer, name)}) for name in others[:2]),
        *(_Attempt(f"the address of {name}", {"node_url": peer.settings(name).node_url}) for name in others[:1]),
        _Attempt("scopes changed after signing", after={"allowed_scopes": ["local", "team", "company", "public"]}),
        _Attempt("an address changed after signing", after={"node_url": peer.url + "/"}),
        _Attempt("no signature", after={"declaration_sig": "AAAA"}),
        _Attempt("another's key", {"federation_pubkey": _STRANGE_KEY}),
        _Attempt("nobody's address", {"node_url": _NOBODY}),
        _Attempt("a user in the address", {"node_url": peer.url.replace("//", "//root@")}),
        _Attempt("a query in the address", {"node_url": peer.url + "?a"}),
        _Attempt("no web address", {"node_url": "ftp://mallory.sim"}),
        _Attempt("a scope that does not exist", {"allowed_scopes": ["banana"]}),
        *(_Attempt(f"{document} at the address", document=document) for document in _DOCUMENTS),
    ]
    if peer.settings(victim).require_fresh_declarations and peer.has_steady_clock(victim):
        found += [
            _Attempt("a signature of long ago", {"signed_at": _moment(peer, victim, -_STALE_MS)}),
            _Attempt("a signature of tomorrow", {"signed_at": _moment(peer, victim, 86_400_000)}),
        ]
    return [*found, _Attempt("the truth")]


def _id_of(peer: PeerEnv, name: str) -> str:
    """The node id of a node; a name that nobody has while it is off."""
    node = peer.truth(name)
    return "stigmem://nobody.sim" if node is None else node.node_id


def _moment(peer: PeerEnv, victim: str, ahead_ms: int) -> str:
    return format_us((peer.now_ms + peer.clock_lead_ms(victim) + ahead_ms) * 1_000)


def _declaration(peer: PeerEnv, victim: str, attempt: _Attempt) -> bytes:
    told: dict[str, Any] = {
        "node_url": peer.url, "node_id": peer.node_id, "federation_pubkey": peer.public_key,
        "allowed_scopes": sorted(peer.scopes), "signed_at": _moment(peer, victim, 0), "declaration_sig": "-",
        **attempt.before,
    }  # fmt: skip
    signature = encode_base64(peer.sign(signed_bytes(Declaration(**told))))
    return msgspec.json.encode({**told, "declaration_sig": signature, **attempt.after})


def _json(document: dict[str, Any]) -> Response:
    return Response(200, JSON_TYPE, msgspec.json.encode(document))
