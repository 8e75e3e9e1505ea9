"""Keys of a scenario changed: plain values with another value at a dotted place, the variants that files name, and
settings that people give at the command line.

`network.loss` is a key by its tables; an entry of a list is named by its number from 0, or by its `name`, as in
`fault.cut.for`. A table that is not there is made; an entry of a list that is not there is a mistake.

A setting is `KEY=VALUE`, its value as a file would have it, where a text needs no quotes unless it reads as something
else: `fault.cut.for=1m`, `federation.nodes=["a", "b"]`, `workload.0.entity="7"`. A key that is set varies no longer:
the scenario's `[[sweep]]` of it is gone, and those that remain are as they were.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_origin

import msgspec

from sim.diagnostics.suggestions import quoted, suggestion
from sim.diagnostics.toml_lines import KeyPath, key_text
from sim.diagnostics.toml_text import toml_value
from sim.scenario.reading import BadScenario, plain_values, read_source, typed
from sim.scenario.schema_errors import Mistake
from sim.scenario.tables import Scenario

__all__ = ["load_with", "parse_settings", "run_command", "told_with", "variant_of", "with_key", "with_settings"]

_LISTS: Final = frozenset(
    field.encode_name for field in msgspec.structs.fields(Scenario) if get_origin(field.type) in (list, tuple)
)
"""Tables of which there may be several."""


def with_key(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The same plain values with another one at a place. Raises BadScenario."""
    path = key.split(".")
    if len(path) > 1 and path[0] in _LISTS and not values.get(path[0]):
        raise BadScenario([Mistake((), f"{key}: there is no [[{path[0]}]]")])
    changed: dict[str, Any] = _changed(values, path, value, key)
    return changed


def variant_of(scenario: Scenario, name: str, *, folder: Path, allow_plugins: bool = False) -> Scenario:
    """A variant that the scenario names, as a scenario of its own, called by both names. Raises BadScenario."""
    names = [each.name for each in scenario.variant]
    if name not in names:
        hint = suggestion(name, names, "there are") if names else "; this file has no [[variant]]"
        raise BadScenario([Mistake(("variant",), f"there is no variant {quoted(name)}{hint}")])
    number = names.index(name)
    changed = plain_values(scenario)
    for key in ("variant", "sweep"):
        changed.pop(key, None)
    try:
        for key, value in scenario.variant[number].set.items():
            changed = with_key(changed, key, value)
        changed = with_key(changed, "scenario.name", f"{scenario.name}-{name}"[:63])
        return typed(changed, folder=folder, allow_plugins=allow_plugins)
    except BadScenario as error:
        found = [Mistake(("variant", number), f"with {name}: {each.sentence}") for each in error.mistakes]
        raise BadScenario(found) from None


def with_settings(
    scenario: Scenario, settings: Mapping[str, Any], *, folder: Path, allow_plugins: bool = False
) -> Scenario:
    """The scenario with these values at these keys, one after the other. Raises BadScenario that tells them."""
    if not settings:
        return scenario
    values = changed = plain_values(scenario)
    try:
        for key, value in settings.items():
            changed = with_key(changed, key, value)
        if "sweep" not in {key.partition(".")[0] for key in settings}:
            places = [_place_of(values, key) for key in settings]
            left = [each for each in values.get("sweep", ()) if _place_of(values, each["key"]) not in places]
            changed = {**changed, "sweep": left}
        return typed(changed, folder=folder, allow_plugins=allow_plugins)
    except BadScenario as error:
        raise BadScenario([told_with(settings, each) for each in error.mistakes]) from None


def load_with(path: Path, settings: Mapping[str, Any], *, allow_plugins: bool = False) -> Scenario:
    """The scenario of a file, with these values at these keys. Raises BadScenario."""
    source = read_source(path, allow_plugins=allow_plugins)
    try:
        return with_settings(source.scenario, settings, folder=path.parent, allow_plugins=allow_plugins)
    except BadScenario as error:
        raise error.located(path, source.lines) from None


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """The keys and values of some `KEY=VALUE`, in order. Raises BadScenario."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, written = text.partition("=")
        if not equals or not all(key.split(".")):
            example = "is not a dotted key and its value, such as network.loss=0.1"
            raise BadScenario([Mistake((), f"--set: {quoted(text)} {example}")])
        if key in found:
            raise BadScenario([Mistake((), f"--set: {key} is set twice")])
        found[key] = _value_of(written)
    return found


def run_command(file: Path, variant: str | None, settings: Mapping[str, Any], *, allow_plugins: bool = False) -> str:
    """What a shell is told to run a scenario file in this way; a seed is to be added."""
    parts = ["stigmem-sim", "run", str(file), *(() if variant is None else ("--variant", variant))]
    for key, value in settings.items():
        parts += ["--set", _setting_text(key, value)]
    return shlex.join([*parts, *(["--allow-plugins"] if allow_plugins else [])])


def _setting_text(key: str, value: Any) -> str:
    """What `parse_settings` reads as this key and value."""
    bare = isinstance(value, str) and _value_of(value) == value
    return f"{key}={value if bare else toml_value(value)}"


def told_with(values: Mapping[str, Any], mistake: Mistake, where: KeyPath = ()) -> Mistake:
    """A mistake of a scenario whose keys were given these values, told with them."""
    told = ", ".join(f"{key} = {toml_value(value)}" for key, value in values.items())
    key = "" if not mistake.path or [key_text(mistake.path)] == list(values) else f"{key_text(mistake.path)}: "
    return Mistake(where, f"with {told}: {key}{mistake.sentence}" if told else f"{key}{mistake.sentence}")


def _value_of(written: str) -> Any:
    """A value of TOML, or else the text as it stands."""
    try:
        found = tomllib.loads(f"value = {written}")
    except (ValueError, RecursionError):
        return written
    value = found["value"]
    return value if len(found) == 1 and isinstance(value, (str, int, float, list, dict)) else written


def _place_of(values: Any, key: str) -> tuple[str, ...]:
    """A dotted key whose names of entries are numbers: `fault.cut.for` and `fault.0.for` may be one place."""
    place = []
    for name in key.split("."):
        found = name
        if isinstance(values, list):
            numbers = [
                str(number) for number, each in enumerate(values) if isinstance(each, dict) and each.get("name") == name
            ]
            found = name if name.isdigit() and int(name) < len(values) else next(iter(numbers), name)
            values = values[int(found)] if found.isdigit() and int(found) < len(values) else None
        else:
            values = values.get(name) if isinstance(values, dict) else None
        place.append(found)
    return tuple(place)


def _changed(value: Any, path: list[str], new: Any, key: str) -> Any:
    if not path:
        return new
    name, *rest = path
    if isinstance(value, list):
        place = _place(value, name, key)
        return [_changed(each, rest, new, key) if number == place else each for number, each in enumerate(value)]
    table = value if isinstance(value, dict) else {}
    return {**table, name: _changed(table.get(name), rest, new, key)}


def _place(items: list[Any], name: str, key: str) -> int:
    if name.isdigit() and int(name) < len(items):
        return int(name)
    for number, item in enumerate(items):
        if isinstance(item, dict) and item.get("name") == name:
            return number
    raise BadScenario([Mistake((), f"{key}: there is no entry {name!r}; write its name, or its number from 0")])
