"""Instructions never leave a node, whether they say so or are only named so."""

from __future__ import annotations

import msgspec
import pytest

from stigmem.core.export_index import is_exportable, is_instruction
from tests.builders import fact


@pytest.mark.parametrize(
    "changes",
    [{"interpret_as": "instruction"}, {"entity": "instruction:do"}, {"relation": "instruction:step"}],
    ids=["said", "entity", "relation"],
)
def test_an_instruction_by_word_or_by_name_never_leaves(changes: dict[str, str]) -> None:
    plain = fact(1)
    assert is_exportable(plain, relay=True, bookkeeping=False)
    assert not is_instruction(plain)
    found = msgspec.structs.replace(plain, **changes)
    assert is_instruction(found)
    assert not is_exportable(found, relay=True, bookkeeping=False)
