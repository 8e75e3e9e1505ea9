"""Vectors of peer tokens through the pure half: reading, checking and spending, in the order of the file.

The status codes, details and audit rows of the same cases are tested through a node in
`tests/node/test_peer_token_vectors.py`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from stigmem.core.errors import Rejection
from stigmem.core.keys import ED25519
from stigmem.core.nonces import NonceTable
from stigmem.core.token import Claims, check_token, read_token
from tests.core.vectors import Case, cases, document, expectation

BEFORE_THE_TOKEN = ("no_authorization", "basic_authorization")
"""Refused before there is a token to read."""
REGISTRATION = ("peer not registered", "peer_not_approved")
"""Answers that look at the issuer's row and at nothing else of the token."""


@lru_cache
def _answers(where: str) -> dict[str, str | Claims]:
    """What becomes of every token of the file, presented one after the other to one table of nonces."""
    file = document(where, "peer_tokens")
    peers = {peer["node_id"]: (file["keys"][peer["key"]]["public"], peer) for peer in file["receiver"]["peers"]}
    table = NonceTable()
    return {case["name"]: _present(case, peers, table, file["receiver"]["node_id"]) for case in file["cases"]}


def _present(case: Case, peers: dict[str, Any], table: NonceTable, audience: str) -> str | Claims:
    text = (case["authorization"] or "").partition(" ")[2]
    now = case["now_ms"]
    try:
        token = read_token(text)
        if token.issuer not in peers:
            return "peer not registered"
        key, peer = peers[token.issuer]
        if peer["status"] != "active":
            return "peer_not_approved"
        claims = check_token(token, ED25519, key, issuer=peer["node_id"], audience=audience, now_ms=now)
        table.apply(table.spend(claims.nonce, peer["node_id"], claims.exp, now), now, 0)
    except Rejection as rejection:
        return rejection.code
    return claims


@pytest.mark.parametrize(
    ("where", "case"), cases("peer_tokens", only=lambda case: case["name"] not in BEFORE_THE_TOKEN)
)
def test_tokens_are_judged_as_the_contract_says(where: str, case: Case) -> None:
    answer, expected = _answers(where)[case["name"]], expectation(case)
    if expected["http_status"] != 401:
        assert isinstance(answer, Claims), answer  # 403 and 422 come after the token was accepted and spent
        return
    assert isinstance(answer, str), answer
    reason = expected.get("reason")
    if reason is not None and "invalid_<claim>" in reason:
        assert answer.startswith("invalid_")
    elif reason is not None:
        assert answer == reason
    else:
        assert answer not in REGISTRATION
