"""Token-abuser: peer tokens that are wrong in every claim, in their times, their names and their algorithm (S-07 to
S-12, S-21; S-06 for one nonce under two keys).

A node answers each with 401 and the code of its first mistake, in the order of section 2.6 of the contract, or with 403
when the token is good and grants nothing: never with a page, and never with an error of its own, whatever type a claim
has. A token whose end passed ten seconds ago is still taken, since clocks differ. All of this holds on every route that
peers have: pull, push and tombstones.

What is judged is the answer that arrives, and only where the script can know what it must be: on a wire that flips no
bits, by a victim whose clock no fault moves, and for codes within five seconds. A token that was refused as spent, or a
peer that is not known, was overtaken by a doubled packet or a lost disk, and says nothing.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Annotated, Any, Final, NamedTuple

from msgspec import Meta

from sim.adversary.base import Adversary, members
from sim.kinds import kind
from sim.ports import PeerEnv
from sim.units import Duration, parse_duration
from stigmem.core.keys import decode_base64, encode_base64
from stigmem.core.wire import Response

__all__ = ["Presented", "TokenAbuser"]

_ROUTES: Final = (
    ("GET", "/v1/federation/facts?limit=1", b""),
    ("POST", "/v1/federation/facts/push", b'{"facts":[]}'),
    ("GET", "/v1/federation/tombstones", b""),
)
_LEFT_OUT: Final = object()
_VALUES: Final[tuple[Any, ...]] = (
    _LEFT_OUT, None, True, False, 0, -1, 7, 2**63 - 1, 2**63, 10**18, 10**400, 1.5, -0.0, 1e308, float("nan"),
    float("inf"), "", "x", "NaN", "9" * 500, "\x00", "\ud800", [], [[]], ["x"], [None], {}, {"x": []},
)  # fmt: skip
_CODES: Final[dict[str, tuple[str, ...]]] = {
    "iss": ("invalid_iss", "peer not registered", "invalid_token"),
    "sub": ("invalid_sub", "invalid_token"),
    "iat": ("iat_too_old", "invalid_token"),
    "exp": ("token_expired", "invalid_token"),
    "nbf": ("nbf_in_future", "invalid_token"),
    "nonce": ("missing_nonce", "invalid_token"),
    "scopes": ("invalid_token",),
}
"""Claim -> how a wrong value of it may be refused."""
_HEADER: Final[dict[str, Any]] = {"alg": "EdDSA", "typ": "JWT"}
_S: Final = 1_000
_HOUR: Final = 3_600_000
_JUDGED_WITHIN_MS: Final = 5_000
"""Codes that depend on the time are judged when the answer came within this: the leeway for clocks is thirty
seconds, and no attempt is nearer than ten to its edge."""
_OVERTAKEN: Final = ("nonce_already_seen", "peer not registered", "peer_not_approved")
_REFUSED: Final = 401
_GRANTS_NOTHING: Final = 403


_Make = Callable[[PeerEnv, dict[str, Any]], str]
"""The text of a token with these claims."""


class Attempt(NamedTuple):
    """One token: in words what is wrong with it, with one of which codes it must be refused (none: it must be accepted;
    None: either is right), what is changed in the claims of a good one, and how its text is made."""

    what: str
    codes: tuple[str, ...] | None
    changes: dict[str, Any]
    make: _Make
    ages: bool = False
    """Whether it may become good by waiting."""
    accepted: tuple[int, ...] = (200, 202, 403)
    """Statuses that say it was taken for a good one: 403 is the answer to a good one that grants nothing."""


class Presented(dict[tuple[str, int], int]):
    """(what was wrong, status) -> answers, over all victims."""


@kind("token-abuser")
class TokenAbuser(Adversary):
    """Every `period` the next `tokens` wrong ones are presented, in turn on each route; the list of some two hundred
    begins anew when it is through. Serves ordinary facts."""

    period: Duration = parse_duration("2s")
    """How often tokens are presented to each victim."""
    tokens: Annotated[int, Meta(ge=1, le=1_000)] = 10
    """How many each time."""

    def act(self, peer: PeerEnv) -> None:
        for victim in peer.victims:
            peer.every(self.period, partial(self._round, peer, victim))

    def _round(self, peer: PeerEnv, victim: str, number: int) -> None:
        node = peer.truth(victim)
        if node is None:
            return
        now_ms = peer.now_ms + peer.clock_lead_ms(victim)
        attempts = list(_attempts(peer, victim, now_ms, number))
        for at in range(number * self.tokens, (number + 1) * self.tokens):
            method, target, body = _ROUTES[at // len(attempts) % len(_ROUTES)]
            attempt = attempts[at % len(attempts)]
            good = {
                "iss": peer.node_id, "sub": node.node_id, "iat": now_ms - 5_000, "exp": now_ms + 300_000,
                "nonce": peer.uuid(), "scopes": list(peer.scopes),
            }  # fmt: skip
            claims = {claim: value for claim, value in (good | attempt.changes).items() if value is not _LEFT_OUT}
            request = peer.authorised(method, target, attempt.make(peer, claims), body)
            is_served = method == "GET" or peer.settings(victim).push
            if is_served and attempt.codes and _GRANTS_NOTHING in attempt.accepted and peer.has_steady_clock(victim):
                within_ns = _JUDGED_WITHIN_MS * 1_000_000
                peer.owe(victim, request, f"a token with {attempt.what}", *attempt.codes, within_ns=within_ns)
            peer.send(victim, request, partial(self._judge, peer, victim, attempt, peer.now_ms))

    def _judge(self, peer: PeerEnv, victim: str, attempt: Attempt, sent_ms: int, answer: Response | str) -> None:
        if not isinstance(answer, Response):
            return
        presented = peer.memory(Presented)
        presented[attempt.what, answer.status] = presented.get((attempt.what, answer.status), 0) + 1
        if not peer.has_true_wire or attempt.codes is None:
            return
        in_time = peer.has_steady_clock(victim) and peer.now_ms - sent_ms <= _JUDGED_WITHIN_MS
        if answer.status in attempt.accepted and attempt.codes and (in_time or not attempt.ages):
            peer.report(victim, f"a token with {attempt.what} was accepted")
        detail = members(answer).get("detail")
        if answer.status == _REFUSED and in_time and detail not in (*attempt.codes, *_OVERTAKEN):
            wanted = " or ".join(attempt.codes) or "no refusal"
            peer.report(victim, f"a token with {attempt.what} was refused as {detail!r} and not as {wanted}")


# --- the tokens ---


def _attempts(peer: PeerEnv, victim: str, now_ms: int, number: int) -> Iterator[Attempt]:
    """The whole list, for the `number`-th round at a victim whose clock shows `now_ms`."""

    def timed(what: str, *codes: str, ages: bool = False, **changes: int) -> Attempt:
        return Attempt(what, codes, changes, _signed, ages)

    yield timed("an end ten seconds ago", exp=now_ms - 10 * _S)
    yield timed("an end forty seconds ago", "token_expired", exp=now_ms - 40 * _S)
    yield timed("seconds for milliseconds", "token_expired", exp=now_ms // 1_000 + 3_600)
    yield timed("a beginning in a minute", "iat_in_future", ages=True, iat=now_ms + 60 * _S)
    yield timed("a beginning 25 hours ago", "iat_too_old", iat=now_ms - 25 * _HOUR)
    yield timed("use from in a minute on", "nbf_in_future", ages=True, nbf=now_ms + 60 * _S)
    yield timed("a life of ten years", "token_lifetime_exceeded", exp=now_ms + 87_600 * _HOUR)
    yield timed("a life of two hours", "token_lifetime_exceeded", exp=now_ms + 2 * _HOUR)
    yield Attempt("another audience", ("invalid_sub",), {"sub": peer.node_id}, _signed)
    for node_id, name in peer.names.items():
        yield Attempt(f"the name of {name}", ("invalid_signature",), {"iss": node_id}, _signed)
    for what, make in _FORGERIES.items():
        yield Attempt(what, ("invalid_token", "invalid_signature", "malformed token"), {}, make)
    # Two peers of one scenario have the same nonce here, so that it comes under two keys; who is second may be refused.
    yield Attempt("a nonce that another uses", None, {"nonce": f"shared {victim} {number}"}, _signed)
    for claim, value in product(_CODES, _VALUES):
        what = f"{claim} left out" if value is _LEFT_OUT else f"{claim} {_text(value):.20}"
        codes = None if _may_be_good(claim, value) else (*_CODES[claim], "malformed token")
        accepted = (200, 202) if claim == "scopes" else (200, 202, 403)
        yield Attempt(what, codes, {claim: value}, _signed, accepted=accepted)


def _may_be_good(claim: str, value: Any) -> bool:
    """Whether a value is right for a claim, or wrong in a way that the contract leaves open."""
    if claim == "nbf":
        return value is _LEFT_OUT or value is None or isinstance(value, (bool, int, float))
    return claim == "nonce" and isinstance(value, (str, int)) and bool(value)  # the reference takes numbers


def _signed(peer: PeerEnv, claims: dict[str, Any], header: dict[str, Any] = _HEADER) -> str:
    text = f"{_part(header)}.{_part(claims)}"
    return f"{text}.{encode_base64(peer.sign(text.encode()))}"


def _text(value: Any) -> str:
    return json.dumps(value)  # as Python's JWT libraries write it: with NaN, Infinity and numbers of any length


def _part(value: Any) -> str:
    return encode_base64(_text(value).encode())


def _with_header(**changes: Any) -> _Make:
    return lambda peer, claims: _signed(peer, claims, _HEADER | changes)


def _by_public_key(key: Callable[[str], bytes]) -> _Make:
    """HS256, keyed with what everybody knows: a library that lets a token choose its algorithm takes it."""

    def make(peer: PeerEnv, claims: dict[str, Any]) -> str:
        text = f"{_part(_HEADER | {'alg': 'HS256'})}.{_part(claims)}"
        return f"{text}.{encode_base64(hmac.digest(key(peer.public_key), text.encode(), 'sha256'))}"

    return make


def _with_other_claims(claims: Any) -> _Make:
    """The signature of good claims under these."""

    def make(peer: PeerEnv, good: dict[str, Any]) -> str:
        header, _, signature = _signed(peer, good).split(".")
        return f"{header}.{_part(good | claims if isinstance(claims, dict) else claims)}.{signature}"

    return make


_FORGERIES: Final[dict[str, _Make]] = {
    "no algorithm": lambda _, claims: f"{_part(_HEADER | {'alg': 'none'})}.{_part(claims)}.",
    "HS256 by the public key": _by_public_key(decode_base64),
    "HS256 by the public key's text": _by_public_key(str.encode),
    "another algorithm": _with_header(alg="ES256"),
    "an algorithm in a list": _with_header(alg=["EdDSA"]),
    "no named algorithm": _with_header(alg=None),
    "claims changed after signing": _with_other_claims({"nonce": "another"}),
    "a list for claims": _with_other_claims([]),
    "half a signature": lambda peer, claims: _signed(peer, claims)[:-40],
    "four parts": lambda peer, claims: _signed(peer, claims) + ".AAAA",
    "no parts": lambda *_: "token",
}
