"""Peers for people: short names, and how things stand in a line that fits a terminal.

Values in, texts out: the rows are those of `GET /v1/federation/peers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from stigmem.core.timestamps import parse_us

__all__ = ["COLUMNS", "named", "peer_line", "short"]

COLUMNS: Final = ("peer", "node", "address", "state", "scopes", "contact", "lag", "facts", "next pull")
_SHORT_CHARS: Final = 8
_NODE_PREFIX: Final = "stigmem:node:"
_STATES: Final = {
    "pending_approval": "waits for approval",
    "pending_verification": "is being checked",
    "pending_tl_proof": "waits for a proof",
}


def short(name: str) -> str:
    """The beginning of an id, which is enough to name it; a name that somebody chose stays as it is."""
    rest = name.removeprefix(_NODE_PREFIX)
    return rest[:_SHORT_CHARS] if _is_uuid(rest) else name


def named(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The peers that a name can mean: a whole id, address or fingerprint, or else the beginning of an id or
    fingerprint."""
    exact = [row for row in rows if name in _names(row) or name.rstrip("/") == row["node_url"]]
    if exact or not name:
        return exact
    return [row for row in rows if any(known.startswith(name) for known in _names(row))]


def _names(row: dict[str, Any]) -> list[str]:
    node_id, key = row["node_id"], row.get("pubkey_fingerprint", "")
    return [row["peer_id"], node_id, node_id.removeprefix(_NODE_PREFIX), key, key.removeprefix("sha256:")]


def peer_line(row: dict[str, Any], now: datetime) -> tuple[str, ...]:
    """One peer, for a table of COLUMNS."""
    state = row.get("state") or row["status"]
    exchange = row.get("exchange") or {}
    lag_s = exchange.get("lag_s")
    return (
        short(row["peer_id"]), short(row["node_id"]), row["node_url"], _STATES.get(state, state),
        ",".join(row["allowed_scopes"]), _ago(exchange.get("last_contact_at"), now) if exchange else "",
        "" if lag_s is None else _span(lag_s) if lag_s else "none", _facts(exchange, now),
        _ahead(exchange.get("next_pull_at"), now) if exchange else "",
    )  # fmt: skip


def _facts(exchange: dict[str, Any], now: datetime) -> str:
    if not exchange or exchange["facts_taken"] is None:
        return ""
    waiting = exchange["facts_waiting"]
    remarks = [f"{waiting} not due yet"] if waiting else []
    if exchange.get("over_quota"):
        remarks.append(f"over its quota, more {_ahead(exchange['quota_until'], now)}")
    remark = f" ({', '.join(remarks)})" if remarks else ""
    return f"{exchange['facts_taken']}{remark}"


def _ago(instant: str | None, now: datetime) -> str:
    return "never" if instant is None else f"{_span(_seconds(now, instant))} ago"


def _ahead(instant: str | None, now: datetime) -> str:
    """When a pull begins; one that is under way, or about to begin, is now."""
    return "now" if instant is None or _seconds(now, instant) >= 0 else f"in {_span(-_seconds(now, instant))}"


def _seconds(now: datetime, instant: str) -> float:
    return now.timestamp() - parse_us(instant) / 1e6


def _span(seconds: float) -> str:
    """A length of time in its largest unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4
