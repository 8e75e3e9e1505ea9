"""The registry of kinds: what a scenario's `kind = "..."` is looked up in, and how others add to it.

A kind is a class with a name, and the name stands in one place, above the class:

    @kind("meteor")
    class Meteor(Fault, kw_only=True):
        \"\"\"Strikes one machine and everything on it.\"\"\"

        node: str
        \"\"\"Where it falls.\"\"\"

From that come what scenario files may say, how their mistakes are told, the JSON Schema, and the reference of kinds in
`docs/kinds.md`. There are four sorts: subclasses of `Fault`, `Workload` and `Adversary` are tables of a scenario file,
their fields its keys (with `kw_only=True` a key without a default may follow one with a default); a `Checker` under
`@kind` judges every run of a scenario that its module belongs to, and its name is the name of its check.

Whose kinds a scenario sees, in this order:

1. those of this package;
2. those of installed packages that have an entry point in the group `stigmem_sim.kinds`;
3. those of the modules that the scenario names by `plugins = ["my_kinds"]` in its table `[scenario]`, submodules
   included. Naming a module is asking for its code to be run, so that whoever runs the scenario has to allow it.

A name is refused when it is taken by a kind of this package or of the same module, and a scenario is refused that sees
two of one name. A kind belongs to the module that its class is written in: a plugin that imports it from another module
does not bring it along, and the scenario names both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from pkgutil import iter_modules
from typing import Any, Final, TypeVar

__all__ = ["SORTS", "AmbiguousKind", "find_kinds", "import_modules", "kind", "name_of", "owner_of"]

SORTS: Final = ("fault", "workload", "adversary", "checker")
"""What there are kinds of: the class attribute `sort` of the bases."""
_VERBS: Final = {"fault": "inject", "workload": "run"}
"""Sort -> the method without which its kinds would do nothing."""
_REMEDIES: Final = {
    "fault": "write @contextmanager, of contextlib, above it, and yield once",
    "workload": "it is called once, and has what follows called by clients.at and its like",
}
_OURS: Final = "sim"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_kinds: Final[dict[str, dict[tuple[str, str], type]]] = {sort: {} for sort in SORTS}
"""Sort -> (name, module) -> class, in the order of registration."""
T = TypeVar("T")


class AmbiguousKind(Exception):
    """Two classes that one scenario sees have the same name: a sentence that names both."""


def kind(name: str) -> Callable[[type[T]], type[T]]:
    """Give a class its name as a kind, and make it known. Raises TypeError for a class of no sort, a fault without
    `inject` and a workload without `run`, or with one that would do nothing when called, and ValueError for a name that
    cannot be one or is taken, in its module or by this package."""

    def named(cls: type[T]) -> type[T]:
        sort = getattr(cls, "sort", None)
        if sort not in SORTS:
            raise TypeError(f"{cls.__qualname__} is no kind: it is no Fault, Workload, Adversary or Checker")
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name of a kind: write lower-case letters, digits and hyphens")
        for (taken, module), other in _kinds[sort].items():
            if (
                taken == name
                and (_is_ours(module) or module == cls.__module__)
                and (module, other.__qualname__) != (cls.__module__, cls.__qualname__)
            ):
                raise ValueError(f"there is a {sort} of kind {name!r} already: {module}.{other.__qualname__}")
        verb = _VERBS.get(sort)
        if verb is not None and not any(verb in vars(base) for base in cls.__mro__ if "sort" not in vars(base)):
            raise TypeError(f"{cls.__qualname__} is a {sort} without {verb}: see the head of sim/{sort}/base.py")
        if verb is not None and (would := _would_do_nothing(getattr(cls, verb))):
            raise TypeError(f"{cls.__qualname__}.{verb} {would} and would do nothing: {_REMEDIES[sort]}")
        found = _checker(cls, name) if sort == "checker" else _tagged(cls, name)
        _kinds[sort][name, cls.__module__] = found
        return found

    return named


def _would_do_nothing(method: Any) -> str:
    """What a method is that gives something to go through or to await, where it is only called; empty for others."""
    if isgeneratorfunction(method):
        return "is a generator"
    return "is asynchronous" if iscoroutinefunction(method) or isasyncgenfunction(method) else ""


def _checker(cls: type[T], name: str) -> type[T]:
    cls.name = name  # type: ignore[attr-defined]
    return cls


def _tagged(cls: type[T], name: str) -> type[T]:
    # A struct's tag is fixed when its class is made, so that the name makes a class of its own below the written one.
    namespace = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    make: Any = type(cls)
    found: type[T] = make(cls.__name__, (cls,), namespace, tag=name)
    return found


def name_of(cls: type) -> str:
    """The name of a registered kind."""
    config = getattr(cls, "__struct_config__", None)
    return str(getattr(cls, "name", "") if config is None else config.tag)


def owner_of(cls: type, modules: Iterable[str]) -> str | None:
    """Which of some modules a kind belongs to, or None."""
    return next((name for name in modules if cls.__module__ == name or cls.__module__.startswith(name + ".")), None)


def find_kinds(sort: str, modules: Sequence[str] = ()) -> dict[str, type]:
    """The kinds of one sort by name: those of this package, and those of some other modules. Raises AmbiguousKind."""
    found: dict[str, type] = {}
    for (name, _), cls in _kinds[sort].items():
        if owner_of(cls, (_OURS, *modules)) is None:
            continue
        other = found.setdefault(name, cls)
        if other is not cls:
            both = f"{other.__module__}.{other.__qualname__} and {cls.__module__}.{cls.__qualname__}"
            raise AmbiguousKind(f"two kinds of {sort} are called {name!r}: {both}")
    return found


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that the kinds in it are known. Always in the same order."""
    for module in sorted(iter_modules(path), key=lambda each: each.name):
        import_module(f"{package}.{module.name}")


def _is_ours(module: str) -> bool:
    return module == _OURS or module.startswith(_OURS + ".")
