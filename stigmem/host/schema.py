"""The SQLite schema of a node's journal: one table per record type, readable with the sqlite3 shell.

SQL text and the steps from one version to the next, nothing else; `stigmem.host.rows` knows what the columns
mean. The version is stored in the file; newer files are refused, older ones are brought forward in one
transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from stigmem.core.errors import JournalCorrupt
from stigmem.host.rows import checksum

__all__ = ["APPLICATION_ID", "MIGRATIONS", "SALTED_AUDIT_SINCE", "VERSION", "ForeignJournal", "migrate"]


class ForeignJournal(JournalCorrupt):
    """A whole file, but not one that this program can go on with."""


VERSION: Final = 13
APPLICATION_ID: Final = 0x5374_6967
"""Marks the file as ours ("Stig"), so that no other database is ever taken for a journal."""

# No index: the node looks things up in memory, and each one would make every write dearer.
_CREATE: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE facts (
  seq INTEGER PRIMARY KEY,           -- order in which this node stored it
  id TEXT NOT NULL,
  origin TEXT NOT NULL,              -- node that first asserted it
  hlc TEXT NOT NULL,                 -- the origin's stamp, for people
  stamp INTEGER NOT NULL,            -- the same as one number
  entity TEXT NOT NULL,
  relation TEXT NOT NULL,
  scope TEXT NOT NULL,
  source TEXT NOT NULL,
  value_type TEXT NOT NULL,
  value TEXT NOT NULL,               -- canonical text
  interpret_as TEXT NOT NULL,
  confidence REAL NOT NULL,
  timestamp_us INTEGER NOT NULL,     -- the origin's clock, microseconds since 1970
  valid_until TEXT,
  derived_from TEXT NOT NULL,        -- JSON, or empty
  signature BLOB,                    -- the origin's, on received public facts
  entity_uri TEXT NOT NULL,          -- the origin's own name, on those too
  origin_scopes TEXT NOT NULL,       -- and the scopes it allows
  received_from TEXT,                -- peer it came from; null for this node's own
  certified INTEGER NOT NULL,        -- whether the id commits to the content
  quarantine TEXT,                   -- why it is held back, or null
  checksum INTEGER NOT NULL          -- CRC-32 of the row, so that a flipped bit is found
) STRICT;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, event TEXT NOT NULL, subject TEXT NOT NULL, fact_id TEXT, detail TEXT NOT NULL,
  ts_us INTEGER NOT NULL, previous TEXT, hash TEXT NOT NULL
) STRICT;

-- Order of rows is order of events in these, as it is in a running node: hence the row numbers.
CREATE TABLE nonces (
  row INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, peer TEXT NOT NULL, until_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE clock (
  one INTEGER PRIMARY KEY CHECK (one = 1), stamp INTEGER NOT NULL, hlc TEXT NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE peers (
  row INTEGER PRIMARY KEY, peer_id TEXT NOT NULL UNIQUE, node_id TEXT NOT NULL, node_url TEXT NOT NULL,
  public_key TEXT NOT NULL, scopes TEXT NOT NULL, status TEXT NOT NULL, dialect TEXT NOT NULL,
  entity_uri TEXT NOT NULL, established_us INTEGER, reason TEXT NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE cursors (
  row INTEGER PRIMARY KEY, peer_id TEXT NOT NULL UNIQUE, cursor TEXT, watermark INTEGER NOT NULL,
  drained INTEGER NOT NULL, taken INTEGER NOT NULL, updated_us INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE origins (
  row INTEGER PRIMARY KEY, node_id TEXT NOT NULL UNIQUE, public_key TEXT NOT NULL, how TEXT NOT NULL,
  vouched_by TEXT NOT NULL, manifest TEXT NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE dead_letters (
  row INTEGER PRIMARY KEY, peer_id TEXT NOT NULL, name TEXT NOT NULL, code TEXT NOT NULL, raw BLOB,
  retry_ms INTEGER, checksum INTEGER NOT NULL, UNIQUE (peer_id, name)
) STRICT;
CREATE TABLE api_keys (
  row INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, entity_uri TEXT NOT NULL, verifier TEXT NOT NULL,
  permissions TEXT NOT NULL, scopes TEXT NOT NULL, description TEXT NOT NULL, created_us INTEGER NOT NULL,
  expires_us INTEGER, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE receipts (
  row INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body_hash TEXT NOT NULL, response BLOB NOT NULL,
  at_us INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
"""

_COMMITS: Final = f"""
CREATE TABLE commits (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  number INTEGER NOT NULL,           -- raised by every transaction; see stigmem.host.commit_count
  checksum INTEGER NOT NULL
) STRICT;
INSERT INTO commits VALUES (1, 0, {checksum((0,))});
"""  # noqa: S608 - a number that is made here

_SUBSCRIPTIONS: Final = """
CREATE TABLE subscriptions (
  row INTEGER PRIMARY KEY, subscription_id TEXT NOT NULL UNIQUE, subscriber TEXT NOT NULL, target TEXT NOT NULL,
  target_kind TEXT NOT NULL, on_change TEXT NOT NULL, address TEXT NOT NULL, idempotency_key TEXT NOT NULL,
  scopes TEXT NOT NULL, begins_after INTEGER NOT NULL, has_key INTEGER NOT NULL, created_us INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE deliveries (
  row INTEGER PRIMARY KEY, subscription_id TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, at_us INTEGER NOT NULL,
  refused INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE refused_deliveries (
  row INTEGER PRIMARY KEY, subscription_id TEXT NOT NULL, seq INTEGER NOT NULL, at_us INTEGER NOT NULL,
  refused INTEGER NOT NULL, checksum INTEGER NOT NULL, UNIQUE (subscription_id, seq)
) STRICT;
"""

_GARDENS: Final = """
CREATE TABLE gardens (
  row INTEGER PRIMARY KEY, garden_id TEXT NOT NULL UNIQUE, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  scope TEXT NOT NULL, description TEXT, created_by TEXT NOT NULL, created_us INTEGER NOT NULL,
  is_quarantine INTEGER NOT NULL,
  members TEXT NOT NULL,             -- JSON: entity, role, added by, added at
  checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE garden_facts (          -- the columns of facts; seq counts within the garden
  row INTEGER PRIMARY KEY, garden_id TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, origin TEXT NOT NULL,
  hlc TEXT NOT NULL, stamp INTEGER NOT NULL, entity TEXT NOT NULL, relation TEXT NOT NULL, scope TEXT NOT NULL,
  source TEXT NOT NULL, value_type TEXT NOT NULL, value TEXT NOT NULL, interpret_as TEXT NOT NULL,
  confidence REAL NOT NULL, timestamp_us INTEGER NOT NULL, valid_until TEXT, derived_from TEXT NOT NULL,
  signature BLOB, entity_uri TEXT NOT NULL, origin_scopes TEXT NOT NULL, received_from TEXT,
  certified INTEGER NOT NULL, quarantine TEXT, checksum INTEGER NOT NULL, UNIQUE (garden_id, seq)
) STRICT;
"""

_READERS: Final = """
CREATE TABLE swept_facts (                -- what a sweep ended here; see stigmem.core.decay
  row INTEGER PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, at_us INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE aliases (
  row INTEGER PRIMARY KEY, raw TEXT NOT NULL UNIQUE, canonical TEXT NOT NULL, given_by TEXT NOT NULL,
  scopes TEXT NOT NULL, created_us INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
"""

_QUARANTINE: Final = """
CREATE TABLE quarantine (            -- arrivals of facts that are held back, and decisions on them
  row INTEGER PRIMARY KEY, origin TEXT NOT NULL, fact_id TEXT NOT NULL, status TEXT NOT NULL,
  arrived_us INTEGER NOT NULL, acted_by TEXT NOT NULL, acted_us INTEGER NOT NULL, note TEXT NOT NULL,
  garden_id TEXT NOT NULL, checksum INTEGER NOT NULL, UNIQUE (origin, fact_id)
) STRICT;
"""

_SWEPT_GARDENS: Final = """
CREATE TABLE swept_garden_facts (         -- as swept_facts; seq counts within the garden
  row INTEGER PRIMARY KEY, garden_id TEXT NOT NULL, seq INTEGER NOT NULL, at_us INTEGER NOT NULL,
  checksum INTEGER NOT NULL, UNIQUE (garden_id, seq)
) STRICT;
"""

_SALTED_AUDIT: Final = """
ALTER TABLE audit ADD COLUMN salt TEXT NOT NULL DEFAULT '';        -- hex; empty on a row that was erased
ALTER TABLE audit ADD COLUMN commitment TEXT NOT NULL DEFAULT '';  -- of an erased row, to what it said
"""
"""Rows of the first format have neither; they are chained anew when the node is next opened (stigmem.host.rechain)."""

_ERASURE: Final = """
CREATE TABLE tombstones (            -- who is to be forgotten: the one place where the name stays
  row INTEGER PRIMARY KEY, tombstone_id TEXT NOT NULL UNIQUE, tombstone TEXT NOT NULL, husk_key TEXT NOT NULL,
  arrived_us INTEGER NOT NULL, received_from TEXT, finished_us INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE tombstone_revocations (
  row INTEGER PRIMARY KEY, revocation_id TEXT NOT NULL UNIQUE, revocation TEXT NOT NULL, arrived_us INTEGER NOT NULL,
  received_from TEXT, checksum INTEGER NOT NULL
) STRICT;
"""

SALTED_AUDIT_SINCE: Final = 7
"""The first version whose audit rows have a salt."""

_CLOCK: Final = """
CREATE TABLE clock_resets (          -- the clock went back over stamps whose facts were voided
  one INTEGER PRIMARY KEY CHECK (one = 1), stamp INTEGER NOT NULL, used INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE clock_doubts (          -- the time gone by while the wall clock is in doubt; 0 while it is not
  one INTEGER PRIMARY KEY CHECK (one = 1), line_ms INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
"""

_TRUST: Final = """
CREATE TABLE stated_trust (          -- trust classes that authors of facts of this node stated
  row INTEGER PRIMARY KEY, fact_id TEXT NOT NULL UNIQUE, trust_class TEXT NOT NULL, checksum INTEGER NOT NULL
) STRICT;
"""

_HORIZONS: Final = """
CREATE TABLE horizons (              -- by which instant this node judged when it stored facts
  seq INTEGER PRIMARY KEY,           -- the last of them
  after INTEGER NOT NULL,            -- the last one before them
  horizon_us INTEGER NOT NULL,       -- up to when expiry was applied, microseconds since 1970
  sweeps INTEGER NOT NULL,           -- rows of swept_facts that there were
  checksum INTEGER NOT NULL
) STRICT;
"""

_ATTESTATIONS: Final = """
CREATE TABLE agent_keys (            -- public keys by which agents sign what they say
  row INTEGER PRIMARY KEY, key_id TEXT NOT NULL UNIQUE, entity_uri TEXT NOT NULL, public_key TEXT NOT NULL,
  description TEXT NOT NULL, registered_us INTEGER NOT NULL, expires_us INTEGER, revoked_us INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE attestations (          -- what agents signed, beside the facts that it is about
  row INTEGER PRIMARY KEY, origin TEXT NOT NULL, fact_id TEXT NOT NULL, stamp INTEGER NOT NULL,
  attestation TEXT NOT NULL, checksum INTEGER NOT NULL, UNIQUE (origin, fact_id)
) STRICT;
"""

MIGRATIONS: Final[Mapping[int, str]] = {
    1: _COMMITS,
    2: _SUBSCRIPTIONS,
    3: _GARDENS,
    4: _READERS,
    5: _QUARANTINE,
    6: _SALTED_AUDIT,
    7: _SWEPT_GARDENS,
    8: _HORIZONS,
    9: _CLOCK,
    10: _ERASURE,
    11: _TRUST,
    12: _ATTESTATIONS,
}
"""Version -> the SQL that leads to the next one. Statements only: the transaction is put around them."""


def migrate(connection: sqlite3.Connection, *, version: int = VERSION, steps: Mapping[int, str] = MIGRATIONS) -> int:
    """Create the tables or bring them up to `version`; the version found. Raises ForeignJournal for a file of a
    newer program or of something else; sqlite3.Error from a step, which then has changed nothing."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    mark: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if mark != APPLICATION_ID and (tables or mark):
        raise ForeignJournal("the file is a database of something else; give the node a data directory of its own")
    if tables and found < 1:
        raise ForeignJournal(
            f"it says that it has schema version {found}, and no journal of this program has: its header was changed, "
            "or the file was made by something else"
        )
    if found > version:
        raise ForeignJournal(
            f"the data was written by a newer program (schema {found}, this one knows {version}); "
            "start that one instead"
        )
    new = (_CREATE, *(MIGRATIONS[at] for at in sorted(MIGRATIONS)))
    scripts = new if tables == 0 else [steps[at] for at in range(found, version)]
    if scripts:
        mark_sql = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};"
        try:
            connection.executescript(f"BEGIN EXCLUSIVE; {''.join(scripts)} {mark_sql} COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return found
