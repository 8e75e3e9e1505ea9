"""The steps of one commit (stigmem.host.commit_count), and a process that ends between two of them.

SIGKILL sent by itself: nothing runs after it, and the test knows where it fell.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Sequence
from typing import Any

from stigmem.core.records import Record
from stigmem.host.commit_count import CommitFile
from stigmem.host.journal import SqliteJournal

__all__ = ["STEPS", "die_at"]

STEPS = (
    "records written", "commit begun", "commit done", "count half written", "count written", "told to the node",
)  # fmt: skip


def die_at(step: str, commits: int) -> None:
    """Have this process kill itself at a step of the commit with that number, counted from now."""
    assert step in STEPS
    done = dict.fromkeys(STEPS, 0)

    def reached(name: str) -> bool:
        done[name] += 1
        return name == step and done[name] >= commits

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql.startswith("UPDATE commits") and reached("records written"):
                die()
            if sql == "COMMIT" and reached("commit begun"):
                die()
            found = super().execute(sql, *arguments)
            if sql == "COMMIT" and reached("commit done"):
                die()
            return found

    connect, count, commit = sqlite3.connect, CommitFile.set, SqliteJournal.commit

    def set_count(self: CommitFile, number: int) -> None:
        if reached("count half written"):
            os.pwrite(os.open(self.path, os.O_WRONLY), b"%015d" % number, 0)
            die()
        count(self, number)
        if reached("count written"):
            die()

    async def commit_and_tell(self: SqliteJournal, records: Sequence[Record]) -> None:
        await commit(self, records)
        if reached("told to the node"):
            die()

    sqlite3.connect = lambda *where, **how: connect(*where, **({"factory": Connection} | how))  # type: ignore[assignment]
    CommitFile.set = set_count  # type: ignore[method-assign]
    SqliteJournal.commit = commit_and_tell  # type: ignore[method-assign]
