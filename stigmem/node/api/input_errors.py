"""What is wrong with an input, in words: every error of it at once, and every member that nobody reads.

Bodies and queries are read by msgspec, which stops at the first error. Only when it has found one is the input looked
at here, member by member, so that a caller who left out three members is told of three. What is said is a list of
items, in the form that existing clients of such interfaces read: `type`, `loc` (where it stands), `msg` (a sentence),
`input` (what was sent there, shortened) and perhaps `ctx` (the bound that was passed).

A member that is in no type is ignored, as the contract has it (http-api 1.1), and named in `warnings` of the answer: a
mistyped `valid_untill` would otherwise be a fact that never ends. A parameter of a query that is in no type is refused,
since leaving out a filter widens what is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, inspect

from stigmem.core.errors import Refusal, shown
from stigmem.core.suggestions import did_you_mean, one_of

__all__ = ["Item", "errors_in", "ignored_members", "types_of", "unknown_parameters", "unreadable"]

Item = dict[str, Any]
"""One error: the members `type`, `loc`, `msg`, `input` and perhaps `ctx`."""
Where = Literal["body", "query"]

_NAMED_MAX: Final = 20
"""Faults and unknown members of one input that are named one by one."""
_NAME_CHARS_MAX: Final = 64
"""Of a name that is in no type: the names that are have at most thirty."""
_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_BOUND: Final = re.compile(r"Expected `(\w+)(?: \| null)?`( of length)? ([<>]=) ([-+.0-9e]+)")
_EXPECTED: Final = re.compile(r"Expected `([\w |]+)`, got `(\w+)`")
_KINDS: Final = {
    (False, "<="): ("less_than_equal", "le", "at most"), (False, ">="): ("greater_than_equal", "ge", "at least"),
    (True, "<="): ("too_long", "max_length", "at most"), (True, ">="): ("too_short", "min_length", "at least"),
}  # fmt: skip
_WORDS: Final = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "object": "an object",
    "array": "a list", "null": "null",
}  # fmt: skip
_SENT: Final = {"int": "float"}
"""What is sent is called a number, whole or not."""
_TYPES: Final = ((bool, "bool"), (str, "str"), ((int, float), "float"), (list, "array"), (dict, "object"))
_VALUE_TYPES: Final = {"bool": "boolean", "str": "string", "float": "number", "null": "null"}
_COUNTED: Final = {"str": "characters", "array": "entries", "object": "members"}
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def unreadable(where: Where, items: list[Item]) -> Refusal:
    """The refusal of an input with these errors."""
    more = len(items) - _NAMED_MAX
    sentence = "; ".join(item["msg"] for item in items[:_NAMED_MAX]) + (f"; and {more} more" if more > 0 else "")
    field = ".".join(str(step) for step in items[0]["loc"][1:])
    code = "validation_failed"
    return Refusal(422, code, sentence, field=field or None, extra={"errors": items[:_NAMED_MAX]})


# --- what is wrong ---


def errors_in(where: Where, kind: type[msgspec.Struct], given: Any, error: msgspec.ValidationError) -> list[Item]:
    """Every error of an input that is not of the type wanted. `given`: the input as plain data, UNSET where it is too
    long to be looked at again; `error`: what the first reading ended with, which is told alone where looking again
    finds nothing."""
    found: list[Item] = []
    if given is not UNSET:
        _look(kind, given, [where], found)
    return found or [_told_alone(where, str(error))]


def _look(kind: type[msgspec.Struct], given: Any, loc: list[str | int], found: list[Item]) -> None:
    if not isinstance(given, dict):
        message = f"{_name(loc)} must be an object, not {_what(given)}{_example(kind, given)}"
        found.append({"type": "value_error", "loc": loc, "msg": message, "input": shown(given)})
        return
    for member in msgspec.structs.fields(kind):
        name, at = member.encode_name, [*loc, member.encode_name]
        inner, may_be_null = _struct_in(kind, name)
        if name not in given:
            if member.required:
                message = f"{_name(at)} is missing{_example(kind, given)}"
                found.append({"type": "missing", "loc": at, "msg": message, "input": shown(given)})
        elif inner is not None and not (given[name] is None and may_be_null):
            _look(inner, given[name], at, found)
        else:
            try:
                msgspec.convert(given[name], member.type, strict=loc[0] == "body")
            except msgspec.ValidationError as error:
                if not str(error).startswith("Expected `raw`"):  # is read by itself, elsewhere
                    found.append(_error_of(kind, name, at, str(error), given[name]))


def _error_of(kind: type[msgspec.Struct], name: str, at: list[str | int], error: str, given: Any) -> Item:
    """One member that is not what it should be."""
    choices = _choices(kind, name)
    if choices and isinstance(given, str):
        return {"type": "enum", "loc": at, "msg": one_of(_name(at), given, choices), "input": shown(given)}
    text, steps = _place(error)
    for step in steps:
        given = _at(given, step)
    return _item([*at, *steps], text, given)


def _told_alone(where: Where, error: str) -> Item:
    """What the first reading ended with, of an input that is not looked at again."""
    text, steps = _place(error)
    missing = _MISSING.fullmatch(text)
    if missing is not None:
        loc = [where, *steps, missing[1]]
        return {"type": "missing", "loc": loc, "msg": f"{_name(loc)} is missing", "input": None}
    return _item([where, *steps], text, None)


def _place(error: str) -> tuple[str, list[str | int]]:
    """The text of an error, and the steps that lead to the member concerned."""
    text, _, path = error.partition(" - at `$")
    steps = path.rstrip("`").replace("[", ".").replace("]", "").split(".")
    return text, [int(step) if step.isdigit() else step for step in steps if step]


def _item(loc: list[str | int], text: str, given: Any) -> Item:
    item: Item = {"type": "value_error", "loc": loc, "msg": f"{_name(loc)}: {text}", "input": shown(given)}
    if loc[-1] == "raw_key":  # a secret is not shown again
        item["input"] = None
    bound, expected = _BOUND.match(text), _EXPECTED.match(text)
    if bound is not None:
        counted = bound[2] is not None
        item["type"], limit, words = _KINDS[counted, bound[3]]
        item["ctx"] = {limit: float(bound[4]) if "." in bound[4] else int(bound[4])}
        what = f" {_COUNTED.get(bound[1], 'characters')}" if counted else ""
        item["msg"] = f"{_name(loc)} must {'have' if counted else 'be'} {words} {bound[4]}{what}"
    elif expected is not None:
        wanted = " or ".join(_WORDS.get(word, word) for word in expected[1].split(" | ") if word != "null")
        got = "" if loc[0] == "query" else f", not {_WORDS.get(_SENT.get(expected[2], expected[2]), expected[2])}"
        item["msg"] = f"{_name(loc)} must be {wanted}{got}"
    return item


def _name(loc: list[str | int]) -> str:
    return ".".join(map(str, loc[1:])) or f"the {loc[0]}"


def _what(given: Any) -> str:
    return _WORDS[next((word for kind, word in _TYPES if isinstance(given, kind)), "null")]


def _at(given: Any, step: str | int) -> Any:
    """The member of plain data that a step leads to, or None."""
    if isinstance(given, dict):
        return given.get(step)
    return given[step] if isinstance(given, list) and isinstance(step, int) and step < len(given) else None


def _example(kind: type[msgspec.Struct], given: Any) -> str:
    """The end of a sentence about a bare value where a typed one is wanted: how to write it."""
    if not {"type", "v"} <= set(kind.__struct_encode_fields__) or (isinstance(given, dict) and "v" not in given):
        return ""
    v = given["v"] if isinstance(given, dict) else given
    if isinstance(v, (dict, list)):
        return ""
    word = _VALUE_TYPES[next((word for each, word in _TYPES if isinstance(v, each)), "null")]
    members = f'"type": "{word}"' + ("" if v is None else f', "v": {json.dumps(shown(v), ensure_ascii=False)}')
    return f"; write {{{members}}}"


# --- what is not read ---


def unknown_parameters(kind: type[msgspec.Struct] | None, pairs: Iterable[tuple[str, str]]) -> list[Item]:
    """An error for each parameter of a query that is not in the type (None: there are none)."""
    known = kind.__struct_encode_fields__ if kind is not None else ()
    found: list[Item] = []
    for name, value in dict(pairs).items():
        if name not in known:
            about = did_you_mean(name, known) or (
                f"; it takes {', '.join(known)}" if known else "; it takes no parameters"
            )
            message = f"{shown(name)[:_NAME_CHARS_MAX]} is no parameter of this operation{about}"
            found.append(
                {"type": "unknown_parameter", "loc": ["query", shown(name)], "msg": message, "input": shown(value)}
            )
    return found


def ignored_members(kind: type[msgspec.Struct], body: bytes | msgspec.Raw) -> list[str]:
    """A sentence for each member of a body that is in no type and was ignored. `body` is what is read by the type; a
    body that is none has no members."""
    found: list[str] = []
    _look_for_ignored(kind, body, "", found)
    more = len(found) - _NAMED_MAX
    return [*found[:_NAMED_MAX], *([f"{more} more members were ignored"] if more > 0 else [])]


def _look_for_ignored(kind: type[msgspec.Struct], body: bytes | msgspec.Raw, outer: str, found: list[str]) -> None:
    try:
        members = _members.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return
    known = kind.__struct_encode_fields__
    for name, inner in members.items():
        if name not in known:
            plain = shown(f"{outer}{name}"[:_NAME_CHARS_MAX])
            found.append(f"{plain} is no member of this body and was ignored{did_you_mean(name, known)}")
        elif (within := _struct_in(kind, name)[0]) is not None:
            _look_for_ignored(within, inner, f"{outer}{name}.", found)


# --- looking at types ---


@lru_cache
def types_of(kind: type[msgspec.Struct]) -> dict[str, tuple[inspect.Type, ...]]:
    """Member -> the types that it may have."""
    info = inspect.type_info(kind)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{kind} is no struct")
    return {member.encode_name: _plain(member.type) for member in info.fields}


def _plain(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    """The types of a union, or the one, without the words that describe them."""
    if isinstance(kind, inspect.Metadata):
        return _plain(kind.type)
    return (
        tuple(each for part in kind.types for each in _plain(part)) if isinstance(kind, inspect.UnionType) else (kind,)
    )


@lru_cache(maxsize=512)
def _struct_in(kind: type[msgspec.Struct], member: str) -> tuple[type[msgspec.Struct] | None, bool]:
    """The struct that a member is read into, None where it is something else; and whether it may be null."""
    types = types_of(kind)[member]
    inner = next((each.cls for each in types if isinstance(each, inspect.StructType)), None)
    return inner, any(isinstance(each, inspect.NoneType) for each in types)


def _choices(kind: type[msgspec.Struct], member: str) -> tuple[str, ...]:
    """The texts that a member must be one of; empty where it may be any."""
    values = (
        value for each in types_of(kind)[member] if isinstance(each, inspect.LiteralType) for value in each.values
    )
    return tuple(value for value in values if isinstance(value, str))
