"""Spent nonces: once only, for as long as a token can live, bounded per peer, whatever the wall clock does."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmem.core import limits
from stigmem.core.nonces import NonceTable, SpentNonce
from stigmem.core.records import decode_record, encode_record
from tests.builders import T0_MS, refused

MS = 1_000_000
texts = st.text(max_size=8)


def spend(table: NonceTable, nonce: str, peer: str, expiry_ms: int, now_ms: int, monotonic_ms: int) -> str | None:
    """Present a nonce; the code with which it is refused, or None."""

    def present() -> None:
        table.apply(table.spend(nonce, peer, expiry_ms, now_ms), now_ms, monotonic_ms * MS)

    return refused(present)


@given(st.lists(st.tuples(texts, st.sampled_from("ab")), max_size=40))
def test_a_nonce_works_once_whoever_presents_it(presented: list[tuple[str, str]]) -> None:
    table = NonceTable()
    seen: dict[str, None] = {}
    for nonce, peer in presented:
        code = spend(table, nonce, peer, T0_MS + 1_000, T0_MS, 0)
        assert code == ("nonce_already_seen" if nonce in seen else None)
        seen[nonce] = None
    assert len(table) == len(seen)


@given(st.integers(0, limits.TOKEN_LIFE_MS), st.integers(0, 3 * limits.TOKEN_LIFE_MS))
def test_a_nonce_is_kept_for_as_long_as_its_token_could_be_accepted(life: int, later: int) -> None:
    table = NonceTable()
    assert spend(table, "n", "a", T0_MS + life, T0_MS, 0) is None
    table.forget(later * MS)
    acceptable = later <= life + limits.TOKEN_LEEWAY_MS
    if acceptable:
        assert spend(table, "n", "a", T0_MS + life, T0_MS + later, later) == "nonce_already_seen"
    if later > 2 * limits.TOKEN_LIFE_MS:
        assert len(table) == 0


@given(st.integers(-(10**12), 10**12))
def test_a_jump_of_the_wall_clock_forgets_nothing(jump: int) -> None:
    table = NonceTable()
    assert spend(table, "n", "a", T0_MS + limits.TOKEN_LIFE_MS, T0_MS, 0) is None
    table.forget(1 * MS)
    assert spend(table, "n", "a", T0_MS + jump + limits.TOKEN_LIFE_MS, T0_MS + jump, 1) == "nonce_already_seen"


lives = st.lists(st.tuples(texts, st.integers(0, 10_000)), unique_by=lambda row: row[0], max_size=20)


@given(lives, st.integers(0, 20))
def test_what_is_forgotten_may_come_again_and_the_rest_may_not(rows: list[tuple[str, int]], cut: int) -> None:
    table = NonceTable()
    for nonce, life in rows:
        assert spend(table, nonce, "a", T0_MS + limits.NONCE_WINDOW_MS + life, T0_MS, 0) is None
    rest = limits.NONCE_WINDOW_MS + limits.TOKEN_LEEWAY_MS + 500 * cut
    gone = {nonce for nonce, life in rows if limits.NONCE_WINDOW_MS + life + limits.TOKEN_LEEWAY_MS < rest}
    assert table.forget(rest * MS) == len(gone)
    assert len(table) == len(rows) - len(gone)
    for nonce, _ in rows:
        code = spend(table, nonce, "a", T0_MS + rest, T0_MS + rest, rest)
        assert code == (None if nonce in gone else "nonce_already_seen")


def test_a_peer_has_a_bounded_number_of_nonces_and_others_are_not_hurt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NONCES_PER_PEER_MAX", 3)
    table = NonceTable()
    codes = [spend(table, str(number), "a", T0_MS, T0_MS, 0) for number in range(5)]
    assert codes == [None, None, None, "too_many_tokens", "too_many_tokens"]
    assert spend(table, "other", "b", T0_MS, T0_MS, 0) is None
    table.forget(10 * limits.TOKEN_LIFE_MS * MS)
    assert spend(table, "again", "a", T0_MS, T0_MS, 0) is None


def test_a_refused_nonce_is_not_spent() -> None:
    table = NonceTable()
    record = table.spend("n", "a", T0_MS, T0_MS)
    assert len(table) == 0
    table.apply(record, T0_MS, 0)
    table.apply(record, T0_MS, 0)
    assert len(table) == 1


@given(texts, st.integers(0, 2**62))
def test_a_table_rebuilt_from_its_records_refuses_the_same(nonce: str, expiry: int) -> None:
    table, rebuilt = NonceTable(), NonceTable()
    record = table.spend(nonce, "a", expiry, T0_MS)
    again = decode_record(encode_record(record))
    assert isinstance(again, SpentNonce)
    rebuilt.apply(again, T0_MS + 5_000, 0)
    assert spend(rebuilt, nonce, "a", expiry, T0_MS + 5_000, 0) == "nonce_already_seen"
    # Whatever expiry a journal names, nothing is kept beyond twice the life of a token.
    assert rebuilt.forget((2 * limits.TOKEN_LIFE_MS + 1) * MS) == 1


def test_lone_surrogates_are_nonces_like_any_other() -> None:
    table = NonceTable()
    assert spend(table, "\ud800", "a", T0_MS, T0_MS, 0) is None
    assert spend(table, "\ud800", "a", T0_MS, T0_MS, 0) == "nonce_already_seen"


def test_memory_follows_the_nonces_held() -> None:
    table = NonceTable()
    for start in range(0, 1_000, 100):
        for number in range(start, start + 100):
            assert spend(table, str(number), "a", 0, 0, start) is None
        table.forget((start + limits.NONCE_WINDOW_MS + limits.TOKEN_LEEWAY_MS + 1) * MS)
        assert len(table) == 0
    counts = [len(part) for part in (table._spent, table._queue, table._per_peer)]
    assert list(itertools.chain(counts)) == [0, 0, 0]
