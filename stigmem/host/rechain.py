"""The audit log of a journal that an older program made, chained anew before anything is added to it.

One transaction, so that a crash leaves the log as it was or as it is to be; a log that is in the format of today is
left alone, which its first row tells. What it means is in `stigmem.core.rechain`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from stigmem.core.audit import SALT_BYTES, AuditRow, ChainHead
from stigmem.core.keys import Signer
from stigmem.core.rechain import OldChain, chained_anew, rechaining_row
from stigmem.host.context import HostEntropy
from stigmem.host.journal import SqliteJournal

__all__ = ["rechain"]

_ROWS_PER_STEP: Final = 2_000


def rechain(journal: SqliteJournal, node_id: str, signer: Signer) -> int:
    """Chain a log of the first format anew; how many rows it had, and 0 when there was nothing to do. Raises
    JournalFull, JournalCorrupt."""
    first = journal.audit_rows(0, 1)
    if not first or first[0].salt or first[0].is_erased:
        return 0
    entropy, old, head = HostEntropy(), OldChain(), ChainHead()

    def salt() -> bytes:
        return entropy.token(SALT_BYTES)

    def changed() -> Iterator[AuditRow]:
        nonlocal head
        for row in chained_anew(_rows(journal), old, salt):
            head = ChainHead(row.seq, row.hash)
            yield row
        yield rechaining_row(old, head, node_id=node_id, signer=signer, ts_us=time.time_ns() // 1_000, salt=salt())

    journal.replace_audit(changed())
    return head.seq


def _rows(journal: SqliteJournal) -> Iterator[AuditRow]:
    """Every row in order. A row that is replaced meanwhile lies behind."""
    after = 0
    while rows := journal.audit_rows(after, _ROWS_PER_STEP):
        yield from rows
        after = rows[-1].seq
