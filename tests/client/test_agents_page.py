"""The agent of docs/agents.md does what the page says, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import trio

from tests.host.nodes import node_at

ROOT = Path(__file__).resolve().parents[2]
LINES_MAX = 40


async def test_the_agent_of_the_page_prints_what_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "agents.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= LINES_MAX
    async with node_at(tmp_path) as node:
        environment = os.environ | {"STIGMEM_URL": node.url, "PYTHONPATH": str(ROOT)}
        run = partial(
            subprocess.run, [sys.executable, "-c", code],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        done = await trio.to_thread.run_sync(run)
    assert (done.returncode, done.stdout) == (0, printed), done.stderr
