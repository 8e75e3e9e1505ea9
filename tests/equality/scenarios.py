"""Runs of the shipped scenarios through the command line, each reduced to what must not change.

A process a run, so that this module knows nothing of `sim` but its command and what that prints.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "SLOW", "absent", "run_one", "runs_wanted", "summary"]

ROOT = Path(__file__).resolve().parents[2]
SLOW = ("geant", "organisations", "hundred-nodes", "four-node-soak")
"""One seed each, and not part of the short comparison."""
_MORE_SEEDS = (1001, 1002)
_DIGESTS = ("verdict", "trace_digest", "state_digest", "knowledge_digest", "events", "facts")
_VARIES = ("wall_s", "python", "version", "revision", "platform")
_FOLLOWS = ("policies",)
"""Digests of what the scenario sets and the state digest is over; recorded digests are older than this member."""


def _text(name: str) -> str:
    return (ROOT / "scenarios" / f"{name}.toml").read_text()


def runs_wanted(*, short: bool) -> list[tuple[str, int]]:
    """Scenario and seed of every run, the quick ones first; `short`: each quick scenario with its own seed."""
    found = []
    names = sorted((path.stem for path in (ROOT / "scenarios").glob("*.toml")), key=lambda name: (name in SLOW, name))
    for name in names:
        own = re.search(r"^seed = (\d+)", _text(name), re.MULTILINE)
        assert own, f"scenarios/{name}.toml has no seed"
        if name in SLOW:
            found += [] if short else [(name, int(own[1]))]
        else:
            found += [(name, seed) for seed in ((int(own[1]),) if short else (int(own[1]), *_MORE_SEEDS))]
    return found


def absent(name: str) -> list[str]:
    """Files that the scenario needs and that are not part of a checkout; those of them that are not there."""
    needs = re.search(r"^needs = \[(.*?)\]", _text(name), re.MULTILINE | re.DOTALL)
    files = re.findall(r'"([^"]+)"', needs[1]) if needs else []
    return [file for file in files if not (ROOT / "scenarios" / file).is_file()]


def run_one(name: str, seed: int) -> dict[str, Any]:
    """One run's summary; raises AssertionError when the command printed no result."""
    command = [
        sys.executable,
        "-m",
        "sim",
        "run",
        f"scenarios/{name}.toml",
        "--seed",
        str(seed),
        "--json",
        "--no-figures",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("{"), f"{' '.join(command[1:])} exited with {done.returncode}: {done.stderr[-2_000:]}"
    return summary(json.loads(done.stdout))


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Verdict and digests of a run.json, and one digest over everything else in it that is not about this machine."""
    rest = {key: value for key, value in result.items() if key not in (*_DIGESTS, *_VARIES, *_FOLLOWS)}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return {key: result[key] for key in _DIGESTS} | {"rest": hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}
