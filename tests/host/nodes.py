"""Real nodes for tests: on loopback, in a directory of the test, with clients and facts at hand."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio

from stigmem.core.audit import AuditRow, ChainHead, append, unsalted_hash
from stigmem.core.fact import Fact
from stigmem.core.records import Record
from stigmem.host.journal import SqliteJournal
from stigmem.host.logs import configure_logs
from stigmem.host.run import Deployed, deployed
from stigmem.host.schema import MIGRATIONS
from stigmem.host.settings import HostSettings
from tests.builders import SALT, fact

__all__ = [
    "assertion", "chained", "client_of", "filled", "first_format", "fold_of", "load_records", "node_at", "numbered",
    "opened",
]  # fmt: skip


configure_logs("console", "error")


@asynccontextmanager
async def node_at(directory: Path, **settings: Any) -> AsyncIterator[Deployed]:
    """A node on any free port, without authentication unless asked for."""
    chosen = {"port": 0, "auth_required": False, "connections_max": 200} | settings
    async with deployed(HostSettings(data_dir=directory, **chosen)) as node:
        yield node


def client_of(node: Deployed, **options: Any) -> httpx.AsyncClient:
    """A client of its API."""
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.port}", trust_env=False, timeout=10, **options)


def assertion(number: int = 1, **members: Any) -> dict[str, Any]:
    """A body for `POST /v1/facts`."""
    return {
        "entity": f"user:person-{number}", "relation": "memory:role", "source": "agent:test", "scope": "public",
        "value": {"type": "string", "v": f"role {number}"},
    } | members  # fmt: skip


@contextmanager
def opened(directory: Path) -> Any:
    """A journal, closed at the end."""
    journal = SqliteJournal(directory)
    try:
        yield journal
    finally:
        journal.close()


def numbered(count: int, *, start: int = 1) -> list[Fact]:
    """Facts in local order, with ids that commit to their content."""
    found = []
    for n in range(start, start + count):
        draft = fact(n, f"value {n}", slot=(f"user:person-{n}", "memory:role", "public"), seq=n)
        found.append(msgspec.structs.replace(draft, id=draft.certified_id()))
    return found


def chained(facts: Sequence[Fact], head: ChainHead | None = None) -> list[AuditRow]:
    """The audit rows of their writing."""
    rows, last = [], head or ChainHead()
    for one in facts:
        detail: dict[str, object] = {"cid": one.cid, "scope": one.scope}
        row = append(last, "fact_write", "user:test", one.id, detail, one.timestamp_us, salt=SALT)
        rows.append(row)
        last = ChainHead(row.seq, row.hash)
    return rows


def first_format(directory: Path) -> ChainHead:
    """Turn a journal into one of schema version 6, whose audit rows were hashed in the clear; the head of its log."""
    head = ChainHead()
    with closing(sqlite3.connect(directory / "stigmem.db", isolation_level=None)) as old:
        old.execute("ALTER TABLE audit DROP COLUMN salt")
        old.execute("ALTER TABLE audit DROP COLUMN commitment")
        for row in old.execute("SELECT seq, event, subject, fact_id, detail, ts_us FROM audit ORDER BY seq").fetchall():
            new = unsalted_hash(AuditRow(*row, previous=None, hash="", salt=""), head.hash)
            old.execute("UPDATE audit SET previous = ?, hash = ? WHERE seq = ?", (head.hash, new, row[0]))
            head = ChainHead(row[0], new)
        later = "".join(sql for version, sql in MIGRATIONS.items() if version > 6)
        drops = [f"DROP TABLE {table};" for table in re.findall(r"CREATE TABLE (\w+)", later)]
        old.executescript("".join(drops) + "PRAGMA user_version = 6;")
    return head


def filled(directory: Path, count: int) -> list[Fact]:
    """A data directory with so many facts, closed cleanly."""
    facts = numbered(count)
    with opened(directory) as journal:
        journal.write([*facts, *chained(facts)])
    return facts


def load_records(directory: Path) -> list[Record]:
    """Everything a journal gives at start-up."""

    async def read() -> list[Record]:
        with opened(directory) as journal:
            return [record async for batch in journal.load() for record in batch]

    return trio.run(read)


def fold_of(records: Sequence[Record]) -> dict[str, Any]:
    """What a node knows after these records, as values that can be compared."""
    from stigmem.node.settings import NodeSettings
    from stigmem.node.state import NodeState

    state = NodeState(NodeSettings(seed=bytes(32)), _StandingClock())  # type: ignore[arg-type]
    for record in records:
        state.apply(record)
    return {
        "facts": list(state.ledger.log),
        "contested": sorted(state.ledger.contested),
        "stamp": state.stamp,
        "head": state.head,
        "nonces": list(state.nonces._spent.items()),
        "peers": list(state.peers.items()),
        "cursors": list(state.cursors.items()),
        "origins": list(state.origins.items()),
        "letters": {peer: list(letters.items()) for peer, letters in state.letters.items() if letters},
        "keys": list(state.keys.items()),
        "receipts": list(state.receipts.items()),
        "aliases": list(state.aliases.items()),
        "ends for readers": [state.ledger.expires_us(fact) for fact in state.ledger.log],
        "subscriptions": list(state.subscriptions.items()),
        "deliveries": sorted(state.deliveries.items()),
        "refused deliveries": sorted((name, sorted(rows.items())) for name, rows in state.refused_deliveries.items()),
    }


class _StandingClock:
    def wall_ns(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        return 0

    def elapsed_ns(self) -> int:
        return 0
