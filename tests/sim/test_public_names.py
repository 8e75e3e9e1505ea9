"""The names of the library are those that were promised, each is there, and types come along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sim

TO_RUN = {"BadScenario", "Result", "Scenario", "Simulation", "band_figure", "load_scenario", "run", "sweep"}
TO_EXTEND = {"Adversary", "CheckResult", "Checker", "Fault", "PropertyViolated", "Workload", "kind"}


def test_the_package_gives_the_names_of_the_library_and_no_others() -> None:
    assert set(sim.__all__) == TO_RUN | TO_EXTEND
    assert len(sim.__all__) == len(set(sim.__all__))
    assert dir(sim) == sorted(sim.__all__)
    for name in sim.__all__:
        assert getattr(sim, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = sim.nothing  # type: ignore[attr-defined]


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(sim.__file__).parent / "py.typed").is_file()


def test_importing_the_package_imports_no_simulator() -> None:
    code = "import sys, sim; print(sorted(name for name in sys.modules if name.startswith(('sim.', 'trio', 'polars'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
