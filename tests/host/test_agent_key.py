"""An agent's key on the command line, and an export that shows by itself who said what."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from stigmem.core.content_id import cid7
from stigmem.core.values import Value
from stigmem.host.cli import main


class Place:
    """A data directory of a node that does not run, and commands on it."""

    def __init__(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.home, self.capfd = home, capfd
        self.out = ""
        self.run("auth", "create-key", "--entity", "user:a", "--permissions", "read")

    def run(self, *words: str, status: int = 0, data_dir: str = "a") -> str:
        self.capfd.readouterr()
        at = [] if words[0] == "verify-fact" else ["--data-dir", str(self.home / data_dir)]
        assert main([*words, *at]) == status
        self.out, err = self.capfd.readouterr()
        return self.out + err

    def key(self, name: str = "scout.key") -> str:
        return str(self.home / name)

    def put(self, text: str, *more: str, status: int = 0) -> Any:
        words = ("fact", "put", "Dam:4", "env:level", text, "--source", "Agent:Scout", "--scope", "public", "--json")
        said = self.run(*words, *more, status=status)
        return said if status else json.loads(self.out)

    def exported(self) -> Path:
        self.run("export", "--out", self.key("facts.jsonl"))
        return self.home / "facts.jsonl"

    def verified(self, file: Path, *more: str, status: int = 0) -> list[dict[str, Any]]:
        self.run("verify-fact", str(file), *more, "--json", status=status)
        found: list[dict[str, Any]] = json.loads(self.out)
        return found


@pytest.fixture
def place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Place:
    found = Place(tmp_path, capfd)
    found.run("agent-key", "new", found.key(), "--entity", "agent:scout", "--expires-days", "30")
    return found


def test_what_is_signed_on_the_command_line_is_shown_by_an_export_alone(place: Place) -> None:
    assert stat.S_IMODE(Path(place.key()).stat().st_mode) == 0o600
    signed = place.put("high", "--sign-with", place.key(), "--confidence", "0.5")
    assert signed["attested"] is True
    place.put("low")
    file = place.exported()
    first, second = place.verified(file)
    assert (first["id"], first["agent"], first["key_id"]) == (signed["id"], "verified", signed["attested_key_id"])
    assert (second["agent"], second["ids"]) == ("not signed", "hold")
    assert [each["id"] for each in place.verified(file, second["id"])] == [second["id"]]
    place.verified(file, "another id", status=1)
    # An import keeps it.
    (place.home / "b").mkdir()
    shutil.copy(place.home / "a" / "federation.key", place.home / "b")
    place.run("import", str(file), data_dir="b")
    place.run("fact", "get", signed["id"], "--json", data_dir="b")
    fact = json.loads(place.out)
    assert (fact["attested"], fact["attested_key_id"]) == (True, signed["attested_key_id"])


@pytest.mark.parametrize("what", ["value", "value and ids", "nonce", "name", "node's word", "moved"])
def test_an_export_that_was_changed_shows_it(place: Place, what: str) -> None:
    place.put("high", "--sign-with", place.key())
    place.put("low", "--sign-with", place.key())
    file = place.exported()
    header, *rest = (json.loads(line) for line in file.read_text().splitlines())
    row = rest[0]
    if what.startswith("value"):
        row["value"] = "lower"
    if what == "value and ids":
        row["cid"] = cid7(row["entity"], row["relation"], row["scope"], row["source"], Value("string", "lower"), 1.0)
        row["certified"] = False
    if what == "nonce":
        row["attestation"]["nonce"] += "0"
    if what == "name":
        row["attestation"]["key"]["entity_uri"] = "agent:other"
    if what == "node's word":
        row["attestation"]["key"]["signature"] = rest[1]["attestation"]["key"]["signature"][::-1]
    if what == "moved":
        row["attestation"] = rest[1]["attestation"]
    file.write_text("".join(json.dumps(line) + "\n" for line in (header, *rest)))
    first, second = place.verified(file, status=1)
    assert "invalid" in (first["agent"], first["origin"]) or first["ids"] == "changed"
    assert second["agent"] == "verified"


def test_a_key_that_is_given_goes_before_that_of_the_export(place: Place) -> None:
    place.put("high", "--sign-with", place.key())
    file = place.exported()
    header = json.loads(file.read_text().splitlines()[0])
    right = f"{header['node_id']}={header['public_key']}"
    assert place.verified(file, "--origin-key", right)[0]["agent"] == "verified"
    wrong = json.loads(Path(place.key()).read_text())["public_key"]
    (found,) = place.verified(file, "--origin-key", f"{header['node_id']}={wrong}")
    assert (found["agent"], "another node's" in found["why"]) == ("no key", True)
    place.run("verify-fact", str(file), "--origin-key", "nonsense", status=2)


def test_a_key_is_followed_by_another_and_taken_back(place: Place) -> None:
    place.run("agent-key", "new", place.key(), "--entity", "agent:scout", status=2)  # it is there
    old = json.loads(Path(place.key()).read_text())
    shutil.copy(place.key(), place.key("old.key"))
    place.run("agent-key", "rotate", place.key(), "--overlap-s", "60")
    new = json.loads(Path(place.key()).read_text())
    assert new["public_key"] != old["public_key"]
    assert place.put("high", "--sign-with", place.key("old.key"))["attested_key_id"] == old["key_id"]
    assert place.put("low", "--sign-with", place.key())["attested_key_id"] == new["key_id"]
    place.run("agent-key", "revoke", new["key_id"])
    assert "revoked" in place.put("lower", "--sign-with", place.key(), status=2)
    place.run("agent-key", "list", "--json")
    rows = json.loads(place.out)
    assert [(row["id"], row["status"]) for row in rows] == [(new["key_id"], "revoked"), (old["key_id"], "active")]
    assert "which is not the source" in place.run(
        "fact", "put", "a:b", "c:d", "e", "--source", "user:else", "--sign-with", place.key(), status=2
    )


def test_a_file_that_is_no_key_is_said_to_be_none(place: Place) -> None:
    for text in ("", "{}", '{"entity_uri": "a:b", "key_id": "k", "public_key": "AAAA", "seed": "AAAA"}'):
        Path(place.key("bad.key")).write_text(text)
        assert "no key of an agent" in place.put("x", "--sign-with", place.key("bad.key"), status=1)
    assert "cannot be read" in place.put("x", "--sign-with", place.key("absent.key"), status=1)
