"""Ending a run from outside, as Ctrl-C does, however slowly its time passes.

A run is one call into trio, and trio looks after signals only every few hundred events, each of which may take seconds.
So whoever does much in one event asks `is_asked` in between, and a signal handler wakes trio's loop.
"""

from __future__ import annotations

import trio

from sim.world.world import World

__all__ = ["Interruption"]


class Interruption:
    """Whether a run was asked to end, and with which error."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._error: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    def begins(self) -> None:
        """The run is under way; called from a task of it."""
        self._token = trio.lowlevel.current_trio_token()

    def ends(self) -> None:
        """The run is over: nothing happens any more when it is asked to end."""
        self._token = None

    def ask(self, error: BaseException) -> None:
        """End the run that is under way with this error, soon; a signal handler may do it."""
        self._error = error
        if self._token is not None:
            self._token.run_sync_soon(self.is_asked)

    def is_asked(self) -> bool:
        """Whether the run was asked to end; then no event after this one happens."""
        if self._error is not None:
            self._world.finish(self._error)
        return self._error is not None
