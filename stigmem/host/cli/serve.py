"""`stigmem serve`: run a node until it is told to stop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import trio
from cyclopts import App

import stigmem
from stigmem.host.cli.flags import Config, Flags, resolved
from stigmem.host.cli.speech import examples, say, tell
from stigmem.host.settings import HostSettings

if TYPE_CHECKING:
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
    from stigmem.host.cli.progress import loading
    from stigmem.host.observe import configure_logs
    from stigmem.host.run import deployed

    found = resolved(flags, config)
    settings = found.settings
    configure_logs(settings.log_style, settings.log_level)
    for remark in found.remarks:
        say(f"note: {remark}")
    stop, ready, at_once = trio.Event(), trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        with loading() as progress, trio.CancelScope() as everything:
            await nursery.start(_signals, stop, ready, at_once, everything)
            async with deployed(settings, listening=_tell_place, progress=progress) as node:
                ready.set()
                _tell_ready(node)
                nursery.start_soon(_hang_up, node)
                await stop.wait()
                say("stopping: requests under way are finished; a second signal stops at once")
        nursery.cancel_scope.cancel()
    if at_once.is_set():
        say("stopped at once")
    elif not ready.is_set():
        say("stopped while the journal was read; nothing was under way")
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


def _tell_place(node: Deployed) -> None:
    settings = node.settings
    tell(f"stigmem {stigmem.__version__}, node {node.identity.node_id}")
    tell(f"listening on {_address(settings, node.port)}, reached as {node.url}, documented at {node.url}/docs")
    if node.journal.torn:
        say("note: the last write was torn by a crash and is gone; nobody had been told that it was stored")


def _tell_ready(node: Deployed) -> None:
    settings = node.settings
    many = f"{node.facts} fact{'' if node.facts == 1 else 's'}"
    tell(f"data in {settings.data_dir.resolve()}: {many} loaded in {node.load_s:.2f} s")
    if settings.federation_enabled:
        tell(f"federation key {node.identity.fingerprint}")
    if settings.auth_required and not node.node.state.keys:
        tell("there is no API key yet; make the first one on this machine with:")
        tell(f"  stigmem auth create-key --entity user:you --permissions read,write --data-dir {settings.data_dir}")
    elif not settings.auth_required:
        tell("authentication is off: every program on this machine may read and write")


def _address(settings: HostSettings, port: int) -> str:
    host = settings.host or "every address"
    return f"{f'[{host}]' if ':' in host else host}:{port}{' (TLS)' if settings.tls else ''}"
