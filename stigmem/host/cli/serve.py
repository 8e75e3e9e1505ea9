"""`stigmem serve`: run a node until it is told to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio
from cyclopts import App

from stigmem.host.cli.exits import BUG, explained, innermost
from stigmem.host.cli.flags import Config, Flags, resolved
from stigmem.host.cli.speech import examples
from stigmem.host.settings import SETTINGS, HostSettings

if TYPE_CHECKING:
    from stigmem.host.cli.voice import Voice
    from stigmem.host.logs import LogStyle
    from stigmem.host.run import Deployed

__all__ = ["add_to"]

_AT_ONCE = 1


def add_to(app: App) -> None:
    """Register the command."""
    app.command(
        serve,
        help_epilogue=examples(
            "serve",
            "serve --port 9000 --data-dir /var/lib/stigmem",
            "serve --config /etc/stigmem.toml --log-style json",
            "serve --federation-enabled --node-url https://north.example --tls-cert-path north.pem "
            "--tls-key-path north.key --tls-ca-bundle ca.pem --host 0.0.0.0",
        ),
    )


async def serve(*, config: Config = None, flags: Flags | None = None) -> int:
    """Run a node.

    Listens on this machine only, asks every caller for an API key and does not
    federate, unless told otherwise. Each flag is also a variable and a key of
    the settings file; `stigmem config show` says what counts.

    SIGINT and SIGTERM stop it when what is under way is finished, a second one
    at once; SIGHUP reads the TLS files again.
    """
    from stigmem.host.cli.voice import voice_of
    from stigmem.host.log_queue import unblocked_streams
    from stigmem.host.logs import configure_logs, dropped_line

    style = _style(flags)
    with unblocked_streams(dropped_line(style)) as queues:
        try:
            found = resolved(flags, config)
            settings = found.settings
            configure_logs(settings.log_style, settings.log_level)
            voice = voice_of(settings.log_style)
            for remark in found.remarks:
                voice.note(remark)
            return await _run(settings, voice, lambda: sum(queue.dropped for queue in queues))
        except Exception as error:
            status, sentence = explained(innermost(error))
            if style == "console" or status == BUG:
                raise
            voice_of(style).refused(sentence, status)
            return status


def _style(flags: Any) -> LogStyle:
    """The form of the log, before it is known whether the settings can be read at all."""
    named = getattr(flags, "log_style", None) or os.environ.get(SETTINGS["log_style"].variable)
    return "json" if named == "json" else "console"


async def _run(settings: HostSettings, voice: Voice, log_lines_dropped: Callable[[], int]) -> int:
    from stigmem.host.cli.progress import loading
    from stigmem.host.run import deployed

    stop, ready, at_once = trio.Event(), trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        with loading() as progress, trio.CancelScope() as everything:
            await nursery.start(_signals, stop, ready, at_once, everything)
            async with deployed(
                settings, listening=voice.listening, progress=progress, log_lines_dropped=log_lines_dropped
            ) as node:
                ready.set()
                voice.ready(node)
                nursery.start_soon(_hang_up, node)
                await stop.wait()
                voice.stopping()
        nursery.cancel_scope.cancel()
    voice.stopped(at_once=at_once.is_set(), was_ready=ready.is_set())
    return _AT_ONCE if at_once.is_set() else 0


async def _signals(
    stop: trio.Event,
    ready: trio.Event,
    at_once: trio.Event,
    everything: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        task_status.started()
        async for _ in received:
            if stop.is_set():
                at_once.set()
            if stop.is_set() or not ready.is_set():
                everything.cancel()
            stop.set()


async def _hang_up(node: Deployed) -> None:
    with trio.open_signal_receiver(signal.SIGHUP) as received:
        async for _ in received:
            node.reload_certificates()
