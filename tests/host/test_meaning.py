"""The port for meanings as a deployed node fills it: the extra's vectors without a connection, or an endpoint."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from stigmem.core.recall.meaning import Passage
from stigmem.host import checkup, meaning
from stigmem.host.meaning import EndpointMeaning, StaticMeaning, meaning_of, missing_extra
from stigmem.host.settings import HostSettings
from stigmem.node.ports import MeaningFailed

needs_extra = pytest.mark.skipif(missing_extra() is not None, reason="the extra [semantic] is not installed")


def plain(text: str) -> Passage:
    return Passage(text, tuple((word, 1.0) for word in text.split()))


def like(first: bytes, second: bytes) -> float:
    a, b = (np.frombuffer(each, dtype=np.int8).astype(float) for each in (first, second))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@needs_extra
async def test_static_vectors_know_that_a_car_is_an_automobile_and_never_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connect(*_: Any) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    vectors = StaticMeaning()
    words = ("car", "automobile", "soup", "")
    car, automobile, soup, nothing = await vectors.vectors([plain(word) for word in words])
    assert {len(car), len(automobile), len(soup), len(nothing)} == {256}
    assert like(car, automobile) > 0.5 > like(car, soup)
    assert nothing == bytes(256)
    assert vectors.is_weighted


@needs_extra
def test_the_package_with_the_vectors_is_read_and_its_code_is_not_run() -> None:
    code = (
        "import sys; from stigmem.host.meaning import static_vectors; static_vectors(); "
        "assert 'wordllama' not in sys.modules and 'requests' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_but_the_host_knows_of_the_extra() -> None:
    root = Path(meaning.__file__).resolve().parent.parent
    naming = [
        path.relative_to(root).as_posix()
        for path in sorted(root.rglob("*.py"))
        if any(name in path.read_text(encoding="utf-8") for name in ("wordllama", "safetensors", "import tokenizers"))
    ]
    assert naming == ["host/meaning.py"]


def test_without_the_extra_recall_goes_by_words_and_the_doctor_says_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meaning, "find_spec", lambda _: None)
    wanted = HostSettings(embed_enabled=True)
    assert meaning_of(wanted) is None
    (found,) = checkup.check_meaning(wanted)
    assert (found.grade, "stigmem-trio[semantic]" in found.sentence) == ("note", True)
    assert meaning_of(HostSettings()) is None
    (off,) = checkup.check_meaning(HostSettings())
    assert off.grade == "ok"


def test_an_endpoint_needs_no_extra_and_the_doctor_says_that_it_sees_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meaning, "find_spec", lambda _: None)
    wanted = HostSettings(embed_enabled=True, embed_url="http://127.0.0.1:1/v1/embeddings")
    assert isinstance(meaning_of(wanted), EndpointMeaning)
    (found,) = checkup.check_meaning(wanted)
    assert "shows it facts" in found.sentence


async def test_an_endpoint_is_asked_for_its_model_with_the_key_and_its_answer_put_in_order() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        data = [{"index": 1, "embedding": [0.0, 2.0]}, {"index": 0, "embedding": [-0.5, 0.25]}]
        return httpx.Response(200, json={"data": data, "model": "m"})

    endpoint = EndpointMeaning("http://e.example/v1", "m", "secret", httpx.MockTransport(answer))
    first, second = await endpoint.vectors([plain("one"), plain("two")])
    assert np.frombuffer(first, dtype=np.int8).tolist() == [-127, 64]
    assert np.frombuffer(second, dtype=np.int8).tolist() == [0, 127]
    assert json.loads(asked[0].content) == {"model": "m", "input": ["one", "two"]}
    assert asked[0].headers["authorization"] == "Bearer secret"
    assert not endpoint.is_weighted


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500), httpx.Response(200, text="no"), httpx.Response(200, json={"data": []}),
        httpx.Response(200, json={"data": [{"index": 3, "embedding": [1.0]}]}),
        httpx.Response(302, headers={"location": "http://elsewhere.example/"}),
    ],
)  # fmt: skip
async def test_an_endpoint_that_answers_badly_is_left_alone_for_a_while(answer: httpx.Response) -> None:
    asked: list[httpx.Request] = []

    def answering(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer

    endpoint = EndpointMeaning("http://e.example/v1", "", "", httpx.MockTransport(answering))
    with pytest.raises(MeaningFailed, match=r"e\.example"):
        await endpoint.vectors([plain("one")])
    with pytest.raises(MeaningFailed) as second:
        await endpoint.vectors([plain("one")])
    assert (second.value.code, len(asked)) == ("resting", 1)
