"""What is told of a run once it is over: judgement, frames, tables, figures, the run folder.

Modules here read a finished run and never change one. Heavy libraries (matplotlib, polars) are imported inside
the functions that need them, so that a command that draws nothing starts quickly.
"""

from __future__ import annotations

__all__: list[str] = []
