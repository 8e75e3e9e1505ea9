"""What a node says when it starts and stops: sentences for people, or events in the form of the log.

With `log_style = "json"` everything on standard error is a JSON object a line, from the first word to the last, and
standard output stays empty: whoever collects the log need not know what else could stand there.
"""

from __future__ import annotations

from typing import Protocol

import structlog

import stigmem
from stigmem.host.cli.speech import say, tell
from stigmem.host.logs import LogStyle, configure_logs
from stigmem.host.run import Deployed
from stigmem.host.settings import HostSettings

__all__ = ["Voice", "voice_of"]

_STOPPING = "stopping: requests under way are finished; a second signal stops at once"
_NO_KEYS = "there is no API key yet; make the first one on this machine with:"
_NO_AUTH = "authentication is off: every program on this machine may read and write"


class Voice(Protocol):
    """The events of a process's life."""

    def note(self, remark: str) -> None: ...
    def listening(self, node: Deployed) -> None: ...
    def ready(self, node: Deployed) -> None: ...
    def stopping(self) -> None: ...
    def stopped(self, *, at_once: bool, was_ready: bool) -> None: ...
    def refused(self, sentence: str, status: int) -> None: ...


def voice_of(style: LogStyle) -> Voice:
    """Who speaks."""
    return Events() if style == "json" else Sentences()


class Sentences:
    """For people: what they asked for on standard output, what they should note on standard error."""

    def note(self, remark: str) -> None:
        say(f"note: {remark}")

    def listening(self, node: Deployed) -> None:
        tell(f"stigmem {stigmem.__version__}, node {node.identity.node_id}")
        place = _address(node.settings, node.port)
        tell(f"listening on {place}, reached as {node.url}, documented at {node.url}/docs")
        for remark in node.journal.remarks:
            say(f"note: {remark}")

    def ready(self, node: Deployed) -> None:
        settings = node.settings
        many = f"{node.facts} fact{'' if node.facts == 1 else 's'}"
        tell(f"data in {settings.data_dir.resolve()}: {many} loaded in {node.load_s:.2f} s")
        if settings.federation_enabled:
            tell(f"federation key {node.identity.fingerprint}")
        if settings.auth_required and not node.node.state.keys:
            tell(_NO_KEYS)
            tell(f"  {_first_key(settings)}")
        elif not settings.auth_required:
            tell(_NO_AUTH)

    def stopping(self) -> None:
        say(_STOPPING)

    def stopped(self, *, at_once: bool, was_ready: bool) -> None:
        if at_once:
            say("stopped at once")
        elif not was_ready:
            say("stopped while the journal was read; nothing was under way")

    def refused(self, sentence: str, status: int) -> None:
        say(sentence)


class Events:
    """For machines: one JSON object a line, on standard error."""

    def __init__(self) -> None:
        if not structlog.is_configured():  # the settings themselves were refused
            configure_logs("json", "info")
        self._log = structlog.get_logger()

    def note(self, remark: str) -> None:
        self._log.warning("note", remark=remark)

    def listening(self, node: Deployed) -> None:
        settings = node.settings
        self._log.info(
            "listening", version=stigmem.__version__, node_id=node.identity.node_id, host=settings.host,
            port=node.port, tls=settings.tls, url=node.url,
        )  # fmt: skip
        for remark in node.journal.remarks:
            self.note(remark)

    def ready(self, node: Deployed) -> None:
        settings = node.settings
        self._log.info(
            "ready", data_dir=str(settings.data_dir.resolve()), facts=node.facts, load_s=round(node.load_s, 3),
            federation=settings.federation_enabled, fingerprint=node.identity.fingerprint,
        )  # fmt: skip
        if settings.auth_required and not node.node.state.keys:
            self.note(f"{_NO_KEYS} {_first_key(settings)}")
        elif not settings.auth_required:
            self.note(_NO_AUTH)

    def stopping(self) -> None:
        self._log.info("stopping", remark=_STOPPING)

    def stopped(self, *, at_once: bool, was_ready: bool) -> None:
        self._log.info("stopped", at_once=at_once, was_ready=was_ready)

    def refused(self, sentence: str, status: int) -> None:
        self._log.error("not started", reason=sentence, exit_status=status)


def _first_key(settings: HostSettings) -> str:
    return f"stigmem auth create-key --entity user:you --permissions read,write --data-dir {settings.data_dir}"


def _address(settings: HostSettings, port: int) -> str:
    host = settings.host or "every address"
    return f"{f'[{host}]' if ':' in host else host}:{port}{' (TLS)' if settings.tls else ''}"
