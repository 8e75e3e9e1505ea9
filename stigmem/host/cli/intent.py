"""`stigmem intent`: what somebody wants to happen, who works on it, and how it stands (spec/intents.md)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from cyclopts import App, Parameter

from stigmem.core.intents import ActKind, IntentState
from stigmem.host.cli.fact import Scope
from stigmem.host.cli.speech import Mistake, examples, show_json, show_table, tell
from stigmem.host.cli.where import Where, answer

__all__ = ["add_to"]

_Json = Annotated[bool, Parameter(negative=(), help="As JSON.")]


def add_to(app: App) -> None:
    """Register the commands."""
    intent = App(name="intent", help="What somebody wants to happen.", help_epilogue="", backend="trio")
    plain = "intent send --from user:ada --to agent:fitter --goal 'Replace the seal' --scope company"
    intent.command(send, help_epilogue=examples(plain, "intent send --file seal.json"))
    intent.command(boxes, name="list", help_epilogue=examples("intent list --of agent:fitter", "intent list --outbox"))
    intent.command(show, help_epilogue=examples("intent show intent:5b0e"))
    asked = "intent act intent:5b0e consulted --rule 0 --by agent:fitter"
    intent.command(act, help_epilogue=examples("intent act intent:5b0e accepted --by agent:fitter", asked))
    app.command(intent)


async def send(
    *,
    sender: Annotated[str | None, Parameter(name="--from", help="Who wants it: your own name.")] = None,
    to: Annotated[tuple[str, ...], Parameter(negative=(), help="Who shall do it; may be given several times.")] = (),
    goal: Annotated[str | None, Parameter(help="What should happen, in words.")] = None,
    scope: Annotated[Scope | None, Parameter(help="Who may read it; company when absent.")] = None,
    expires_at: Annotated[str | None, Parameter(help="ISO-8601 instant after which it is void.")] = None,
    file: Annotated[Path | None, Parameter(help="File with members of the envelope as JSON; - is stdin.")] = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Send an intent. Limits, wishes, deference, escalation and handoff come from a file."""
    body = {} if file is None else _read(file)
    given = {"from": sender, "to": list(to) or None, "goal": goal, "scope": scope, "expires_at": expires_at}
    body |= {name: value for name, value in given.items() if value is not None}
    async with (where or Where()).connect() as place:
        made = answer(await place.asker.ask("POST", "/v1/intents", None, body))
    if json:
        show_json(made)
    else:
        _tell(made)


async def boxes(
    *,
    of: Annotated[str | None, Parameter(help="Whose box; the caller's own when absent.")] = None,
    outbox: Annotated[bool, Parameter(negative=(), help="What was sent instead of what waits.")] = False,
    state: Annotated[IntentState | None, Parameter(help="Only those in this state.")] = None,
    limit: Annotated[int, Parameter(help="At most so many, from 1 to 200.")] = 50,
    cursor: Annotated[str | None, Parameter(help="Where the last page ended.")] = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """List intents that wait for somebody, newest first."""
    box: Literal["inbox", "outbox"] = "outbox" if outbox else "inbox"
    query = {"box": box, "of": of, "state": state, "limit": limit, "cursor": cursor}
    async with (where or Where()).connect() as place:
        page = answer(await place.asker.ask("GET", "/v1/intents", query))
    if json:
        show_json(page)
        return
    rows = [
        (each["id"], each["state"], ", ".join(each["as"]), each["from"], _short(each["goal"]))
        for each in page["intents"]
    ]
    show_table(("intent", "state", "as", "from", "goal"), rows, empty="nothing waits" if not outbox else "nothing sent")
    if page["cursor"] is not None:
        tell(f"more: --cursor {page['cursor']}")


async def show(
    intent_id: str,
    /,
    *,
    include_expired: Annotated[bool, Parameter(negative=(), help="Also when its time has passed.")] = False,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Show an intent, what was done about it, and how it stands.

    Parameters
    ----------
    intent_id
        Its id.
    """
    query = {"include_expired": include_expired}
    async with (where or Where()).connect() as place:
        found = answer(await place.asker.ask("GET", f"/v1/intents/{quote(intent_id, safe=':/')}", query))
    if json:
        show_json(found)
    else:
        _tell(found)


async def act(
    intent_id: str,
    kind: ActKind,
    /,
    *,
    rule: Annotated[int | None, Parameter(help="Place of the rule of deference that is meant, from 0.")] = None,
    text: Annotated[str | None, Parameter(help="The answer, the reason or the result.")] = None,
    by: Annotated[str | None, Parameter(help="Who acts; the caller when absent.")] = None,
    json: _Json = False,
    where: Where | None = None,
) -> None:
    """Say what you do about an intent.

    Parameters
    ----------
    intent_id
        Its id.
    kind
        What you do.
    """
    body = {
        name: value for name, value in (("kind", kind), ("rule", rule), ("text", text), ("by", by)) if value is not None
    }
    target = f"/v1/intents/{quote(intent_id, safe=':/')}/acts"
    async with (where or Where()).connect() as place:
        found = answer(await place.asker.ask("POST", target, None, body))
    if json:
        show_json(found)
    else:
        _tell(found)


def _read(file: Path) -> dict[str, Any]:
    """The members in a file; raises Mistake with what is wrong."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
        found = msgspec.json.decode(text)
    except OSError as error:
        raise Mistake(f"{file} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Mistake(f"{file} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Mistake(f"{file} has to hold a JSON object with members of an envelope")
    return found


def _short(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:47]}…"


def _tell(intent: dict[str, Any]) -> None:
    """An intent in lines."""
    tell(f"{intent['id']} is {intent['state']}: {intent['goal']}")
    ends = f", until {intent['expires_at']}" if intent["expires_at"] else ""
    tell(f"from {intent['from']} to {', '.join(intent['to'])}, scope {intent['scope']}{ends}")
    for each in intent["constraint"]:
        tell(f"limit: {each['kind']} {each['limit']['v']} {each['unit'] or ''}".rstrip())
    for each in intent["preference"]:
        tell(f"wish: {each['kind']} {each['value']['v']} (weight {each['weight']:g})")
    for number, each in enumerate(intent["deference"]):
        wait = "" if each["timeout_s"] is None else f", at most {each['timeout_s']} s"
        tell(f"rule {number}: {each['condition']}: ask {each['defer_to']}{wait}")
    if intent["escalation"] is not None:
        tell(f"in doubt {intent['escalation']['escalate_to']} decides ({intent['escalation']['priority']})")
    if intent["handoff"] is not None:
        tell(f"handoff: {intent['handoff']['summary']} ({len(intent['handoff']['fact_refs'])} references)")
    for ref in intent["missing_refs"]:
        tell(f"not here: {ref}")
    for each in intent["acts"]:
        rule = "" if each["rule"] is None else f" rule {each['rule']}"
        words = f": {each['text']}" if each["text"] else ""
        tell(f"{each['at']} {each['by']} {each['kind']}{rule}{words}{'' if each['counted'] else ' (changed nothing)'}")
    if intent["contested_by"]:
        tell(f"others wrote under this id, and count for nothing: {', '.join(intent['contested_by'])}")
