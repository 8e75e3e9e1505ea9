"""One key of a scenario changed: plain values with another value at a dotted place, and the variants that files name.

`network.loss` is a key by its tables; an entry of a list is named by its number from 0, or by its `name`, as in
`fault.cut.for`. A table that is not there is made; an entry of a list that is not there is a mistake.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, get_origin

import msgspec

from sim.diagnostics.suggestions import quoted, suggestion
from sim.scenario.reading import BadScenario, plain_values, typed
from sim.scenario.schema_errors import Mistake
from sim.scenario.tables import Scenario

__all__ = ["variant_of", "with_key"]

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
