"""Rendering the notebooks: `python -m sim.report.notebooks` runs each .py of notebooks/ and writes its .ipynb.

Notebooks are kept as plain Python in jupytext's percent format, without outputs; rendering executes them in a
kernel of their own. Needs the packages of the `notebooks` extra.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = ["main", "render"]

_NEEDED: Final = ("jupytext", "nbclient", "ipykernel")
_TIMEOUT_S: Final = 600
_BAD_INPUT: Final = 2


def render(source: Path, folder: Path) -> Path:
    """Execute a notebook with the current directory as its own; the .ipynb with all outputs. Raises what a cell
    raises, as nbclient's CellExecutionError."""
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.read(source, fmt="py:percent")
    NotebookClient(notebook, timeout=_TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{source.stem}.ipynb"
    jupytext.write(notebook, out, fmt="ipynb")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0, or 2 when something is missing."""
    parser = argparse.ArgumentParser(prog="python -m sim.report.notebooks", description="Render notebooks to .ipynb.")
    parser.add_argument("files", nargs="*", type=Path, help="notebooks as .py (default: all of notebooks/)")
    parser.add_argument("--out", type=Path, help="folder of the .ipynb files (default: beside the .py files)")
    given = parser.parse_args(arguments)
    missing = [name for name in _NEEDED if find_spec(name) is None]
    files = given.files or sorted(Path("notebooks").glob("*.py"))
    absent = [str(file) for file in files if not file.is_file()]
    if missing or absent or not files:
        what = f"install the notebooks extra: {', '.join(missing)} missing" if missing else "no such notebook"
        sys.stderr.write(f"{what}{': ' + ', '.join(absent) if absent and not missing else ''}\n")
        return _BAD_INPUT
    for file in files:
        sys.stdout.write(f"{render(file, given.out or file.parent)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
