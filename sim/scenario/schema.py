"""The JSON Schema of scenario files, for editors that complete and check while one types.

Made from the same types that `sim.scenario.schema_errors` walks, so that the two cannot differ; what needs more than
one key to judge is not in it. `spec/scenario.schema.json` holds the result.
"""

from __future__ import annotations

import inspect as python
from typing import Any, Final

from msgspec import NODEFAULT, inspect

from sim.scenario.tables import Scenario
from sim.units import Duration, Rate, Speed

__all__ = ["scenario_schema"]

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
    root = walk.of(inspect.type_info(Scenario))
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
            schema = self.of(field.type)
            plain = field.default is not NODEFAULT and type(field.default) in (bool, int, float, str)
            properties[field.encode_name] = {**schema, "default": field.default} if plain else schema
        required = [field.encode_name for field in kind.fields if field.required]
        return {
            "type": "object",
            "description": " ".join((python.getdoc(kind.cls) or "").split()),
            "properties": properties,
            "required": ([kind.tag_field] if kind.tag_field is not None else []) + required,
            "additionalProperties": False,
        }


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
