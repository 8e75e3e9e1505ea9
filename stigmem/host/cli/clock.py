"""`stigmem clock`: whether the node believes its clock, telling it that it may, and the way out when it was wrong."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from stigmem.host.cli.clock_void import void
from stigmem.host.cli.speech import examples, say, show_json, show_table
from stigmem.host.cli.where import Where, answer

__all__ = ["add_to"]


def add_to(app: App) -> None:
    """Register the commands."""
    clock = App(name="clock", help="The clock that stamps come from.", help_epilogue="", backend="trio")
    clock.command(status, help_epilogue=examples("clock status", "clock status --json"))
    clock.command(
        void, help_epilogue=examples("clock void", "clock void --yes --reissue", "clock void --since '2h ago' --yes")
    )
    clock.command(confirm, help_epilogue=examples("clock confirm"))
    app.command(clock)


async def status(
    *, json: Annotated[bool, Parameter(negative=(), help="As JSON.")] = False, where: Where | None = None
) -> int:
    """Show whether the wall clock is believed, and whether stamps are ahead of it.

    Exit status 1 when the clock is in doubt or stamps are ahead.
    """
    async with (where or Where()).connect() as place:
        found = answer(await place.asker.ask("GET", "/v1/admin/clock"))
    if json:
        show_json(found)
    else:
        show_table(("what", "is"), _rows(found), empty="")
    return 1 if found["in_doubt"] or found["own_stamps_ahead_s"] else 0


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("wall clock", found["wall"]), ("the node goes by", found["now"])]
    if found["in_doubt"]:
        peers = f"{found['agreeing']} of {found['peers']} peers agree, {found['contradicting']} contradict"
        rows += [
            ("in doubt", f"for {found['doubted_for_s']:.0f} s: it jumped {found['lead_s']:.0f} s ahead; {peers}"),
            ("until then", "writes are answered 503; run `stigmem clock confirm` if the wall clock is right"),
        ]
    else:
        rows.append(("in doubt", "no"))
    if found["own_stamps_ahead_s"]:
        ahead = f"by {found['own_stamps_ahead_s']:.0f} s: peers take what is written now when that time has passed"
        rows += [("own stamps ahead", ahead), ("the way out", "`stigmem clock void` shows what can be taken out")]
    if found["start_lead_s"] is not None:
        rows.append(("at the start", f"{found['start_lead_s']:+.1f} s from the journal's newest stamp"))
    return rows


async def confirm(*, where: Where | None = None) -> None:
    """Say that the wall clock is right, so that the node writes again."""
    async with (where or Where()).connect() as place:
        found = answer(await place.asker.ask("POST", "/v1/admin/clock/confirm"))
    say(f"confirmed: the node goes by {found['now']}")
