"""What `import stigmem` offers is the list of the design, cheap to import, and typed for those who install it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import stigmem
import stigmem.client
import stigmem.testing

ROOT = Path(__file__).resolve().parents[1]
PORTS = {"Context", "Clock", "Signal", "Entropy", "Transport", "Journal"}
ERRORS = {"StigmemError", "Refusal", "Rejection", "JournalCorrupt", "JournalFull", "Unreachable"}
VALUES = {"Node", "NodeSettings", "Request", "Response", "Ledger", "__version__"}

PLAIN = {"FactScope", "FactValue"}
"""Unions, which have no help of their own."""

EXAMPLES = {
    "embedding.py": """
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import trio

from stigmem import Clock, Context, Entropy, Journal, Node, NodeSettings, Request, Response, Transport, Unreachable


class NoPeers:
    async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
        raise Unreachable("no_such_host", f"{url}: this node has no peers")


async def health(clock: Clock, entropy: Entropy, journal: Journal) -> int:
    peers: Transport = NoPeers()
    node = Node(NodeSettings(seed=entropy.token(32)), Context(clock, entropy, peers, journal))
    await node.load()
    node.start()
    statuses: list[int] = []
    answered = trio.Event()

    def take(response: Response) -> None:
        statuses.append(response.status)
        answered.set()

    node.offer(Request("GET", "/healthz"), take)
    with trio.fail_after(60):
        await answered.wait()
    return statuses[0]
""",
    "reading.py": """
from stigmem import Ledger, Refusal, Rejection, StigmemError
from stigmem.core.conflicts import Conflict
from stigmem.core.fact import Fact


def texts(ledger: Ledger) -> list[str]:
    return [fact.text for fact in ledger.log]


def sources(conflict: Conflict) -> list[str]:
    members: tuple[Fact, ...] = conflict.members
    return [member.source for member in members]


def guilty(error: StigmemError) -> str:
    if isinstance(error, Refusal):
        return f"whoever asked: {error.status} {error.code}"
    return "a peer" if isinstance(error, Rejection) else error.message
""",
    "client.py": """
from stigmem import AsyncStigmemClient, Fact, StigmemClient, StigmemNotFoundError, string_value


def texts(url: str) -> list[str]:
    with StigmemClient(url, "key") as node:
        node.assert_fact("user:ada", "memory:role", string_value("engineer"), "agent:me", scope="public")
        return [fact.relation for fact in node.iter_facts(entity="user:ada")]


async def first(url: str) -> Fact | None:
    async with AsyncStigmemClient(url) as node:
        try:
            return await node.get("x")
        except StigmemNotFoundError as error:
            print(error.status_code)
        async with node.follow(scope="public") as facts:
            async for fact in facts:
                return fact
    return None
""",
    "testing.py": """
import json

from stigmem import NodeSettings, Request
from stigmem.testing import MemoryJournal, RunningNode, running_node


async def test_it() -> None:
    journal = MemoryJournal()
    async with running_node(NodeSettings(seed=bytes(32), auth_required=False), journal=journal) as node:
        ask: RunningNode = node
        answer = await ask.ask(Request("GET", "/v1/facts"))
        assert json.loads(answer.body)["facts"] == []
        await node.clock.advance(1.5)
""",
}


def test_the_public_names_are_those_of_the_design() -> None:
    assert set(stigmem.__all__) == PORTS | ERRORS | VALUES | set(stigmem.client.__all__)
    assert stigmem.StigmemError is stigmem.client.StigmemError
    assert len(stigmem.__all__) == len(set(stigmem.__all__))
    for name in stigmem.__all__:
        assert name in PLAIN or getattr(stigmem, name).__doc__ if name != "__version__" else stigmem.__version__
    assert set(stigmem.testing.__all__) == {
        "OPERATOR", "ManualClock", "MemoryJournal", "Pending", "RunningNode", "ScriptedTransport", "WakeUps",
        "running_node",
    }  # fmt: skip
    with pytest.raises(AttributeError, match="nonsense"):
        _ = stigmem.nonsense


def test_importing_the_package_imports_nothing_else() -> None:
    heavy = ("stigmem.", "msgspec", "nacl", "trio", "pydantic", "httpx")
    code = f"import sys, stigmem; print([name for name in sys.modules if name.startswith({heavy})])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages as a wheel brings them, and nothing else of this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    build = "import hatchling.build as h, sys; print(h.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True)
    return site


def test_the_types_of_the_library_hold_for_who_installed_it(installed: Path, tmp_path: Path) -> None:
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text.lstrip())
    (tmp_path / "wrong.py").write_text("from stigmem import NodeSettings\n\nNodeSettings(seed='text')\n")
    assert (installed / "stigmem" / "py.typed").is_file()

    def mypy(*names: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            str(tmp_path / "cache"),
            "--config-file",
            "",
        ]
        return subprocess.run(
            [*command, *names], cwd=tmp_path, env={"PYTHONPATH": str(installed), "PATH": ""}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip

    done = mypy(*EXAMPLES)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = mypy("wrong.py")
    assert "arg-type" in wrong.stdout, wrong.stdout
    assert str(installed) not in done.stdout
