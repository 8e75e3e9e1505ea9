"""What is wrong in the plain values of a scenario file, held against the types of its tables.

One walk finds every mistake, each with the path of its key and a sentence; values only: no files, no lines, and
nothing about whether the parts fit together. `find_mistakes` finding none means that msgspec will convert.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import inspect

from sim.diagnostics.suggestions import article, expected, listed, meant, nearest_first, quoted, shown, suggestion
from sim.diagnostics.toml_lines import KeyPath
from sim.scenario.hints import as_it_should_stand, key_of_file, near_key, stands_for, toml_value, wrong_length
from sim.scenario.scalars import scalar_mistake, suits

__all__ = ["Mistake", "find_mistakes"]


class Mistake(NamedTuple):
    """One thing that is wrong: where, and a sentence that says what and what would be right."""

    path: KeyPath
    sentence: str


def find_mistakes(value: Any, kind: type) -> list[Mistake]:
    """Every mistake in plain values that are to become a struct of type `kind`."""
    root = _type_info(kind)
    walk = _Walk(root)
    walk.check(value, root, ())
    return walk.found


@lru_cache(maxsize=8)
def _type_info(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


class _Walk:
    """One walk along values and types; `extra` is what Meta says of the type at hand."""

    def __init__(self, root: inspect.Type) -> None:
        self.found: list[Mistake] = []
        self._tables = _tables(root)
        self._homes = _homes(root)

    def check(self, value: Any, kind: inspect.Type, path: KeyPath, extra: dict[str, Any] | None = None) -> None:
        match kind:
            case inspect.Metadata():
                before = len(self.found)
                self.check(value, kind.type, path, kind.extra)
                described = (kind.extra_json_schema or {}).get("description")
                if described and len(self.found) > before:
                    self.found[before:] = [Mistake(path, f"{shown(value)} is not {described}")]
            case inspect.UnionType():
                self._union(value, kind, path)
            case inspect.StructType():
                if isinstance(value, dict):
                    self._struct(value, kind, path)
                else:
                    self._no_table(value, path)
            case inspect.DictType():
                self._dict(value, kind, path)
            case inspect.ListType() | inspect.VarTupleType():
                self._list(value, kind, path)
            case inspect.AnyType():
                return  # judged where it ends up
            case _:
                sentence = scalar_mistake(value, kind, extra or {})
                if sentence is not None:
                    self._add(path, sentence)

    def _add(self, path: KeyPath, sentence: str) -> None:
        self.found.append(Mistake(path, sentence))

    def _no_table(self, value: Any, path: KeyPath) -> None:
        if len(path) == 1 and isinstance(value, list):
            self._add(path, f"there is one such table; write [{path[0]}] with single brackets")
        else:
            self._add(path, f"{shown(value)} is not a table")

    def _union(self, value: Any, union: inspect.UnionType, path: KeyPath) -> None:
        options = [option for option in union.types if suits(value, option)]
        structs = [option for option in options if isinstance(option, inspect.StructType)]
        if len(structs) > 1:
            self._tagged(value, structs, path)
        elif len(options) == 1 and (key := key_of_file(value, union)):
            self._add(path, f"{shown(value)} is a file; write {path[-1]} = {{ {key} = {toml_value(value)} }}")
        elif len(options) == 1:
            self.check(value, options[0], path)
        elif not options:
            self._add(path, f"{shown(value)} is not {expected(union)}{as_it_should_stand(value, union)}")
        else:
            walks = [_Walk(union) for _ in options]
            for walk, option in zip(walks, options, strict=True):
                walk.check(value, option, path)
            if all(walk.found for walk in walks):
                self._add(path, f"{shown(value)} is not {expected(union)}")

    def _tagged(self, value: dict[str, Any], kinds: Sequence[inspect.StructType], path: KeyPath) -> None:
        """A table whose `kind` decides what it is."""
        noun, field = _noun(path), kinds[0].tag_field or "kind"
        by_tag = {str(kind.tag): kind for kind in kinds}
        given = value.get(field)
        if field not in value:
            self._add((*path, field), f"missing; the kinds of {noun} are {listed(sorted(by_tag), len(by_tag))}")
        elif not isinstance(given, str) or given not in by_tag:
            names = nearest_first(str(given), sorted(by_tag))
            near = meant(str(given), names)
            hint = f"did you mean {quoted(near)}? " if near else ""
            self._add((*path, field), f"there is no kind of {noun} called {shown(given)}; {hint}"
                      f"{'The' if near else 'the'} kinds are {listed(names, len(names))}")  # fmt: skip
        else:
            self._struct(value, by_tag[given], path)

    def _struct(self, value: dict[str, Any], kind: inspect.StructType, path: KeyPath) -> None:
        if kind.tag_field is not None and value.get(kind.tag_field) != kind.tag:
            self._tagged(value, [kind], path)
            return
        fields = {field.encode_name: field for field in kind.fields}
        uses = _uses(kind, value)
        misspelt: list[str | None] = []
        for key, inner in value.items():
            if key == kind.tag_field:
                continue
            if key not in fields:
                spare = [name for name in fields if name not in value and (uses is None or name in uses[1])]
                misspelt.append(near_key(key, spare))
                self._add((*path, key), self._unknown(key, spare, path))
            elif uses is not None and key not in uses[1]:
                self._add((*path, key), f"means nothing for {uses[0]}; its keys are {listed(uses[1])}")
            else:
                self.check(inner, fields[key].type, (*path, key))
        for name, field in fields.items():
            if field.required and name not in value and name not in misspelt:
                self._add((*path, name), f"missing; {_needs(kind, path)} it")

    def _unknown(self, key: str, spare: Sequence[str], path: KeyPath) -> str:
        near = near_key(key, spare)
        if path and key in self._tables:
            return f"unknown key here; {self._tables[key]} is a table of its own"
        homes = self._homes.get(key, {})
        if homes and (near is None or not stands_for(near, key)):
            kinds = homes.get(self._tables.get(str(path[0]), "")) if path else None
            if kinds:
                owner = f"{article(str(path[0]))} of kind {' or '.join(map(quoted, kinds))}"
                return f"unknown key here; it belongs to {owner}"
            return f"unknown key here; it belongs in {' or '.join(homes)}"
        known = f"; did you mean {quoted(near)}?" if near else f"; keys that may stand here: {listed(spare)}"
        return "unknown key" + (known if spare else "")

    def _dict(self, value: Any, kind: inspect.DictType, path: KeyPath) -> None:
        if not isinstance(value, dict):
            self._no_table(value, path)
            return
        for key, inner in value.items():
            if isinstance(kind.key_type, inspect.LiteralType) and key not in kind.key_type.values:
                known = [str(name) for name in kind.key_type.values]
                self._add((*path, key), "unknown key" + suggestion(key, known, "keys that may stand here"))
            else:
                self.check(inner, kind.value_type, (*path, key))

    def _list(self, value: Any, kind: inspect.ListType | inspect.VarTupleType, path: KeyPath) -> None:
        if not isinstance(value, (list, tuple)):
            if len(path) == 1 and isinstance(value, dict):
                self._add(path, f"there may be several such tables; write [[{path[0]}]] with double brackets")
            else:
                self._add(path, f"{shown(value)} is not a list; write it in brackets: [{toml_value(value)}]")
            return
        least, most = kind.min_length, kind.max_length
        if (least is not None and len(value) < least) or (most is not None and len(value) > most):
            self._add(path, wrong_length(len(value), least, most))
        for number, inner in enumerate(value):
            self.check(inner, kind.item_type, (*path, number))


def _uses(kind: inspect.StructType, value: dict[str, Any]) -> tuple[str, tuple[str, ...]] | None:
    """For a struct whose `keys_for` says which keys its `kind` has: in words what it is, and those keys."""
    chosen = getattr(kind.cls, "keys_for", lambda _: None)(value)
    return None if chosen is None else (str(chosen[0]), tuple(chosen[1]))


def _noun(path: KeyPath) -> str:
    return str(next((key for key in reversed(path) if isinstance(key, str)), "table"))


def _needs(kind: inspect.StructType, path: KeyPath) -> str:
    if kind.tag is not None:
        return f"{article(_noun(path))} of kind {quoted(str(kind.tag))} needs"
    match path:
        case ():
            return "a scenario file needs"
        case (str(),):
            return f"[{path[0]}] needs"
        case (str(), int()):
            return f"every [[{path[0]}]] needs"
    return f"{_noun(path)} needs"


def _tables(root: inspect.Type) -> dict[str, str]:
    """The tables of a file, as their headers are written."""
    fields = root.fields if isinstance(root, inspect.StructType) else ()
    several = {field.encode_name: isinstance(field.type, inspect.ListType) for field in fields}
    return {name: f"[[{name}]]" if many else f"[{name}]" for name, many in several.items()}


def _homes(root: inspect.Type) -> dict[str, dict[str, list[str]]]:
    """Keys of the tables of a file, the headers of the tables that have them, and which kinds of those."""
    headers, places = _tables(root), dict[str, dict[str, list[str]]]()
    for field in root.fields if isinstance(root, inspect.StructType) else ():
        inner = field.type.item_type if isinstance(field.type, inspect.ListType) else field.type
        for option in inner.types if isinstance(inner, inspect.UnionType) else (inner,):
            for key in option.fields if isinstance(option, inspect.StructType) else ():
                kinds = places.setdefault(key.encode_name, {}).setdefault(headers[field.encode_name], [])
                kinds += [str(option.tag)] if isinstance(option, inspect.StructType) and option.tag is not None else []
    return places
