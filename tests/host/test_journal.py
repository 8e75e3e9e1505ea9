"""The journal gives back what was committed to it, in the order and form that a node is rebuilt from."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stigmem.core import limits
from stigmem.core.audit import ChainHead, append
from stigmem.core.gardens import Gardens
from stigmem.core.hlc import Stamp
from stigmem.core.nonces import SpentNonce
from stigmem.core.records import (
    AliasRow,
    ClockDoubt,
    ClockMark,
    ClockReset,
    CursorRow,
    DeadLetter,
    DeliveryMark,
    GardenFact,
    GardenMember,
    GardenRow,
    KeyRow,
    OriginRow,
    PeerRow,
    Receipt,
    Record,
    SubscriptionRow,
    SweptFact,
)
from stigmem.core.schemas import SchemaBook
from stigmem.host import journal as journal_module
from stigmem.host.datadir import DataDirectoryBusy, DataDirectoryUnusable
from stigmem.host.inspection import verify_audit, verify_journal
from stigmem.host.journal import SqliteJournal
from tests.builders import SALT
from tests.host.nodes import chained, filled, first_format, fold_of, load_records, numbered, opened

PEERS = ("p1", "p2", "p3")
TEXTS = st.text(max_size=8)
CHANGES = st.one_of(
    st.builds(SpentNonce, st.binary(min_size=1, max_size=2), st.sampled_from(PEERS), st.integers(1, 9)),
    st.builds(ClockMark, st.integers(0, 1 << 62).map(Stamp)),
    st.builds(ClockReset, st.integers(0, 1 << 62).map(Stamp), st.integers(0, 1 << 62).map(Stamp)),
    st.builds(ClockDoubt, st.integers(0, 1 << 62)),
    st.builds(
        PeerRow, st.sampled_from(PEERS), st.sampled_from(("n1", "n2")), TEXTS, TEXTS,
        st.sampled_from(((), ("public",), ("company", "public"))), st.sampled_from(("active", "revoked", "")), TEXTS,
        TEXTS, st.none() | st.integers(0, 1 << 50), TEXTS,
    ),
    st.builds(
        CursorRow, st.sampled_from(PEERS), st.none() | TEXTS, st.integers(0, 99), st.booleans(), st.integers(0, 99),
        st.integers(0, 99),
    ),
    st.builds(OriginRow, st.sampled_from(("o1", "o2")), TEXTS, TEXTS, TEXTS, TEXTS),
    st.builds(
        DeadLetter, st.sampled_from(PEERS), st.sampled_from(("x", "y", "z")), st.sampled_from(("cid_mismatch", "")),
        st.none() | st.binary(max_size=3), st.none(),
    ),
    st.builds(
        KeyRow, st.sampled_from(("k1", "k2")), TEXTS, st.sampled_from(("$argon2id$x", "")),
        st.sampled_from(((), ("read", "write"))), st.just(("public",)), TEXTS, st.integers(0, 99), st.none(),
    ),
    st.builds(Receipt, st.sampled_from(("r1", "r2")), TEXTS, st.binary(max_size=3), st.integers(0, 99)),
    st.builds(
        # No batch of a node deletes a subscription and moves its mark, so those with marks are another test's.
        SubscriptionRow, st.sampled_from(("s3", "s4")), TEXTS, TEXTS, st.sampled_from(("scope", "entity")),
        st.sampled_from(("webhook", "wake", "")), TEXTS, TEXTS, st.sampled_from(((), ("company", "public"))),
        st.integers(0, 99), st.booleans(), st.integers(0, 99),
    ),
    st.builds(
        DeliveryMark, st.sampled_from(("s1", "s2")), st.integers(0, 99), st.integers(0, 99), st.sampled_from((0, 400)),
    ),
)  # fmt: skip


def committed(directory: Path, batches: list[list[Record]]) -> None:
    with opened(directory) as journal:
        for batch in batches:
            journal.write(batch)


@given(st.lists(st.lists(CHANGES, min_size=1, max_size=8), max_size=8))
@settings(max_examples=40)
def test_a_restarted_node_knows_what_the_stopped_one_knew(batches: list[list[Record]]) -> None:
    facts = numbered(len(batches))
    rows = chained(facts)
    whole = [[*batch, one, row] for batch, one, row in zip(batches, facts, rows, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        committed(Path(folder), whole)
        loaded = load_records(Path(folder))
    assert fold_of(loaded) == fold_of([record for batch in whole for record in batch])


def test_every_member_of_a_fact_comes_back(tmp_path: Path) -> None:
    own, received = numbered(2)
    received = msgspec.structs.replace(
        received, signature=b"\x00\xff" * 32, entity_uri="https://b.example", grant="company,public",
        received_from="peer-1", certified=False, quarantine="instruction", valid_until="2030-01-01T00:00:00Z",
        derived_from='[{"fact_id":"1"}]', confidence=0.1 + 0.2, text="nul \x00, quote ', snowman ☃",
    )  # fmt: skip
    committed(tmp_path, [[own, received]])
    assert load_records(tmp_path) == [own, received]


def test_gardens_and_their_facts_come_back_and_a_deleted_one_does_not(tmp_path: Path) -> None:
    one, two = numbered(2)
    ann = GardenMember("user:ann", "admin", "user:ann", 5)
    row = GardenRow("g1", "crew", "Crew", "team", None, "user:ann", 5, is_quarantine=True, members=(ann,))
    gone = msgspec.structs.replace(row, garden_id="g2", slug="gone")
    changed = msgspec.structs.replace(row, members=(ann, GardenMember("agent:bo", "reader", "user:ann", 6)))
    batches = [[one, row, GardenFact("g1", one)], [gone, GardenFact("g2", one)], [changed, GardenFact("g1", two)],
               [gone.deleted()], [msgspec.structs.replace(gone, garden_id="g3")]]  # fmt: skip
    committed(tmp_path, batches)
    loaded = load_records(tmp_path)
    assert [record for record in loaded if isinstance(record, GardenRow)] == [changed, batches[-1][0]]
    state = fold_of(loaded)
    assert state == fold_of([record for batch in batches for record in batch])
    book = Gardens(SchemaBook((), ""))
    for record in loaded:
        if isinstance(record, GardenRow):
            book.apply_row(record)
        elif isinstance(record, GardenFact):
            book.apply_fact(record.garden_id, record.fact)
    assert [(garden.row.slug, garden.ledger.log) for garden in book] == [("crew", [one, two]), ("gone", [])]


def test_a_journal_from_before_gardens_is_looked_through_as_it_is_and_then_brought_forward(tmp_path: Path) -> None:
    facts = filled(tmp_path, 3)
    first_format(tmp_path)
    with closing(sqlite3.connect(tmp_path / "stigmem.db")) as old:
        later = ("gardens", "garden_facts", "swept_facts", "aliases", "quarantine")
        old.executescript("".join(f"DROP TABLE {table};" for table in later) + "PRAGMA user_version = 3;")
    assert verify_journal(tmp_path) is None
    assert verify_audit(tmp_path).broken == []
    with opened(tmp_path) as journal:
        assert journal.count() == len(facts)
        journal.write([GardenFact("g1", facts[0])])
    assert GardenFact("g1", facts[0]) in load_records(tmp_path)
    with closing(sqlite3.connect(tmp_path / "stigmem.db")) as now:
        now.execute("DROP TABLE garden_facts")
    assert "garden_facts" in (verify_journal(tmp_path) or "")


def test_an_audit_log_and_the_facts_of_gardens_are_compared(tmp_path: Path) -> None:
    one, two = numbered(2)
    row = append(ChainHead(), "garden_write", "user:ann", one.id, {"garden": "g1"}, 5, salt=SALT)
    committed(tmp_path, [[GardenFact("g1", one), row]])
    found = verify_audit(tmp_path)
    assert (found.writes, found.matching, found.broken) == (1, 1, [])
    with closing(sqlite3.connect(tmp_path / "stigmem.db")) as other:
        other.execute("DELETE FROM garden_facts")
        other.commit()
    committed(tmp_path, [[GardenFact("g1", two)]])
    lost, added = sorted(verify_audit(tmp_path).broken, key=lambda text: "gone" not in text)
    assert (one.id in lost, two.id in added) == (True, True)


def test_a_whole_confidence_given_as_an_integer_is_no_damage(tmp_path: Path) -> None:
    (one,) = numbered(1)
    committed(tmp_path, [[msgspec.structs.replace(one, confidence=1)]])
    assert load_records(tmp_path) == [one]


def test_equal_texts_of_many_facts_are_kept_once(tmp_path: Path) -> None:
    facts = filled(tmp_path, 3)
    first, second, *_ = load_records(tmp_path)
    assert (first, second) == (facts[0], facts[1])
    for member in ("relation", "scope", "source", "origin", "kind"):
        assert getattr(first, member) is getattr(second, member)


def test_the_journal_can_be_read_with_plain_sql(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    with closing(sqlite3.connect(tmp_path / "stigmem.db")) as shell:
        rows = shell.execute("SELECT entity, relation, value, scope, hlc FROM facts ORDER BY seq").fetchall()
    assert rows[0] == ("user:person-1", "memory:role", "value 1", "public", "1795161344437.000")


async def test_audit_rows_are_read_both_ways(tmp_path: Path) -> None:
    filled(tmp_path, 5)
    with opened(tmp_path) as journal:
        assert [row.seq for row in await journal.audit(2, 2)] == [3, 4]
        assert [row.seq for row in await journal.audit(0, 2, newest_first=True)] == [5, 4]
        assert [row.seq for row in await journal.audit(3, 9, newest_first=True)] == [2, 1]
        assert journal.audit_head().seq == 5


def test_a_batch_that_cannot_be_written_leaves_nothing_of_itself(tmp_path: Path) -> None:
    one, two = numbered(2)
    with opened(tmp_path) as journal:
        journal.write([one])
        with pytest.raises(sqlite3.IntegrityError):
            journal.write([two, one])
        assert journal.count() == 1
        journal.write([two])
        assert journal.count() == 2


def test_every_commit_is_synced_before_it_returns(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_second_process_is_turned_away(tmp_path: Path) -> None:
    with opened(tmp_path):
        with pytest.raises(DataDirectoryBusy) as refused:
            SqliteJournal(tmp_path)
        assert str(tmp_path) in refused.value.message
    with opened(tmp_path) as journal:
        assert journal.count() == 0


def test_a_directory_that_cannot_be_written_is_not_called_damaged(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    path = tmp_path / "stigmem.db"
    path.rename(tmp_path / "elsewhere.db")
    path.mkdir()
    with pytest.raises((DataDirectoryUnusable, OSError)) as refused:
        SqliteJournal(tmp_path)
    assert "damaged" not in str(refused.value)


def test_notes_about_the_directory_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert journal.meta("node_id") is None
        journal.set_meta({"node_id": "stigmem:node:x", "public_key": "k"})
    with opened(tmp_path) as journal:
        assert (journal.meta("node_id"), journal.meta("public_key")) == ("stigmem:node:x", "k")


def test_nonces_go_when_their_life_is_over_on_the_monotonic_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0]
    monkeypatch.setattr(journal_module.time, "monotonic_ns", lambda: now[0])

    def kept(journal: SqliteJournal) -> list[bytes]:
        return [row[0] for row in journal._connection.execute("SELECT digest FROM nonces ORDER BY row")]

    with opened(tmp_path) as journal:
        journal.write([SpentNonce(b"a", "p", 1)])
        now[0] = journal_module._NONCE_LIFE_NS
        journal.write([SpentNonce(b"b", "p", 1)])
        assert kept(journal) == [b"a", b"b"]
        now[0] += 1
        journal.write([SpentNonce(b"c", "p", 1)])
        assert kept(journal) == [b"b", b"c"]


def test_nonces_from_before_a_restart_get_a_whole_life_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10 * journal_module._NONCE_LIFE_NS]
    monkeypatch.setattr(journal_module.time, "monotonic_ns", lambda: now[0])
    with opened(tmp_path) as journal:
        journal.write([SpentNonce(b"a", "p", 1)])
    now[0] = 5  # another boot
    with opened(tmp_path) as journal:
        journal.write([SpentNonce(b"b", "p", 1)])
        assert journal._connection.execute("SELECT count(*) FROM nonces").fetchone() == (2,)


def test_old_receipts_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_RECEIPTS_KEPT", 3)
    committed(tmp_path, [[Receipt(f"r{n}", "", b"", n) for n in range(9)]])
    assert [record.key for record in load_records(tmp_path) if isinstance(record, Receipt)] == ["r6", "r7", "r8"]


def test_a_peer_that_is_deleted_takes_its_cursor_and_letters_along(tmp_path: Path) -> None:
    row = PeerRow("p1", "n1", "http://a", "k", ("public",), "active", "2.1")
    gone = msgspec.structs.replace(row, status="")
    committed(tmp_path, [[row, CursorRow("p1", "s:4", 4, True), DeadLetter("p1", "x", "cid_mismatch")], [gone]])
    assert load_records(tmp_path) == []


def test_of_several_changes_to_one_thing_in_a_batch_the_last_stands(tmp_path: Path) -> None:
    letter, lifted = DeadLetter("p1", "x", "cid_mismatch"), DeadLetter("p1", "x", "")
    committed(tmp_path, [[letter, lifted, letter]])
    assert load_records(tmp_path) == [letter]
    committed(tmp_path, [[letter, lifted]])
    assert load_records(tmp_path) == []


def test_only_the_head_of_the_audit_log_is_part_of_the_state(tmp_path: Path) -> None:
    first = append(ChainHead(), "key_created", "user:a", None, {}, 1, salt=SALT)
    second = append(ChainHead(1, first.hash), "key_revoked", "user:a", None, {}, 2, salt=SALT)
    committed(tmp_path, [[first, second]])
    assert load_records(tmp_path) == [second]


def test_names_and_sweeps_are_read_back_as_they_stood(tmp_path: Path) -> None:
    first, second = AliasRow("a:x", "a:b", "user:a", (), 1), AliasRow("a:y", "a:b", "user:a", ("team",), 2)
    gone = msgspec.structs.replace(first, canonical="")
    changed = msgspec.structs.replace(second, canonical="a:c")
    batches: list[list[Record]] = [[first, second], [gone, changed, first], [SweptFact(1, 9), SweptFact(2, 9)]]
    committed(tmp_path, batches)
    found = load_records(tmp_path)
    assert fold_of(found) == fold_of([record for batch in batches for record in batch])
    assert fold_of(found)["aliases"] == [("a:y", changed), ("a:x", first)]
    assert [record for record in found if isinstance(record, SweptFact)] == [SweptFact(1, 9), SweptFact(2, 9)]


def test_a_subscription_that_is_deleted_takes_its_marks_with_it(tmp_path: Path) -> None:
    row = SubscriptionRow("s1", "a:b", "public", "scope", "webhook", "http://x/", "", ("public",), 3, True, 1)
    other = msgspec.structs.replace(row, subscription_id="s2")
    marks: list[Record] = [
        DeliveryMark(name, seq, 9, refused) for name in ("s1", "s2") for seq, refused in ((4, 400), (5, 0))
    ]
    batches: list[list[Record]] = [[row, other], marks, [row.deleted()]]
    committed(tmp_path, batches)
    found = fold_of(load_records(tmp_path))
    assert found == fold_of([record for batch in batches for record in batch])
    assert found["subscriptions"] == [("s2", other)]
    assert found["deliveries"] == [("s2", DeliveryMark("s2", 5, 9))]
    assert found["refused deliveries"] == [("s2", [(4, 400)])]


def test_facts_that_were_refused_for_good_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REFUSED_DELIVERIES_MAX", 3)
    committed(tmp_path, [[DeliveryMark("s1", seq, 0, 400) for seq in range(9)], [DeliveryMark("s2", 1, 0, 404)]])
    found = fold_of(load_records(tmp_path))
    assert found["refused deliveries"] == [("s1", [(6, 400), (7, 400), (8, 400)]), ("s2", [(1, 404)])]
