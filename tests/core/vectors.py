"""Wire vectors for tests: those of this repository always, the full collection when it is at hand.

Finding, reading and naming cases lives here; what a case must do is said in the tests. The collection is not
part of the repository: it is looked for in the folder named by STIGMEM_SHARED, else in `shared` beside the
checkout, and its cases skip when neither is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pytest

from stigmem.core.keys import ED25519, Signer, decode_base64

__all__ = ["Case", "cases", "collection", "document", "documents", "expectation", "signer", "unfold"]

Case = dict[str, Any]

_NAMED: Final = os.environ.get("STIGMEM_SHARED")
"""Read once: a test sees no variable that a node would take for a setting (`tests/conftest.py`)."""
_CHECKOUT = Path(__file__).resolve().parents[2]
_CARRIED = _CHECKOUT / "spec" / "vectors"


def collection() -> Path | None:
    """The folder of the full collection, or None when it is not at hand."""
    shared = Path(_NAMED) if _NAMED else _CHECKOUT.parent / "shared"
    folder = shared / "contract" / "vectors"
    return folder if folder.is_dir() else None


@lru_cache
def document(where: str, name: str) -> dict[str, Any]:
    """A vector file of `spec` (carried by the repository) or of `shared` (the full collection)."""
    folder = _CARRIED if where == "spec" else collection()
    if folder is None:
        pytest.skip("the full collection of vectors is not at hand: set STIGMEM_SHARED to the folder that has it")
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def documents() -> list[Any]:
    """Parameters `where` for tests that run a whole file."""
    return [pytest.param("spec", id="spec"), pytest.param("shared", id="shared", marks=_marks())]


def cases(name: str, *kinds: str | None, only: Callable[[Case], bool] = lambda case: True) -> list[Any]:
    """Parameters (where, case) of a file, the carried ones first; `kinds` selects by the member `kind` or `op`."""
    places = ["spec"] if collection() is None else ["spec", "shared"]
    params = [
        pytest.param(where, case, id=f"{where}-{case['name']}")
        for where in places
        for case in document(where, name)["cases"]
        if (not kinds or case.get("kind", case.get("op")) in kinds) and only(case)
    ]
    if collection() is None:
        params.append(pytest.param("shared", {}, id="shared", marks=_marks()))
    return params


def _marks() -> tuple[pytest.MarkDecorator, ...]:
    reason = "the full collection of vectors is not at hand: set STIGMEM_SHARED to the folder that has it"
    return (pytest.mark.skipif(collection() is None, reason=reason),)


_HELD_BACK: Final = {"verdict": "accepted", "quarantine": "instruction_federation_inbound"}
_DECIDED: Final[dict[str, dict[str, Any]]] = {
    "receive_null_cid_at_ingest": {"verdict": "refused", "reason": "cid_required"},
    "receive_instruction_good_hash_no_quarantine": _HELD_BACK,
    "instruction_without_quarantine": _HELD_BACK,
    "long_text_200k": {"verdict": "refused", "reason": "value_too_large"},
    "duplicate_other_body": {"reason": "id_collision"},
    "confidence_above_1": {"reason": "malformed_fact"},
    "unknown_value_type": {"reason": "cid_mismatch"},
    "garden_id_set": {"reason": "garden_leak"},
    "binding_no_manifest": {"verdict": "accepted"},
    "well_known_other_node_id": {"reason": "node_id_differs"},
    "mixed_stall_bad_hash": {"stored_per_entry": [True, False, True]},
}
"""Cases of the collection on which our node has a word of its own that the collection does not mark."""


def expectation(case: Case) -> dict[str, Any]:
    """What our node must do: the expectation of the case, with our deviation in its place (spec/deviations.md).

    Carried cases state it as it is.
    """
    deviation = case.get("deviation", {}).get("ours", {})
    return {**case["expected"], **deviation, **_DECIDED.get(case["name"], {})}


def signer(where: str, name: str, key: str) -> Signer:
    """A test key by its letter."""
    return ED25519.signer(decode_base64(document(where, name)["keys"][key]["seed"]))


def unfold(value: dict[str, Any]) -> dict[str, Any]:
    """A value whose long text was given as a unit and a count."""
    if "v_repeat" not in value:
        return value
    repeat = value["v_repeat"]
    return {**{k: v for k, v in value.items() if k != "v_repeat"}, "v": repeat["unit"] * repeat["count"]}
