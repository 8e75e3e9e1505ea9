"""Where in a TOML text a key stands.

`tomllib` gives values without places; this finds the line of every key with tree-sitter's grammar, for texts
that `tomllib` has already accepted. Nothing is judged here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Final

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

__all__ = ["KeyPath", "Lines", "key_text", "parse_key"]

KeyPath = tuple[str | int, ...]
"""Keys from the root, lists by index from 0: ("fault", 1, "at")."""

_TOML: Final = Language(tree_sitter_toml.language())
_VALUES_INSIDE: Final = ("inline_table", "array")


class Lines:
    """The line of each key of one text, counted from 1."""

    def __init__(self, text: str) -> None:
        self._line: dict[KeyPath, int] = {}
        self._count: dict[KeyPath, int] = {}
        for node in Parser(_TOML).parse(text.encode()).root_node.named_children:
            self._read(node)

    def of(self, path: KeyPath) -> int | None:
        """The line of a key, or of the nearest table around it; None when it is nowhere in the text."""
        for length in range(len(path), 0, -1):
            line = self._line.get(path[:length])
            if line is not None:
                return line
        return None

    def _read(self, node: Node) -> None:
        if node.type == "pair":
            self._pair(node, ())
        elif node.type in ("table", "table_array_element"):
            name, *pairs = (child for child in node.named_children if child.type != "comment")
            keys = _keys(name)
            path = self._inside(keys[:-1])
            if node.type == "table":
                path = (*path, keys[-1])
            else:
                array = (*path, keys[-1])
                number = self._count.get(array, 0)
                self._count[array] = number + 1
                self._note(array, node)
                path = (*array, number)
            self._note(path, node)
            for pair in pairs:
                self._pair(pair, path)

    def _inside(self, keys: tuple[str, ...]) -> KeyPath:
        """The path of a table header's outer keys: in a list of tables they mean its last one."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._count:
                path = (*path, self._count[path] - 1)
        return path

    def _pair(self, node: Node, outer: KeyPath) -> None:
        name, *values = (child for child in node.named_children if child.type != "comment")
        path = outer
        for key in _keys(name):
            path = (*path, key)
            self._note(path, node)
        for value in values:
            self._value(value, path)

    def _value(self, node: Node, path: KeyPath) -> None:
        self._note(path, node)
        if node.type in _VALUES_INSIDE:
            children = [child for child in node.named_children if child.type != "comment"]
            for number, child in enumerate(children):
                if node.type == "inline_table":
                    self._pair(child, path)
                else:
                    self._value(child, (*path, number))

    def _note(self, path: KeyPath, node: Node) -> None:
        self._line.setdefault(path, node.start_point.row + 1)


def _keys(node: Node) -> tuple[str, ...]:
    if node.type == "dotted_key":
        return tuple(key for child in node.named_children for key in _keys(child))
    text = (node.text or b"").decode()
    return (next(iter(tomllib.loads(f"{text} = 0"))),)


def key_text(path: KeyPath) -> str:
    """A path as people read it: `fault[1].at`; keys that are not plain words stand in quotes."""
    parts = []
    for key in path:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        else:
            plain = key.replace("_", "").replace("-", "").isalnum()
            parts.append(("." if parts else "") + (key if plain else f"'{key}'"))
    return "".join(parts)


def parse_key(text: str) -> KeyPath:
    """The path of a text made by `key_text`, or written by hand in the same form."""
    return tuple(_parts(text))


def _parts(text: str) -> Iterator[str | int]:
    rest = text
    while rest:
        if rest.startswith("["):
            number, _, rest = rest[1:].partition("]")
            yield int(number)
        elif rest.startswith("'"):
            end = rest.find("'.", 1)
            name, rest = (rest[1:end], rest[end + 1 :]) if end > 0 else (rest[1:].removesuffix("'"), "")
            yield name
        else:
            stop = min((at for at in (rest.find("."), rest.find("[")) if at >= 0), default=len(rest))
            name, rest = rest[:stop], rest[stop:]
            yield name
        rest = rest.removeprefix(".")
