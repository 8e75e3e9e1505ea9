"""The bar that shows how far the journal has been read, where somebody is looking and there is much to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from stigmem.host.cli.speech import interactive

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["loading"]

_WORTH_SHOWING: Final = 20_000


@contextmanager
def loading() -> Iterator[Callable[[int, int], None]]:
    """A function to call with records read and facts in all."""
    bar: Progress | None = None
    task: TaskID | None = None

    def progress(read: int, facts: int) -> None:
        nonlocal bar, task
        if facts < _WORTH_SHOWING or not interactive():
            return
        if bar is None:
            bar = _bar()
            bar.start()
            task = bar.add_task("reading the journal", total=facts)
        if task is not None:
            bar.update(task, completed=min(read, facts))

    try:
        yield progress
    finally:
        if bar is not None:
            bar.stop()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
