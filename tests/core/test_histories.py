"""Drawn histories against the page, and twelve wrong pages that they must tell from the right one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from stigmem.core.fact import Fact
from tests.histories.draw import drawn, told
from tests.histories.oracle import Oracle
from tests.histories.trial import failure, shrunk

_TRIED = 2_500
"""Histories within which a wrong page must be told from the right one."""


@pytest.mark.parametrize("block", range(4))
def test_the_ledger_says_what_the_page_says(block: int) -> None:
    for number in range(100 * block, 100 * block + 100):
        name = f"test/{number}"
        assert failure(drawn(name)) is None, f"python -m tests.histories --only {name}"


class OriginsHaveNoOrder(Oracle):
    """Words of one stamp are ordered by their ids, whatever their origins."""

    def place(self, fact: Fact) -> Any:
        return (fact.stamp, fact.id, fact.origin)


class AuthorsOfOneName(Oracle):
    """One name is one author, whatever its node."""

    def author(self, word: Fact) -> Any:
        return (word.source, "")


class BytesCompared(Oracle):
    """Values are compared as they were written."""

    def value(self, word: Fact) -> Any:
        return (word.kind, word.text)


class OperatorsAreOrdinary(Oracle):
    """An operator's retraction ends what was said under its own name only."""

    def operators(self, word: Fact) -> bool:
        return False


class DenialsOfTheLastWord(Oracle):
    """A denial is compared with the word that stands, so that saying the same again shakes it off."""

    def first_said(self, fact: Fact) -> Fact:
        return fact


class EveryRetractionDenies(Oracle):
    """Who takes its own word back denies everybody else's."""

    def withdraws(self, retraction: Fact) -> bool:
        return False


class DenialsStay(Oracle):
    """Nothing that is said later takes a denial away."""

    def shaken_off(self, denial: Fact, fact: Fact) -> bool:
        return False


class WinnersNeverSpent(Oracle):
    """A resolution holds whatever its winner's author says since."""

    def spent(self, resolution: Fact) -> bool:
        return False


class RenewalsSpend(Oracle):
    """A resolution is spent when its winner is ended, also by a word that says the same."""

    def spent(self, resolution: Fact) -> bool:
        winners = [word for word in self.words if word.id == self.head(resolution)["winner"]]
        return any(self.ending(word) is not None for word in winners)


class NothingIsInert(Oracle):
    """A resolution takes effect under whatever name it was made."""

    def effective(self) -> list[Fact]:
        return self.applied


class SupersededStillSettle(Oracle):
    """A resolution that another one superseded settles as before."""

    def in_force(self) -> list[Fact]:
        return self.effective()


class ExpiryRevives(Oracle):
    """A word that has expired ends nothing any more, so that what it replaced stands again."""

    def ending(self, other: Fact) -> Fact | None:
        found = super().ending(other)
        return None if found is not None and found.expires_us is not None and found.expires_us <= self.now_us else found


WRONG = [
    OriginsHaveNoOrder, AuthorsOfOneName, BytesCompared, OperatorsAreOrdinary, DenialsOfTheLastWord,
    EveryRetractionDenies, DenialsStay, WinnersNeverSpent, RenewalsSpend, NothingIsInert,
    SupersededStillSettle, ExpiryRevives,
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=[each.__name__ for each in WRONG])
def test_a_wrong_page_is_told_from_the_right_one_and_the_history_that_does_it_is_cut_short(wrong: type[Oracle]) -> None:
    found = next(
        (history for number in range(_TRIED) if failure(history := drawn(f"wrong/{number}"), wrong) is not None), None
    )
    assert found is not None, wrong.__doc__
    small = shrunk(found, wrong)
    assert failure(small, wrong) is not None
    assert failure(small) is None
    assert len(small.steps) <= 7, told(small)


def test_the_command_tells_how_many_and_shows_one_history_in_words() -> None:
    def run(*given: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.histories", *given]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("--count", "20", "--jobs", "1", "--seed", "7")
    assert (done.returncode, done.stdout.startswith("20 histories of seed 7, 0 on which")) == (0, True)
    one = run("--only", "7/3")
    assert one.returncode == 0
    assert "history 7/3" in one.stdout
    assert one.stdout.endswith("the ledger and the page agree\n")
    assert run("--count", "0").returncode == 2
