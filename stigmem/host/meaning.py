"""The port for meanings, filled: static word vectors from the extra [semantic], or an endpoint that the operator names.

**Static vectors** are two files inside of the installed package `wordllama`: a vector of 256 numbers for each of 32,000
pieces of words, and the table that cuts words into pieces. They are opened where they lie. The package's own loader is
not used, and its code not even imported, since it asks the network for what it does not find; nothing here connects. A
text is the sum of the pieces of its words, each times what its word counts (`stigmem.core.recall.meaning`). English
above all.

**An endpoint** is sent `{"model", "input": [texts]}` and answers `{"data": [{"index", "embedding": [numbers]}]}`, as
most servers of embedding models do. It sees the facts that are asked about, of every scope: the operator's decision.
One that fails is left alone for a while, and recall goes by words meanwhile.

Either way a vector leaves here as signed bytes, scaled so that its largest number is 127.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec
import trio

from stigmem.core.recall.meaning import Passage
from stigmem.host.settings import HostSettings
from stigmem.node.ports import Meaning, MeaningFailed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EndpointMeaning", "StaticMeaning", "meaning_of", "missing_extra", "static_vectors"]

_PACKAGE: Final = "wordllama"
_VECTORS: Final = Path("weights", "l2_supercat_256.safetensors")
_PIECES: Final = Path("tokenizers", "l2_supercat_tokenizer_config.json")
_WORDS_KEPT: Final = 50_000
_TIMEOUT_S: Final = 5.0
_REST_S: Final = 30.0
_ANSWER_BYTES_MAX: Final = 32_000_000
_TEXT_CHARS_MAX: Final = 8_192
"""Of a text that an endpoint is sent: what models of this kind read."""


def missing_extra() -> str | None:
    """Why there are no static vectors; None where the extra is installed."""
    root = _root()
    if root is None or find_spec("tokenizers") is None or find_spec("safetensors") is None:
        return "recall goes by words alone: meaning needs the extra [semantic] (pip install 'stigmem-trio[semantic]')"
    absent = [str(path) for path in (_VECTORS, _PIECES) if not (root / path).is_file()]
    if absent:
        return f"recall goes by words alone: the installed {_PACKAGE} has no {' and no '.join(absent)}"
    return None


def meaning_of(settings: HostSettings) -> Meaning | None:
    """What fills the port by these settings; None where meaning is off, or wanted and not installed."""
    if not settings.embed_enabled:
        return None
    if settings.embed_url:
        return EndpointMeaning(settings.embed_url, settings.embed_model, settings.embed_api_key)
    return None if missing_extra() else StaticMeaning()


def _root() -> Path | None:
    found = find_spec(_PACKAGE)
    places = None if found is None else found.submodule_search_locations
    return Path(next(iter(places))) if places else None


# --- static vectors ---


class StaticMeaning:
    """Vectors of the extra, made in a thread; the files are read when the first text comes."""

    is_weighted = True

    def __init__(self) -> None:
        self._make: Callable[[Sequence[Passage]], list[bytes]] | None = None
        self._thread = trio.CapacityLimiter(1)

    async def vectors(self, passages: Sequence[Passage]) -> Sequence[bytes]:
        if self._make is None:
            try:
                self._make = await trio.to_thread.run_sync(static_vectors, limiter=self._thread)
            except (ImportError, OSError, KeyError, ValueError) as error:
                raise MeaningFailed("static_vectors", f"the word vectors cannot be read: {error}") from error
        return await trio.to_thread.run_sync(self._make, passages, limiter=self._thread)


def static_vectors() -> Callable[[Sequence[Passage]], list[bytes]]:
    """A function that makes vectors of texts. Raises ImportError where the extra is not installed, and OSError or
    KeyError where its files are not those that are known."""
    root = _root()
    if root is None:
        raise ImportError(f"{_PACKAGE} is not installed")
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    table = load_file(root / _VECTORS)["embedding.weight"]
    cutter = Tokenizer.from_file(str(root / _PIECES))
    cutter.no_padding()
    cutter.no_truncation()

    @lru_cache(maxsize=_WORDS_KEPT)
    def pieces_of(word: str) -> tuple[int, ...]:
        return tuple(cutter.encode(word, add_special_tokens=False).ids)

    return partial(_sums, table, pieces_of)


def _sums(
    table: NDArray[np.float16], pieces_of: Callable[[str], tuple[int, ...]], passages: Sequence[Passage]
) -> list[bytes]:
    import numpy as np

    made = []
    for passage in passages:
        places: list[int] = []
        weights: list[float] = []
        for word, weight in passage.words:
            pieces = pieces_of(word)
            places += pieces
            weights += [weight] * len(pieces)
        total = np.array(weights, dtype=np.float32) @ table[places].astype(np.float32)
        made.append(_small(total))
    return made


def _small(vector: NDArray[np.float32]) -> bytes:
    import numpy as np

    largest = float(np.abs(vector).max(initial=0.0))
    if not largest or not math.isfinite(largest):
        return bytes(len(vector))
    return bytes(np.rint(vector * (127.0 / largest)).astype(np.int8).tobytes())


# --- an endpoint ---


class _Embedding(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Embeddings(msgspec.Struct):
    data: list[_Embedding]


class EndpointMeaning:
    """Vectors from a server of embedding models."""

    is_weighted = False

    def __init__(self, url: str, model: str, api_key: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport`: another way to the endpoint than the network."""
        self._url = url
        self._model = model
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = partial(
            httpx.AsyncClient, headers=headers, timeout=_TIMEOUT_S, trust_env=False, transport=transport
        )
        self._rest_until = -math.inf

    async def vectors(self, passages: Sequence[Passage]) -> Sequence[bytes]:
        if trio.current_time() < self._rest_until:
            raise MeaningFailed("resting", f"{self._url} failed lately and is asked again in a while")
        try:
            with trio.fail_after(_TIMEOUT_S):
                return _read(await self._ask([passage.text[:_TEXT_CHARS_MAX] for passage in passages]), len(passages))
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError, trio.TooSlowError, ValueError) as error:
            self._rest_until = trio.current_time() + _REST_S
            raise MeaningFailed("endpoint", f"{self._url}: {str(error) or type(error).__name__}") from error

    async def _ask(self, texts: list[str]) -> bytes:
        body: dict[str, Any] = {"input": texts} | ({"model": self._model} if self._model else {})
        async with self._client() as client, client.stream("POST", self._url, json=body) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ValueError(f"it answered {answer.status_code}")
            read = bytearray()
            async for part in answer.aiter_bytes():
                read += part
                if len(read) > _ANSWER_BYTES_MAX:
                    raise ValueError(f"its answer is longer than {_ANSWER_BYTES_MAX:,} bytes")
            return bytes(read)


def _read(body: bytes, wanted: int) -> list[bytes]:
    """The vectors of an answer, in the order of the question. Raises ValueError and MsgspecError."""
    import numpy as np

    found = {each.index: each.embedding for each in msgspec.json.decode(body, type=_Embeddings).data}
    if len(found) != wanted or any(number not in found for number in range(wanted)):
        raise ValueError(f"it answered other texts than the {wanted} that it was sent")
    return [_small(np.array(found[number], dtype=np.float32)) for number in range(wanted)]
