"""Plugins: modules with kinds of others, found by entry points or named by a scenario, and imported.

Importing is running code. Installed packages were allowed to when they were installed; modules that a scenario names
are looked for beside the scenario and where Python looks, and imported only when whoever runs it allows it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final

from sim.diagnostics.errors import Misfit
from sim.diagnostics.suggestions import quoted, shown

__all__ = ["GROUP", "import_plugins", "installed_modules", "named_modules", "plugins_in", "raised_in"]

GROUP: Final = "stigmem_sim.kinds"
"""The group of entry points by which installed packages name modules with kinds."""


@lru_cache(maxsize=1)
def installed_modules() -> tuple[str, ...]:
    """The modules that installed packages name, imported. Raises Misfit when one cannot be."""
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        try:
            import_module(point.module)
        except Exception as error:
            owner = point.dist.name if point.dist is not None else "an installed package"
            raise Misfit("", f"{owner} names kinds in {point.module}, which {_cannot(error)}") from error
        found.append(point.module)
    return tuple(dict.fromkeys(found))


def plugins_in(values: dict[str, Any]) -> list[str]:
    """The modules that the plain values of a scenario file name; none where the key is wrong, which is told later."""
    table = values.get("scenario")
    names = table.get("plugins", []) if isinstance(table, dict) else []
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []


def named_modules(names: Sequence[str]) -> tuple[str, ...]:
    """Every module whose kinds a scenario sees besides those of this package, in order, each once."""
    return tuple(dict.fromkeys([*installed_modules(), *names]))


def import_plugins(names: Sequence[str], folder: Path, *, allowed: bool) -> None:
    """Import the modules that a scenario in a folder names. Raises Misfit, with the key inside `[scenario]`, for one
    that cannot be imported, and when it is not allowed."""
    if names and not allowed:
        raise Misfit(
            "scenario.plugins",
            f"the scenario runs code of {', '.join(map(shown, names))}; if you trust it, allow that by --allow-plugins "
            "(in Python: allow_plugins=True)",
        )
    with _beside(folder):
        for number, name in enumerate(names):
            key = f"scenario.plugins[{number}]"
            if not all(part.isidentifier() for part in name.split(".")):
                raise Misfit(key, f"{shown(name)} is not the name of a module, such as 'my_kinds'")
            try:
                import_module(name)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                    raise Misfit(key, f"the module {quoted(name)} {_cannot(error)}") from error
                place = f"neither in {folder} nor where Python looks"
                raise Misfit(key, f"there is no module {quoted(name)}, {place}") from error
            except Exception as error:
                raise Misfit(key, f"the module {quoted(name)} {_cannot(error)}") from error


def raised_in(error: BaseException, modules: Sequence[str]) -> str | None:
    """The innermost place in one of these modules that an error passed, as `module, line n`; None if there is none."""
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__"))
        if any(f"{module}.".startswith(f"{name}.") for name in modules):
            return f"{module}, line {line}"
    return None


def _cannot(error: Exception) -> str:
    return f"cannot be imported: {type(error).__name__}: {error}"


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Let Python look for modules in a folder too, after everywhere else."""
    place = str(folder.resolve())
    sys.path.append(place)
    try:
        yield
    finally:
        sys.path.remove(place)
