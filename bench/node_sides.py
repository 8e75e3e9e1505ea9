"""The nodes that are measured: ours and, where its environment is there, the published reference beside it.

Starting them with what a measurement needs, filling ours with facts, and reading what a process takes. Which numbers
are asked for is `bench.node`.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from stigmem.core.audit import SALT_BYTES, ChainHead, append
from stigmem.core.fact import Fact
from stigmem.core.hlc import stamp
from stigmem.core.keys import ED25519
from stigmem.core.manifest import certified_node_id
from stigmem.core.records import Record
from stigmem.host.journal import SqliteJournal
from tests.interop.environments import Absent, environment
from tests.interop.ours import OurNode
from tests.interop.processes import plain_environment
from tests.interop.reference import ReferenceNode

__all__ = ["behind_hypercorn", "cpu_s", "fill", "memory_mib", "ours", "reference", "reference_environment"]

_CHUNK: Final = 10_000
_LOADING_S: Final = 300.0
_AGE_MS: Final = 3_600_000


def reference_environment(name: str = "a12") -> Path | str:
    """Its folder, or the sentence that says why it is not there."""
    try:
        return environment(name, create=False)
    except Absent as absent:
        return str(absent)


@contextmanager
def ours(directory: Path, *, auth: bool = False, facts: int = 0, seed: bytes = b"o" * 32) -> Iterator[OurNode]:
    """A running node of ours with so many numbered facts."""
    more = {} if auth else {"auth_required": "false"}
    node = OurNode(directory, seed=seed, federation_pull_interval_s="0.1", log_level="error", **more)
    if facts:
        fill(node.data, seed, facts)
    try:
        node.start(seconds=_LOADING_S)
        yield node
    finally:
        node.close()


class _BehindHypercorn(OurNode):
    """The same node with hypercorn in front of its application."""

    def start(self, *, seconds: float = 30.0) -> None:
        """Start it and wait so long for it."""
        del self.http.headers["authorization"]  # it has no key, and asks for none
        program = [sys.executable, "-m", "bench.hypercorn_side", str(self.data), str(self.port)]
        self.launch(program, plain_environment(PYTHONPATH=str(Path(__file__).parents[1])), seconds=seconds)


@contextmanager
def behind_hypercorn(directory: Path, *, facts: int, seed: bytes = b"o" * 32) -> Iterator[OurNode]:
    """As `ours`, without authentication, behind hypercorn."""
    node = _BehindHypercorn(directory, seed=seed)
    fill(node.data, seed, facts)
    try:
        node.start(seconds=_LOADING_S)
        yield node
    finally:
        node.close()


@contextmanager
def reference(folder: Path, directory: Path, *, auth: bool, federated: bool = False) -> Iterator[ReferenceNode]:
    """A running reference node."""
    node = ReferenceNode(folder, directory, seed=b"r" * 32, federated=federated)
    if not auth:
        node.environment["STIGMEM_AUTH_REQUIRED"] = "false"
    try:
        node.start()
        yield node
    finally:
        node.close()


def fill(directory: Path, seed: bytes, count: int) -> None:
    """A data directory with so many public facts, one about each of as many people, written an hour ago."""
    directory.mkdir(parents=True)
    node_id = certified_node_id(ED25519.signer(seed).public_key)
    begun, head, rows = int(time.time() * 1000) - _AGE_MS, ChainHead(), list[Record]()
    journal = SqliteJournal(directory)
    try:
        for n in range(1, count + 1):
            wall = begun + n // 1_000
            draft = Fact(
                stamp(wall, n % 1_000), node_id, str(uuid.UUID(int=n, version=4)), f"user:person-{n}", "memory:role",
                "public", "agent:bench", "string", f"role {n}", "content", 1.0, wall * 1_000 + n % 1_000, None, "",
                seq=n,
            )  # fmt: skip
            fact = msgspec.structs.replace(draft, id=draft.certified_id())
            detail: dict[str, object] = {"cid": fact.cid, "scope": "public"}
            row = append(head, "fact_write", "user:bench", fact.id, detail, wall * 1_000, salt=os.urandom(SALT_BYTES))
            head = ChainHead(row.seq, row.hash)
            rows += (fact, row)
            if n % _CHUNK == 0 or n == count:
                journal.write(rows)
                rows.clear()
    finally:
        journal.close()


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576
