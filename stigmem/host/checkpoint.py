"""Cursor checkpoints: how far each peer was read, kept outside the data, and taken back only where the data bears it.

The file is that of federation 7, with members of our own that prove what the cursor rests on: the local sequence
number up to which the journal reached when the cursor was stored, and the id of the fact that stood there.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from stigmem.core.errors import StigmemError
from stigmem.core.records import CursorRow, PeerRow
from stigmem.core.timestamps import format_us
from stigmem.host.datadir import database_of, judged, read_only
from stigmem.host.settings import HostSettings
from stigmem.host.stopped import stopped_node
from stigmem.node.state import NodeState
from stigmem.node.transaction import Transaction

__all__ = ["Checkpoint", "ExportedCursor", "Outcome", "export_cursors", "import_cursors", "read_checkpoint"]

_AHEAD: Final = 3


class ExportedCursor(msgspec.Struct, kw_only=True):
    """One cursor; the members after `updated_at` are ours."""

    peer_id: str | None = None
    peer_node_id: str | None = None
    peer_url: str | None = None
    peer_status: str | None = None
    direction: str | None = None
    cursor: str | None = None
    updated_at: str | None = None
    watermark: int | None = None
    watermark_fact: str | None = None
    taken: int = 0


class Checkpoint(msgspec.Struct, kw_only=True):
    """The file."""

    checkpoint_timestamp: str = ""
    db_path: str = ""
    node_id: str | None = None
    cursors: list[ExportedCursor]


class Outcome(NamedTuple):
    """What an import did, in sentences, and the exit status."""

    lines: list[str]
    status: int


def export_cursors(directory: Path) -> str:
    """The checkpoint of a data directory as JSON text, from one read transaction. Raises JournalCorrupt."""
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN")
        node = connection.execute("SELECT value FROM meta WHERE name = 'node_id'").fetchone()
        rows = connection.execute(
            "SELECT p.peer_id, p.node_id, p.node_url, p.status, c.cursor, c.updated_us, c.watermark, f.id, c.taken "
            "FROM cursors c JOIN peers p USING (peer_id) LEFT JOIN facts f ON f.seq = c.watermark ORDER BY p.node_id"
        ).fetchall()
    checkpoint = Checkpoint(
        checkpoint_timestamp=datetime.now(UTC).isoformat(),
        db_path=str(path),
        node_id=None if node is None else node[0],
        cursors=[_exported(*row) for row in rows],
    )
    return msgspec.json.format(msgspec.json.encode(checkpoint), indent=2).decode()


def _exported(
    peer_id: str,
    node_id: str,
    url: str,
    status: str,
    cursor: str | None,
    updated_us: int,
    watermark: int,
    fact_id: str | None,
    taken: int,
) -> ExportedCursor:
    return ExportedCursor(
        peer_id=peer_id, peer_node_id=node_id, peer_url=url, peer_status=status, direction="inbound", cursor=cursor,
        updated_at=format_us(updated_us), watermark=watermark, watermark_fact=fact_id, taken=taken,
    )  # fmt: skip


def read_checkpoint(file: Path) -> Checkpoint:
    """A checkpoint from its file; raises StigmemError."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Checkpoint)
    except OSError as error:
        raise StigmemError("checkpoint_unreadable", f"{file} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise StigmemError("checkpoint_unreadable", f"{file} is no cursor checkpoint: {error}") from error


async def import_cursors(settings: HostSettings, checkpoint: Checkpoint, *, force: bool) -> Outcome:
    """Set the cursors of a stopped node. Raises DataDirectoryBusy, JournalCorrupt and NotStored."""
    async with stopped_node(settings) as stopped:
        plan = _Plan(stopped.node.state, checkpoint, force=force)
        if plan.ahead:
            lines = [
                *plan.ahead,
                "nothing was imported; a full read loses nothing, --force takes the checkpoint all the same",
            ]
            return Outcome(lines, _AHEAD)
        if plan.rows:
            await stopped.submit(_ImportCursors(plan.rows))
        summary = (
            f"cursor import complete: {len(plan.rows)} restored, {plan.unknown} skipped (peer not found), "
            f"{plan.kept} skipped (already set)"
        )
        return Outcome([*plan.warnings, summary], 0)


class _Plan:
    """Which cursors would be set, and why others would not."""

    def __init__(self, state: NodeState, checkpoint: Checkpoint, *, force: bool) -> None:
        self.rows: list[CursorRow] = []
        self.ahead: list[str] = []
        self.warnings: list[str] = []
        self.unknown = self.kept = 0
        self._state = state
        for number, exported in enumerate(checkpoint.cursors):
            if not (exported.peer_id or exported.peer_node_id) or exported.direction != "inbound":
                self.warnings.append(f"warning: entry {number + 1} names no peer or is not inbound; skipped")
                continue
            peer = self._peer(exported)
            if peer is None:
                self.warnings.append(f"warning: {exported.peer_node_id or exported.peer_id} is no peer here; skipped")
                self.unknown += 1
                continue
            stored = state.cursors.get(peer.peer_id)
            reason = None if force or exported.cursor is None else self._unproved(exported)
            if reason is not None:
                self.ahead.append(f"the checkpoint of {peer.node_id} is ahead of the data: {reason}")
                continue
            if stored is not None and stored.cursor is not None and not force:
                self.kept += 1
                continue
            last, taken = state.ledger.last_seq, max(exported.taken, stored.taken if stored else 0)
            self.rows.append(CursorRow(peer.peer_id, exported.cursor, last, False, taken))

    def _peer(self, exported: ExportedCursor) -> PeerRow | None:
        return self._state.peers.get(exported.peer_id or "") or self._state.peer_of(exported.peer_node_id or "")

    def _unproved(self, exported: ExportedCursor) -> str | None:
        """Why the journal cannot be shown to hold what the cursor has passed; None when it can."""
        if exported.watermark is None:
            return "it does not say how much data it rests on"
        log = self._state.ledger.log
        if exported.watermark > len(log):
            return f"it rests on {exported.watermark} facts, and there are {len(log)}"
        if exported.watermark and log[exported.watermark - 1].id != exported.watermark_fact:
            return f"fact {exported.watermark} is another one here"
        return None


class _ImportCursors:
    """The command that sets cursors."""

    def __init__(self, rows: list[CursorRow]) -> None:
        self._rows = rows

    def stage(self, txn: Transaction) -> None:
        for row in self._rows:
            txn.add(msgspec.structs.replace(row, updated_us=txn.now_us))
            txn.audit("cursor_imported", row.peer_id, cursor=row.cursor, watermark=row.watermark)
