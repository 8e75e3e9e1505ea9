"""The lines of a trace file: each event as a JSON object with named members (docs/run-folder.md).

In memory, and for the digest, an event is a list: its time, its kind and its details in order. In the file each detail
has the name that stands here. A kind that is not known here has its details as a list, under `details`. Members that
are in the file only, such as the facts of a commit, are left out when a line is read back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

__all__ = ["MEMBERS", "event_of", "line_of"]

_PACKET: Final = ("from", "to", "message")
MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    "sent": (*_PACKET, "bytes", "crc32", "delay_ns"),
    "dropped": (*_PACKET, "rule"),
    "held": (*_PACKET, "rule"),
    "committed": ("node", "records", "bytes", "crc32"),
    "booted": ("node", "boot", "facts_held"),
    "crash": ("node", "unsynced"),
    "leave": ("node", "unsynced"),
    "wiped": ("node", "facts_destroyed"),
    "backed up": ("node", "facts_held"),
    "restored": ("node", "own_facts_forgotten", "facts_destroyed"),
    "fault begins": ("fault", "nodes"),
    "fault ends": ("fault", "nodes"),
    "faults end": (),
    "converged": (),
    "violated": ("checker", "sentence"),
}
"""Kind of event -> the names of its details, in their order."""
_TIME, _KIND, _DETAILS = "t_ns", "event", "details"
_encode: Final = msgspec.json.Encoder().encode


def line_of(event: Sequence[Any], more: Mapping[str, Any]) -> bytes:
    """The line of an event, without its end; `more` are members of the file only."""
    at_ns, kind, *details = event
    names = MEMBERS.get(kind)
    if names is None or len(names) != len(details):
        return _encode({_TIME: at_ns, _KIND: kind, _DETAILS: details, **more})
    return _encode({_TIME: at_ns, _KIND: kind, **dict(zip(names, details, strict=True)), **more})


def event_of(line: bytes) -> list[Any]:
    """An event from its line. Raises ValueError."""
    found = msgspec.json.decode(line)
    if not isinstance(found, dict) or _TIME not in found or _KIND not in found:
        raise ValueError("it has no t_ns and no event")
    names = MEMBERS.get(found[_KIND], ())
    if _DETAILS in found:
        details = found[_DETAILS]
    elif all(name in found for name in names):
        details = [found[name] for name in names]
    else:
        raise ValueError(f"a member of an event {found[_KIND]!r} is missing")
    return [found[_TIME], found[_KIND], *details]
