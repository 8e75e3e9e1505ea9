"""The federation key is made once, kept privately, and a data directory belongs to one node for good."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from stigmem.core.keys import decode_base64, encode_base64
from stigmem.host.identity import Identity, key_file, read_identity, settle_identity
from stigmem.host.settings import HostSettings
from stigmem.host.sources import BadSettings
from tests.host.nodes import opened


def settled(settings: HostSettings) -> Identity:
    with opened(settings.data_dir) as journal:
        return settle_identity(settings, journal)


def test_a_key_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    settings = HostSettings(data_dir=tmp_path / "data")
    assert read_identity(settings) is None
    first = settled(settings)
    path = key_file(settings.data_dir)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700
    assert decode_base64(path.read_text().strip()) == first.seed
    assert settled(settings) == first
    assert read_identity(settings) == first
    assert first.node_id.startswith("stigmem:node:")


def test_a_given_key_is_used_and_not_written_down(tmp_path: Path) -> None:
    settings = HostSettings(data_dir=tmp_path, federation_privkey=encode_base64(bytes(range(32))))
    assert settled(settings).seed == bytes(range(32))
    assert not key_file(tmp_path).exists()


def test_another_key_on_the_same_data_is_refused(tmp_path: Path) -> None:
    settings = HostSettings(data_dir=tmp_path, node_id="stigmem:node:north")
    settled(settings)
    with pytest.raises(BadSettings, match="was begun with the key sha256:"):
        settled(replace(settings, federation_privkey=encode_base64(bytes(32))))


def test_another_id_on_the_same_data_is_refused(tmp_path: Path) -> None:
    settings = HostSettings(data_dir=tmp_path)
    mine = settled(settings)
    with pytest.raises(BadSettings, match=f"belongs to the node {mine.node_id}, and the settings make this other"):
        settled(replace(settings, node_id="other"))


def test_a_lost_key_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    settings = HostSettings(data_dir=tmp_path)
    settled(settings)
    key_file(tmp_path).unlink()
    with pytest.raises(BadSettings, match="its key is gone"):
        settled(settings)
    assert not key_file(tmp_path).exists()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings = HostSettings(data_dir=tmp_path)
    settled(settings)
    key_file(tmp_path).chmod(0o644)
    with pytest.raises(BadSettings, match="chmod 600"):
        settled(settings)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64 at all!", "é"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, text: str) -> None:
    settings = HostSettings(data_dir=tmp_path)
    key_file(tmp_path).write_text(text)
    key_file(tmp_path).chmod(0o600)
    with pytest.raises(BadSettings, match=r"federation\.key"):
        read_identity(settings)
