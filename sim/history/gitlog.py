"""The history of a git repository, as `git log` tells it: which commit of whom changed which file when.

Runs git and reads its answers; nothing here knows what a trace is. Paths are bytes, because git's are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

__all__ = ["BadRepository", "Change", "changes", "check_repository", "is_shallow"]

_SETTINGS: Final = (
    "-c", "log.showSignature=false", "-c", "log.showRoot=true", "-c", "core.quotePath=false", "-c", "color.ui=false",
)  # fmt: skip
"""What a user's own configuration must not change."""
_LOG: Final = (
    "log", "--reverse", "--no-merges", "--no-renames", "--no-show-signature", "--no-mailmap", "--name-status", "-z",
    "--format=%x01%H%x02%ct%x02%ae%x02%an", "HEAD", "--",
)  # fmt: skip
_ELSEWHERE: Final = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE",
)  # fmt: skip
_CHUNK: Final = 1 << 16
_REPORT_COMMITS: Final = 500


class BadRepository(Exception):
    """A repository no trace can be made of, or a place none can be written to: one sentence."""


class Change(NamedTuple):
    """One file that one commit changed. `at_s`: when it was committed, in seconds since the epoch."""

    at_s: int
    commit: bytes
    mail: bytes
    person: bytes
    path: bytes
    deleted: bool


def _git(repo: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603  # a list of arguments, no shell
        _command(repo, *arguments), capture_output=True, check=False, stdin=subprocess.DEVNULL, env=_environment()
    )


def _answer(repo: Path, *arguments: str) -> str:
    return _git(repo, "rev-parse", *arguments).stdout.decode(errors="surrogateescape").rstrip("\n")


def _command(repo: Path, *arguments: str) -> list[str]:
    return [_program(), "-C", str(repo), "--no-pager", "--no-replace-objects", *_SETTINGS, *arguments]


def _environment() -> dict[str, str]:
    """Ours, in English, and without what would point git at another repository."""
    return {name: value for name, value in os.environ.items() if name not in _ELSEWHERE} | {"LC_ALL": "C"}


def _program() -> str:
    found = shutil.which("git")
    if found is None:
        raise BadRepository("git is not installed here, and a trace is made from what git log says")
    return found


def check_repository(repo: Path) -> Path:
    """The repository's own folder. Raises BadRepository."""
    if not repo.is_dir():
        raise BadRepository(f"{repo} is not a folder; give the folder of a git repository")
    asked = _git(repo, "rev-parse", "--is-bare-repository")
    if asked.returncode != 0:
        said = asked.stderr.decode(errors="replace").strip().partition("\n")[0]
        known = "not a git repository" in said
        raise BadRepository(f"{repo} is not a git repository; give the folder of one" if known else f"{repo}: {said}")
    whole = repo.resolve()
    bare = asked.stdout.strip() == b"true"
    top = Path(_answer(repo, "--absolute-git-dir" if bare else "--show-toplevel") or whole.parent)
    if top.resolve() != whole:
        raise BadRepository(f"{repo} is a folder inside the repository {top}; give that")
    if _git(repo, "rev-parse", "--quiet", "--verify", "HEAD^{commit}").returncode != 0:
        raise BadRepository(f"{repo} has no commits yet; there is nothing to make a trace of")
    return whole


def _shallow(repo: Path) -> frozenset[bytes]:
    """Commits whose parents are not here: they seem to change every file, so their changes are left out."""
    path = repo / _answer(repo, "--git-path", "shallow")
    return frozenset(path.read_bytes().split()) if path.is_file() else frozenset()


def is_shallow(repo: Path) -> bool:
    """Whether a part of the history is not here."""
    return bool(_shallow(repo))


def changes(repo: Path, progress: Callable[[int], None] | None) -> Generator[Change, None, None]:
    """Changed files, oldest commit first, while git is still reading. Raises BadRepository."""
    cut_off = _shallow(repo)
    quiet = subprocess.DEVNULL
    with subprocess.Popen(  # noqa: S603  # a list of arguments, no shell
        _command(repo, *_LOG), stdout=subprocess.PIPE, stdin=quiet, stderr=quiet, env=_environment()
    ) as git:
        try:
            if git.stdout is not None:
                yield from _parse(_fields(git.stdout), cut_off, progress)
        except BaseException:
            git.kill()  # the reader has enough, or cannot go on
            raise
        if git.wait() != 0:
            raise BadRepository(f"git log failed in {repo}; git fsck may say why")


def _fields(stream: IO[bytes]) -> Iterator[bytes]:
    """Texts that end with NUL."""
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole


def _parse(
    fields: Iterator[bytes], cut_off: frozenset[bytes], progress: Callable[[int], None] | None
) -> Iterator[Change]:
    commit, at_s, mail, person = b"", 0, b"", b""
    commits = 0
    for field in fields:
        if field.startswith(b"\x01"):
            commit, seconds, mail, person = field[1:].split(b"\x02", 3)
            at_s = int(seconds or 0)
            commits += 1
            if progress is not None and commits % _REPORT_COMMITS == 0:
                progress(commits)
        elif field.strip():
            path = next(fields, b"")
            if commit not in cut_off:
                yield Change(at_s, commit, mail, person, path, field.strip() == b"D")
    if progress is not None:
        progress(commits)
