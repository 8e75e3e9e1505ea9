"""What `stigmem doctor` looks at: settings, files, journal, audit log, clock, certificates, peers.

Each check is a function that gives findings; none changes anything. How they are shown is the command line's business.
"""

from __future__ import annotations

import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

import stigmem
from stigmem.core.declaration import ACTIVE, Discovery
from stigmem.core.hlc import Stamp, stamp_wall_ms
from stigmem.core.records import PeerRow
from stigmem.core.wire import Request
from stigmem.host.certificate import own_certificate
from stigmem.host.client import HttpTransport
from stigmem.host.datadir import database_of, judged, read_only
from stigmem.host.identity import Identity, read_identity
from stigmem.host.inspection import verify_audit, verify_journal
from stigmem.host.meaning import missing_extra
from stigmem.host.rows import LOADERS
from stigmem.host.safety import check_settings
from stigmem.host.settings import HostSettings
from stigmem.host.sources import BadSettings, Resolved
from stigmem.host.tls import Certificates
from stigmem.node.ports import Unreachable

__all__ = [
    "Finding",
    "check_clock",
    "check_directory",
    "check_journal",
    "check_meaning",
    "check_package",
    "check_peers",
    "check_settings_of",
    "check_tls",
]

_ROOM_BYTES: Final = 200_000_000
_SOON_DAYS: Final = 21
_CLOCK_S: Final = 5.0
_PEER_NS: Final = 5_000_000_000

_PUBLISHED: Final = "stigmem-py"
"""The published client, whose import name is ours too."""
_OURS: Final = "stigmem-trio"

Grade = Literal["ok", "note", "bad"]


class Finding(NamedTuple):
    """One line: what was looked at, how it is, and a sentence."""

    subject: str
    grade: Grade
    sentence: str


def check_package() -> Iterator[Finding]:
    """Whether another package has taken the import name `stigmem` away from this one."""
    try:
        other = f"{_PUBLISHED} {version(_PUBLISHED)}"
    except PackageNotFoundError:
        other = ""
    if not hasattr(stigmem, "NodeSettings"):
        whose = other or "another package of that import name"
        yield Finding(
            "package", "bad",
            f"{whose} has overwritten files of this one ({stigmem.__file__}); this one brings the same client: "
            f"uninstall {_PUBLISHED}, then install {_OURS} again",
        )  # fmt: skip
    elif other:
        yield Finding(
            "package", "note",
            f"{other} is installed beside this package under the same import name; whichever is installed last "
            f"overwrites the other, and this one brings the same client: uninstall {_PUBLISHED}, then install {_OURS} "
            "again",
        )  # fmt: skip


def check_settings_of(found: Resolved) -> Iterator[Finding]:
    """Whether a node would start with these, and what in the environment is odd."""
    try:
        check_settings(found.settings)
        where = f"read from {found.file}" if found.file else "no settings file"
        if "running" in found.origins.values():
            where = "those of the node that runs"
        yield Finding("settings", "ok", f"consistent ({where})")
    except BadSettings as error:
        yield Finding("settings", "bad", error.message)
    for remark in found.remarks:
        yield Finding("settings", "note", remark)


def check_meaning(settings: HostSettings) -> Iterator[Finding]:
    """Whether recall goes by meaning, and by whose."""
    missing = missing_extra()
    if not settings.embed_enabled:
        yield Finding("meaning", "ok", "off: recall goes by words (STIGMEM_EMBED_ENABLED)")
    elif settings.embed_url:
        yield Finding("meaning", "ok", f"recall asks {settings.embed_url} for vectors, and so shows it facts")
    elif missing:
        yield Finding("meaning", "note", missing)
    else:
        yield Finding("meaning", "ok", "recall goes by words and by static word vectors")


def check_directory(settings: HostSettings) -> Iterator[Finding]:
    """Whether the data directory is there, private and has room, and whose it is."""
    directory = settings.data_dir
    mode = directory.stat().st_mode
    if stat.S_IMODE(mode) & 0o077:
        yield Finding("data directory", "note", f"{directory} can be entered by others; run: chmod 700 {directory}")
    free = shutil.disk_usage(directory).free
    room = f"{free / 1e9:.1f} GB free"
    grade: Grade = "ok" if free > _ROOM_BYTES else "bad"
    yield Finding("data directory", grade, f"{directory.resolve()}, {room}{'' if grade == 'ok' else ': too little'}")
    try:
        identity = read_identity(settings)
    except BadSettings as error:
        yield Finding("identity", "bad", error.message)
        return
    yield _identity(directory, identity)


def _identity(directory: Path, identity: Identity | None) -> Finding:
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        known = connection.execute("SELECT value FROM meta WHERE name = 'node_id'").fetchone()
    if identity is None or known is None:
        return Finding("identity", "note", "no key yet; it is made at the first start")
    if known[0] != identity.node_id:
        return Finding("identity", "bad", f"the data belongs to {known[0]}, the settings make this {identity.node_id}")
    return Finding("identity", "ok", f"{identity.node_id}, key {identity.fingerprint}")


def check_journal(directory: Path) -> Iterator[Finding]:
    """Structure and checksums of every row, the audit chain, and whether both tell of the same facts."""
    begin = time.perf_counter()
    wrong = verify_journal(directory)
    if wrong is not None:
        yield Finding("journal", "bad", wrong)
        return
    size = database_of(directory).stat().st_size / 1e6
    yield Finding(
        "journal", "ok", f"every row as it was written, {size:.1f} MB, in {time.perf_counter() - begin:.1f} s"
    )
    found = verify_audit(directory)
    if found.broken:
        yield Finding("audit log", "bad", found.broken[0])
    else:
        yield Finding("audit log", "ok", f"{found.rows} rows in one chain, {found.matching} facts agree with it")


def check_clock(directory: Path) -> Iterator[Finding]:
    """Whether this machine's clock is behind what the node has already stamped."""
    path = database_of(directory)
    with judged(path), closing(read_only(path)) as connection:
        row = connection.execute("SELECT stamp FROM clock").fetchone()
    now = datetime.now(UTC)
    ahead_s = 0.0 if row is None else stamp_wall_ms(Stamp(row[0])) / 1000 - now.timestamp()
    if ahead_s > _CLOCK_S:
        yield Finding(
            "clock", "bad", f"{now:%Y-%m-%d %H:%M:%S} UTC is {ahead_s:.0f} s before the last stamp: it was set back"
        )
    else:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC, not behind the last stamp")


# --- certificates ---


def check_tls(settings: HostSettings, identity: Identity | None) -> Iterator[Finding]:
    """Whether the certificate fits its key, is valid, and names this node."""
    if not settings.tls:
        yield Finding("TLS", "ok" if not settings.federation_insecure else "note", "off")
        return
    try:
        found = own_certificate(settings)
    except (BadSettings, OSError) as error:
        yield Finding("TLS", "bad", str(error))
        return
    days = found.days_left(datetime.now(UTC))
    grade: Grade = "bad" if days < 0 else "note" if days < _SOON_DAYS else "ok"
    yield Finding(
        "TLS", grade, f"{settings.tls_cert_path} {'ended' if days < 0 else 'ends'} {found.ends:%Y-%m-%d} ({days} days)"
    )
    if settings.mutual_tls and settings.federation_enabled and identity is not None:
        if identity.node_id in found.uris:
            yield Finding("TLS", "ok", "the certificate names this node, as peers require")
        else:
            yield Finding(
                "TLS",
                "bad",
                f"the certificate names {', '.join(found.uris) or 'no URI'}, and peers require {identity.node_id}",
            )


# --- peers ---


async def check_peers(settings: HostSettings, directory: Path) -> list[Finding]:
    """Whether each active peer answers, is still who was approved, and has the same time."""
    rows = _active(directory)
    if not rows:
        return [Finding("peers", "ok", "none are approved")]
    try:
        certificates = Certificates(settings)
    except BadSettings as error:
        return [Finding("peers", "bad", f"not asked: {error.message}")]
    transport = HttpTransport(
        lambda: certificates.client,
        settings.federation_addresses,
        lambda url: tuple(r.node_id for r in rows if r.node_url == url) if settings.mutual_tls else (),
    )
    findings = [await _peer(transport, row) for row in rows]
    await transport.aclose()
    return findings


def _active(directory: Path) -> list[PeerRow]:
    path = database_of(directory)
    loader = next(loader for loader in LOADERS if loader.what == "peers")
    with judged(path), closing(read_only(path)) as connection:
        rows = [loader.read(row) for row in connection.execute(loader.query)]
    return [row for row in rows if isinstance(row, PeerRow) and row.status == ACTIVE]


async def _peer(transport: HttpTransport, row: PeerRow) -> Finding:
    subject = f"peer {row.peer_id[:8]}"  # as `stigmem federation peers` shows it
    try:
        answer = await transport.request(row.node_url, Request("GET", "/.well-known/stigmem"), _PEER_NS, 65_536)
        found = msgspec.json.decode(answer.body, type=Discovery)
    except Unreachable as error:
        return Finding(subject, "bad", error.message)
    except (msgspec.MsgspecError, ValueError):
        return Finding(subject, "bad", f"{row.node_url} answers, and not as a node")
    if found.federation_pubkey != row.public_key or found.node_id != row.node_id:
        return Finding(subject, "bad", f"{row.node_url} is not the node that was approved there: another id or key")
    off_s = _clock_difference_s(answer.headers.get("date"))
    if off_s is not None and abs(off_s) > _CLOCK_S:
        return Finding(subject, "note", f"{row.node_url} answers; its clock differs by {off_s:+.0f} s")
    return Finding(subject, "ok", f"{row.node_url} answers")


def _clock_difference_s(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return None
