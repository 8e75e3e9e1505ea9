"""The environments and the nodes that the tests of this folder share.

One node of ours with one reference node of each dialect as its peers, made once: starting them takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.environments import CREATE, NAMES, Absent, environment
from tests.interop.federation import Federation, federate

__all__: list[str] = []


def _asked_for(config: pytest.Config) -> bool:
    here = Path(__file__).parent
    named = [(config.invocation_params.dir / argument.split("::")[0]).resolve() for argument in config.args]
    return all(path == here or here in path.parents for path in named)


@pytest.fixture(scope="session")
def asked_for(pytestconfig: pytest.Config) -> bool:
    """Whether this run was started for these tests and nothing else, as `make interop` does."""
    return _asked_for(pytestconfig)


@pytest.fixture(scope="session")
def environment_of(asked_for: bool) -> Callable[[str], Path]:
    """The folder of the environment `a10` or `a12`; skips what needs it when it cannot be had."""
    create = asked_for or bool(os.environ.get(CREATE))

    def find(name: str) -> Path:
        try:
            return environment(name, create=create)
        except Absent as absent:
            pytest.skip(str(absent))

    return find


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory, environment_of: Callable[[str], Path]) -> Iterator[Federation]:
    """Ours between a10 and a12, linked in both directions."""
    folders = {name: environment_of(name) for name in NAMES}
    with federate(tmp_path_factory.mktemp("federation"), folders) as linked:
        yield linked
