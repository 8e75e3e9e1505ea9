"""Loaded into the published conformance suite by `-p`: its tests meet a fresh node of ours instead of the reference.

The suite takes the node that it judges from one fixture. Here that fixture is made to be an object whose `client` is
bound to a node of ours; nothing else of the suite is changed or read. Runs in the environment of the published package
and imports nothing of ours.
"""

import os
import shlex
import subprocess
from types import SimpleNamespace

import httpx
import pytest

FIXTURE = "conformance_client"
COMMAND = "STIGMEM_FRESH_NODES"
"""Variable with the command that starts nodes of ours (`tests.interop.fresh_nodes`)."""


def pytest_sessionstart(session):
    command = shlex.split(os.environ[COMMAND])
    session.config.stigmem_nodes = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.environ["STIGMEM_FRESH_NODES_CWD"]
    )


def pytest_sessionfinish(session):
    nodes = session.config.stigmem_nodes
    nodes.stdin.close()
    nodes.wait(timeout=30)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    if fixturedef.argname != FIXTURE:
        return None
    nodes = request.config.stigmem_nodes
    nodes.stdin.write("\n")
    nodes.stdin.flush()
    client = httpx.Client(base_url=nodes.stdout.readline().strip(), trust_env=False, timeout=20)
    fixturedef.addfinalizer(client.close)
    given = SimpleNamespace(client=client, backend="sqlite")
    fixturedef.cached_result = (given, fixturedef.cache_key(request), None)
    return given
