"""Stranger: knows a node's address and nothing else, and asks for everything by the hundred (S-19).

It registers nowhere. A node answers 401 to whoever pulls, pushes or asks for tombstones without a token of an approved
peer, and 401 or 403 to whoever wants to approve, revoke or delete a peer without an operator's key. What strangers
cause to be stored is bounded: refused tokens are audited up to a rate, with the claimed name cut to the length of a
node id, and the rest is counted in one row. Meanwhile peers are served in their usual rhythm.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from msgspec import Meta

from sim.adversary.base import Adversary
from sim.kinds import kind
from sim.ports import PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core.keys import encode_base64
from stigmem.core.wire import JSON_TYPE, Request, Response

__all__ = ["Answers", "Stranger"]

_ROUTES: Final = (
    ("GET", "/v1/federation/facts?limit=500", b""),
    ("POST", "/v1/federation/facts/push", b'{"facts":[]}'),
    ("GET", "/v1/federation/tombstones", b""),
    ("POST", "/v1/federation/peers/{peer}/approve", b'{"pubkey_fingerprint":"sha256:00"}'),
    ("POST", "/v1/federation/peers/{peer}/revoke", b"{}"),
    ("DELETE", "/v1/federation/peers/{peer}", b""),
)
_CREDENTIALS: Final = (
    "nothing", "another scheme", "no token", "an unknown name", "a long name", "a genuine key that nobody knows",
)  # fmt: skip
_CODES: Final = {
    "an unknown name": ("peer not registered",), "a genuine key that nobody knows": ("peer not registered",),
}  # fmt: skip
"""Credentials that differ from one request to the next, and how peers' routes refuse them."""
_HEADER: Final = encode_base64(b'{"alg":"EdDSA","typ":"JWT"}')
_LONG_CHARS: Final = 1_000


class Answers(dict[tuple[str, int], int]):
    """(credential, status) -> answers, over all victims."""


@kind("stranger")
class Stranger(Adversary):
    """Every `period` so many `requests`, on every route of peers and operators, with every sort of credential that is
    none. It never becomes a peer, and nobody reads it."""

    joins = False

    period: Duration = parse_duration("1s")
    """How often each victim is asked."""
    requests: Annotated[int, Meta(ge=1, le=10_000)] = 20
    """How many requests each time."""

    def act(self, peer: PeerEnv) -> None:
        for victim in peer.victims:
            peer.every(self.period, partial(self._ask, peer, victim))

    def _ask(self, peer: PeerEnv, victim: str, number: int) -> None:
        for at in range(number * self.requests, (number + 1) * self.requests):
            what = _CREDENTIALS[at % len(_CREDENTIALS)]
            method, target, body = _ROUTES[at // len(_CREDENTIALS) % len(_ROUTES)]
            headers = (
                {"accept": "application/json"} | (JSON_TYPE if body else {}) | self._credential(peer, victim, what)
            )
            request = Request(method, target.replace("{peer}", peer.uuid()), headers, body)
            is_served = method == "GET" or (target.endswith("/push") and peer.settings(victim).push)
            if what in _CODES and is_served:
                peer.owe(victim, request, f"a request with {what}", *_CODES[what])
            peer.send(victim, request, partial(self._judge, peer, victim, what, request))

    def _credential(self, peer: PeerEnv, victim: str, what: str) -> dict[str, str]:
        match what:
            case "another scheme":
                text = "Basic bWFsbG9yeTptYWxsb3J5"
            case "no token":
                text = "Bearer mallory"
            case "an unknown name" | "a long name":
                name = peer.rng.randbytes(_LONG_CHARS // 2 if what == "a long name" else 8).hex()
                claims = encode_base64(f'{{"iss":"{name}","nonce":"{name[:16]}"}}'.encode())
                text = f"Bearer {_HEADER}.{claims}.{encode_base64(bytes(64))}"
            case "a genuine key that nobody knows":
                text = f"Bearer {peer.token(victim)}"
            case _:
                return {}
        return {"authorization": text}

    def _judge(self, peer: PeerEnv, victim: str, what: str, request: Request, answer: Response | str) -> None:
        if isinstance(answer, Response):
            answers = peer.memory(Answers)
            answers[what, answer.status] = answers.get((what, answer.status), 0) + 1
            if answer.status < 400 and peer.has_true_wire:
                peer.report(victim, f"a stranger with {what} was answered {answer.status} to {request.target}")
