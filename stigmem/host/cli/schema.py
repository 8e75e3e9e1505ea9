"""`stigmem schema`: what the values of a relation must look like, and how many it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from cyclopts import App, Parameter

from stigmem.core.errors import Rejection
from stigmem.core.schemas import SchemaDocument, read_document
from stigmem.host.cli.fact import Scope
from stigmem.host.cli.speech import Mistake, examples, say, show_json, show_table, tell
from stigmem.host.cli.where import Where, answer

__all__ = ["add_to"]

_Json = Annotated[bool, Parameter(negative=(), help="As JSON.")]


def add_to(app: App) -> None:
    """Register the commands."""
    schema = App(name="schema", help="Schemas of relations.", help_epilogue="", backend="trio")
    schema.command(show_all, name="list", help_epilogue=examples("schema list"))
    schema.command(show, help_epilogue=examples("schema show shop:price"))
    schema.command(check, help_epilogue=examples("schema check price.json"))
    schema.command(put, help_epilogue=examples("schema put shop:price price.json --source user:ada --scope company"))
    app.command(schema)


async def show_all(*, json: _Json = False, where: Where | None = None) -> None:
    """List the schemas that are in force on the node."""
    async with (where or Where()).connect() as place:
        rows = answer(await place.asker.ask("GET", "/v1/schemas"))["schemas"]
    if json:
        show_json(rows)
        return
    shown = [
        (row["relation"], row["cardinality"], " or ".join(row["schema"].get("value_type") or ["any"]),
         "yes" if row["schema"].get("json_schema") else "", row["authority"], row["fact_id"] or "")
        for row in rows
    ]  # fmt: skip
    columns = ("relation", "values", "type", "JSON Schema", "authority", "fact")
    show_table(columns, shown, empty="no schema is in force")


async def show(relation: str, /, *, json: _Json = False, where: Where | None = None) -> None:
    """Show the schema of one relation.

    Parameters
    ----------
    relation
        Name of the relation, such as shop:price.
    """
    async with (where or Where()).connect() as place:
        row = answer(await place.asker.ask("GET", f"/v1/schemas/{quote(relation, safe='')}"))
    if json:
        show_json(row)
        return
    tell(f"{row['relation']} holds {row['cardinality']} value{'s' if row['cardinality'] == 'many' else ''}")
    tell(f"said by {row['authority']} in fact {row['fact_id']}")
    tell(msgspec.json.format(msgspec.json.encode(row["schema"]), indent=2).decode())


def check(file: Path, /) -> None:
    """See whether a file holds a schema that a node would take. No node is asked.

    Parameters
    ----------
    file
        File with the JSON of a schema.
    """
    _read(file)
    tell(f"{file} holds a schema")


async def put(
    relation: str,
    file: Path,
    /,
    *,
    source: Annotated[str, Parameter(help="Who says so: an entity such as user:ada.")],
    authority: Annotated[str, Parameter(help="Authority in the name of the schema, such as a host name.")] = "local",
    scope: Annotated[Scope | None, Parameter(help="How far it may travel; local when absent.")] = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Give a relation a schema, or replace the one that it has.

    Parameters
    ----------
    relation
        Name of the relation, in lower case.
    file
        File with the JSON of the schema.
    """
    document = _read(file)
    if relation != relation.lower():
        raise Mistake(f"{relation} has capital letters, and names of schemas are kept in lower case: no schema fits it")
    body: dict[str, Any] = {
        "entity": f"stigmem://{authority}/relation/{relation}", "relation": "rel:schema", "source": source,
        "scope": scope or "local", "value": {"type": "text", "v": msgspec.json.encode(document).decode()},
    }  # fmt: skip
    async with (where or Where()).connect() as place:
        fact = answer(await place.asker.ask("POST", "/v1/facts", None, body))
    if json:
        show_json(fact)
    else:
        tell(f"{relation} has a schema, said in fact {fact['id']}")
    if scope is None and not json:
        say("note: its scope is local, so it stays on this node; --scope team, company or public lets it travel")


def _read(file: Path) -> SchemaDocument:
    """The document of a file; raises Mistake with what is wrong."""
    try:
        return read_document(file.read_text("utf-8"))
    except OSError as error:
        raise Mistake(f"{file} cannot be read: {error.strerror}") from error
    except (Rejection, UnicodeDecodeError) as error:
        raise Mistake(f"{file}: {error}") from error
