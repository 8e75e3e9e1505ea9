"""Wire vectors for tests: those of this repository always, the full collection when it is at hand.

Finding, reading and naming cases lives here; what a case must do is said in the tests. The collection is not
part of the repository: it is looked for in the folder named by STIGMEM_SHARED, else in `shared` beside the
checkout, and its cases skip when neither is there.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from stigmem.core.keys import ED25519, Signer, decode_base64

__all__ = ["Case", "cases", "collection", "document", "documents", "expectation", "signer", "unfold"]

Case = dict[str, Any]

_CHECKOUT = Path(__file__).resolve().parents[2]
_CARRIED = _CHECKOUT / "spec" / "vectors"


def collection() -> Path | None:
    """The folder of the full collection, or None when it is not at hand."""
    named = os.environ.get("STIGMEM_SHARED")
    shared = Path(named) if named else _CHECKOUT.parent / "shared"
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


def cases(name: str, *kinds: str | None) -> list[Any]:
    """Parameters (where, case) of a file, the carried ones first; `kinds` selects by the member `kind` or `op`."""
    params = _params("spec", name, kinds)
    if collection() is None:
        return [*params, pytest.param("shared", {}, id="shared", marks=_marks())]
    return [*params, *_params("shared", name, kinds)]


def _params(where: str, name: str, kinds: tuple[str | None, ...]) -> list[Any]:
    return [
        pytest.param(where, case, id=f"{where}-{case['name']}")
        for case in document(where, name)["cases"]
        if not kinds or case.get("kind", case.get("op")) in kinds
    ]


def _marks() -> tuple[pytest.MarkDecorator, ...]:
    reason = "the full collection of vectors is not at hand: set STIGMEM_SHARED to the folder that has it"
    return (pytest.mark.skipif(collection() is None, reason=reason),)


def expectation(case: Case) -> dict[str, Any]:
    """What our node must do: the expectation of the case, with what our deviation puts in its place."""
    deviation = case.get("deviation", {}).get("ours", {})
    return {**case["expected"], **deviation}


def signer(where: str, name: str, key: str) -> Signer:
    """A test key by its letter."""
    return ED25519.signer(decode_base64(document(where, name)["keys"][key]["seed"]))


def unfold(value: dict[str, Any]) -> dict[str, Any]:
    """A value whose long text was given as a unit and a count."""
    if "v_repeat" not in value:
        return value
    repeat = value["v_repeat"]
    return {**{k: v for k, v in value.items() if k != "v_repeat"}, "v": repeat["unit"] * repeat["count"]}
