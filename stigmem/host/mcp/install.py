"""Where programs that speak the Model Context Protocol keep their list of servers, and how ours is put on it.

Each keeps a JSON file in the user's home with an object of servers by name. What else stands in it stays as it is; a
file that cannot be read as JSON is left alone. Nothing is written here that was not shown first
(`stigmem.host.cli.mcp`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from stigmem.host.files import write_private

__all__ = ["ClientName", "Plan", "Unreadable", "plan", "write"]

ClientName = Literal["claude-desktop", "cursor", "gemini", "vscode", "windsurf"]
_NAME: Final = "stigmem"


class Unreadable(Exception):
    """The file is there and is no JSON object; the text is a sentence."""


class Plan(NamedTuple):
    """What would be written where."""

    path: Path
    before: str
    after: str


def _place(client: ClientName, home: Path) -> tuple[Path, str]:
    """The file of a program and the member with its servers."""
    settings = home / ("Library/Application Support" if sys.platform == "darwin" else ".config")
    places: dict[ClientName, tuple[Path, str]] = {
        "claude-desktop": (settings / "Claude" / "claude_desktop_config.json", "mcpServers"),
        "cursor": (home / ".cursor" / "mcp.json", "mcpServers"),
        "gemini": (home / ".gemini" / "settings.json", "mcpServers"),
        "vscode": (settings / "Code" / "User" / "mcp.json", "servers"),
        "windsurf": (home / ".codeium" / "windsurf" / "mcp_config.json", "mcpServers"),
    }
    return places[client]


def plan(client: ClientName, arguments: list[str], home: Path) -> Plan:
    """What the file of a program would become with `stigmem mcp` and these arguments in it. Raises Unreadable."""
    path, member = _place(client, home)
    path = path.resolve()  # a file kept elsewhere and linked to stays there
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        found: Any = json.loads(before or "{}")
    except ValueError as error:
        raise Unreadable(f"{path} is no JSON ({error}); put the server in by hand") from error
    servers = found.setdefault(member, {}) if isinstance(found, dict) else None
    if not isinstance(servers, dict):
        raise Unreadable(f"{path} holds no object of servers under {member!r}; put the server in by hand")
    server: dict[str, Any] = {"command": sys.executable, "args": ["-m", "stigmem", "mcp", *arguments]}
    servers[_NAME] = ({"type": "stdio"} if client == "vscode" else {}) | server
    return Plan(path, before, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def write(planned: Plan) -> None:
    """Make it so; what was there before is kept beside it."""
    planned.path.parent.mkdir(parents=True, exist_ok=True)
    if planned.before:
        write_private(planned.path.with_name(planned.path.name + ".before-stigmem"), planned.before.encode())
    write_private(planned.path, planned.after.encode())
