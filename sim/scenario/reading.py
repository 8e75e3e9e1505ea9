"""Reading scenario files: TOML into typed values, and what is wrong with file, line and key.

Everything a person can get wrong in a file ends here as one BadScenario; nothing else is raised. Whether the
parts fit together is `sim.scenario.planning`, which raises the same.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from sim.diagnostics.errors import Misfit
from sim.diagnostics.suggestions import meant, quoted
from sim.diagnostics.toml_lines import Lines, key_text, parse_key
from sim.kinds import AmbiguousKind
from sim.scenario.plugins import import_plugins, named_modules, plugins_in
from sim.scenario.scalars import PARSERS
from sim.scenario.schema import scenario_schema
from sim.scenario.schema_errors import Mistake, find_mistakes
from sim.scenario.tables import Scenario, scenario_type

__all__ = [
    "BadScenario", "Source", "load_scenario", "parse_scenario", "plain_values", "read_source", "scenario_schema",
    "typed",
]  # fmt: skip

_BYTES_MAX: Final = 4_194_304
"""No scenario is that long; a trace or a map given by mistake may be."""
_TOLD_MAX: Final = 20


class BadScenario(Exception):
    """A scenario that cannot be run: a sentence per mistake, each with file, line and key, a line each.

    `path`, `line` and `key` are those of the first mistake, `mistakes` all of them in the order of the file, of
    several on one key the first.
    Entries of lists are counted from 0: `fault[1]` is the second fault.
    """

    def __init__(self, mistakes: Sequence[Mistake], path: Path | None = None, lines: Lines | None = None) -> None:
        def line_of(mistake: Mistake) -> int | None:
            return None if lines is None else lines.of(mistake.path)

        self.path = path
        first_of_each = {mistake.path: mistake for mistake in reversed(mistakes)}
        once = [mistake for mistake in mistakes if first_of_each[mistake.path] is mistake]
        self.mistakes = tuple(sorted(once, key=lambda mistake: line_of(mistake) or 0))
        self.key = key_text(self.mistakes[0].path)
        self.line = line_of(self.mistakes[0])
        told = [_told(mistake, path, line_of(mistake)) for mistake in self.mistakes[:_TOLD_MAX]]
        if len(self.mistakes) > _TOLD_MAX:
            told.append(f"{path or 'the scenario'}: and {len(self.mistakes) - _TOLD_MAX} more mistakes")
        super().__init__("\n".join(told))

    def located(self, path: Path, lines: Lines) -> BadScenario:
        """The same with file and lines."""
        return BadScenario(self.mistakes, path, lines)


class _BadText(BadScenario):
    """A file that could not be read or is not TOML: there is a line at most, and no key."""

    def __init__(self, path: Path | None, sentence: str, line: int | None = None) -> None:
        super().__init__([Mistake((), sentence)])
        self.path, self.line = path, line
        self.args = (_told(self.mistakes[0], path, line),)


def _told(mistake: Mistake, path: Path | None, line: int | None) -> str:
    place = "" if path is None else f"{path}:{line}: " if line is not None else f"{path}: "
    return place + (f"{key_text(mistake.path)}: " if mistake.path else "") + mistake.sentence


class Source(NamedTuple):
    """A scenario as read from a file, and where its keys stand there."""

    path: Path
    lines: Lines
    scenario: Scenario


def load_scenario(path: str | Path, *, allow_plugins: bool = False) -> Scenario:
    """A scenario from a file; raises BadScenario. `allow_plugins`: whether modules that it names may be imported."""
    return read_source(Path(path), allow_plugins=allow_plugins).scenario


def parse_scenario(text: str, *, allow_plugins: bool = False) -> Scenario:
    """A scenario from the text of a file; raises BadScenario."""
    return _parse(text, None, allow_plugins=allow_plugins).scenario


def read_source(path: Path, *, allow_plugins: bool = False) -> Source:
    """A scenario from a file, with the places of its keys; raises BadScenario."""
    return _parse(_read(path), path, allow_plugins=allow_plugins)


def _parse(text: str, path: Path | None, *, allow_plugins: bool) -> Source:
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _syntax(error, text, path) from None
    if not values:
        raise _BadText(path, "the file is empty; a scenario begins with [scenario] and a name")
    lines = Lines(text)
    try:
        scenario = typed(values, folder=Path() if path is None else path.parent, allow_plugins=allow_plugins)
    except BadScenario as error:
        raise BadScenario(error.mistakes, path, lines if path is not None else None) from None
    return Source(path or Path(), lines, scenario)


def typed(values: dict[str, Any], *, folder: Path = Path(), allow_plugins: bool = False) -> Scenario:
    """A scenario from plain values; raises BadScenario without file and line. Plugins are looked for in `folder` too,
    and imported only with `allow_plugins`."""
    plugins = plugins_in(values)
    try:
        import_plugins(plugins, folder, allowed=allow_plugins)
        shape = scenario_type(named_modules(plugins))
    except Misfit as misfit:
        raise BadScenario([Mistake(parse_key(misfit.key), misfit.sentence)]) from None
    except AmbiguousKind as error:
        raise BadScenario([Mistake(("scenario", "plugins"), str(error))]) from None
    mistakes = find_mistakes(values, shape)
    if mistakes:
        raise BadScenario(mistakes)
    return msgspec.convert(values, shape, dec_hook=_united)


def plain_values(value: Any) -> Any:
    """The reverse of `typed`: structs as tables by the names of their keys, what is unset left out."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        table = {} if config.tag_field is None else {config.tag_field: config.tag}
        for field in msgspec.structs.fields(value):
            inner = getattr(value, field.name)
            factory = field.default_factory
            default = field.default if factory is msgspec.NODEFAULT else factory()
            if inner is not None and inner != default:
                table[field.encode_name] = plain_values(inner)
        return table
    if isinstance(value, dict):
        return {key: plain_values(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_values(inner) for inner in value]
    return value


def _united(kind: type, value: Any) -> Any:
    return PARSERS[kind](value) if isinstance(value, str) else kind(value)


# --- files and TOML ---


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise _BadText(path, "this is a folder; name one scenario file, such as " + str(path / "split-brain.toml"))
        if not path.exists():
            siblings = sorted(other.name for other in path.parent.glob("*.toml")) if path.parent.is_dir() else []
            near = meant(path.name, [name for name in siblings if name != path.name])  # a link may lead nowhere
            raise _BadText(path, "there is no such file" + (f"; did you mean {quoted(near)}?" if near else ""))
        if not path.is_file():
            raise _BadText(path, "this is not an ordinary file; a scenario is a TOML text")
        with path.open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise _BadText(path, f"the file cannot be read: {reason}") from None
    if len(data) > _BYTES_MAX:
        raise _BadText(path, f"the file is longer than {_BYTES_MAX >> 20} MiB; a scenario is a short TOML text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _BadText(path, "the text is not UTF-8; save the file in that encoding", line) from None


_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SYNTAX: Final = (
    (
        r"Cannot declare \(",
        "this table stands twice; put its keys under one header, or write [[...]] for each of several",
    ),
    (r"Cannot overwrite a value|Duplicate inline", "this key has a value already; give it once"),
    (r"Cannot (mutate|redefine)", "this table is complete already; give all of its keys in one place"),
    (r"Expected '\]+' at the end", "a table header ends with its brackets, such as [scenario] or [[fault]]"),
    (r"Expected '=' after a key", "after a key comes '=' and a value, such as seed = 7"),
    (r"Unclosed (array|inline)", "a comma or a closing bracket is missing"),
    (r"Unterminated string|Expected \"|Illegal character '\\n'", "a text is opened here and not closed with a quote"),
    (r"Unescaped '\\'|Invalid hex|Escaped", "in a text a backslash is written twice, or put the text in single quotes"),
    (r"Illegal character", "a character that cannot be seen stands here; delete it"),
    (r"Invalid initial character", "a key is missing, or a table in braces does not stand on one line"),
    (r"Expected newline", "something follows the value; each key has a line of its own"),
    (r"Invalid value", "a value is missing or not understood; texts stand in quotes"),
    (r"Invalid statement", "a line is a header, such as [scenario], or a key with a value, such as seed = 7"),
    (r"Exceeds the limit", "a number has too many digits"),
)
_CURLY: Final = "\u201c\u201d\u201e\u2018\u2019"
"""Quotes of word processors."""
_UNQUOTED: Final = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*([^\"'\[{#\s][^\"'#,]*?)\s*(?:#.*)?")


def _syntax(error: Exception, text: str, path: Path | None) -> _BadText:
    """What is wrong with a text that is not TOML, in our words."""
    if isinstance(error, RecursionError):
        return _BadText(path, "brackets are nested too deeply for a scenario")
    message = str(error)
    place = _PLACE.search(message)
    rows = text.splitlines() or [""]
    line = int(place[1]) if place is not None and place[1] else len(rows) if place is not None else None
    bare = _UNQUOTED.fullmatch(rows[line - 1]) if line is not None and line <= len(rows) else None
    if bare is not None and not re.fullmatch(r"[\d.+-]+|true|false", bare[2]):
        return _BadText(
            path, f'not valid TOML: a text stands in quotes; write {bare[1]} = "{bare[2].strip(_CURLY)}"', line
        )
    said = next((ours for theirs, ours in _SYNTAX if re.match(theirs, message)), None)
    column = f" (column {place[2]})" if place is not None and place[2] else ""
    plain = _PLACE.sub("", message)
    return _BadText(path, f"not valid TOML: {said or plain[:1].lower() + plain[1:]}{column}", line)
