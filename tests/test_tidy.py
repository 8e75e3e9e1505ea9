"""The laws of the house, as tests: layers, banned calls, sizes, public names, the lock, the README's commands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("stigmem", "sim")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PURE = [
    path
    for path in SOURCES
    if path.parts[len(ROOT.parts)] == "stigmem" and path.parts[len(ROOT.parts) + 1] in ("core", "node")
]

BANNED = {
    "time": "ctx.clock (wall_ns, monotonic_ns, sleep)",
    "random": "ctx.entropy, or a seed given by the caller",
    "secrets": "ctx.entropy.token",
    "threading": "a task of the host",
    "asyncio": "the Context",
    "trio": "the Context",
    "socket": "ctx.transport",
    "os": "settings given by the host",
    "pathlib": "settings given by the host",
    "subprocess": "the host",
    "sqlite3": "ctx.journal",
    "logging": "the host's observer",
}
BANNED_CALLS = {
    ("datetime", "now"): "ctx.clock.wall_ns",
    ("datetime", "utcnow"): "ctx.clock.wall_ns",
    ("datetime", "today"): "ctx.clock.wall_ns",
    ("date", "today"): "ctx.clock.wall_ns",
    ("uuid", "uuid1"): "Identity.new_uuid (stigmem.node.identity)",
    ("uuid", "uuid4"): "Identity.new_uuid (stigmem.node.identity)",
    ("nacl", "random"): "ctx.entropy.token",
}

FILE_LINES_MAX = 600
"""An idea with its theory fits; above 400 lines look twice whether it is one."""
FUNCTION_LINES_MAX = 70
"""What a screen shows; 50 is the aim."""
PART_NAMES = ("name", "peer_id")
"""What a part is called by, among the things that it is built with."""
LONG_FILES: dict[str, int] = {}
"""Files that one idea makes longer than FILE_LINES_MAX, with their size. Entries may only shrink."""
LONG_FUNCTIONS: dict[str, int] = {}
"""As LONG_FILES, for `file:function`."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PURE, ids=relative)
def test_core_and_node_import_nothing_of_the_world(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            assert top not in BANNED, f"{relative(path)}:{node.lineno}: use {BANNED[top]} instead of {name}"


@pytest.mark.parametrize("path", PURE, ids=relative)
def test_core_and_node_ask_nobody_for_time_or_chance(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            replacement = BANNED_CALLS.get((node.value.id, node.attr))
            assert replacement is None, (
                f"{relative(path)}:{node.lineno}: use {replacement} instead of {node.value.id}.{node.attr}"
            )


@pytest.mark.parametrize("path", [p for p in SOURCES if "core" in p.parts and "stigmem" in p.parts], ids=relative)
def test_core_is_synchronous(path: Path) -> None:
    asynchronous = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, asynchronous)]
    assert not found, f"{relative(path)}: core awaits nothing, lines {found}"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_set_is_iterated(path: Path) -> None:
    """The order of a set differs between processes: sort it, or use a dict (spec/simulation.md, 1)."""
    for node in ast.walk(ast.parse(path.read_text())):
        loops = [node.iter] if isinstance(node, (ast.For, ast.AsyncFor)) else []
        if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.DictComp)):
            loops = [generator.iter for generator in node.generators]
        for found in loops:
            is_set = isinstance(found, (ast.Set, ast.SetComp)) or (
                isinstance(found, ast.Call)
                and isinstance(found.func, ast.Name)
                and found.func.id in ("set", "frozenset")
            )
            assert not is_set, f"{relative(path)}:{found.lineno}: iterates a set"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_module_says_what_may_live_in_it(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, f"{relative(path)} has no docstring"
    assert len(text) >= 20, f"{relative(path)}: say what may live here and what may not"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_and_functions_are_short(path: Path) -> None:
    text, name = path.read_text(), relative(path)
    lines = text.count("\n")
    allowed = LONG_FILES.get(name, FILE_LINES_MAX)
    assert lines <= allowed, f"{name} has {lines} lines, at most {allowed}: cut it along an idea"
    assert name not in LONG_FILES or lines > LONG_FILES[name] - 40, f"{name} shrank to {lines}: lower its ratchet"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            most = LONG_FUNCTIONS.get(f"{name}:{node.name}", FUNCTION_LINES_MAX)
            assert length <= most, f"{name}:{node.lineno}: {node.name} has {length} lines, at most {most}"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_constructor_says_in_one_breath_what_a_part_may_touch(path: Path) -> None:
    """Six things at most (DESIGN, rule 6), beside the name that tells one part from its like."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            given = [each for each in node.args.args[1:] + node.args.kwonlyargs if each.arg not in PART_NAMES]
            found = len(given)
            assert found <= 6, f"{relative(path)}:{node.lineno}: it takes {found} things, which is two parts or a value"


def test_ratchets_name_files_that_exist() -> None:
    for name in LONG_FILES:
        assert (ROOT / name).is_file(), f"{name} is gone: drop its ratchet"
    for name in LONG_FUNCTIONS:
        assert (ROOT / name.partition(":")[0]).is_file(), f"{name} is gone: drop its ratchet"


def test_the_lock_has_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--hash=sha256:" in text
    pinned = [line for line in text.splitlines() if re.match(r"^[a-z0-9]", line)]
    assert pinned
    assert all("==" in line for line in pinned)


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    words = ("/" + "work/", "/" + "root/", "py" + "pi.", "files.python" + "hosted")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".png", ".gz", ".parquet") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        for word in words:
            assert word not in text, f"{name} names {word}"


def test_public_names_are_there() -> None:
    code = "import sim, stigmem; from sim import Scenario, run; print(stigmem.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", done.stdout.strip())
