"""Settings that a program makes are held to their types, with the field's name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stigmem import NodeSettings
from stigmem.core.keys import ED25519
from stigmem.host.settings import HostSettings

GOOD: dict[str, Any] = {"seed": b"\x07" * 32}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"pull_limit": "500"}, "pull_limit is a whole number, and was given '500'"),
        ({"pull_limit": 10.0}, "pull_limit is a whole number, and was given 10.0"),
        ({"pull_interval_s": "30s"}, "pull_interval_s is a number, and was given '30s'"),
        ({"pull_interval_s": True}, "pull_interval_s is a number, and was given True"),
        ({"relay": 1}, "relay is true or false, and was given 1"),
        ({"scopes": "public"}, "scopes is a tuple of texts, and was given 'public'"),
        ({"scopes": ["public"]}, r"scopes is a tuple of texts, and was given \['public'\]"),
        ({"scopes": ("public", 3)}, r"scopes is a tuple of texts, and was given \('public', 3\)"),
        ({"origin_keys": "any"}, "origin_keys is one of 'pinned', 'vouched', and was given 'any'"),
        ({"origin_keys": []}, r"origin_keys is one of 'pinned', 'vouched', and was given \[\]"),
        ({"suite": "ed25519"}, "suite is a Suite, and was given 'ed25519'"),
        ({"node_url": None}, "node_url is a text, and was given None"),
        ({"decay_policies": ({"id": "x"},)}, "decay_policies is a tuple of DecayPolicy values, and was given"),
    ],
)
def test_a_setting_of_a_node_that_is_of_the_wrong_type_is_named(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TypeError, match=f"^NodeSettings: {sentence}"):
        NodeSettings(**GOOD, **wrong)
    with pytest.raises(TypeError, match=f"^NodeSettings: {sentence}"):
        replace(NodeSettings(**GOOD), **wrong)


def test_a_seed_of_the_wrong_type_is_named_and_not_shown() -> None:
    with pytest.raises(TypeError, match=r"^NodeSettings: seed is bytes, and was given a bytearray$"):
        NodeSettings(seed=bytearray(b"secret"))  # type: ignore[arg-type]


def test_a_whole_number_stands_for_a_number_and_every_default_fits() -> None:
    made = NodeSettings(**GOOD, pull_interval_s=30, suite=ED25519, scopes=())
    assert (made.pull_interval_s, made.scopes) == (30, ())
    assert HostSettings().port == 8765


def test_a_setting_of_a_deployed_node_that_is_of_the_wrong_type_is_named() -> None:
    text: Any = "8765"
    with pytest.raises(TypeError, match=r"^HostSettings: port is a whole number, and was given '8765'$"):
        HostSettings(port=text)
    with pytest.raises(TypeError, match=r"^HostSettings: data_dir is a Path, and was given '8765'$"):
        HostSettings(data_dir=text)
