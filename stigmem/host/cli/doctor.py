"""`stigmem doctor`: everything that can be looked at from outside, looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from stigmem.host.cli.speech import examples, show_json, show_table
from stigmem.host.cli.where import Where, running_on
from stigmem.host.datadir import database_of
from stigmem.host.identity import read_identity

if TYPE_CHECKING:
    from stigmem.host import checkup

__all__ = ["add_to"]

_MARKS: Final = {"ok": "ok", "note": "note", "bad": "BAD"}


def add_to(app: App) -> None:
    """Register the command."""
    app.command(doctor, help_epilogue=examples("doctor", "doctor --data-dir /var/lib/stigmem --json"))


async def doctor(
    *, json: Annotated[bool, Parameter(negative=(), help="As JSON.")] = False, where: Where | None = None
) -> int:
    """Check package, settings, meaning, data, audit log, clock, certificates and peers.

    Reads only, also while the node runs. Exit status 1 when something is bad.
    """
    from stigmem.host import checkup

    place = where or Where()
    found = place.resolved()
    settings = found.settings
    findings = [*checkup.check_package(), *checkup.check_settings_of(found), *checkup.check_meaning(settings)]
    if not database_of(settings.data_dir).exists():
        sentence = f"there is no node in {settings.data_dir}: start one with `stigmem serve`, or name another directory"
        findings.append(checkup.Finding("data directory", "bad", sentence))
    else:
        findings += checkup.check_directory(settings)
        findings += checkup.check_journal(settings.data_dir)
        healthy = not any(f.grade == "bad" and f.subject == "journal" for f in findings)
        if healthy:
            findings += checkup.check_clock(settings.data_dir)
            findings += checkup.check_tls(settings, read_identity(settings))
            findings += await checkup.check_peers(settings, settings.data_dir)
            findings.append(await _running(place))
    if json:
        show_json([finding._asdict() for finding in findings])
    else:
        show_table(("what", "", "finding"), [(f.subject, _MARKS[f.grade], f.sentence) for f in findings], empty="")
    return 1 if any(finding.grade == "bad" for finding in findings) else 0


async def _running(where: Where) -> checkup.Finding:
    """Whether a node runs on the data directory and is ready."""
    from stigmem.host import checkup

    settings = where.settings
    async with running_on(settings.data_dir) as asker:
        if asker is None:
            return checkup.Finding("process", "ok", "no node runs on this directory now")
        ready = await asker.ask("GET", "/readyz")
        return checkup.Finding(
            "process", "ok" if ready.status == 200 else "note", f"a node runs: {ready.body.decode()}"
        )
