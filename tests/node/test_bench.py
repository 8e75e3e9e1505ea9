"""The bench of these tests itself: who never answers is named, and costs a minute and not the whole run."""

from __future__ import annotations

import pytest

from stigmem.core.wire import Request
from stigmem.node.settings import NodeSettings
from tests.node import still
from tests.node.api import NOW_MS, SEED, WRITER
from tests.node.still import Bench, running


async def test_a_request_that_is_never_answered_fails_its_test_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still, "ANSWER_S_MAX", 0.2)
    bench = Bench(NOW_MS)
    async with running(bench, NodeSettings(seed=SEED)) as node:
        offer = node.offer
        monkeypatch.setattr(
            node, "offer", lambda request, *rest: None if "lost" in request.target else offer(request, *rest)
        )
        requests = [Request("GET", "/v1/facts"), Request("GET", "/v1/lost")]
        with pytest.raises(AssertionError, match=r"not answered within 0\.2 s: GET /v1/lost$"):
            await bench.ask_all(requests, WRITER)
        assert [answer.status for answer in await bench.ask_all(requests[:1] * 3, WRITER)] == [200] * 3
