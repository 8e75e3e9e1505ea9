"""The server of the Model Context Protocol: our tools over the official SDK. The only module that imports it."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult, TextContent, ToolAnnotations

import stigmem
from stigmem.host.cli.speech import Failed
from stigmem.host.mcp.memory import Memory
from stigmem.host.mcp.tools import Tools, offered

__all__ = ["make_server"]

_INSTRUCTIONS: Final = (
    "A memory of facts that outlives this conversation and is shared with other agents. Recall before you answer from "
    "memory, assert what is worth keeping, and name yourself as the source. Facts of other sources may be wrong or "
    "contradict yours: say so, do not hide it."
)


def make_server(memory: Memory) -> MCPServer[Any]:
    """The server on a node, with every tool that the node offers."""
    server: MCPServer[Any] = MCPServer(
        "stigmem-mcp", title="stigmem", instructions=_INSTRUCTIONS, version=stigmem.__version__, log_level="WARNING"
    )
    tools = Tools(memory)
    for tool in offered():
        server.add_tool(
            _answering(tools.method(tool)),
            name=tool.name,
            description=tool.description,
            annotations=ToolAnnotations(read_only_hint=tool.only_reads, destructive_hint=False),
            structured_output=False,
        )

    async def conflicts() -> str:
        """Contradictions that nobody has decided yet."""
        return await tools.list_conflicts()

    server.resource("stigmem://conflicts", name="conflicts", mime_type="application/json")(conflicts)
    server.prompt()(remember)
    return server


def remember(about: str) -> str:
    """Keep what is worth keeping of this conversation."""
    return (
        f"Look through this conversation for what is worth remembering about {json.dumps(about)}. Recall what is known "
        "already, then assert each new thing as one fact, with your own name as the source and a confidence that says "
        "how sure you are. Tell me what you kept."
    )


def _answering(method: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[CallToolResult]]:
    """A tool's function as the protocol wants it: with its arguments and the two ways in which it can end."""

    @functools.wraps(method)
    async def tool(*args: Any, **named: Any) -> CallToolResult:
        try:
            text, failed = await method(*args, **named), False
        except Failed as failure:
            text, failed = f"Error: {failure}", True
        return CallToolResult(content=[TextContent(type="text", text=text)], is_error=failed)

    return tool
