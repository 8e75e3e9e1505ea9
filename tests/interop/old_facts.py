"""Facts that a node of ours wrote weeks ago: a data directory as it would be found today.

Written with the journal itself, because no clock of a running node can be set back that far from outside.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import msgspec

from stigmem.core.audit import SALT_BYTES, ChainHead, append
from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp
from stigmem.core.records import Record
from stigmem.host.journal import SqliteJournal

__all__ = ["OLD_FACTS", "fill_with_old_facts"]

OLD_FACTS = 20
_DAY_MS = 86_400_000
_AGE_DAYS = 45


def fill_with_old_facts(directory: Path, node_id: str, count: int) -> tuple[str, ...]:
    """Public facts of this node, 45 days old and a second apart; their ids."""
    directory.mkdir(parents=True)
    begun = int(time.time() * 1000) - _AGE_DAYS * _DAY_MS
    rows: list[Record] = []
    found, head = [], ChainHead()
    for n in range(count):
        wall = begun + 1000 * n
        draft = Fact(
            stamp(wall, 0), node_id, str(uuid.UUID(int=n, version=4)), f"device:pump-{n}", "maint:status", "public",
            "agent:weeks-ago", "string", f"state {n}", "content", 1.0, wall * 1000, None, "", seq=n + 1,
        )  # fmt: skip
        fact = msgspec.structs.replace(draft, id=draft.certified_id())
        detail: dict[str, object] = {"cid": fact.cid, "scope": fact.scope}
        row = append(head, "fact_write", "user:ops", fact.id, detail, wall * 1000, salt=os.urandom(SALT_BYTES))
        head = ChainHead(row.seq, row.hash)
        rows += [fact, row]
        found.append(fact.id)
    journal = SqliteJournal(directory)
    try:
        journal.write(rows)
    finally:
        journal.close()
    return tuple(found)
