"""A deployed node from start to stop: read this to see what runs in the process and in which order.

Opens the data directory, settles who the node is, listens, loads, starts the actors; and the same backwards. The
command line and the tests both come through `deployed`.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from typing import Final

import trio

from stigmem.core.audit import AuditRow
from stigmem.core.declaration import REJECTED, REVOKED
from stigmem.core.errors import StigmemError
from stigmem.host.app import App, Stage
from stigmem.host.audit_walk import AuditWalk
from stigmem.host.certificate import own_certificate
from stigmem.host.client import HttpTransport
from stigmem.host.context import HostClock, HostEntropy, HostSignatures
from stigmem.host.control import listen_at
from stigmem.host.datadir import database_of
from stigmem.host.gauges import NodeCollector, ProcessCollector, StateCollector
from stigmem.host.http import Server
from stigmem.host.identity import Identity, read_identity, settle_identity
from stigmem.host.journal import SqliteJournal
from stigmem.host.logs import library_logs
from stigmem.host.meaning import meaning_of, missing_extra
from stigmem.host.observe import Observer
from stigmem.host.safety import check_settings
from stigmem.host.settings import HostSettings, node_settings
from stigmem.host.sources import BadSettings, told_settings
from stigmem.host.tls import Certificates
from stigmem.node.node import Node
from stigmem.node.ports import Context

__all__ = ["Deployed", "deployed"]

_FILES_BESIDES: Final = 100
"""Open files that are not connections: the journal, peers, standard streams, room to spare."""
_MCP_REST_S: Final = 1.0
"""The rest after the route for models broke, before it is made again."""


class Deployed:
    """A node with everything around it."""

    def __init__(self, settings: HostSettings, log_lines_dropped: Callable[[], int]) -> None:
        """Nothing is made or opened yet. Raises BadSettings when the TLS files cannot be used."""
        self.settings = settings
        self.journal: SqliteJournal
        self.identity: Identity
        self.audit_walk = AuditWalk(self)
        self._log_lines_dropped = log_lines_dropped
        self.observer = Observer()
        self.certificates = Certificates(settings)
        self._certificate_ends: datetime | None = None
        self._read_certificate()
        self.transport = HttpTransport(
            lambda: self.certificates.client, settings.federation_addresses, self._nodes_expected_at
        )
        self.server = Server(
            settings.host,
            settings.port,
            tls=lambda: self.certificates.server,
            connections_max=settings.connections_max,
            on_bug=self.observer.tell_bug,
            on_refused=self.observer.refused,
        )
        self.node: Node
        self.app: App
        self.control: App
        self.port = 0
        self.facts = 0
        """How many facts were loaded."""
        self.load_s = 0.0

    @property
    def url(self) -> str:
        """The address under which others reach it."""
        return self.node.settings.node_url

    async def audit(self, after: int, limit: int) -> list[AuditRow]:
        """Audit rows, for the walk through all of them."""
        return await self.journal.audit(after, limit)

    def open_data(self) -> None:
        """Open or make the data directory and settle who the node is. Raises DataDirectoryBusy,
        DataDirectoryUnusable, JournalCorrupt or BadSettings."""
        read_identity(self.settings)  # a key that cannot be used is told before anything is made
        self.journal = SqliteJournal(self.settings.data_dir, integrity=False)
        self.identity = settle_identity(self.settings, self.journal)

    def close_data(self) -> None:
        """Let others have the data directory."""
        if hasattr(self, "journal"):
            (self.settings.data_dir / "control.sock").unlink(missing_ok=True)
            self.journal.close()

    def assemble(self, actors: trio.Nursery, port: int) -> None:
        """Build the node on this machine, behind the port that was bound."""
        self.port = port
        chosen = node_settings(self.settings, seed=self.identity.seed, node_id=self.identity.node_id, port=port)
        context = Context(
            HostClock(actors, self.observer.bug),
            HostEntropy(),
            self.transport,
            self.journal,
            HostSignatures(),
            meaning_of(self.settings),
        )
        self.node = Node(chosen, context, self.observer)
        self.app = App(self.node, self.observer)
        told = told_settings(self.settings, port)
        self.control = App(self.node, self.observer, operator=True, settings=told)
        self.certificates.on_change += [self.transport.renew, self._read_certificate]
        process = ProcessCollector(
            certificate_ends=lambda: self._certificate_ends,
            audit_log_broken=lambda: self.audit_walk.broken is not None,
            log_lines_dropped=self._log_lines_dropped,
        )
        self.observer.watch(self.node.state, StateCollector(self.node), process=(NodeCollector(self.node), process))

    def _read_certificate(self) -> None:
        """Note until when this node's own certificate is good. That it cannot be read is told by whoever uses it."""
        self._certificate_ends = None
        if self.settings.tls:
            with suppress(BadSettings, OSError):
                self._certificate_ends = own_certificate(self.settings).ends

    def enter(self, stage: Stage) -> None:
        """Tell both doors how far the process is."""
        self.app.stage = self.control.stage = stage

    def _nodes_expected_at(self, url: str) -> tuple[str, ...]:
        if not self.settings.mutual_tls:
            return ()
        rows = self.node.state.peers.values()
        return tuple(r.node_id for r in rows if r.node_url == url and r.status not in (REJECTED, REVOKED))

    def reload_certificates(self) -> None:
        """Read the TLS files again, now."""
        if self.settings.tls:
            try:
                self.certificates.reload()
            except BadSettings as error:
                self.certificates_seen(error)
            else:
                self.certificates_seen(None)

    def certificates_seen(self, error: BadSettings | None) -> None:
        """Tell what came of a look at the TLS files."""
        if error is None:
            self.observer.log.info("certificates reloaded")
        else:
            self.observer.log.error("certificates not reloaded", reason=error.message)


@asynccontextmanager
async def deployed(
    settings: HostSettings,
    *,
    listening: Callable[[Deployed], None] = lambda _: None,
    progress: Callable[[int, int], None] | None = None,
    log_lines_dropped: Callable[[], int] = lambda: 0,
) -> AsyncIterator[Deployed]:
    """A node that serves until the block ends, and then finishes what is under way.

    `listening` is called when the port is bound and before the journal is read; `progress` with records loaded and
    facts in all; `log_lines_dropped` says how many lines of the log could not be written.

    Raises BadSettings, DataDirectoryBusy, DataDirectoryUnusable, JournalCorrupt or CannotListen.
    """
    check_settings(settings)
    if settings.mcp and find_spec("mcp") is None:
        raise BadSettings("the route /mcp needs the extra [mcp]: pip install 'stigmem-trio[mcp]', or drop --mcp")
    found = Deployed(settings, log_lines_dropped)
    if settings.embed_enabled and not settings.embed_url and (missing := missing_extra()):
        found.observer.log.warning(missing)
    _allow_files(settings.connections_max)
    try:
        with library_logs(found.observer.limiter):
            port = None
            directory = settings.data_dir
            if not database_of(directory).exists() and (directory.is_dir() or not directory.exists()):
                # A first start that is refused must leave nothing behind, least of all a key: so the port comes first.
                port = await found.server.listen()
            found.open_data()
            async with trio.open_nursery() as actors:
                found.assemble(actors, port or await found.server.listen())
                actors.start_soon(found.observer.limiter.run)
                listening(found)
                async with trio.open_nursery() as serving:
                    serving.start_soon(found.server.run, found.app, (await listen_at(settings.data_dir), found.control))
                    await _load(found, progress)
                    found.node.start()
                    if settings.mcp:
                        actors.start_soon(_serve_mcp, found)
                    if settings.tls:
                        actors.start_soon(found.certificates.watch, found.certificates_seen)
                    actors.start_soon(_walk_audit_log, found)
                    found.enter("ready")
                    try:
                        yield found
                    finally:
                        _wind_down(found)
                actors.cancel_scope.cancel()
            await found.transport.aclose()
    except BaseExceptionGroup as group:
        raise _sole_mistake(group) or group from None
    finally:
        found.close_data()


async def _load(found: Deployed, progress: Callable[[int, int], None] | None) -> None:
    """Rebuild the state; a look through the whole file goes on beside it. Raises JournalCorrupt."""
    begin = time.perf_counter()
    count = found.journal.count()
    # The collector would walk millions of objects that stay, again and again.
    gc.disable()
    try:
        async with trio.open_nursery() as looking:
            looking.start_soon(partial(trio.to_thread.run_sync, found.journal.verify, abandon_on_cancel=True))
            await found.node.load(None if progress is None else lambda loaded: progress(loaded, count))
        gc.freeze()
    finally:
        gc.enable()
    found.facts = len(found.node.state.ledger)
    found.load_s = time.perf_counter() - begin
    _tell_clock(found)


def _tell_clock(found: Deployed) -> None:
    """Compare the clock with the newest stamp in the journal, in the log."""
    node = found.node
    lead_ns = node.clock.start_lead_ns
    if lead_ns is None:
        return
    ahead_ms = node.state.stamps_ahead_ms(node.clock.wall_ns() // 1_000_000)
    if ahead_ms:
        found.observer.log.warning(
            "own stamps are ahead of the clock: what is written now reaches no peer before that time has passed",
            ahead_s=ahead_ms // 1_000,
        )
    elif lead_ns < 0:
        found.observer.log.warning("the clock is behind the newest stamp: it was set back", behind_s=-lead_ns / 1e9)
    else:
        found.observer.log.info("the clock is ahead of the newest stamp", ahead_s=round(lead_ns / 1e9, 1))


async def _serve_mcp(found: Deployed) -> None:
    """Offer the tools for models at /mcp; what goes wrong there costs the requests under way and not the node."""
    from stigmem.host.mcp.route import serve_route

    while True:
        try:
            await serve_route(found.app.exchange, found.app.mount)
        except Exception as bug:  # a bug of others or of ours; a trio.Cancelled is none and ends it
            found.observer.tell_bug(bug)
        await trio.sleep(_MCP_REST_S)


async def _walk_audit_log(found: Deployed) -> None:
    walk = found.audit_walk
    await walk.run()
    if walk.broken is not None:
        found.observer.log.error("the audit log was altered", finding=walk.broken, see="stigmem audit verify")


def _wind_down(found: Deployed) -> None:
    """Accept nothing more, and answer the pulls that are held for news: the rest finishes by itself."""
    found.enter("stopping")
    found.node.release_long_polls()
    found.server.stop()


def _allow_files(connections: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _FILES_BESIDES
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise BadSettings(
                f"connections_max = {connections} needs {wanted} open files, and this process may have {hard}: "
                "lower the one or raise the other (ulimit -n)"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _sole_mistake(group: BaseExceptionGroup[BaseException]) -> StigmemError | None:
    """The first error with a sentence for people, when there are no others; else None."""
    mistakes, others = group.split(StigmemError)
    if mistakes is None or others is not None:
        return None
    inner: BaseException = mistakes
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return inner if isinstance(inner, StigmemError) else None
