"""Dockerfile and compose.yaml: no container engine is needed to see that they fit the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from stigmem.host.safety import check_settings
from stigmem.host.settings import SETTINGS
from stigmem.host.sources import resolve

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def image_environment() -> dict[str, str]:
    (line,) = re.findall(r"^ENV (.+)$", DOCKERFILE, re.MULTILINE)
    return dict(word.split("=", 1) for word in line.split())


@pytest.mark.parametrize("name", SERVICES)
def test_a_node_starts_with_what_compose_gives_it_and_with_nothing_it_does_not_know(name: str) -> None:
    environment = image_environment() | SERVICES[name]["environment"]
    found = resolve({}, environment)
    check_settings(found.settings)
    assert found.remarks == []
    assert (found.settings.federation_enabled, found.settings.auth_required) == (True, True)
    assert found.settings.node_url == f"http://{name}:{found.settings.port}"


def test_two_nodes_have_volumes_of_their_own_and_are_reached_from_this_machine_alone() -> None:
    assert len(SERVICES) == 2
    volumes = [service["volumes"][0] for service in SERVICES.values()]
    ports = [service["ports"][0] for service in SERVICES.values()]
    data = image_environment()["STIGMEM_DATA_DIR"]
    assert sorted(volumes) == sorted(f"{name}:{data}" for name in SERVICES)
    assert all(re.fullmatch(rf"127\.0\.0\.1:\d+:{SETTINGS['port'].default}", port) for port in ports)
    assert len({*ports}) == 2


def test_the_image_runs_as_nobody_in_particular_and_looks_after_itself() -> None:
    words = [line.split()[0] for line in DOCKERFILE.splitlines() if re.match(r"[A-Z]+ ", line)]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert "USER root" not in DOCKERFILE
    assert f"http://127.0.0.1:{SETTINGS['port'].default}/readyz" in DOCKERFILE
    assert f"EXPOSE {SETTINGS['port'].default}" in DOCKERFILE


def test_whatever_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [word for line in re.findall(r"^COPY ([^-].+) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()]
    assert sorted(copied) == sorted(sent)
    assert all((ROOT / name).exists() for name in copied)


def test_the_lock_without_its_hashes_is_a_list_of_pinned_versions() -> None:
    lines = [re.sub(r" *\\$", "", line) for line in (ROOT / "requirements.lock").read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and "--hash" not in line and not line.lstrip().startswith("#")]
    assert len(pins) > 50
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    assert "hatchling" in [pin.name for pin in pins]
