"""From text to words: what the index keeps of a fact, and what it looks up for a question.

A word is a run of letters or digits, in lower case and without accents, reduced to its stem. Underscores, hyphens and
the punctuation of URIs divide words, so `device/pump-7` is found by `pump`. Scripts without spaces (Chinese, Japanese)
are cut into pairs of characters, the usual way without a dictionary.

Words that nearly every sentence has say nothing about which one is meant. The list below is of English; its words are
indexed, so that a question that has no other words still finds what it names, and left out of every other question and
of the length of a fact. On conversations the longer list did more for recall than any other single step
(docs/recall.md).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from stigmem.core import limits
from stigmem.core.fact import Fact
from stigmem.core.recall.stems import stem

__all__ = ["STOP_WORDS", "fact_words", "plain_words", "query_words", "subject_words", "words_of"]

_STOPPED: Final = """
    a about am an and are as at be been being but by can could d did do does doing don done for from had has have
    having he her him his how i if in into is it its just ll m me might must my no not of on or our re s shall she
    should so such t than that the their them then there these they this those to too us ve very was we were what
    when where which who whom whose why will with would you your
"""
STOP_WORDS: Final = frozenset(map(stem, _STOPPED.split()))
_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)?")
_WIDE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_LABEL: Final = re.compile(r"\s*([^\W\d_][\w.'-]{0,30}(?: [\w.'-]{1,30}){0,2}):\s")
"""A text that begins with a name and a colon is what somebody said, as minutes and transcripts have it."""


def words_of(text: str) -> list[str]:
    """The stems of a text, in order, words of no weight among them."""
    if text.isascii():
        return [stem(_bare(word) if "'" in word else word) for word in _WORD.findall(text.lower())]
    plain = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    found: list[str] = []
    for word in _WORD.findall(plain.lower()):
        if _WIDE.search(word):
            found += (word[at : at + 2] for at in range(max(1, len(word) - 1)))
        else:
            found.append(stem(_bare(word.replace("\u2019", "'"))))
    return found


def plain_words(text: str) -> list[str]:
    """The words of a text as they are written, in lower case, the first RECALL_WORDS_MAX of them."""
    return _WORD.findall(text.lower())[: limits.RECALL_WORDS_MAX]


def _bare(word: str) -> str:
    head, _, tail = word.partition("'")
    return head if tail == "s" else head + tail


def fact_words(fact: Fact) -> list[str]:
    """What a fact is found by: words of its entity, relation and value, the first RECALL_WORDS_MAX of them."""
    found = [*_name_words(fact.entity), *_name_words(fact.relation), *words_of(fact.text)]
    return found[: limits.RECALL_WORDS_MAX]


@lru_cache(maxsize=4_096)
def _name_words(name: str) -> tuple[str, ...]:
    # Entities, relations and sources come over and over.
    return tuple(words_of(name))


def subject_words(fact: Fact) -> list[str]:
    """Who or what a fact is about or from: words of its entity and source, and the name before the colon of a text
    that begins with one. Numbers are left out: they name too much."""
    found = [*_name_words(fact.entity), *_name_words(fact.source)]
    label = _LABEL.match(fact.text) if fact.kind in ("string", "text") else None
    if label is not None:
        found += words_of(label[1])
    return [word for word in dict.fromkeys(found) if word not in STOP_WORDS and not word.isdigit()]


def query_words(query: str) -> dict[str, int]:
    """The words of a question and how often each is there, at most RECALL_QUERY_WORDS_MAX of them: those that say
    something, or all when none does."""
    counted: dict[str, int] = {}
    for word in words_of(query):
        counted[word] = counted.get(word, 0) + 1
    telling = {word: count for word, count in counted.items() if word not in STOP_WORDS} or counted
    return dict(list(telling.items())[: limits.RECALL_QUERY_WORDS_MAX])
