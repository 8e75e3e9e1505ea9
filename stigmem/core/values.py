"""The eight typed values of a fact and their one canonical text (spec/facts.md, section 2).

Strict on the way in, exact on the way out: what is stored is the type and the canonical text, which is also
the text that content ids hash. Nothing is coerced between types.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Rejection
from stigmem.core.json_values import canonical_json
from stigmem.core.suggestions import one_of
from stigmem.core.timestamps import is_datetime_text

__all__ = ["INTERPRETATIONS", "KINDS", "Value", "number_text", "parse_value", "wire_value"]

KINDS: Final = ("string", "text", "number", "boolean", "datetime", "ref", "null", "json")
INTERPRETATIONS: Final = ("content", "instruction")


class Value(msgspec.Struct, frozen=True, order=True, gc=False):
    """A typed value: `kind` is one of KINDS, `text` its canonical text.

    Two values differ when kind or text differ; `interpret_as` takes no part in contradiction.
    """

    kind: str
    text: str
    interpret_as: str = "content"

    def wire(self) -> dict[str, Any]:
        """The JSON object of this value, as responses and pages carry it."""
        return wire_value(self.kind, self.text, self.interpret_as)


def number_text(number: float) -> str:
    """Shortest text that reads back as the same double; 42 and 42.0 are both `42.0`."""
    return repr(float(number))


def _number(v: object) -> str:
    if isinstance(v, bool) or not isinstance(v, (int, float)):
        raise Rejection("malformed_fact", "a number value needs a JSON number", field="value.v")
    try:
        as_float = float(v)
    except OverflowError:
        as_float = math.inf
    if not math.isfinite(as_float):
        raise Rejection("malformed_fact", "a number value must be finite", field="value.v")
    return number_text(as_float)


def _boolean(v: object) -> str:
    if not isinstance(v, bool):
        raise Rejection("malformed_fact", "a boolean value needs true or false", field="value.v")
    return "true" if v else "false"


def _null(v: object) -> str:
    if v is not None:
        raise Rejection("malformed_fact", "a null value carries no v", field="value.v")
    return "null"


def _characters(v: object) -> str:
    if not isinstance(v, str):
        raise Rejection("malformed_fact", "this value type needs a JSON string", field="value.v")
    # A character is at most four bytes: most texts are known to be short without encoding them.
    if len(v) * 4 > limits.STRING_BYTES_MAX and len(v.encode()) > limits.STRING_BYTES_MAX:
        raise Rejection("value_too_large", f"a value holds at most {limits.STRING_BYTES_MAX} bytes", field="value.v")
    return v


def _datetime(v: object) -> str:
    text = _characters(v)
    if not is_datetime_text(text):
        raise Rejection("malformed_fact", "a datetime value needs ISO-8601 text", field="value.v")
    return text


def _ref(v: object) -> str:
    text = _characters(v)
    if not 0 < len(text) <= limits.URI_CHARS_MAX:
        raise Rejection("malformed_fact", f"a ref value needs 1 to {limits.URI_CHARS_MAX} characters", field="value.v")
    return text


def _json(v: object) -> str:
    if v is None:
        raise Rejection("malformed_fact", "a json value is not null: there is the type null for it", field="value.v")
    text = canonical_json(v)
    if len(text) * 4 > limits.STRING_BYTES_MAX and len(text.encode()) > limits.STRING_BYTES_MAX:
        message = f"a json value holds at most {limits.STRING_BYTES_MAX} bytes in its canonical form"
        raise Rejection("value_too_large", message, field="value.v")
    return text


_READERS: Final[dict[str, Callable[[object], str]]] = {
    "string": _characters,
    "text": _characters,
    "number": _number,
    "boolean": _boolean,
    "datetime": _datetime,
    "ref": _ref,
    "null": _null,
    "json": _json,
}


def parse_value(kind: str, v: object, interpret_as: str | None = None) -> Value:
    """A Value from the members of its JSON object. `kind`: the member `type`. `interpret_as`: None counts as `content`.

    Raises Rejection `malformed_fact` (unknown type, v of another type, not finite, not a date),
    `value_too_large` or `invalid_interpret_as`, with the offending field.
    """
    reader = _READERS.get(kind)
    if reader is None:
        raise Rejection("malformed_fact", one_of("value.type", kind, KINDS), field="value.type")
    meaning = interpret_as or "content"
    if meaning not in INTERPRETATIONS:
        message = one_of("interpret_as", meaning, INTERPRETATIONS)
        raise Rejection("invalid_interpret_as", message, field="value.interpret_as")
    return Value(kind, reader(v), meaning)


def wire_value(kind: str, text: str, interpret_as: str) -> dict[str, Any]:
    """The JSON object of a stored value, from the members of a Fact; `v` is never null for another type than null."""
    v: Any = text
    if kind == "number":
        v = float(text)
    elif kind == "boolean":
        v = text == "true"
    elif kind == "null":
        v = None
    elif kind == "json":
        v = msgspec.json.decode(text)
    return {"type": kind, "v": v, "interpret_as": interpret_as}
