"""Who this node is: its federation key, its id, and the note of both in the data directory.

The key is made once and kept beside the journal, readable by its owner alone. A directory belongs to the node
that began it: another key or id is refused, for facts signed by the one cannot be served by the other.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from stigmem.core.keys import ED25519, decode_base64, encode_base64, fingerprint
from stigmem.core.manifest import certified_node_id
from stigmem.host.datadir import sync_directory
from stigmem.host.journal import SqliteJournal
from stigmem.host.rechain import rechain
from stigmem.host.settings import HostSettings
from stigmem.host.sources import BadSettings

__all__ = ["Identity", "key_file", "read_identity", "settle_identity"]

_SEED_BYTES: Final = 32


class Identity(NamedTuple):
    """A node's key and names."""

    seed: bytes
    public_key: str
    node_id: str

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public_key)


def key_file(directory: Path) -> Path:
    """Where the key is when no setting gives it."""
    return directory / "federation.key"


def read_identity(settings: HostSettings) -> Identity | None:
    """The identity that the settings and the data directory give; None before the first start.

    Raises BadSettings.
    """
    seed = _seed(settings)
    if seed is None:
        return None
    public_key = ED25519.signer(seed).public_key
    return Identity(seed, public_key, settings.node_id or certified_node_id(public_key))


def settle_identity(settings: HostSettings, journal: SqliteJournal) -> Identity:
    """The identity of the node in this directory, made now if there is none; raises BadSettings on a mismatch. An audit
    log of the first format is chained anew, since only now somebody is here who can sign for that."""
    found = read_identity(settings)
    known_id, known_key = journal.meta("node_id"), journal.meta("public_key")
    if found is None:
        if known_id is not None:
            raise BadSettings(
                f"{settings.data_dir} belongs to the node {known_id}, and its key is gone: put "
                f"{key_file(settings.data_dir)} back or give it as federation_privkey"
            )
        _make_key(settings.data_dir)
        found = read_identity(settings)
        if found is None:
            raise BadSettings(f"the key just written to {key_file(settings.data_dir)} is not there")
    if known_id is None:
        journal.set_meta({"node_id": found.node_id, "public_key": found.public_key})
    elif known_id != found.node_id:
        raise BadSettings(
            f"{settings.data_dir} belongs to the node {known_id}, and the settings make this {found.node_id}: "
            "use its own node_id and key, or another data directory"
        )
    elif known_key != found.public_key:
        raise BadSettings(
            f"{settings.data_dir} was begun with the key {fingerprint(known_key or '')}, not {found.fingerprint}: "
            "use that key, or another data directory"
        )
    rechain(journal, found.node_id, ED25519.signer(found.seed))
    return found


def _seed(settings: HostSettings) -> bytes | None:
    if settings.federation_privkey:
        return decode_base64(settings.federation_privkey)
    path = key_file(settings.data_dir)
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None  # what the directory itself is good for shows when it is opened
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"the federation key {path} cannot be read: {error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise BadSettings(f"the federation key {path} can be read by others; run: chmod 600 {path}")
    try:
        seed = decode_base64(text)
    except ValueError:
        seed = b""
    if len(seed) != _SEED_BYTES:
        raise BadSettings(f"{path} must hold one line, the 32-byte key in base64url, and does not")
    return seed


def _make_key(directory: Path) -> None:
    path = key_file(directory)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(encode_base64(os.urandom(_SEED_BYTES)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_directory(directory)
