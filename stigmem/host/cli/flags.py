"""The flags of `stigmem serve` and `stigmem config show`: one per setting, made from the table of settings.

Every flag is text until `stigmem.host.sources` reads it, so that a wrong value is told in the same words wherever it
came from; only switches are switches.
"""

from __future__ import annotations

import os
from dataclasses import asdict, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from cyclopts import Group, Parameter

from stigmem.host.settings import SETTINGS, Setting
from stigmem.host.sources import Resolved, resolve

__all__ = ["Config", "Flags", "resolved"]

_GROUPS: Final = (
    (("federation", "peer"), Group("Federation", sort_key=3)),
    (("tls",), Group("TLS", sort_key=4)),
    (("auth", "api", "source", "rate", "connections"), Group("Access", sort_key=2)),
    (("log",), Group("Log", sort_key=5)),
)
_NODE: Final = Group("Node", sort_key=1)

Config = Annotated[
    Path | None, Parameter(group=_NODE, help="Settings file. [STIGMEM_CONFIG; stigmem.toml where it exists]")
]


def _group(setting: Setting) -> Group:
    word = setting.name.split("_")[0]
    return next((group for words, group in _GROUPS if word in words), _NODE)


def shown(value: object) -> str:
    """A value as a person would write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flag(setting: Setting) -> tuple[str, Any, None]:
    kind: Any = bool if setting.type is bool else str
    choices = f" ({', '.join(get_args(setting.type))})" if get_origin(setting.type) is Literal else ""
    default = shown(setting.default)
    text = f"{setting.meaning}{choices}. [{setting.variable}{f'; {default}' if default else ''}]"
    return setting.name, Annotated[kind | None, Parameter(help=text, group=_group(setting))], None


Flags: Final[Any] = Parameter(name="*")(
    make_dataclass(
        "Flags",
        [_flag(setting) for setting in SETTINGS.values()],
        namespace={"__module__": __name__},  # classes without a module of their own are taken for built-in ones
        frozen=True,
        kw_only=True,
    )
)
"""One optional member per setting."""


def resolved(flags: Any, config: Path | None) -> Resolved:
    """The settings that flags, environment and file give; raises BadSettings."""
    return resolve({} if flags is None else asdict(flags), os.environ, config)
