"""English stems: `paints`, `painted` and `painting` become one key, so that a question finds what it means.

The rules are those of Porter's stemmer (M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980): a word
is read as groups of consonants and vowels, and a suffix goes only when enough of a word is left before it. The number
of vowel-consonant groups of that rest is its *measure*: 0 in `tree`, 1 in `trouble`, 2 in `private`. Stems are keys and
are never shown; that `university` and `universe` share one is the price of rules without a dictionary.

Verbs and plurals that no suffix explains (`bought`, `children`) are a short list of their own. Words of other scripts
and words with digits pass through unchanged.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

__all__ = ["stem"]

_VOWELS: Final = frozenset("aeiou")
_STEP_TWO: Final = (
    ("ational", "ate"), ("ization", "ize"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"),
    ("tional", "tion"), ("biliti", "ble"), ("entli", "ent"), ("ousli", "ous"), ("ation", "ate"), ("alism", "al"),
    ("aliti", "al"), ("iviti", "ive"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("alli", "al"),
    ("ator", "ate"), ("logi", "log"), ("bli", "ble"), ("eli", "e"),
)  # fmt: skip
_STEP_THREE: Final = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ness", ""), ("ful", ""),
)  # fmt: skip
_STEP_FOUR: Final = (
    "ement", "ance", "ence", "able", "ible", "ment", "sion", "tion", "ant", "ent", "ism", "ate", "iti", "ous", "ive",
    "ize", "al", "er", "ic", "ou",
)  # fmt: skip
_IRREGULAR_FORMS: Final = """
    become became; begin began begun; break broke broken; bring brought; build built; buy bought; catch caught;
    choose chose chosen; come came; deal dealt; do did done; draw drew drawn; drink drank drunk; drive drove driven;
    eat ate eaten; fall fell fallen; feel felt; fight fought; find found; fly flew flown; forget forgot forgotten;
    get got gotten; give gave given; go went gone; grow grew grown; hang hung; hear heard; hide hid hidden; hold held;
    keep kept; know knew known; lead led; leave left; lend lent; lose lost; make made; meet met; pay paid;
    ride rode ridden; ring rang rung; rise rose risen; run ran; say said; see saw seen; sell sold; send sent;
    shake shook shaken; shoot shot; sing sang sung; sink sank sunk; sleep slept; speak spoke spoken; spend spent;
    stand stood; steal stole stolen; stick stuck; strike struck; sweep swept; swim swam swum; take took taken;
    teach taught; tear tore torn; tell told; think thought; throw threw thrown; understand understood;
    wake woke woken; wear wore worn; win won; write wrote written;
    bad worse worst; child children kid kids; dad father daddy; foot feet; good better best; life lives; man men;
    mom mother mum mommy; mouse mice; person people; tooth teeth; wife wives; woman women
"""
_IRREGULAR: Final = {
    form: base for base, *forms in (group.split() for group in _IRREGULAR_FORMS.split(";")) for form in forms
}


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The key of a lower-case word. Other words with the same key are taken for the same word."""
    word = _IRREGULAR.get(word, word)
    if len(word) < 3 or not (word.isascii() and word.isalpha()):
        return word
    word = _plural(word)
    word = _past_and_progressive(word)
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    word = _replaced(word, _STEP_TWO)
    word = _replaced(word, _STEP_THREE)
    word = _stripped(word)
    return _tidied(word)


def _is_consonant(word: str, at: int) -> bool:
    if word[at] == "y":
        return at == 0 or not _is_consonant(word, at - 1)
    return word[at] not in _VOWELS


def _measure(word: str) -> int:
    """How many times a consonant follows a vowel."""
    count, after_vowel = 0, False
    for at in range(len(word)):
        vowel = not _is_consonant(word, at)
        count += after_vowel and not vowel
        after_vowel = vowel
    return count


def _has_vowel(word: str) -> bool:
    return any(not _is_consonant(word, at) for at in range(len(word)))


def _ends_short(word: str) -> bool:
    """Whether the word ends as `hop` does: consonant, vowel, consonant other than w, x, y."""
    last = len(word) - 1
    return (
        last > 1
        and _is_consonant(word, last)
        and not _is_consonant(word, last - 1)
        and _is_consonant(word, last - 2)
        and word[-1] not in "wxy"
    )


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past_and_progressive(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        if word.endswith(suffix) and _has_vowel(word[: -len(suffix)]):
            rest = word[: -len(suffix)]
            if rest.endswith(("at", "bl", "iz")):
                return rest + "e"
            if len(rest) > 1 and rest[-1] == rest[-2] and rest[-1] not in "aeioulsz":
                return rest[:-1]
            return rest + "e" if _measure(rest) == 1 and _ends_short(rest) else rest
    return word


def _replaced(word: str, rules: tuple[tuple[str, str], ...]) -> str:
    for suffix, instead in rules:
        if word.endswith(suffix):
            rest = word[: -len(suffix)]
            return rest + instead if _measure(rest) > 0 else word
    return word


def _stripped(word: str) -> str:
    for suffix in _STEP_FOUR:
        if word.endswith(suffix):
            rest = word[: -len(suffix)]
            if suffix in ("sion", "tion"):
                rest = word[:-3]
            return rest if _measure(rest) > 1 else word
    return word


def _tidied(word: str) -> str:
    if word.endswith("e"):
        rest = word[:-1]
        if _measure(rest) > 1 or (_measure(rest) == 1 and not _ends_short(rest)):
            word = rest
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word
