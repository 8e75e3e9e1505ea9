"""Traces from git: any repository's history becomes rows, nobody's name does, and what is none is refused plainly."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sim.history.gittrace import BadRepository, make_trace
from sim.history.tracefile import MEMBERS, read_rows
from stigmem.core.uris import normalise
from tests.sim.small_runs import run, workload

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

DAY = 86_400
NAMES = ("Ada Lovelace", "Grace Hopper", "Root")


class Repository:
    """A repository with a history of our own making; `at` is days after its first commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, at: float = 0, mail: str = "ada@acme.example", name: str = NAMES[0]) -> str:
        when = f"{1_700_000_000 + round(at * DAY)} +0300"
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in
               (("NAME", name), ("EMAIL", mail), ("DATE", when))}  # fmt: skip
        plain = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        command = ["git", "-c", "commit.gpgsign=false", "-c", "protocol.file.allow=always", *arguments]
        done = subprocess.run(command, cwd=self.path, env=plain | who, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, files: dict[str | bytes, str | None], **options: Any) -> str:
        """Commit files by name; None deletes one. The first twelve digits of the commit."""
        for name, text in files.items():
            path = os.path.join(os.fsencode(self.path), os.fsencode(name))  # noqa: PTH118  # names are bytes here
            if text is None:
                os.unlink(path)  # noqa: PTH108
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
                with open(path, "w") as file:  # noqa: PTH123
                    file.write(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a message", **options)
        return self.git("rev-parse", "HEAD")[:12]


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "My Project")


def rows_of(repo: Path, out: Path | None = None, **options: Any) -> list[dict[str, Any]]:
    """The rows of a repository's trace, as plain JSON."""
    target = out or repo.parent / "trace.jsonl"
    make_trace(repo, target, **options)
    return [json.loads(line) for line in target.read_text().splitlines()]


def test_a_changed_file_is_two_rows_about_the_last_commit_and_the_last_author(repo: Repository) -> None:
    first = repo.commit({"README.md": "1"})
    second = repo.commit({"src/Main.py": "1"}, at=2, mail="grace@navy.example")
    rows = rows_of(repo.path)
    assert [tuple(row) for row in rows] == [MEMBERS] * 4
    ada, grace = rows[0]["source"], rows[2]["source"]
    assert ada.startswith("stigmem://my-project.example/user/")
    assert len(ada.rpartition("/")[2]) == 10
    assert rows == [
        {
            "t": t, "org": org, "source": source, "entity": f"stigmem://my-project.example/file/{file}",
            "relation": relation, "value": value, "confidence": 1.0,
        }
        for t, org, source, file, commit in [
            (0, "acme-example", ada, "readme.md", first), (2 * DAY, "navy-example", grace, "src%2fmain.py", second),
        ]
        for relation, value in [
            ("repo:last_commit", {"type": "string", "v": commit}), ("repo:last_author", {"type": "ref", "v": source}),
        ]
    ]  # fmt: skip


def test_neither_names_nor_addresses_reach_the_file(repo: Repository) -> None:
    repo.commit({"a": "1"}, mail="ada.lovelace@acme.example", name=NAMES[0])
    repo.commit({"a": "2"}, at=1, mail="grace77@gmail.com", name=NAMES[1])
    repo.commit({"a": "3"}, at=2, mail="", name=NAMES[2])
    text = json.dumps(rows_of(repo.path)).lower()
    for secret in ("ada", "lovelace", "grace", "hopper", "@", "gmail", '"root'):
        assert secret not in text


def test_an_author_has_one_hash_in_a_repository_and_another_in_the_next(tmp_path: Path) -> None:
    sources = []
    for name in ("one", "other"):
        repo = Repository(tmp_path / name)
        repo.commit({"a": name}, mail="ADA@acme.example")
        repo.commit({"a": "2"}, at=1, mail="ada@acme.example")
        sources += [row["source"].rpartition("/")[2] for row in rows_of(repo.path)]
    assert len(set(sources[:4])) == len(set(sources[4:])) == 1
    assert sources[0] != sources[4]


def test_free_mail_and_no_mail_are_spread_over_four_independent_organisations(repo: Repository) -> None:
    for number in range(24):
        host = ("gmail.com", "users.noreply.github.com", "localhost", "QQ.com")[number % 4]
        repo.commit({"a": str(number)}, at=number, mail=f"someone{number}@{host}")
    repo.commit({"a": "x"}, at=30, mail="not an address")
    repo.commit({"a": "y"}, at=31, mail="x@Sub.Acme-Labs.co.uk")
    orgs = Counter(row["org"] for row in rows_of(repo.path))
    assert orgs.pop("sub-acme-labs-co-uk") == 2
    assert sorted(orgs) == [f"independent-{number}" for number in range(4)]


def test_a_deleted_and_a_renamed_file_are_retracted_under_their_old_name(repo: Repository) -> None:
    repo.commit({"old": "the same text in both", "gone": "x"})
    repo.git("mv", "old", "new")
    repo.commit({"gone": None}, at=1)
    rows = [row for row in rows_of(repo.path) if row["t"] and row["relation"] == "repo:last_commit"]
    found = {row["entity"].rpartition("/")[2]: row["confidence"] for row in rows}
    assert found == {"gone": 0.0, "new": 1.0, "old": 0.0}


def test_merges_are_left_out_and_both_sides_of_them_are_in(repo: Repository) -> None:
    repo.commit({"a": "1"})
    repo.git("switch", "-q", "-c", "side")
    repo.commit({"b": "1"}, at=1)
    repo.git("switch", "-q", "main")
    repo.commit({"c": "1"}, at=2)
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "side", at=3)
    assert [row["entity"][-1] for row in rows_of(repo.path)[::2]] == ["a", "b", "c"]


def test_rows_are_in_order_of_time_even_where_clocks_of_authors_were_not(repo: Repository) -> None:
    for number, day in enumerate((0, 5, 3, 4)):
        repo.commit({"a": str(number)}, at=day)
    repo.commit({}, at=6)
    assert [row["t"] // DAY for row in rows_of(repo.path)[::2]] == [0, 3, 4, 5]


ODD_NAMES = [
    b"sp ace", b"tab\there", b"new\nline", b"\xff\xfe.bin", "ünï/cödé".encode(), b"\x01start", b"100%", b"-dash",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_file_name_becomes_an_entity_that_a_node_takes_as_it_is(repo: Repository, name: bytes) -> None:
    repo.commit({name: "1", b"plain": "1"})
    make_trace(repo.path, repo.path.parent / "t.jsonl")
    entities = {row.entity for row in read_rows(repo.path.parent / "t.jsonl")}
    assert len(entities) == 2
    assert all(normalise(entity) == entity for entity in entities)


def test_a_very_long_name_keeps_its_beginning_and_stays_different_from_its_neighbours(repo: Repository) -> None:
    folder = "/".join(["ä" * 60] * 10)
    repo.commit({f"{folder}/one": "1", f"{folder}/two": "1"})
    entities = {row["entity"] for row in rows_of(repo.path)}
    assert len(entities) == 2
    assert all(len(entity) <= 2048 for entity in entities)


def test_the_same_history_gives_the_same_bytes_packed_or_not(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        repo.commit({f"f{number}": "1"}, at=number)
    folder = repo.path.parent
    summary = make_trace(repo.path, folder / "one.jsonl.gz")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("GIT_DIR", str(folder / "elsewhere"))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    repo.git("config", "log.showSignature", "true")
    repo.git("config", "diff.renames", "copies")
    assert make_trace(repo.path, folder / "two.jsonl.gz") == summary
    make_trace(repo.path, folder / "plain.jsonl")
    assert (folder / "one.jsonl.gz").read_bytes() == (folder / "two.jsonl.gz").read_bytes()
    assert gzip.decompress((folder / "one.jsonl.gz").read_bytes()) == (folder / "plain.jsonl").read_bytes()
    assert summary == (10, 5, 5, 1, 1, 4 * DAY)


def test_no_more_rows_than_asked_for_and_the_oldest_of_them(repo: Repository) -> None:
    for number in range(6):
        repo.commit({f"f{number}": "1"}, at=number)
    rows = rows_of(repo.path, max_rows=5)
    assert [row["entity"][-2:] for row in rows] == ["f0", "f0", "f1", "f1", "f2"]


def test_progress_hears_how_many_commits_were_read(repo: Repository) -> None:
    repo.commit({"a": "1"})
    repo.commit({"a": "2"}, at=1)
    heard: list[int] = []
    make_trace(repo.path, repo.path.parent / "t.jsonl", progress=heard.append)
    assert heard == [2]


def test_a_bare_repository_has_a_history_too(repo: Repository) -> None:
    repo.commit({"a": "1"})
    bare = repo.path.parent / "project.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    assert [row["entity"] for row in rows_of(bare)] == ["stigmem://project.example/file/a"] * 2


def test_a_shallow_clone_gives_the_commits_whose_changes_it_knows(repo: Repository) -> None:
    for number in range(4):
        repo.commit({f"f{number}": "1"}, at=number)
    for depth, files in ((3, ["f2", "f3"]), (2, ["f3"])):
        clone = repo.path.parent / f"depth-{depth}"
        repo.git("clone", "-q", "--depth", str(depth), repo.path.as_uri(), str(clone))
        assert [row["entity"][-2:] for row in rows_of(clone)[::2]] == files


def test_a_made_trace_runs_in_a_scenario(repo: Repository) -> None:
    for number in range(6):
        repo.commit({"a": str(number), f"f{number}": "1"}, at=number, mail=f"x@org{number % 3}.example")
    make_trace(repo.path, repo.path.parent / "history.jsonl.gz")
    simulation = run(workload("trace", file="history.jsonl.gz", fit="40s"), base=repo.path.parent)
    assert simulation.submissions.acknowledged == simulation.submissions.writes == 24
    assert {fact.origin for fact in simulation.visibility.facts} == {"a", "b", "c"}


# --- what is refused ---


def test_what_is_no_repository_with_a_history_is_refused_in_one_sentence(repo: Repository, tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    (tmp_path / "plain").mkdir()
    (tmp_path / "file").write_text("x")
    empty = repo.path
    inside = Repository(tmp_path / "whole")
    inside.commit({"sub/file": "1"})
    hollow = Repository(tmp_path / "hollow")
    hollow.commit({})
    inside.commit({"b": "1"}, at=1)
    deep = tmp_path / "deep"
    inside.git("clone", "-q", "--depth", "1", inside.path.as_uri(), str(deep))
    for folder, said in [
        (tmp_path / "nowhere", "is not a folder"), (tmp_path / "file", "is not a folder"),
        (tmp_path / "plain", "is not a git repository"), (empty, "has no commits yet"),
        (inside.path / "sub", "is a folder inside the repository"), (inside.path / ".git", "is a folder inside"),
        (hollow.path, "changes a file"), (deep, "fetch --unshallow"),
    ]:  # fmt: skip
        with pytest.raises(BadRepository, match=said) as caught:
            make_trace(folder, out)
        assert "\n" not in str(caught.value)
        assert not out.exists()


def test_a_place_that_cannot_be_written_is_refused_and_nothing_half_done_is_left(
    repo: Repository, tmp_path: Path
) -> None:
    repo.commit({"a": "1"})
    before = sorted(path.name for path in tmp_path.iterdir())
    for out, said in [(tmp_path / "no" / "t.jsonl", "a folder that exists"), (tmp_path, "must be a file")]:
        with pytest.raises(BadRepository, match=said):
            make_trace(repo.path, out)
    with pytest.raises(BadRepository, match="ask for at least 1"):
        make_trace(repo.path, tmp_path / "t.jsonl", max_rows=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_without_git_the_sentence_says_so(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit({"a": "1"})
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(BadRepository, match="git is not installed"):
        make_trace(repo.path, repo.path.parent / "t.jsonl")
