"""Side environments with the published clients and reference nodes, as black boxes: finding them and making them.

Nothing of these packages is imported or read here; they are spoken to over HTTP and by their command line. Where the
environments cannot be had, the tests that need them are skipped with a sentence that says why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

__all__ = ["CREATE", "NAMES", "Absent", "environment"]

DIRECTORY: Final = "STIGMEM_INTEROP_DIR"
"""Variable with the folder of the environments; `interop` inside the repository's .venv without it."""
CREATE: Final = "STIGMEM_INTEROP_CREATE"
"""Variable that, when it is set, has absent environments made; `make interop` does so anyway."""
NAMES: Final = ("a10", "a12")
"""a10 speaks dialect 0.5, a12 dialect 2.1."""
_BESIDE: Final = {
    "a10": ("pytest", "pytest-asyncio"),
    "a12": ("pytest", "pytest-asyncio", "stigmem-openclaw==0.9.0a12"),
}
"""What an environment needs besides node and client: for the published conformance suite, and the OpenClaw adapter."""
_MARKS: Final = {"a10": "bin/pytest", "a12": "lib/python3*/site-packages/stigmem_openclaw"}
"""What is there when that is."""
_ROOT: Final = Path(__file__).parents[2]
_FOLDER: Final = Path(os.environ.get(DIRECTORY) or _ROOT / ".venv" / "interop").resolve()
"""Read once: a test sees no variable that a node would take for a setting (`tests/conftest.py`)."""
_PATIENCE_S: Final = 600


class Absent(Exception):
    """An environment is not there; the text is a sentence for people."""


def environment(name: str, *, create: bool, folder: Path = _FOLDER) -> Path:
    """The environment `a10` or `a12`, made when it is absent and may be. Raises Absent."""
    found = folder / name
    if not _complete(found, name):
        if not create:
            raise Absent(f"the published package {name} is not in {folder}; `make interop` installs it there")
        try:
            _make(folder, name)
        except (subprocess.SubprocessError, OSError, tarfile.TarError) as error:
            shutil.rmtree(found, ignore_errors=True)
            raise Absent(f"the published package {name} could not be installed: {_reason(error)}") from error
    return found


def _complete(found: Path, name: str) -> bool:
    has_node = (found / "bin" / "stigmem-node").exists() and any(found.glob("lib/python3*/migrations"))
    return has_node and any(found.glob(_MARKS[name]))


def _make(folder: Path, name: str) -> None:
    version = f"0.9.0{name}"
    made, sources = folder / name, folder / f"dl{name[1:]}"
    shutil.rmtree(made, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    pip = [str(made / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q"]
    _run([sys.executable, "-m", "venv", str(made)])
    _run([*pip, "install", f"stigmem-node=={version}", f"stigmem-py=={version}", "httpx<1", *_BESIDE[name]])
    # The wheels lack their SQL migrations, which the source distribution has.
    _run([*pip, "download", "--no-deps", "--no-binary", ":all:", "-d", str(sources), f"stigmem-node=={version}"])
    with tarfile.open(next(sources.glob("*.tar.gz"))) as archive:
        archive.extractall(sources, filter="data")
    migrations = next(sources.glob("*/migrations"))
    shutil.copytree(migrations, next(made.glob("lib/python3*")) / "migrations")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE_S)


def _reason(error: Exception) -> str:
    said = (getattr(error, "stderr", None) or "").strip().splitlines()
    return said[-1] if said else f"{type(error).__name__}: {error}"
