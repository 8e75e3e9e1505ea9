"""Traces from git: the history of any repository as writes of its authors, for the `trace` workload.

One write per changed file and commit, about who changed the file last and in which commit. Authors are keyed
hashes and organisations are mail domains: no name and no address reaches the file. Asking git is
`sim.history.gitlog`'s.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes

from sim.history.gitlog import BadRepository, Change, changes, check_repository, is_shallow
from sim.history.tracefile import TraceRow, TraceValue, row_json
from stigmem.core import limits

__all__ = ["BadRepository", "TraceSummary", "make_trace"]

_FREE_MAIL: Final = frozenset((
    "126.com", "163.com", "aol.com", "fastmail.com", "fastmail.fm", "foxmail.com", "free.fr", "gmail.com", "gmx.at",
    "gmx.ch", "gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hey.com", "hotmail.co.uk", "hotmail.com",
    "hotmail.fr", "icloud.com", "laposte.net", "libero.it", "live.com", "mac.com", "mail.com", "mail.ru", "me.com",
    "msn.com", "naver.com", "orange.fr", "outlook.com", "pm.me", "posteo.de", "proton.me", "protonmail.com",
    "protonmail.ch", "qq.com", "riseup.net", "rocketmail.com", "sina.com", "t-online.de", "tutanota.com",
    "users.noreply.github.com", "vip.qq.com", "web.de", "yahoo.co.jp", "yahoo.co.uk", "yahoo.com", "yahoo.de",
    "yahoo.fr", "yandex.com", "yandex.ru", "ymail.com",
))  # fmt: skip
_INDEPENDENT: Final = 4
_COMMIT: Final = "repo:last_commit"
_AUTHOR: Final = "repo:last_author"
_ROWS_PER_CHANGE: Final = 2
_NAME_CHARS_MAX: Final = limits.URI_CHARS_MAX - 256
"""Room for the rest of the entity; a longer name keeps its beginning and gets a hash."""


class TraceSummary(NamedTuple):
    """What a trace holds. `span_s`: seconds from the first row to the last."""

    rows: int
    commits: int
    files: int
    authors: int
    organisations: int
    span_s: int


def make_trace(
    repo: Path, out: Path, *, max_rows: int | None = None, progress: Callable[[int], None] | None = None
) -> TraceSummary:
    """Write the history of a repository's HEAD to `out` (packed when it ends in .gz), oldest first.

    `max_rows`: no more than so many rows. `progress` is told now and then how many commits were read. The same
    history gives the same bytes. Raises BadRepository.
    """
    if max_rows is not None and max_rows < 1:
        raise BadRepository(f"a trace of {max_rows} rows is none; ask for at least 1")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise BadRepository(f"{out} cannot be written: it must be a file in a folder that exists")
    name = _name(check_repository(repo))
    found: list[Change] = []
    with closing(changes(repo, progress)) as history:
        for change in history:
            found.append(change)
            if max_rows is not None and len(found) * _ROWS_PER_CHANGE >= max_rows:
                break
    if not found:
        raise BadRepository(_without_history(repo))
    # The first commit salts the authors: who is who in another repository stays unknown.
    speaker = _Speaker(name, salt=found[0].commit)
    found.sort(key=lambda change: change.at_s)
    seen = _Seen()
    rows = chain.from_iterable(speaker.rows(change, found[0].at_s) for change in found)
    _write(out, seen.through(islice(rows, max_rows)))
    return seen.summary()


class _Seen:
    """Counts what passes."""

    def __init__(self) -> None:
        self._rows = 0
        self._last: TraceRow | None = None
        self._commits: dict[object, None] = {}
        self._files: dict[str, None] = {}
        self._authors: dict[str, None] = {}
        self._orgs: dict[str, None] = {}

    def through(self, rows: Iterable[TraceRow]) -> Iterator[TraceRow]:
        for row in rows:
            self._rows += 1
            self._last = row
            self._files[row.entity] = self._authors[row.source] = self._orgs[row.org] = None
            if row.relation == _COMMIT:
                self._commits[row.value.v] = None
            yield row

    def summary(self) -> TraceSummary:
        span_s = 0 if self._last is None else int(self._last.t)
        return TraceSummary(
            self._rows, len(self._commits), len(self._files), len(self._authors), len(self._orgs), span_s
        )


def _without_history(repo: Path) -> str:
    if is_shallow(repo):
        return f"{repo} is a shallow clone without history; fetch the rest with git fetch --unshallow"
    return f"no commit of {repo} changes a file; there is nothing to make a trace of"


def _name(folder: Path) -> str:
    """The repository's name as the first part of a domain."""
    return re.sub(r"[^a-z0-9]+", "-", folder.name.lower().removesuffix(".git")).strip("-") or "repository"


def _file(path: bytes) -> str:
    name = quote_from_bytes(path, safe="").lower()
    if len(name) > _NAME_CHARS_MAX:
        name = f"{name[:_NAME_CHARS_MAX]}~{hashlib.blake2b(path, digest_size=8).hexdigest()}"
    return name


class _Speaker:
    """Puts the changes of one repository into words."""

    def __init__(self, name: str, *, salt: bytes) -> None:
        self._home = f"stigmem://{name}.example"
        self._salt = salt
        self._known: dict[tuple[bytes, bytes], tuple[str, str]] = {}

    def rows(self, change: Change, begin_s: int) -> tuple[TraceRow, TraceRow]:
        """What a change says: two facts about one file."""
        source, org = self._author(change.mail, change.person)
        entity = f"{self._home}/file/{_file(change.path)}"
        confidence = 0.0 if change.deleted else 1.0
        commit, author = TraceValue("string", change.commit[:12].decode()), TraceValue("ref", source)
        pairs = ((_COMMIT, commit), (_AUTHOR, author))
        t = change.at_s - begin_s
        first, second = (TraceRow(t, org, source, entity, relation, value, confidence) for relation, value in pairs)
        return first, second

    def _author(self, mail: bytes, person: bytes) -> tuple[str, str]:
        """Source and organisation."""
        known = self._known.get((mail, person))
        if known is None:
            who = hashlib.blake2b(mail.lower() or person, digest_size=5, key=self._salt[:64]).hexdigest()
            known = self._known[mail, person] = (f"{self._home}/user/{who}", _organisation(mail, who))
        return known


def _organisation(mail: bytes, author: str) -> str:
    """The mail domain as a name; who writes from a provider that serves everybody is independent."""
    domain = mail.lower().rpartition(b"@")[2].decode("ascii", "replace").strip(" .>")
    name = re.sub(r"[^a-z0-9]+", "-", domain).strip("-")
    if b"@" not in mail or domain in _FREE_MAIL or "noreply" in domain or "." not in domain:
        return f"independent-{int(author, 16) % _INDEPENDENT}"
    return name or "independent-0"


def _write(out: Path, rows: Iterable[TraceRow]) -> None:
    """All of it or nothing: a file of that name appears when it is complete."""
    part = out.with_name(out.name + ".part")
    try:
        with part.open("wb") as file:
            if out.name.endswith(".gz"):
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                    packed.writelines(row_json(row) + b"\n" for row in rows)
            else:
                file.writelines(row_json(row) + b"\n" for row in rows)
        part.replace(out)
    except OSError as error:
        raise BadRepository(f"{out} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
