"""`stigmem export`, `import` and `backup`: facts as text, and the whole journal as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from stigmem.host.cli.speech import Mistake, examples, say
from stigmem.host.cli.where import Where

__all__ = ["add_to", "named_once"]

_DataDir = Annotated[Path | None, Parameter(help="Data directory of the node.")]
_Config = Annotated[Path | None, Parameter(help="Settings file.")]


def add_to(app: App) -> None:
    """Register the commands."""
    app.command(export, help_epilogue=examples("export facts.jsonl", "export | gzip > facts.jsonl.gz"))
    app.command(import_, name="import", help_epilogue=examples("import facts.jsonl --data-dir new-data"))
    app.command(backup, help_epilogue=examples("backup /var/backups/stigmem-monday.db"))
    app.command(restore, help_epilogue=examples("restore /var/backups/stigmem-monday.db --data-dir new-data"))
    app.command(recover, help_epilogue=examples("recover", "recover --accept-loss"))


def export(
    file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    out: Annotated[str | None, Parameter(help="The same, as an option.")] = None,
    data_dir: _DataDir = None,
    config: _Config = None,
) -> None:
    """Write every fact as a line of JSON, with all that is known of it.

    Works while the node runs. Peers, keys and the audit log are not facts, and
    the facts of gardens stay in their gardens: for a copy of everything see
    `stigmem backup`.

    Parameters
    ----------
    file
        File to write, readable by you alone; - for standard output, as when none is named.
    """
    from stigmem.host.files import private_file
    from stigmem.host.transfer import export_facts, garden_facts_of

    directory = Where(data_dir=data_dir, config=config).directory
    target = named_once(file, out)
    if target == "-":
        count = export_facts(directory, sys.stdout.buffer)
        sys.stdout.flush()
    else:
        with private_file(Path(target)) as stream:
            count = export_facts(directory, stream)
    say(f"{count} fact{'' if count == 1 else 's'} written{'' if target == '-' else f' to {target}'}")
    if inside := garden_facts_of(directory):
        say(f"left out: {inside} fact{'' if inside == 1 else 's'} of gardens, which a backup has")


def named_once(file: str | None, out: str | None) -> str:
    """The file to write, which may be named by position or by --out; raises Mistake when by both."""
    if file is not None and out is not None:
        raise Mistake(f"name one file to write, not both {file} and --out {out}")
    return file or out or "-"


def import_(file: Path, /, *, data_dir: _DataDir = None, config: _Config = None) -> None:
    """Take an export into an empty data directory, facts exactly as they were.

    Stamps, ids, origins and the order of storing are kept; all of it is taken
    or nothing. The directory must belong to the same node: copy its
    federation.key there first.

    Parameters
    ----------
    file
        What `stigmem export` wrote.
    """
    from stigmem.host.transfer import BadExport, import_facts

    settings = Where(data_dir=data_dir, config=config).settings
    try:
        with file.open("rb") as lines:
            count = import_facts(settings, iter(lines))
    except BadExport as error:
        raise Mistake(f"{file}: {error.message}") from error
    say(f"{count} fact{'' if count == 1 else 's'} taken into {settings.data_dir}")


def backup(file: Path, /, *, data_dir: _DataDir = None, config: _Config = None) -> None:
    """Copy the whole journal into a file, while the node runs or not.

    `stigmem restore` takes it back. The key is not in the backup.

    Parameters
    ----------
    file
        File to write; it must not exist.
    """
    from stigmem.host.transfer import back_up

    settings = Where(data_dir=data_dir, config=config)
    directory = settings.directory
    size = back_up(directory, file)
    say(f"{size / 1e6:.1f} MB written to {file}; keep {directory / 'federation.key'} as well, it is not in there")


def restore(file: Path, /, *, data_dir: _DataDir = None, config: _Config = None) -> None:
    """Make a data directory from a backup.

    The directory must hold no journal yet. Copy the federation.key that belongs
    to the backup there as well. What was stored after the backup is not in it.

    Parameters
    ----------
    file
        What `stigmem backup` wrote.
    """
    from stigmem.host.transfer import restore as take_back

    directory = Where(data_dir=data_dir, config=config).settings.data_dir
    facts = take_back(file, directory)
    say(f"{facts} fact{'' if facts == 1 else 's'} restored into {directory}; federation.key must be put there as well")


def recover(
    *,
    accept_loss: Annotated[
        bool, Parameter(negative=(), help="Go on without what was acknowledged and is gone.")
    ] = False,
    data_dir: _DataDir = None,
    config: _Config = None,
) -> None:
    """Open a journal whose last commits are gone.

    A node does not start when commits that it acknowledged are missing, or
    cannot be read. This says how many; with --accept-loss it goes on without
    them, and keeps the damaged write-ahead log beside the journal.
    """
    from stigmem.host.journal import SqliteJournal

    directory = Where(data_dir=data_dir, config=config).settings.data_dir
    if not directory.is_dir():
        raise Mistake(f"there is no data directory {directory}")
    journal = SqliteJournal(directory, accept_loss=accept_loss)
    journal.close()
    for remark in journal.remarks:
        say(remark)
    say(f"{directory} can be used: a node starts on it")
