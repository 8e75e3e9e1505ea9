"""The JSON Schema of scenario files, for editors that complete and check while one types, and what each key means.

Made from the same types that `sim.scenario.schema_errors` walks, so that the two cannot differ; what needs more than
one key to judge is not in it. `spec/scenario.schema.json` holds the result.
"""

from __future__ import annotations

import ast
import inspect as python
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from msgspec import inspect

from sim.diagnostics.suggestions import expected
from sim.diagnostics.toml_text import toml_value
from sim.scenario.plugins import named_modules
from sim.scenario.tables import scenario_type
from sim.units import Duration, Rate, Speed

__all__ = ["key_meanings", "scenario_schema", "sentence_of"]

_NUMBER: Final = r"\d+(\.\d+)?"
_UNITED: Final[dict[type, dict[str, Any]]] = {
    Duration: {
        "type": "string",
        "pattern": rf"^\s*[+-]?\s*({_NUMBER}\s*(ns|us|ms|min|s|m|h|d)\s*)+$",
        "examples": ["250ms", "30s", "1m30s"],
    },
    Rate: {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*/\s*(s|m|min|h|d)\s*$", "examples": ["2/s", "30/m"]},
    Speed: {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*(bit|kbit|Mbit|Gbit)/s\s*$", "examples": ["10Mbit/s"]},
}
_BOUNDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def scenario_schema() -> dict[str, Any]:
    """The schema, in the dialect 2020-12 of JSON Schema."""
    walk = _Tables()
    root = walk.of(inspect.type_info(scenario_type(named_modules(()))))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A scenario of stigmem-sim",
        **root,
        "$defs": dict(sorted(walk.tables.items())),
    }


class _Tables:
    """Schemas of types; each struct once, by name."""

    def __init__(self) -> None:
        self.tables: dict[str, Any] = {}
        self._names: dict[type, str] = {}

    def of(self, kind: inspect.Type) -> dict[str, Any]:
        match kind:
            case inspect.Metadata():
                unit = (kind.extra or {}).get("unit")
                return {**(_UNITED[unit] if unit else self.of(kind.type)), **(kind.extra_json_schema or {})}
            case inspect.UnionType():
                options = [self.of(option) for option in kind.types if not isinstance(option, inspect.NoneType)]
                return options[0] if len(options) == 1 else {"anyOf": options}
            case inspect.StructType():
                return {"$ref": f"#/$defs/{self._named(kind)}"}
            case inspect.ListType() | inspect.VarTupleType():
                bounds = {"minItems": kind.min_length, "maxItems": kind.max_length}
                given = {key: value for key, value in bounds.items() if value is not None}
                return {"type": "array", "items": self.of(kind.item_type), **given}
            case inspect.DictType():
                return {
                    "type": "object",
                    "propertyNames": self.of(kind.key_type),
                    "additionalProperties": self.of(kind.value_type),
                }
            case inspect.AnyType():
                return {}
        return _scalar(kind)

    def _named(self, kind: inspect.StructType) -> str:
        name = self._names.get(kind.cls)
        if name is None:
            name = kind.cls.__name__
            if name in self.tables:
                name = f"{kind.cls.__module__}.{name}"
            self._names[kind.cls] = name
            self.tables[name] = {}
            self.tables[name] = self._table(kind)
        return name

    def _table(self, kind: inspect.StructType) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        if kind.tag_field is not None:
            properties[kind.tag_field] = {"const": kind.tag}
        for field in kind.fields:
            schema = {**self.of(field.type), **_described(kind, field)}
            default = _default(field)
            properties[field.encode_name] = schema if default is None else {**schema, "default": default}
        required = [field.encode_name for field in kind.fields if field.required]
        return {
            "type": "object",
            "description": " ".join((python.getdoc(kind.cls) or "").split()),
            "properties": properties,
            "required": ([kind.tag_field] if kind.tag_field is not None else []) + required,
            "additionalProperties": False,
        }


def _described(kind: inspect.StructType, field: inspect.Field) -> dict[str, str]:
    meaning = key_meanings(kind.cls).get(field.name)
    return {} if meaning is None else {"description": f"{meaning} {sentence_of(field)}"}


def _default(field: inspect.Field) -> Any:
    """A default that is one value, as it stands in a file; None where there is none."""
    value = field.default
    if isinstance(value, (Duration, Rate, Speed)):
        return toml_value(value).strip('"')
    return value if type(value) in (bool, int, float, str) else None


# --- what keys mean ---


def sentence_of(field: inspect.Field) -> str:
    """What a key's value is, and what it is when the key is left out: `A number between 0 and 1; default 0.2.`"""
    what = expected(field.type)
    default = _default(field)
    rest = "; required" if field.required else "" if default is None else f"; default {toml_value(default)}"
    return f"{what[:1].upper()}{what[1:]}{rest}."


@lru_cache(maxsize=512)
def key_meanings(cls: type) -> dict[str, str]:
    """The docstrings under the fields of a struct and of its bases, by the fields' names in Python."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _docstrings(base.__module__).get(base.__qualname__, {})
    return found


@lru_cache(maxsize=256)
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> docstring, of the classes of a module; none of a module without a source."""
    try:
        tree = ast.parse(python.getsource(sys.modules[module]))
    except (OSError, TypeError, KeyError):
        return {}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: dict(_field_docstrings(node.body)) for node in classes}


def _field_docstrings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                yield name, " ".join(doc.split())


def _scalar(kind: inspect.Type) -> dict[str, Any]:
    match kind:
        case inspect.CustomType():
            return dict(_UNITED[kind.cls])
        case inspect.LiteralType():
            return {"enum": list(kind.values)}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.StrType():
            return {"type": "string"} | ({"pattern": kind.pattern} if kind.pattern is not None else {})
        case inspect.IntType() | inspect.FloatType():
            name = "integer" if isinstance(kind, inspect.IntType) else "number"
            bounds = {word: getattr(kind, key) for key, word in _BOUNDS.items() if getattr(kind, key) is not None}
            return {"type": name, **bounds}
    raise TypeError(f"scenario files have no schema for {kind}")
