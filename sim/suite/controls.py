"""Controls: single places in the source that hold a failure mode off, and copies of the packages without one of them.

    [[control]]
    name = "skew-bound"
    holds = "a stamp too far ahead of the reader's clock is refused"
    file = "stigmem/core/hlc.py"
    anchor = "if future_ms and skew > future_ms:"
    replacement = "if future_ms and skew > 2 * future_ms:"
    tried = ["S-26"]

The anchor stands exactly once in its file, and is replaced in a temporary copy that only worker processes load: the
node itself has no branch for tests. `tried` are the rows of the suite that should fail without the control. A port of
the simulator that lies (a disk that says "stored" too early) is a control of the world, removed in the same way.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

import sim
import stigmem
from sim.report.folder import BadFolder

__all__ = ["Control", "PatchError", "copy_without", "patched", "read_controls"]

_PACKAGES: Final = (Path(stigmem.__file__).parent, Path(sim.__file__).parent)


class Control(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One control, and how it is removed."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,60}$")]
    holds: str
    """What holds as long as it is there, in a sentence."""
    file: str
    """Where it stands, from the folder that holds the packages."""
    anchor: str
    replacement: str
    tried: Annotated[list[str], Meta(min_length=1)]
    """Ids of rows of the suite."""


class PatchError(Exception):
    """An anchor is not in its file, or not only once: whoever changed the source looks at the control again."""


class _List(msgspec.Struct, forbid_unknown_fields=True):
    control: list[Control] = []


def read_controls(path: Path) -> list[Control]:
    """The controls of a file. Raises BadFolder."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=_List).control
    except OSError as error:
        raise BadFolder(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadFolder(f"{path}: {error}") from error


def patched(control: Control) -> str:
    """The text of the control's file without it. Raises PatchError."""
    home = {package.name: package for package in _PACKAGES}
    package, _, rest = control.file.partition("/")
    if package not in home or not (home[package] / rest).is_file():
        raise PatchError(f"{control.name}: there is no {control.file}")
    text = (home[package] / rest).read_text(encoding="utf-8")
    count = text.count(control.anchor)
    if count != 1:
        raise PatchError(f"{control.name}: its anchor stands {count} times in {control.file}, not once")
    without = text.replace(control.anchor, control.replacement)
    if without == text:
        raise PatchError(f"{control.name}: its replacement changes nothing")
    compile(without, control.file, "exec")
    return without


def copy_without(control: Control, folder: Path) -> None:
    """Copy the packages into an empty folder, without the control. Raises PatchError."""
    text = patched(control)
    for package in _PACKAGES:
        shutil.copytree(package, folder / package.name)
    (folder / control.file).write_text(text, encoding="utf-8")
