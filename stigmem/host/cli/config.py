"""`stigmem config`: what the settings are and where each came from."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from stigmem.host.cli.flags import Config, Flags, resolved, shown
from stigmem.host.cli.speech import examples, say, show_json, show_table
from stigmem.host.safety import check_settings
from stigmem.host.settings import SETTINGS
from stigmem.host.sources import BadSettings, Resolved

__all__ = ["add_to"]


def add_to(app: App) -> None:
    """Register the commands."""
    config = App(name="config", help="Look at the settings.", help_epilogue="")
    config.command(show, help_epilogue=examples("config show", "config show --json", "config show --port 9000"))
    app.command(config)


def show(
    *,
    json: Annotated[bool, Parameter(negative=(), help="As JSON.")] = False,
    config: Config = None,
    flags: Flags | None = None,
) -> int:
    """Show each setting, its value and where it came from.

    A flag outranks a variable, a variable the settings file, the file the
    default. Takes the flags of `stigmem serve`. Exit status 2 when a node
    would refuse to start with these settings.
    """
    found = resolved(flags, config)
    refusal = _refusal(found)
    rows = [(name, _value(found, name), found.origins[name], setting.variable) for name, setting in SETTINGS.items()]
    if json:
        show_json(
            {
                "settings": {name: {"value": value, "from": origin} for name, value, origin, _ in rows},
                "file": None if found.file is None else str(found.file),
                "remarks": found.remarks,
                "refused": refusal,
            }
        )
    else:
        table = [(name, shown(value), origin, variable) for name, value, origin, variable in rows]
        show_table(("setting", "value", "from", "variable"), table, empty="no settings")
        for remark in found.remarks:
            say(f"note: {remark}")
        if found.file is not None:
            say(f"settings file: {found.file}")
        if refusal is not None:
            say(f"a node would not start with these: {refusal}")
    return 0 if refusal is None else 2


def _value(found: Resolved, name: str) -> Any:
    value = getattr(found.settings, name)
    if SETTINGS[name].secret and value:
        return "(given)"
    return value if isinstance(value, (bool, int, float, str, tuple)) else str(value)


def _refusal(found: Resolved) -> str | None:
    try:
        check_settings(found.settings)
    except BadSettings as error:
        return error.message
    return None
