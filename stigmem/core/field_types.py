"""Values of dataclasses held to the types that their fields say, with a sentence for whoever gave another.

Python holds nobody to an annotation. A pull limit given as a text, or one scope where a tuple of scopes belongs, would
be met much later, deep inside a node and in other words. What is read from files and variables was checked by its
reader; this is for values that a program makes.

A whole number stands for a number, and true and false for neither. Nothing is converted: a list is no tuple. Ranges are
not checked here, nor are keyword arguments that are no fields, which the constructor refuses by itself.
"""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["check_field_types"]

_WORDS: Final[dict[Any, tuple[str, str]]] = {
    bool: ("true or false", "values that are true or false"),
    bytes: ("bytes", "bytes"),
    float: ("a number", "numbers"),
    int: ("a whole number", "whole numbers"),
    str: ("a text", "texts"),
}
"""What a type is called, one of it and several."""
_SHOWN_MAX: Final = 60


def check_field_types(value: Any) -> None:
    """Raise TypeError for the first field whose value is not of its type; to be called when a dataclass is made."""
    cls: Any = type(value)
    for name, kind in _fields(cls):
        given = getattr(value, name)
        if not _fits(given, kind):
            raise TypeError(f"{cls.__name__}: {name} is {_called(kind)}, and was given {_shown(given)}")


@lru_cache(maxsize=16)
def _fields(cls: Any) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(cls)
    return tuple((field.name, hints[field.name]) for field in fields(cls))


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(each, inner[0]) for each in value)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in inner)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, name) for name, member in vars(kind).items() if name[0] != "_" and callable(member))
    return isinstance(value, kind)


def _called(kind: Any, *, several: bool = False) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(repr(each) for each in inner)
    if origin is tuple:
        return f"a tuple of {_called(inner[0], several=True)}"
    if origin in (Union, UnionType):
        return " or ".join(_called(each) for each in inner)
    if kind is type(None):
        return "None"
    if kind in _WORDS:
        return _WORDS[kind][several]
    return f"{kind.__name__} values" if several else f"a {kind.__name__}"


def _shown(value: Any) -> str:
    text = f"a {type(value).__name__}" if isinstance(value, (bytes, bytearray)) else repr(value)  # it may be a key
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
