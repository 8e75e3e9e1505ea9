"""Every operation of the OpenAPI document, with input that fits it and input that does not: no answer is a server
error, and every answer is one that the document promises.

Few examples by default; STIGMEM_TEST_EXAMPLES=100 asks for that many of each operation.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
import requests
import schemathesis
import trio
from hypothesis import settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stigmem.core.wire import JSON_TYPE, Request
from stigmem.host.openapi import document
from stigmem.node.callers import PERMISSIONS
from stigmem.node.node import ROUTER
from tests.host.nodes import node_at

EXAMPLES = int(os.environ.get("STIGMEM_TEST_EXAMPLES", "4"))
SECRET = "a secret for the fuzz tests, long enough"
DOCUMENT = document(ROUTER.operations, "http://testnode")
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.config.phases.coverage.enabled = EXAMPLES > 50
SCHEMA.config.phases.stateful.enabled = False
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


class Served:
    """A node in a thread of its own, and a connection to it."""

    def __init__(self, directory: Path) -> None:
        self.url = ""
        self.faults: list[Exception] = []
        self.session = requests.Session()
        self.session.trust_env = False
        self._directory = directory
        self._ready, self._stop = threading.Event(), trio.Event()
        self._token: trio.lowlevel.TrioToken
        self._thread = threading.Thread(target=trio.run, args=(self._main,))

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with node_at(self._directory, auth_required=True, federation_enabled=True) as node:
            body = {"raw_key": SECRET, "entity_uri": "user:fuzz", "permissions": list(PERMISSIONS)}
            made = await node.control.exchange(Request("POST", "/v1/auth/keys", JSON_TYPE, msgspec.json.encode(body)))
            assert made.status == 201, made.body
            self.url = node.url
            self._ready.set()
            await self._stop.wait()
            self.faults = list(node.node.bugs)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(20)
        self.session.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("node")) as found:
        yield found
    assert found.faults == []


@SCHEMA.parametrize()
@settings(max_examples=EXAMPLES)
def test_every_answer_is_one_that_the_document_promises(case: Any, served: Served) -> None:
    if case.operation.path == "/v1/events":
        case.query = {**(case.query or {}), "wait": "false"}  # a stream that waits has no end
    response = case.call(
        base_url=served.url, session=served.session, headers={"authorization": f"Bearer {SECRET}"}, timeout=10
    )
    assert response.status_code < 500 or response.status_code == 501, response.text
    case.validate_response(response, checks=CHECKS)
