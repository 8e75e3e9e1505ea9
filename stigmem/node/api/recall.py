"""Recall: facts that answer a question in words, within a budget of tokens (http-api 3.10, 6.4).

The request is read and charged in its turn; the answer is made by a task, in slices, from committed state. Ranking and
packing are `stigmem.core.recall`; what a caller may read is one scope, and nothing of another scope takes part in it,
not even as a count. `garden_id` asks in a garden instead: its facts have an index
of their own, and nobody else's statistics say anything about them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from stigmem.core import limits
from stigmem.core.export_index import is_foreign_instruction, is_instruction
from stigmem.core.fact import FactRecord
from stigmem.core.recall.packing import Packed, pack, token_estimate
from stigmem.core.recall.ranking import Question, Ranked, Ranker, Weights
from stigmem.core.recall.words import fact_words
from stigmem.core.wire import Response, json_response
from stigmem.node.api.feedback_guard import FeedbackGuard, session_of
from stigmem.node.api.meanings import Meanings
from stigmem.node.api.points_of_time import AsOf, PointRecord
from stigmem.node.api.read_indexes import ReadIndexes
from stigmem.node.api.reading import Reader, When
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.api.views import fact_record
from stigmem.node.api.visibility import Sight
from stigmem.node.identity import Identity
from stigmem.node.transaction import Transaction

if TYPE_CHECKING:  # the library behind it is imported where it is used
    from stigmem.core.recall.meaning import Likenesses

__all__ = ["OPERATIONS", "RecallApi"]

_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.RECALL_QUERY_CHARS_MAX)]
_ANSWER_DIGITS: Final = 4
"""Decimals of a breakdown, as in the reference."""


class RecallWeights(msgspec.Struct, kw_only=True):
    """How much each signal counts."""

    lexical: _Share = 0.35
    semantic: _Share = 0.35
    graph: _Share = 0.15
    source_trust: _Share = 0.10
    recency: _Share = 0.05


class RecallParameters(msgspec.Struct, kw_only=True):
    """Parameters of `GET /v1/recall`, and of its other form. `explain` shows what each score is made of."""

    query: _Text
    scope: str = "local"
    token_budget: Annotated[int, msgspec.Meta(ge=1, le=200_000)] = 4_000
    depth: Annotated[int, msgspec.Meta(ge=1, le=3)] = 2
    min_confidence: _Share = 0.1
    include_neighbors: bool = True
    limit: Annotated[int, msgspec.Meta(ge=1, le=limits.PAGE_LIMIT_MAX)] = 100
    garden_id: str | None = None
    as_of: AsOf = None
    explain: bool = False
    legacy_format: bool = False


class RecallRequest(RecallParameters, kw_only=True):
    """Body of `POST /v1/recall`."""

    weights: RecallWeights = msgspec.field(default_factory=RecallWeights)


class RecallOptions(msgspec.Struct, kw_only=True):
    """Parameters of `POST /v1/recall`."""

    legacy_format: bool = False


class ScoreBreakdown(msgspec.Struct):
    """The signals of a score, each from 0 to 1, and the score."""

    lexical: float
    semantic: float
    graph: float
    source_trust: float
    recency: float
    weighted_total: float


class ScoreExplanation(msgspec.Struct):
    """What a score is made of: `words`, `surroundings`, `answer`, `date` and `subject` sum to `lexical_score`, which
    as a share of the best is `lexical`; `by_lexical`, `by_semantic`, `by_graph` and `by_recency` sum to `base`; that
    times `confidence` and `contradiction_factor` is the score."""

    words: float
    surroundings: float
    answer: float
    date: float
    subject: float
    lexical_score: float
    by_lexical: float
    by_semantic: float
    by_graph: float
    by_recency: float
    base: float
    confidence: float
    contradiction_factor: float


class ScoredFact(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A fact with its score."""

    fact: FactRecord
    score: float
    score_breakdown: ScoreBreakdown
    hop_distance: int
    token_estimate: int
    from_card: bool
    explain: ScoreExplanation | None = None


class RecallAnswer(msgspec.Struct, kw_only=True):
    """Facts by score, best first; `content` and `instructions` divide them by what a reader shall do with them."""

    recall_id: str
    query_hash: str
    facts: list[ScoredFact]
    content: list[ScoredFact] | msgspec.UnsetType = msgspec.UNSET
    instructions: list[ScoredFact] | msgspec.UnsetType = msgspec.UNSET
    total_scored: int
    token_budget: int
    tokens_used: int
    truncated: bool
    tombstone_notices: list[Any] = []
    chain_proof: None = None
    point_of_time: PointRecord | UnsetType = UNSET


class RecallApi:
    """Questions in words."""

    def __init__(
        self,
        *,
        identity: Identity,
        reader: Reader,
        guard: FeedbackGuard,
        meanings: Meanings,
    ) -> None:
        self._identity = identity
        self._reader = reader
        self._guard = guard
        self._meanings = meanings

    def post_recall(self, call: ApiRequest, txn: Transaction) -> Outcome:
        request: RecallRequest = call.body
        weights = Weights(**msgspec.structs.asdict(request.weights))
        return self._recall(call, txn, request, weights, legacy=request.legacy_format or call.query.legacy_format)

    def get_recall(self, call: ApiRequest, txn: Transaction) -> Outcome:
        return self._recall(call, txn, call.query, Weights(), legacy=call.query.legacy_format)

    def _recall(
        self, call: ApiRequest, txn: Transaction, given: RecallParameters, weights: Weights, *, legacy: bool
    ) -> Outcome:
        room = self._reader.begin(call, txn, given.scope, given.garden_id)
        when = self._reader.when(given.as_of, txn, room.ledger)
        session = session_of(call.request)
        question = Question(
            query=given.query,
            scope=room.scope,
            weights=weights,
            depth=given.depth,
            min_confidence=given.min_confidence,
            neighbours=given.include_neighbors,
            limit=given.limit,
            now_us=when.now_us,
        )
        recall_id = self._identity.new_uuid()
        sight = Sight.of(call, txn)
        indexes = room.indexes
        garden_uri = None if room.garden is None else room.garden.uri(self._identity.authority)

        async def answer() -> Response:
            await indexes.catch_up()
            await self._reader.prepare(when, scope=room.scope)
            likenesses = None
            if question.weights.semantic:
                likenesses = await self._meanings.likenesses(indexes, room.scope, question.query)
            ranked, packed = await indexes.in_slices(
                self._chosen(indexes, question, given.token_budget, likenesses, when)
            )
            chosen = [ranked[place] for place in packed.places]
            if chosen:
                self._guard.note(session, call.principal, (room.scope,))
            facts = [
                _scored(
                    each,
                    fact_record(each.fact, when.known, sight, garden_uri=garden_uri),
                    question,
                    explain=given.explain,
                )
                for each in chosen
            ]
            body = RecallAnswer(
                recall_id=recall_id,
                query_hash=hashlib.sha256(given.query.encode("utf-8", "surrogatepass")).hexdigest(),
                facts=facts,
                total_scored=len(ranked),
                token_budget=given.token_budget,
                tokens_used=packed.tokens,
                truncated=packed.truncated,
                point_of_time=when.record,
            )
            if not legacy:
                told = [is_instruction(each.fact) for each in chosen]
                body.content = [each for each, instructs in zip(facts, told, strict=True) if not instructs]
                body.instructions = [each for each, instructs in zip(facts, told, strict=True) if instructs]
            body.facts = [each for each, by in zip(facts, chosen, strict=True) if not is_foreign_instruction(by.fact)]
            return json_response(200, body, {"x-total-count": str(len(ranked))})

        return self._reader.answer("recall", answer)

    def _chosen(
        self, indexes: ReadIndexes, question: Question, budget: int, likenesses: Likenesses | None, when: When
    ) -> Generator[None, None, tuple[list[Ranked], Packed]]:
        ranked = yield from Ranker(
            ledger=when.known,
            view=indexes.words(question.scope).view(),
            references=indexes.references,
            confidence=when.confidence,
            question=question,
            likenesses=likenesses,
        ).rank()
        packed = yield from pack(
            [token_estimate(each.fact) for each in ranked],
            [each.score for each in ranked],
            budget,
            lambda place: frozenset(fact_words(ranked[place].fact)),
        )
        return ranked, packed


def _scored(ranked: Ranked, record: FactRecord, question: Question, *, explain: bool) -> ScoredFact:
    return ScoredFact(
        fact=record,
        score=ranked.score,
        score_breakdown=ScoreBreakdown(
            lexical=round(ranked.lexical, _ANSWER_DIGITS),
            semantic=round(ranked.semantic, _ANSWER_DIGITS),
            graph=round(ranked.graph, _ANSWER_DIGITS),
            source_trust=0.0,
            recency=round(ranked.recency, _ANSWER_DIGITS),
            weighted_total=ranked.score,
        ),
        hop_distance=ranked.hops,
        token_estimate=token_estimate(ranked.fact),
        from_card=False,
        explain=_explanation(ranked, question.weights) if explain else None,
    )


def _explanation(ranked: Ranked, weights: Weights) -> ScoreExplanation:
    parts = ranked.parts
    divisor = weights.lexical + weights.semantic + weights.graph + weights.recency or 1.0
    return ScoreExplanation(
        words=parts.words if parts else 0.0,
        surroundings=parts.surroundings if parts else 0.0,
        answer=parts.answer if parts else 0.0,
        date=parts.date if parts else 0.0,
        subject=parts.subject if parts else 0.0,
        lexical_score=parts.total if parts else 0.0,
        by_lexical=weights.lexical * ranked.lexical / divisor,
        by_semantic=weights.semantic * ranked.semantic / divisor,
        by_graph=weights.graph * ranked.graph / divisor,
        by_recency=weights.recency * ranked.recency / divisor,
        base=ranked.base,
        confidence=ranked.confidence,
        contradiction_factor=ranked.contradiction_factor,
    )


_REFUSALS: Final = (400, 401, 403, 404, 422, 429, 503)

OPERATIONS = (
    Operation(
        "recall", "POST", "/v1/recall", "read", RecallApi.post_recall,
        "Facts that answer a question in words, within a budget of tokens",
        query=RecallOptions, body=RecallRequest, answer=RecallAnswer, refusals=_REFUSALS, tags=("recall",),
    ),
    Operation(
        "recall_by_query", "GET", "/v1/recall", "read", RecallApi.get_recall,
        "As the other form, with the question in the address",
        query=RecallParameters, answer=RecallAnswer, refusals=_REFUSALS, tags=("recall",),
    ),
)  # fmt: skip
