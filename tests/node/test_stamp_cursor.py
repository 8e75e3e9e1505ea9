"""Reading a peer whose cursors are stamps compared as text: nothing that it hides stays hidden."""

from __future__ import annotations

from stigmem.node.replication.stamp_cursor import StampCursor

SECOND_NS = 1_000_000_000
NOW_MS = 1_795_000_000_000


class Publisher:
    """The reference's cursor rule: rows whose stamp is greater, as text."""

    def __init__(self) -> None:
        self.stamps: list[str] = []

    def page(self, cursor: str | None, limit: int) -> tuple[list[str], str | None, bool]:
        later = sorted(stamp for stamp in self.stamps if cursor is None or stamp > cursor)
        chosen = later[:limit]
        return chosen, chosen[-1] if chosen else cursor, len(later) > limit


class Reader:
    """A puller reduced to its cursors."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.rewind = StampCursor(0)
        self.stored: str | None = None
        self.seen: set[str] = set()
        self.pages = 0

    def drain(self, publisher: Publisher, limit: int = 4, most: int = 1_000) -> None:
        self.rewind.begin(self.stored, self.now_ns)
        more = True
        while more and most:
            most -= 1
            start = self.rewind.start(self.stored)
            entries, cursor, more = publisher.page(start, limit)
            self.pages += 1
            self.seen.update(entries)
            kept = self.stored
            if entries or cursor != start:
                kept = self.rewind.store(self.stored, cursor, NOW_MS, drained=not more)
            self.stored = kept
            self.rewind.arrived(kept, cursor, self.now_ns, drained=not more)


def test_facts_that_sort_below_the_cursor_are_found_by_reading_again() -> None:
    publisher, reader = Publisher(), Reader()
    for counter in range(40):
        publisher.stamps.append(f"{NOW_MS + 250_000}.{counter}")
        if counter % 5 == 4:
            reader.drain(publisher)
    missing = len(publisher.stamps) - len(reader.seen)
    reader.now_ns += 11 * SECOND_NS
    reader.drain(publisher)
    assert missing > 0
    assert reader.seen == set(publisher.stamps)


def test_a_clock_that_restarts_behind_hides_nothing() -> None:
    publisher, reader = Publisher(), Reader()
    publisher.stamps.append(f"{NOW_MS + 290_000}.0")
    reader.drain(publisher)
    publisher.stamps.append(f"{NOW_MS}.0")
    reader.drain(publisher)
    assert reader.seen != set(publisher.stamps)
    reader.rewind.interrupted()
    reader.drain(publisher)
    assert reader.seen == set(publisher.stamps)


def test_a_reader_that_starts_anew_reads_again_from_what_it_stored() -> None:
    publisher, reader = Publisher(), Reader()
    publisher.stamps.append(f"{NOW_MS}.9")
    reader.drain(publisher)
    publisher.stamps.append(f"{NOW_MS}.10")
    reader.rewind = StampCursor(reader.now_ns)
    reader.drain(publisher)
    assert reader.stored == str(NOW_MS - 310_000)
    assert reader.seen == set(publisher.stamps)


def test_a_silence_while_a_history_is_read_costs_one_more_reading_and_no_progress() -> None:
    publisher, reader = Publisher(), Reader()
    publisher.stamps += [f"{NOW_MS + 290_000}.{n:03}" for n in range(100)]
    for _ in range(13):
        reader.drain(publisher, most=2)
        reader.rewind.interrupted()
    assert reader.seen == set(publisher.stamps)
    publisher.stamps.append(f"{NOW_MS}.0")
    reader.drain(publisher)
    assert reader.seen == set(publisher.stamps)


def test_a_history_too_long_for_one_drain_is_read_to_its_end() -> None:
    publisher, reader = Publisher(), Reader()
    publisher.stamps += [f"{NOW_MS}.{n:03}" for n in range(100)]
    for _ in range(13):
        reader.drain(publisher, most=2)
        reader.now_ns += 60 * SECOND_NS
    assert reader.seen == set(publisher.stamps)


def test_between_two_readings_again_only_news_is_read() -> None:
    publisher, reader = Publisher(), Reader()
    publisher.stamps += [f"{NOW_MS}.{n:03}" for n in range(100)]
    reader.drain(publisher)
    reader.drain(publisher)
    before = reader.pages
    reader.now_ns += SECOND_NS
    reader.drain(publisher)
    assert reader.pages == before + 1


def test_what_is_stored_does_not_creep_back() -> None:
    publisher, reader = Publisher(), Reader()
    publisher.stamps.append(f"{NOW_MS}.0")
    for _ in range(5):
        reader.drain(publisher)
        reader.now_ns += 20 * SECOND_NS
    assert reader.stored == str(NOW_MS - 310_000)


def test_once_a_day_everything_is_read_again() -> None:
    publisher, reader = Publisher(), Reader()
    publisher.stamps.append(f"{NOW_MS}.0")
    reader.drain(publisher)
    publisher.stamps.append(f"{NOW_MS - 3_600_000}.0")
    reader.now_ns += 86_401 * SECOND_NS
    reader.drain(publisher)
    assert reader.seen == set(publisher.stamps)
    assert not reader.rewind.whole


def test_cursors_that_are_no_stamps_are_kept_as_they_are() -> None:
    rewind = StampCursor(0)
    for cursor in (None, "s:17", "1795000000000", "opaque"):
        assert rewind.store(None, cursor, NOW_MS, drained=True) == cursor
