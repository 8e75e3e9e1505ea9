"""How often the parts of a JSON Schema are gone through when its references are followed.

A schema may name one of its parts twice, that part another one twice, and so on: thirty lines that come to a thousand
million steps for one value. So references are followed once, on paper, and counted before a value is checked with them.

    {"$ref": "#/$defs/a"}    a names b twice, b names c twice, c is a number: 1 + 2 + 4 references

A part that is reached from itself is not followed again: how often that happens depends on how deep the value is, which
is bounded, and a validator stops where no value is gone into in between.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["REFERENCES_MAX", "references_of"]

REFERENCES_MAX: Final = 10_000
"""References that are followed for one value at most: some milliseconds."""
_WAY_MAX: Final = 200
"""Parts within and behind each other on the way to one: what follows them recurses, here and in the validator."""
_NAMES: Final = ("$ref", "$dynamicRef")


def references_of(schema: dict[str, Any]) -> int:
    """How many references are followed for a value; more than REFERENCES_MAX is all that is said of more. `schema` is
    nested no deeper than readers go."""
    anchors: dict[str, Any] = {}
    _collect(schema, anchors)
    return _Counter(schema, anchors).of(schema)


def _collect(part: Any, anchors: dict[str, Any]) -> None:
    """Parts by the names that they give themselves."""
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _collect(each, anchors)
    if isinstance(part, dict):
        for key, prefix in (("$anchor", "#"), ("$dynamicAnchor", "#"), ("$id", "")):
            name = part.get(key)
            if isinstance(name, str):
                anchors[prefix + name] = part


def _gone_through(part: dict[str, Any]) -> list[Any]:
    """What stands in a part and is gone through with it; definitions are so only where something names them."""
    return [each for key, each in part.items() if key not in ("$defs", "definitions")]


class _Counter:
    """Follows references, each part once."""

    def __init__(self, schema: dict[str, Any], anchors: dict[str, Any]) -> None:
        self._schema = schema
        self._anchors = anchors
        self._known: dict[int, int] = {}
        self._open: dict[int, None] = {}

    def of(self, part: Any) -> int:
        """How many references are followed from a part on; of a way that is too long, more than REFERENCES_MAX."""
        if not isinstance(part, (dict, list)) or id(part) in self._open:
            return 0
        if len(self._open) == _WAY_MAX:
            return REFERENCES_MAX + 1
        if id(part) not in self._known:
            self._open[id(part)] = None
            count = 0
            for each in part if isinstance(part, list) else _gone_through(part):
                count += self.of(each)
            if isinstance(part, dict):
                for name in _NAMES:
                    if isinstance(target := part.get(name), str):
                        count += 1 + self.of(self._target(target))
            del self._open[id(part)]
            self._known[id(part)] = min(count, REFERENCES_MAX + 1)
        return self._known[id(part)]

    def _target(self, name: str) -> Any:
        """What a reference names; the whole schema where that is not found, which counts no less."""
        if name in self._anchors:
            return self._anchors[name]
        found: Any = self._schema
        for escaped in name.partition("#")[2].split("/")[1:]:
            step = escaped.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            else:
                return self._schema
        return found
