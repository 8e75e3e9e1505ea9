"""What a run leaves in `evidence/`, and that both programs check it without any other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.cli import main
from stigmem.host.cli import main as stigmem
from tests.sim.small import small_text, workload

TALK = workload("contradictions", rate="20/m", entities=5, scope="public")


def run_with(folder: Path, *parts: str, signatures: str = "ed25519") -> list[Path]:
    """The files of evidence that a run of a small scenario leaves."""
    file = folder / "x.toml"
    file.write_text(small_text(TALK, *parts, duration="20s", settle="1m", signatures=signatures))
    assert main(["run", str(file), "--out", str(folder / "run"), "--no-figures", "--trace", "none"]) == 0
    return sorted((folder / "run" / "evidence").glob("*.json"))


def adversary(kind: str, dialect: str = "2.1") -> str:
    return f'[[adversary]]\nkind = "{kind}"\npeers = ["a", "b"]\ndialect = "{dialect}"'


@pytest.mark.parametrize("kind", ["flipper", "twin"])
def test_who_gives_one_id_two_contents_leaves_evidence_that_a_real_node_checks(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = run_with(tmp_path, adversary(kind))
    assert files
    capsys.readouterr()
    assert main(["evidence", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.count("both signatures hold") == len(files)
    alone = tmp_path / "alone.json"
    alone.write_bytes(files[0].read_bytes())
    assert stigmem(["evidence", "verify", str(alone)]) == 0
    assert "gave the fact" in capsys.readouterr().out


@pytest.mark.parametrize("parts", [(), (adversary("equivocator"),), (adversary("overreach"),)])
def test_who_contradicts_no_statement_of_its_own_leaves_none(
    parts: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An equivocator's facts have ids of their own: it says different things, and both may be signed."""
    assert run_with(tmp_path, *parts) == []
    assert main(["evidence", str(tmp_path / "run")]) == 0
    assert "no evidence: nobody signed" in capsys.readouterr().out


def test_what_nobody_signed_is_told_and_is_no_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with(tmp_path, adversary("flipper", "0.5")) == []
    assert main(["evidence", str(tmp_path / "run")]) == 0
    assert "no evidence, for nobody signed it: mallory gave the fact" in capsys.readouterr().out


def test_tampered_evidence_is_refused_and_a_broken_file_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file, *_) = run_with(tmp_path, adversary("flipper"))
    good = file.read_text()
    for changed, status in ((good.replace('"default"', '"other"', 1), 1), (good[:-9], 2)):
        file.write_text(changed)
        assert stigmem(["evidence", "verify", str(file)]) == status
        assert main(["evidence", str(tmp_path / "run")]) == status
    assert stigmem(["evidence", "verify", str(tmp_path / "absent.json")]) == 2
    assert main(["evidence", str(tmp_path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_signatures_of_the_stand_in_count_in_the_laboratory_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file, *_) = run_with(tmp_path, adversary("flipper"), signatures="stand-in")
    assert main(["evidence", str(tmp_path / "run")]) == 0
    assert "of use in the laboratory only" in capsys.readouterr().out
    assert stigmem(["evidence", "verify", str(file)]) == 1
    assert "which anybody can make" in capsys.readouterr().err


def test_a_second_run_in_one_folder_leaves_its_own_evidence_only(tmp_path: Path) -> None:
    assert run_with(tmp_path, adversary("flipper"))
    assert run_with(tmp_path) == []
