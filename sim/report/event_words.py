"""Events of a trace in words, for whoever looks at a failure: which machine did what, with whom, and when.

A trace holds each event as a list, `[time, kind, details...]` (`sim.world.trace`). Here is what the details of each
kind mean; an event of a kind that is not known here is shown as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sim.units import format_duration

__all__ = ["concerning", "event_line", "names_in"]


def _sent(source: str, target: str, kind: str, size: int, _checksum: int, delay: int) -> str:
    what = "an answer" if kind == "response" else kind
    return f"{source} sends {target} {what}, {size:,} bytes, {format_duration(delay)} under way"


def _committed(node: str, records: int, size: int, _checksum: int) -> str:
    return f"{node} has stored {records} record{'s' * (records != 1)} ({size:,} bytes)"


def _stopped(word: str) -> Callable[..., str]:
    def told(source: str, target: str, kind: str, rule: str) -> str:
        what = "an answer" if kind == "response" else kind
        return f"what {source} sent {target} is {word} by {rule}: {what}"

    return told


def _booted(node: str, boot: int, facts: int) -> str:
    return f"{node} has booted with {facts:,} fact{'s' * (facts != 1)}, boot {boot}"


def _power(words: str) -> Callable[..., str]:
    def told(node: str, fate: str) -> str:
        unsynced = "" if fate == "nothing" else f"; what was not synced is {fate}"
        return f"{node} {words}{unsynced}"

    return told


def _wiped(node: str, destroyed: int) -> str:
    return f"the disk of {node} is wiped; {destroyed} fact{'s' * (destroyed != 1)} were nowhere else"


def _backed_up(node: str, facts: int) -> str:
    return f"the disk of {node} is backed up, with {facts:,} fact{'s' * (facts != 1)}"


def _restored(node: str, unsaid: int, destroyed: int) -> str:
    nowhere = f"; {destroyed} fact{'s' * (destroyed != 1)} were nowhere else" if destroyed else ""
    return f"the backup of {node} is restored, and it has forgotten {unsaid} of its own facts{nowhere}"


def _fault(word: str) -> Callable[..., str]:
    def told(label: str, nodes: Sequence[str]) -> str:
        return f"fault {word}: {label}" + (f" ({', '.join(nodes)})" if nodes else "")

    return told


_WORDS: Final[dict[str, Callable[..., str]]] = {
    "sent": _sent,
    "committed": _committed,
    "dropped": _stopped("dropped"),
    "held": _stopped("held back"),
    "booted": _booted,
    "crash": _power("loses power"),
    "leave": _power("leaves for good"),
    "wiped": _wiped,
    "backed up": _backed_up,
    "restored": _restored,
    "fault begins": _fault("begins"),
    "fault ends": _fault("ends"),
    "faults end": lambda: "all faults end, and the federation begins to settle",
    "converged": lambda: "the federation has converged",
    "violated": lambda checker, sentence: f"{checker} is violated: {sentence}",
}


def event_line(event: Sequence[Any]) -> str:
    """One event for people: seconds, and what happened."""
    at_ns, kind, *details = event
    words = _WORDS.get(kind)
    if words is not None:
        told = words(*details)
    else:
        told = " ".join([kind, *(each if isinstance(each, str) else json.dumps(each) for each in details)])
    return f"{at_ns / 1e9:14.6f} s  {told}".rstrip()


def names_in(sentence: str, names: Iterable[str]) -> list[str]:
    """Those of the names that a sentence mentions as words of their own."""
    words = dict.fromkeys(word.strip(".,:;()'\"") for word in sentence.split())
    return [name for name in names if name in words]


def concerning(events: Iterable[Sequence[Any]], names: Sequence[str]) -> list[Sequence[Any]]:
    """The events that mention one of the names; those that mention no machine at all concern everybody."""
    return [event for event in events if _is_general(event) or any(name in _mentioned(event) for name in names)]


def _is_general(event: Sequence[Any]) -> bool:
    return event[1] in ("faults end", "converged", "violated")


def _mentioned(event: Sequence[Any]) -> list[Any]:
    """The names in an event: of its first two details, or in its list of nodes."""
    details = event[2:4]
    return [*details, *(each for listed in details if isinstance(listed, list) for each in listed)]
