"""Run the quickstart of the README and of the page on operating exactly as a reader would, and compare what they print.

`make quickstart` calls this. The commands and the expected output are read out of the two pages: every `sh` block after
a `quickstart` mark runs, in order, in one shell and an empty folder, and a `text` block says what the block before it
must print, with `...` for anything. Nothing is repeated here, so pages and check cannot drift apart.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/operating.md")
_SECTION = re.compile(r"<!-- quickstart -->\n((?:```(?:sh|text)\n.*?\n```\n)+)", re.DOTALL)
_BLOCK = re.compile(r"```(sh|text)\n(.*?)\n```\n", re.DOTALL)
_MARK = "@@ end of block"
_LIMIT_S = 180


class Step(NamedTuple):
    """A block of commands and what it must print; None when the page does not say."""

    commands: str
    expected: str | None


def steps(readme: str) -> list[Step]:
    """The quickstart of a README, in order."""
    found: list[Step] = []
    for section in _SECTION.findall(readme):
        for kind, text in _BLOCK.findall(section):
            if kind == "sh":
                found.append(Step(text, None))
            else:
                found[-1] = Step(found[-1].commands, text)
    return found


def matches(expected: str, printed: str) -> bool:
    """Whether lines are as expected, `...` standing for anything (also for several lines)."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def main() -> int:
    """Run it; 0 when every block printed what the README says."""
    wanted: list[Step] = []
    for page in PAGES:
        found = steps((ROOT / page).read_text(encoding="utf-8"))
        if not found:
            sys.stderr.write(f"{page} has no quickstart: no block follows the mark <!-- quickstart -->\n")
            return 1
        wanted += found
    script = "set -eu\n" + "".join(f"{step.commands}\necho\necho '{_MARK}'\n" for step in wanted)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    plain = {name: value for name, value in os.environ.items() if not name.startswith("STIGMEM_")}
    with tempfile.TemporaryDirectory() as folder:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder, env=plain | {"PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            printed, said = shell.communicate(timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGTERM)
            printed, said = shell.communicate()
            said += f"the quickstart took more than {_LIMIT_S} s\n"
        finally:
            _stop_group(shell.pid)
        return _judge(wanted, printed, said, shell.returncode)


def _stop_group(group: int) -> None:
    """Stop the nodes that the quickstart started; they outlive its shell, as they would a reader's."""
    try:
        os.killpg(group, signal.SIGTERM)
    except ProcessLookupError:
        return


def _judge(wanted: list[Step], printed: str, said: str, status: int) -> int:
    parts = printed.split(_MARK)
    if status != 0 or len(parts) != len(wanted) + 1:
        failed = wanted[min(len(parts), len(wanted)) - 1]
        sys.stderr.write(
            f"the quickstart stopped in this block (status {status}):\n{failed.commands}\n{parts[-1]}{said}"
        )
        return 1
    for step, part in zip(wanted, parts, strict=False):
        sys.stdout.write(f"$ {step.commands}\n{part.strip()}\n")
        if step.expected is not None and not matches(step.expected, part):
            sys.stderr.write(f"expected:\n{step.expected}\n{said}")
            return 1
    sys.stdout.write(f"the quickstart does what the pages say ({len(wanted)} blocks)\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
