"""Every story of this folder happens as it is told; README.md explains the commands."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.interaction.commands import NoSuchCommand, run_story
from tests.interaction.story import parse_story, tell_story

FOLDER = Path(__file__).parent
STORIES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
async def test_what_is_told_is_what_happens(path: Path, request: pytest.FixtureRequest) -> None:
    told = path.read_text()
    happened = tell_story(await run_story(parse_story(told)))
    if request.config.getoption("--rewrite", default=False):
        path.write_text(happened)
        return
    difference = difflib.unified_diff(told.splitlines(), happened.splitlines(), "told", "happened", lineterm="", n=4)
    assert told == happened, f"{path.name} (rewrite it with --rewrite):\n" + "\n".join(difference)


def test_there_is_a_dozen_of_them_and_each_begins_by_saying_what_it_is_about() -> None:
    assert len(STORIES) >= 12
    assert [path.name for path in STORIES if not path.read_text().startswith("# ")] == []


async def test_a_story_that_is_told_wrong_is_found_out() -> None:
    told = "# nothing\n\nnodes north\n----\nnorth and south are on\n\n"
    assert tell_story(await run_story(parse_story(told))) == told.replace("north and south are on", "north is on")


async def test_an_unknown_command_is_named() -> None:
    with pytest.raises(NoSuchCommand, match="dance"):
        await run_story(parse_story("dance north\n----\n\n"))
