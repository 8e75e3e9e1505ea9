"""What README, docs and spec point at is there: make targets, commands and their flags, variables, files, links; and
what the README says that its scenario ends with is what it ends with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from cyclopts import App

from sim import run
from sim.cli import app as laboratory
from sim.cli import main
from stigmem.host.cli import app as node
from tests.quickstart import matches, steps

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANUAL = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS = [ROOT / name for name in ("LIMITATIONS.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*MANUAL, *OTHERS, *sorted((ROOT / "spec").glob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in MANUAL)
README_LINES_MAX = 90
FOLDERS = "stigmem|sim|scenarios|tests|spec|docs|bench|notebooks"
APPS: dict[str, App] = {"stigmem": node, "stigmem-sim": laboratory}
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)\n```", TEXT, re.DOTALL)).replace("\\\n", " ").replace("$(", "\n")
INLINE = "\n".join(re.findall(r"`(stigmem(?:-sim)? [^`\n]+)`", "\n".join(page.read_text("utf-8") for page in PAGES)))
COMMANDS = sorted(
    {found.strip() for found in re.findall(r"\b(stigmem(?:-sim)? [a-z][^\n#>)&`|]*)", f"{BLOCKS}\n{INLINE}")}
)


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE)
    assert {"demo", "test", "quickstart"} <= set(named) <= targets


def test_the_readme_is_read_in_one_sitting() -> None:
    assert README.count("\n") <= README_LINES_MAX, "what does not fit goes to a page of docs/"
    assert README.index("```json") < README.index("##"), "a fact is shown before anything else is explained"


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_readme_exist_with_their_flags(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *tokens = shlex.split(command)
    app = APPS[name]
    chain, apps, rest = app.parse_commands(tokens)
    assert chain, f"{command}: no such command"
    below = [each for each in apps[-1] if not each.startswith("-")]
    assert not below or not rest or rest[0].startswith("-"), f"{command}: {' '.join(chain)} has {below}"
    app([*chain, "--help"], result_action="return_value")
    text = capsys.readouterr().out
    for flag in (token for token in tokens if token.startswith("--") and token != "--help"):
        assert flag in text, f"{command}: {' '.join(chain)} knows no {flag}"


def test_variables_of_the_readme_are_settings(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["serve"], ["fact", "query"]):  # the second has those of a command that asks a node
        node([*command, "--help"], result_action="return_value")
    known = set(re.findall(r"STIGMEM_[A-Z_]+", capsys.readouterr().out))
    assert set(re.findall(r"STIGMEM_[A-Z_]+[A-Z]", TEXT)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for span in re.findall(r"`([^`\n]+)`", text):
        for named in re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w/.-]*[\w/])", span):
            assert (ROOT / named).exists(), f"{page.name} names {named}"


def test_the_quickstart_check_can_fail() -> None:
    text = "<!-- quickstart -->\n```sh\necho 1\n```\n```text\n1...3\n```\n"
    assert [step.expected for step in steps(text)] == ["1...3"]
    assert matches("1...3", "12\n3")
    assert not matches("1...3", "12")
    assert len(steps(README)) >= 2


def test_the_scenario_of_the_readme_ends_as_the_readme_says_and_nobody_doubts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1
    file = tmp_path / "two-offices.toml"
    file.write_text(blocks[0], encoding="utf-8")
    assert (main(["check", str(file)]), capsys.readouterr().err) == (0, "")
    result = run(file)
    said = re.search(r"(PASS): ([\d,]+) facts everywhere, (\d+) conflicts", README)
    assert said is not None
    conflicts = result.run_json["conflicts"]
    found = (result.verdict.upper(), f"{result.run_json['facts']:,}", str(conflicts["open"]))
    assert found == said.groups()
    assert conflicts["divergent"] == 0
