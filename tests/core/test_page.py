"""Pages and entries as bytes: their shape, their names, their sizes."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from stigmem.core import limits
from stigmem.core.ingest import PeerLink
from stigmem.core.page import decode_page, entry_name
from tests.builders import refused
from tests.core.received import LINK, Draft, Receiver


def test_a_page_gives_its_entries_raw_and_no_more_than_asked_for() -> None:
    body = b'{"v":2,"facts":[1,{"a":[]},"x"],"cursor":"s:1","has_more":true}'
    page = decode_page(body, "2.1", 2)
    assert (page.entries, page.cursor, page.has_more) == ([b"1", b'{"a":[]}'], "s:1", True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "page_malformed"), (b"[]", "page_malformed"), (b'{"v":2}', "page_malformed"),
        (b'{"v":2,"facts":{}}', "page_malformed"), (b'{"v":2,"facts":[],"cursor":5}', "page_malformed"),
        (b'{"v":2,"facts":[],"has_more":"yes"}', "page_malformed"), (b"\xff", "page_malformed"),
        (b"[" * 100_000, "page_malformed"), (b'{"facts":[]}', "page_version"),
        (b'{"v":true,"facts":[]}', "page_version"), (b'{"v":"2","facts":[]}', "page_version"),
        (b'{"v":[2],"facts":[]}', "page_version"),
        (b'{"v":2,"facts":[],"cursor":"' + b"x" * 300 + b'"}', "cursor_malformed"),
        (b'{"v":2,"facts":[],"cursor":null}', None), (b'{"v":2.0,"facts":[]}', None),
    ],
)  # fmt: skip
def test_a_page_that_is_none_is_refused_as_a_whole(body: bytes, code: str | None) -> None:
    assert refused(lambda: decode_page(body, "2.1", 10)) == code


@pytest.mark.parametrize(
    ("raw", "name"),
    [(b'{"fact":{"id":"one"}}', "one"), (b'{"id":"two"}', "two"), (b'{"id":"' + b"i" * 300 + b'"}', "i" * 128)],
)
def test_an_entry_is_named_by_its_id_as_far_as_that_goes(raw: bytes, name: str) -> None:
    assert entry_name(raw) == name


@pytest.mark.parametrize(("fact_id", "code"), [("", "id_required"), (None, "id_required"), (5, "malformed_fact")])
@pytest.mark.parametrize("link", [LINK, LINK._replace(dialect="0.5")])
def test_an_entry_needs_an_id(link: PeerLink, fact_id: Any, code: str) -> None:
    draft = Draft.of()
    draft.fact["id"] = fact_id
    expected = "malformed_fact" if link.dialect == "0.5" and fact_id is None else code
    assert Receiver().take(draft, link) == expected


@pytest.mark.parametrize("raw", [b"", b"1", b"null", b'{"id":5}', b'{"fact":[]}', b"\xff", b"[" * 100_000])
def test_an_entry_without_an_id_is_named_by_its_bytes(raw: bytes) -> None:
    assert entry_name(raw).startswith("sha256:")
    assert entry_name(raw) == entry_name(raw)
    assert entry_name(raw) != entry_name(raw + b" ")


def test_an_entry_of_more_than_a_quarter_megabyte_is_malformed() -> None:
    draft = Draft.of()
    draft.fact["padding"] = "x" * limits.FACT_BYTES_MAX
    assert Receiver().take(draft) == "malformed_fact"


# --- pages that are large on purpose ---

EMPTY = b'{"v":2,"facts":[%s],"cursor":"s:9","has_more":true}'
MANY = 1_000_000


def memory_for(run: Callable[[], object]) -> int:
    """The most memory that it needed at one time, in bytes."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("entry", [b"{}", b"1", b"[]", b'""'])
def test_a_page_of_a_million_entries_does_not_become_a_million_objects(entry: bytes) -> None:
    """A hostile page of 30 MB held the node up for seconds."""
    body = EMPTY % b",".join([entry] * MANY)
    assert memory_for(lambda: decode_page(body, "2.1", 100)) < 1_000_000
    page = decode_page(body, "2.1", 100)
    assert (page.entries, page.cursor, page.has_more) == ([entry] * 100, "s:9", True)


def test_a_long_page_and_a_short_one_are_read_alike() -> None:
    for count in (0, 1, 3, limits.PAGE_LIMIT_MAX):
        entries = [b'{"n":%d}' % number for number in range(count)]
        short, long = EMPTY % b",".join(entries), EMPTY % b",".join(entries) + b" " * 300_000
        assert decode_page(long, "2.1", 400) == decode_page(short, "2.1", 400)
    for broken in (b"null", b"{}", b'"x"'):
        body = b'{"v":2,"facts":%s}' % broken
        for padded in (body, body + b" " * 300_000):
            assert refused(lambda page=padded: decode_page(page, "2.1", 100)) == "page_malformed"


@pytest.mark.parametrize("shape", [b'{"x":[%s],"id":"f-1"}', b'{"fact":{"id":"f-1","x":[%s]}}'])
def test_the_name_of_an_entry_beyond_every_bound_is_found_without_reading_it_all(shape: bytes) -> None:
    raw = shape % b",".join([b"[]"] * MANY)
    assert memory_for(lambda: entry_name(raw)) < 2 * len(raw)
    assert entry_name(raw) == entry_name(shape % b"") == "f-1"


@pytest.mark.parametrize("raw", [b"[]", b'{"id":1}', b'{"id":null}', b"{", b'{"fact":[]}', b'{"fact":{}}'])
def test_a_long_entry_without_a_name_is_named_by_its_hash(raw: bytes) -> None:
    long = raw + b" " * 300_000
    assert entry_name(long) == "sha256:" + hashlib.sha256(long).hexdigest()
