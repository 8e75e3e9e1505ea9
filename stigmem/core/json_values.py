"""The one text of a JSON value: RFC 8785, the JSON Canonicalization Scheme.

A value of type `json` is compared, hashed and signed by its canonical text, so that two writers who order members or
write numbers differently have said the same. The scheme in one sentence each: members are sorted by the UTF-16 code
units of their names, at every depth; strings have only the escapes that JSON demands; numbers are IEEE 754 doubles,
written as ECMAScript writes them (ECMA-262, Number::toString), the shortest text that reads back as the same double.

    {"b": [1.0, 1e2], "a": "\\u00e9"}   ->   {"a":"é","b":[1,100]}

What has no canonical text is refused: an integer that is neither a double nor the canonical text of one (RFC 8785
would change it silently), a number that is not finite, text that is no Unicode, and what is nested deeper than
JSON_DEPTH_MAX. That a member comes twice cannot be seen here any more (`stigmem.core.json_members`).

Source: RFC 8785 (2020), sections 3.2.2 and 3.2.3, and its appendix B for the numbers (spec/vectors/json_values.json).
"""

from __future__ import annotations

import math
from typing import Any, Final

from stigmem.core import limits
from stigmem.core.canonical import quote
from stigmem.core.errors import Rejection

__all__ = ["VALUES_HEADER", "canonical_json"]

VALUES_HEADER: Final = "stigmem-values"
"""The header by which a client names, between commas, the types of values that it knows beyond the seven of the
contract: `json`. Whoever does not is shown the canonical text, under type text, since published clients fail on a type
that they do not know."""
_PLAIN_EXPONENT: Final = range(-6, 21)
"""Decimal exponents of numbers that ECMAScript writes without one."""


def canonical_json(value: object) -> str:
    """The canonical text of a JSON value as a reader made it: dict, list, str, int, float, bool or None. Raises
    Rejection `malformed_fact` for what has none."""
    parts: list[str] = []
    _write(value, limits.JSON_DEPTH_MAX, parts)
    text = "".join(parts)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _refused("a json value's texts are valid Unicode: half of a character is in one") from error
    return text


def _write(value: Any, depth_left: int, parts: list[str]) -> None:
    if value is None or isinstance(value, bool):
        parts.append("null" if value is None else "true" if value else "false")
    elif isinstance(value, str):
        parts.append(quote(value))
    elif isinstance(value, (int, float)):
        parts.append(_number(value))
    elif depth_left == 0:
        raise _refused(f"a json value is nested at most {limits.JSON_DEPTH_MAX} deep")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            parts.append("," if number else "[")
            _write(each, depth_left - 1, parts)
        parts.append("]" if value else "[]")
    elif isinstance(value, dict):
        for number, name in enumerate(sorted(value, key=_code_units)):
            parts.append(f"{',' if number else '{'}{quote(name)}:")
            _write(value[name], depth_left - 1, parts)
        parts.append("}" if value else "{}")
    else:
        raise _refused(f"JSON has no {type(value).__name__}")


def _code_units(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _number(number: float) -> str:
    """As ECMA-262 writes a Number. Raises Rejection for an integer that no double holds, and for what is not finite."""
    try:
        double = float(number)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        raise _refused("a number in a json value is finite")
    text = _double(double)
    if isinstance(number, int) and int(double) != number and text != str(number):
        raise _refused(f"no double holds the integer {number}: send it as a string")
    return text


def _double(double: float) -> str:
    if double == 0.0:
        return "0"
    sign, text = ("-", repr(-double)) if double < 0 else ("", repr(double))
    mantissa, _, exponent_text = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS times ten to the power of `point`.
    point = int(exponent_text or 0) + (len(whole) if whole != "0" else -(len(fraction) - len(fraction.lstrip("0"))))
    digits = digits.rstrip("0")
    if point - 1 not in _PLAIN_EXPONENT:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    return f"{sign}{digits[:point]}.{digits[point:]}"


def _refused(message: str) -> Rejection:
    return Rejection("malformed_fact", message, field="value.v")
