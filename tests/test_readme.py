"""What README and the spec point at is there: make targets, commands and their flags, variables, files, links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from cyclopts import App

from sim.cli import app as laboratory
from stigmem.host.cli import app as node
from tests.quickstart import matches, steps

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "LIMITATIONS.md", *sorted((ROOT / "spec").glob("*.md"))]
APPS: dict[str, App] = {"stigmem": node, "stigmem-sim": laboratory}
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)).replace("\\\n", " ").replace("$(", "\n")
COMMANDS = sorted({found.strip() for found in re.findall(r"\b(stigmem(?:-sim)? [a-z][^\n#>)&`|]*)", BLOCKS)})


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE)
    assert {"demo", "test", "quickstart"} <= set(named) <= targets


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_readme_exist_with_their_flags(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *tokens = shlex.split(command)
    app = APPS[name]
    chain, _, _ = app.parse_commands(tokens)
    assert chain, f"{command}: no such command"
    app([*chain, "--help"], result_action="return_value")
    text = capsys.readouterr().out
    for flag in (token for token in tokens if token.startswith("--")):
        assert flag in text, f"{command}: {' '.join(chain)} knows no {flag}"


def test_variables_of_the_readme_are_settings(capsys: pytest.CaptureFixture[str]) -> None:
    node(["serve", "--help"], result_action="return_value")
    known = set(re.findall(r"STIGMEM_[A-Z_]+", capsys.readouterr().out))
    assert set(re.findall(r"STIGMEM_[A-Z_]+[A-Z]", README)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for named in re.findall(r"`((?:stigmem|sim|scenarios|tests|spec|notebooks)/[\w/.-]+\.\w+)`", text):
        assert (ROOT / named).exists(), f"{page.name} names {named}"


def test_the_quickstart_check_can_fail() -> None:
    text = "<!-- quickstart -->\n```sh\necho 1\n```\n```text\n1...3\n```\n"
    assert [step.expected for step in steps(text)] == ["1...3"]
    assert matches("1...3", "12\n3")
    assert not matches("1...3", "12")
    assert len(steps(README)) >= 3
