"""The command line: what it says, its exit status, and that it speaks to nodes that run, that stopped, and far ones."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from stigmem.core.records import QuarantineRow
from stigmem.host.cli import app, main
from stigmem.host.cli.clock_void import instant
from stigmem.host.cli.fact import typed
from stigmem.host.cli.speech import Mistake
from tests.host.nodes import filled, node_at, numbered, opened

PUT = ("fact", "put", "user:ada", "memory:role", "analyst", "--source", "agent:docs")


@pytest.fixture(autouse=True)
def _quiet_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STIGMEM_")]:
        monkeypatch.delenv(name)


class Said:
    """What a command printed, and its exit status."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a command line; works inside and outside an event loop."""

    def command(*tokens: str) -> Said:
        capfd.readouterr()
        status = main(list(tokens))
        return Said(status, *capfd.readouterr())

    return command


async def beside(run: Any, *tokens: str) -> Said:
    """Run it while this event loop goes on."""
    said: Said = await trio.to_thread.run_sync(lambda: run(*tokens))
    return said


def new_node(run: Any) -> None:
    assert run("auth", "create-key", "--entity", "user:ada", "--permissions", "read").status == 0


# --- help and mistakes ---


def subjects() -> list[tuple[str, ...]]:
    """Every command there is."""
    found: list[tuple[str, ...]] = []
    for name in app:
        if name.startswith("-"):
            continue
        inner = [(name, sub) for sub in app[name] if not sub.startswith("-")]
        found += inner or [(name,)]
    return found


@pytest.mark.parametrize("command", subjects(), ids=" ".join)
def test_every_command_has_help_with_an_example(run: Any, command: tuple[str, ...]) -> None:
    said = run(*command, "--help")
    assert said.status == 0
    assert f"stigmem {' '.join(command)}" in said.out
    assert "Examples:" in said.out


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (("sreve",), "`stigmem` has no command 'sreve': did you mean serve?"),
        (("fact", "xyzzy"), "`stigmem fact` has no command 'xyzzy': there are put, get, history, query"),
        (("serve", "--prot", "1"), "--prot"),
        (("serve", "--port", "x"), "--port: 'x' is not a whole number from 0 to 65535"),
        (("serve", "--config", "absent.toml"), "there is no settings file absent.toml"),
        (("serve", "--no-auth-required", "--host", "0.0.0.0"), "without authentication"),
        (("serve", "--federation-enabled", "--host", "10.0.0.1"), "needs mutual TLS"),
        (("serve", "--tls-cert-path", "a", "--tls-key-path", "b"), "the certificate a and its key b cannot be used"),
        (("fact", "query"), "there is no node in stigmem-data"),
        (("fact", "put", "a"), "RELATION"),
        (("fact", "query", "--limit", "0"), "--limit must be at least 1"),
        (("conflicts", "resolve", "x"), "either --winner FACT_ID or --value VALUE"),
        (("auth", "create-key", "--entity", "a:b", "--permissions", "root"), "root is no permission; there are read"),
        (("auth", "create-key", "--entity", "a:b", "--permissions", ","), "give at least one permission"),
        (("auth", "create-key", "--entity", "a:b", "--permissions", "read", "--scopes", "x"), "x is no scope"),
        (("auth", "bootstrap-key", "--key", "short"), "at least 32 characters"),
        (("audit", "verify", "--head", "x"), "--head is a number and a hash"),
        (("tail", "--since", "yesterday"), "ISO-8601"),
        (("fact", "query", "--url", "node.example"), "--url must be an http or https address"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(run: Any, tokens: tuple[str, ...], expected: str) -> None:
    said = run(*tokens)
    assert said.status == 2
    assert expected in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert "Traceback" not in said.err


def test_what_does_not_work_is_status_1(run: Any) -> None:
    said = run("fact", "query", "--url", "http://127.0.0.1:1")
    assert (said.status, "http://127.0.0.1:1 does not answer" in said.err) == (1, True)
    Path("file").touch()
    for tokens, expected in (
        (("serve", "--data-dir", "file"), "file cannot be a data directory (File exists)"),
        (("serve", "--host", "192.0.2.1"), "cannot listen on 192.0.2.1, port 8765: no interface of this machine"),
        (("import", "absent"), "absent: No such file or directory"),
    ):
        said = run(*tokens)
        assert (said.status, expected in said.err, len(said.err.splitlines())) == (1, True, 1), said.err


def test_a_bug_is_status_70_and_shows_where_it_was(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("stigmem.host.cli.config.resolved", broken)
    said = run("config", "show")
    assert (said.status, "ZeroDivisionError: a bug" in said.err) == (70, True)


def test_a_damaged_journal_is_told_in_a_sentence(run: Any) -> None:
    filled(Path("stigmem-data"), 30)
    Path("stigmem-data/stigmem.db").write_bytes(Path("stigmem-data/stigmem.db").read_bytes()[:20_000])
    for tokens in (("fact", "query"), ("export",), ("serve", "--port", "0")):
        said = run(*tokens)
        assert (said.status, "is damaged" in said.err) == (1, True), tokens


# --- settings ---


def test_settings_are_shown_with_where_they_come_from(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("stigmem.toml").write_text("log_level = 'debug'\n")
    monkeypatch.setenv("STIGMEM_PORT", "9000")
    monkeypatch.setenv("STIGMEM_FEDERATION_PRIVKEY", "A" * 43)
    monkeypatch.setenv("STIGMEM_TRUST_MODE", "strict")
    said = run("config", "show", "--json", "--host", "127.0.0.9")
    found = said.json["settings"]
    assert said.status == 0
    assert found["host"] == {"value": "127.0.0.9", "from": "flag"}
    assert found["port"] == {"value": 9000, "from": "variable"}
    assert found["log_level"] == {"value": "debug", "from": "file"}
    assert found["auth_required"] == {"value": True, "from": "default"}
    assert found["federation_privkey"]["value"] == "(given)"
    assert said.json["file"] == "stigmem.toml"
    assert said.json["remarks"] == ["STIGMEM_TRUST_MODE is a setting of the reference node that this one does not have"]
    shown = run("config", "show").out
    assert "STIGMEM_PORT" in shown
    assert "A" * 43 not in shown


def test_settings_that_would_be_refused_are_shown_all_the_same(run: Any) -> None:
    said = run("config", "show", "--json", "--no-auth-required", "--host", "10.0.0.1")
    assert said.status == 2
    assert "without authentication" in said.json["refused"]


# --- a node that does not run ---


def test_the_first_key_is_made_before_the_first_start(run: Any) -> None:
    said = run("auth", "create-key", "--entity", "user:ada", "--permissions", "read,write", "--description", "laptop")
    assert said.status == 0
    assert said.out.startswith("sk-")
    assert "shown once" in said.err
    listed = run("auth", "list", "--json").json
    assert [(row["entity_uri"], row["permissions"], row["description"]) for row in listed] == [
        ("user:ada", ["read", "write"], "laptop")
    ]
    content = Path("stigmem-data/stigmem.db").read_bytes()
    assert said.out.strip().encode() not in content


def test_a_key_is_revoked_by_the_beginning_of_its_id(run: Any) -> None:
    new_node(run)
    (row,) = run("auth", "list", "--json").json
    assert run("auth", "revoke", "no-such").status == 1
    assert run("auth", "revoke", row["id"][:6]).status == 0
    assert run("auth", "list", "--json").json == []


def test_bootstrap_works_once(run: Any) -> None:
    secret = "k" * 40
    made = run("auth", "bootstrap-key", "--key", secret, "--permissions", "admin,read")
    assert made.status == 0
    assert ": admin, read; " in made.err
    assert secret not in made.err + made.out
    said = run("auth", "bootstrap-key", "--key", secret + "2")
    assert (said.status, "there are keys already" in said.err) == (1, True)


def test_facts_are_written_read_and_found_in_a_stopped_node(run: Any) -> None:
    new_node(run)
    made = run(*PUT, "--scope", "company", "--json").json
    assert made["value"]["v"] == "analyst"
    assert run("fact", "get", made["id"], "--json").json == made
    assert "user:ada" in run("fact", "query", "--entity", "user:ada").out
    assert run("fact", "query", "--entity", "user:bob").out == "no fact matches\n"
    number = run("fact", "put", "repo:core", "memory:stars", "42", "--type", "number", "--source", "a:b", "--json").json
    assert number["value"]["v"] == 42.0
    assert len(run("fact", "query", "--all", "--json").json) == 2
    assert len(run("fact", "query", "--limit", "1", "--json").json) == 1


def test_an_object_is_put_and_shown_where_a_schema_asks_for_the_type_json(run: Any, tmp_path: Path) -> None:
    new_node(run)
    schema = tmp_path / "schema.json"
    schema.write_text('{"value_type": ["json"]}')
    put = ("fact", "put", "shop:order-7", "shop:order")
    end = ("--type", "json", "--source", "user:ada")
    refused = run(*put, '{"n": 1}', *end)
    assert (refused.status, "a schema in force must name json" in refused.err) == (2, True)
    run("schema", "put", "shop:order", str(schema), "--source", "user:ada")
    assert "is not JSON" in run(*put, "{n: 1}", *end).err
    made = run(*put, '{"n": 1, "all": [true]}', *end, "--json").json
    assert made["value"] == {"type": "json", "v": {"all": [True], "n": 1}, "interpret_as": "content"}
    assert '{"all":[true],"n":1}' in run("fact", "query", "--relation", "shop:order").out
    assert '{"all":[true],"n":1} (json)' in run("fact", "get", made["id"]).out


def test_what_was_stored_is_one_line_and_a_fact_that_stays_here_says_so(run: Any) -> None:
    """`fact put` printed every member of the record, and nothing of its scope being local."""
    new_node(run)
    said = run(*PUT)
    assert said.out.startswith("stored user:ada memory:role = analyst [local] of agent:docs, id ")
    assert said.out.count("\n") == 1
    assert "its scope is local, so it stays on this node" in said.err
    assert run(*PUT, "--scope", "local").err == ""
    assert run(*PUT, "--scope", "public").err == ""
    assert run(*PUT, "--confidence", "0", "--scope", "public").out.startswith("took back user:ada memory:role")
    stored = run(*PUT, "--json")
    assert (stored.json["scope"], stored.err) == ("local", "")


def test_a_file_to_write_is_named_like_a_file_to_read_and_is_its_owners_alone(run: Any) -> None:
    """`export FILE` said "Unused Tokens", and `export --out FILE` wrote what anybody could read."""
    new_node(run)
    run(*PUT)
    for words in (
        ("export", "a.jsonl"), ("export", "--out", "b.jsonl"), ("federation", "cursor-export", "c.json"),
        ("federation", "cursor-export", "--out", "d.json"), ("backup", "e.db"),
    ):  # fmt: skip
        assert run(*words).status == 0, words
        assert stat.S_IMODE(Path(words[-1]).stat().st_mode) == 0o600, words
    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()
    assert run("export").out == run("export", "-").out == Path("a.jsonl").read_text()
    assert run("export", "/dev/null").status == 0
    said = run("export", "x", "--out", "y")
    assert (said.status, "name one file to write" in said.err) == (2, True)
    Path("a.jsonl").chmod(0o644)
    assert run("export", "a.jsonl").status == 0
    assert stat.S_IMODE(Path("a.jsonl").stat().st_mode) == 0o600


def test_an_export_that_fails_leaves_what_was_there(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    new_node(run)
    Path("kept.jsonl").write_text("before")

    def fail(*_: object) -> int:
        raise OSError("the disk is full")

    monkeypatch.setattr("stigmem.host.transfer.export_facts", fail)
    assert run("export", "kept.jsonl").status == 1
    assert Path("kept.jsonl").read_text() == "before"
    assert not Path("kept.jsonl.new").exists()


def test_the_doctor_of_a_directory_without_a_node_is_not_content(run: Any) -> None:
    """`doctor --data-dir nowhere` ended with status 0."""
    said = run("doctor", "--data-dir", "nowhere")
    assert (said.status, "there is no node in nowhere" in said.out) == (1, True)
    assert not Path("nowhere").exists()


def test_a_backup_is_restored_and_counted_from_there(run: Any) -> None:
    new_node(run)
    run(*PUT)
    assert run("backup", "copy.db").status == 0
    run("fact", "put", "user:bob", "memory:role", "boss", "--source", "agent:docs")
    assert run("restore", "copy.db").status == 1, "there is a journal already"
    Path("stigmem-data/stigmem.db").unlink()
    assert "there is no node" in run("fact", "query").err
    assert "1 fact restored" in run("restore", "copy.db").err
    assert "analyst" in run("fact", "query", "--entity", "user:ada").out
    assert run("doctor").status == 0
    Path("no.db").write_bytes(b"nothing")
    assert run("restore", "no.db", "--data-dir", "other").status == 1
    assert not Path("other/stigmem.db").exists()


def test_what_the_node_refuses_is_told_with_the_member(run: Any) -> None:
    new_node(run)
    said = run("fact", "put", "user:ada", "memory:at", "noon", "--type", "datetime", "--source", "agent:docs")
    assert said.status == 2
    assert "the node says 422" in said.err
    assert run("fact", "get", "no-such-fact").status == 1


@pytest.mark.parametrize(("text", "kind"), [("maybe", "boolean"), ("1e", "number"), ("NaN", "number")])
def test_a_word_that_is_no_value_of_its_type_is_a_mistake(text: str, kind: Any) -> None:
    with pytest.raises(Mistake):
        typed(text, kind)


@pytest.mark.parametrize(
    ("text", "kind", "v"),
    [("true", "boolean", True), ("-1.5", "number", -1.5), ("x", "null", None), ("1", "string", "1")],
)
def test_words_become_values_of_their_type(text: str, kind: Any, v: object) -> None:
    assert typed(text, kind) == {"type": kind, "v": v}


def test_what_waits_is_listed_shown_admitted_and_rejected(run: Any) -> None:
    new_node(run)
    waiting = [
        msgspec.structs.replace(
            each, received_from="n:peer", interpret_as="instruction", quarantine="instruction_federation_inbound"
        )
        for each in numbered(2)
    ]
    with opened(Path("stigmem-data")) as journal:
        journal.write([*waiting, *(QuarantineRow(each.origin, each.id, "pending", 1) for each in waiting)])
    assert run("quarantine", "list").out == "nothing is pending\n"  # they came in 1970, and nobody decided
    assert len(run("quarantine", "list", "--status", "expired", "--json").json) == 2
    with opened(Path("stigmem-data")) as journal:
        now_us = time.time_ns() // 1_000
        journal.write([QuarantineRow(each.origin, each.id, "pending", now_us) for each in waiting])
    first, second = waiting
    assert [row["fact_id"] for row in run("quarantine", "list", "--json").json] == [second.id, first.id]
    shown = run("quarantine", "show", first.id[:10]).out
    assert "held back as instruction_federation_inbound" in shown
    assert first.text in shown
    assert f"admitted: {first.id}" in run("quarantine", "admit", first.id[:10], "--reason", "asked them").err
    assert f"rejected: {second.id}" in run("quarantine", "reject", second.id).err
    assert run("quarantine", "admit", second.id).status == 1
    assert run("quarantine", "show", "nothing").status == 1
    assert "asked them" in run("quarantine", "show", first.id).out
    assert run("quarantine", "list", "--limit", "0").status == 2


def test_a_conflict_is_listed_shown_and_resolved(run: Any) -> None:
    new_node(run)
    first = run(*PUT, "--json").json
    said = run("fact", "put", "user:ada", "memory:role", "boss", "--source", "agent:rumour")
    assert "it contradicts what is known" in said.err
    (row,) = run("conflicts", "list", "--json").json
    short = row["conflict_id"].removeprefix("stigmem:conflict:")[:8]
    assert "analyst" in run("conflicts", "list").out
    shown = run("conflicts", "show", short).out
    assert "agent:rumour" in shown
    assert first["id"] in shown
    said = run("conflicts", "resolve", short, "--winner", first["id"][:8], "--note", "asked her")
    assert (said.status, "resolved by fact" in said.err) == (0, True)
    assert run("conflicts", "list").out == "no unresolved conflicts\n"
    assert run("conflicts", "list", "--status", "resolved", "--json").json[0]["resolution_note"] == "asked her"
    assert run("conflicts", "resolve", short, "--value", "chief").status == 1


# --- a node that runs ---


async def test_a_running_node_on_this_machine_needs_no_key(run: Any, tmp_path: Path) -> None:
    async with node_at(tmp_path / "stigmem-data", auth_required=True) as node:
        made = await beside(
            run, "auth", "create-key", "--entity", "user:ada", "--permissions", "read,write,admin", "--json"
        )
        assert made.status == 0
        assert len(node.node.state.keys) == 1
        assert (await beside(run, *PUT)).status == 0
        assert len(node.node.state.ledger) == 1
        assert (await beside(run, "auth", "list", "--json")).json[0]["entity_uri"] == "user:ada"
        assert (await beside(run, "auth", "bootstrap-key", "--key", "k" * 40)).status == 1


async def test_a_clock_that_jumped_is_shown_and_confirmed_by_command(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node_at(tmp_path / "node") as node:
        there = ("--data-dir", str(tmp_path / "node"))
        said = await beside(run, "clock", "status", *there)
        assert (said.status, "in doubt" in said.out) == (0, True)
        said = await beside(run, "clock", "confirm", *there)
        assert (said.status, "not in doubt" in said.err) == (1, True)
        right = node.node.clock.machine_wall_ns
        monkeypatch.setattr(node.node.clock, "machine_wall_ns", lambda: right() + 86_400_000_000_000)
        said = await beside(run, "clock", "status", *there)
        assert said.status == 1
        assert "it jumped 86400 s ahead; 0 of 0 peers agree" in said.out
        assert (await beside(run, *PUT, *there)).status == 1
        assert (await beside(run, "clock", "confirm", *there)).status == 0
        assert (await beside(run, *PUT, *there)).status == 0


async def test_facts_with_stamps_of_a_wrong_clock_are_taken_out_by_command(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node_at(tmp_path / "node") as node:
        there = ("--data-dir", str(tmp_path / "node"))
        said = await beside(run, "clock", "void", *there)
        assert (said.status, said.out) == (0, "no fact of this node is stamped in the future; nothing would change\n")
        right = node.node.clock.machine_wall_ns
        monkeypatch.setattr(node.node.clock, "machine_wall_ns", lambda: right() + 86_400_000_000_000)
        node.node.clock.wall_ns()
        assert (await beside(run, "clock", "confirm", *there)).status == 0
        assert (await beside(run, *PUT, *there)).status == 0
        monkeypatch.setattr(node.node.clock, "machine_wall_ns", right)
        said = await beside(run, "clock", "status", *there)
        assert (said.status, "`stigmem clock void` shows what can be taken out" in said.out) == (1, True)
        said = await beside(run, "clock", "void", *there)
        assert "1 facts would count for nothing any more, here and on every peer: 1 in local" in said.out
        assert "user:ada" in said.out
        assert "nothing was changed: the same with --yes does it" in said.err
        assert (await beside(run, "clock", "void", "--since", "in 2d", "--yes", "--json", *there)).json["facts"] == 0
        assert len((await beside(run, "fact", "query", "--json", *there)).json) == 1
        said = await beside(run, "clock", "void", "--yes", "--reissue", "--note", "a day ahead", *there)
        # A process in which another test began to log has lines of the log before it.
        assert (said.status, said.err.splitlines()[-1]) == (0, "1 facts are voided by 1 records, and 1 stated again")
        assert (await beside(run, "clock", "status", *there)).status == 0
        (found,) = (await beside(run, "fact", "query", "--json", *there)).json
        assert found["entity"] == "user:ada"
        said = await beside(run, "clock", "void", "--since", "yesterdayish", *there)
        assert (said.status, "not 'yesterdayish'" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", 0), ("2h ago", -7_200), ("in 5m", 300), ("1 d ago", -86_400), ("in 90 seconds", 90),
        ("3 minutes ago", -180), ("1970-01-01T00:01:40Z", -999_900), ("1970-01-12T13:46:40+00:00", 0),
    ],
)  # fmt: skip
def test_instants_are_said_in_plain_words(text: str, seconds: int) -> None:
    assert instant(text, 1_000_000_000_000, "--since") == 1_000_000_000_000 + seconds * 1_000_000


@pytest.mark.parametrize("text", ["", "5m", "in 5m ago", "in -5m", "ago", "in 5y", "tomorrow", "in 5 month"])
def test_what_is_no_instant_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(Mistake, match="--since is `now`, a span such as"):
        instant(text, 0, "--since")


async def test_a_node_far_away_is_asked_with_a_key(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with node_at(tmp_path / "far", auth_required=True) as node:
        url = f"http://127.0.0.1:{node.port}"
        said = await beside(run, "fact", "query", "--url", url)
        assert (said.status, "give --api-key or STIGMEM_API_KEY" in said.err) == (1, True)
        made = ("auth", "create-key", "--entity", "user:ada", "--permissions", "read,write,admin", "--data-dir", "far")
        secret = (await beside(run, *made)).out.strip()
        assert (await beside(run, *PUT, "--url", url, "--api-key", secret)).status == 0
        monkeypatch.setenv("STIGMEM_URL", url)
        monkeypatch.setenv("STIGMEM_API_KEY", secret)
        found = (await beside(run, "fact", "query", "--json")).json
        assert [fact["entity"] for fact in found] == ["user:ada"]
        other = await beside(run, "auth", "create-key", "--entity", "user:bob", "--permissions", "read", "--json")
        assert other.status == 0
        listed = (await beside(run, "auth", "list", "--json")).json
        assert {row["entity_uri"] for row in listed} == {"user:ada", "user:bob"}
        assert (await beside(run, "auth", "revoke", other.json["id"])).status == 0
        said = await beside(run, "auth", "bootstrap-key", "--key", "k" * 40)
        assert (said.status, "on the node's own machine" in said.err) == (2, True)


async def test_a_flag_for_this_machine_outranks_a_variable_for_another(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STIGMEM_URL", "http://127.0.0.1:1")
    async with node_at(tmp_path / "here"):
        assert (await beside(run, "fact", "query", "--data-dir", "here")).status == 0
        assert (await beside(run, "fact", "query")).status == 1


async def test_a_directory_in_use_by_something_else_is_said_to_be(run: Any, tmp_path: Path) -> None:
    from tests.host.nodes import opened

    with opened(tmp_path / "stigmem-data"):
        said = await beside(run, "fact", "query")
    assert (said.status, "does not answer at its control socket" in said.err) == (1, True)


async def test_the_control_socket_is_for_the_nodes_own_user_alone(tmp_path: Path) -> None:
    async with node_at(tmp_path / "d"):
        path = tmp_path / "d" / "control.sock"
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


async def test_a_directory_with_a_very_long_name_has_a_control_socket_too(run: Any, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    async with node_at(deep):
        assert (await beside(run, "auth", "list", "--data-dir", str(deep))).status == 0


def test_a_query_says_how_many_facts_are_hidden_by_open_conflicts_and_marks_what_was_taken_back(run: Any) -> None:
    new_node(run)
    for number in range(3):
        run("fact", "put", "user:ada", "memory:role", f"role {number}", "--source", f"agent:{number}")
    said = run("fact", "query", "--entity", "user:ada")
    assert "0 shown, 3 in open conflicts" in said.err
    assert "no fact matches" not in said.out
    assert "0 shown, 3 in open conflicts" in run("fact", "query", "--json").err
    shown = run("fact", "query", "--include-contradicted")
    assert shown.out.count("(contradicted)") == 3
    assert "in open conflicts" not in shown.err
    run("fact", "put", "user:bob", "memory:city", "Rome", "--source", "agent:me", "--confidence", "0")
    assert "Rome" not in run("fact", "query", "--entity", "user:bob").out
    assert "Rome (taken back)" in run("fact", "query", "--entity", "user:bob", "--include-retracted").out
    assert "Rome (taken back)" in run("fact", "query", "--entity", "user:bob", "--min-confidence", "0").out


def test_a_terminal_looks_up_what_was_so_before_and_says_as_of_when(run: Any) -> None:
    new_node(run)
    first = run("fact", "put", "user:ada", "memory:city", "Bonn", "--source", "agent:me", "--json").json
    run("fact", "put", "user:ada", "memory:city", "Rome", "--source", "agent:me")
    said = run("fact", "query", "--as-of", first["hlc"])
    assert ("Bonn" in said.out, "Rome" in said.out) == (True, False)
    assert f"as of {first['hlc']}; what had expired is judged at" in said.err
    (known,) = run("fact", "query", "--known-at", "s:1", "--json").json
    assert known["id"] == first["id"]
    named = run("fact", "query", "--known-at", "now")
    name = named.err.rsplit("--known-at ", 1)[1].strip()
    run("fact", "put", "user:ada", "memory:city", "Oslo", "--source", "agent:me")
    assert "Rome" in run("fact", "query", "--known-at", name).out
    history = run("fact", "history", first["id"], "--as-of", first["hlc"])
    assert ("Bonn" in history.out, "Rome" in history.out) == (True, False)
    refused = run("fact", "query", "--as-of", "yesterday")
    assert refused.status == 2
    assert "as_of is an ISO-8601 instant, or a stamp such as 1795161344436.000" in refused.err
    assert "this node has stored 3 facts" in run("fact", "query", "--known-at", "s:9").err
    other = run("fact", "put", "user:ada", "memory:city", "Bern", "--source", "agent:you", "--json").json
    (disputed,) = run("conflicts", "list", "--json").json
    run("conflicts", "resolve", disputed["conflict_id"], "--winner", other["id"])
    then = run("conflicts", "list", "--as-of", other["hlc"])
    assert ("Bern" in then.out, f"as of {other['hlc']}; what had" in then.err) == (True, True)
    assert "Bern" not in run("conflicts", "list").out
    shown = run("conflicts", "show", disputed["conflict_id"][17:25], "--known-at", "s:4")
    assert ("unresolved" in shown.out, "Oslo" in shown.out) == (True, True)
    assert "superseded" not in run("fact", "get", first["id"], "--as-of", first["hlc"], "--json").out
    assert "superseded_by" in run("fact", "get", first["id"], "--json").out


def test_twenty_notes_of_one_agent_are_all_there(run: Any) -> None:
    """Nineteen of them were superseded by the last."""
    new_node(run)
    for number in range(20):
        run("fact", "put", "user:ada", "memory:note", f"note {number}", "--source", "agent:docs")
    found = run("fact", "query", "--entity", "user:ada", "--limit", "100", "--json").json
    assert len(found) == 20
    assert run("conflicts", "list", "--json").json == []
    run("fact", "put", "user:ada", "memory:note", "note 7", "--source", "agent:docs", "--confidence", "0")
    assert run("fact", "query", "--entity", "user:ada", "--limit", "100", "--json").json == found[:12] + found[13:]


def test_an_intent_is_sent_listed_shown_and_acted_on(run: Any, tmp_path: Path) -> None:
    new_node(run)
    file = tmp_path / "seal.json"
    file.write_text(
        '{"id": "intent:seal", "deference": [{"condition": "cost > 100", "defer_to": "user:rhea", "timeout_s": 60}],'
        ' "handoff": {"summary": "Leak", "fact_refs": ["a:unknown"]}}'
    )
    who = ("--from", "user:ada", "--to", "agent:fitter")
    sent = run("intent", "send", *who, "--goal", "Replace the seal", "--file", str(file)).out
    assert "intent:seal is open: Replace the seal" in sent
    assert "not here: a:unknown" in sent
    assert "recipient" in run("intent", "list", "--of", "agent:fitter").out
    assert "nothing waits" in run("intent", "list", "--of", "user:nobody").out
    listed = run("intent", "list", "--of", "agent:fitter", "--json").json
    assert [each["id"] for each in listed["intents"]] == ["intent:seal"]
    assert "intent:seal" in run("intent", "list", "--of", "user:ada", "--outbox").out
    asked = run("intent", "act", "intent:seal", "consulted", "--rule", "0", "--by", "agent:fitter").out
    assert "intent:seal is deferred" in asked
    refused = run("intent", "act", "intent:seal", "done", "--by", "user:mallory")
    assert (refused.status, "no part" in refused.err, len(refused.err.splitlines())) == (1, True, 1)
    assert "consulted rule 0" in run("intent", "show", "intent:seal").out
    file.write_text("[1]")
    assert run("intent", "send", "--file", str(file)).status == 2
    assert run("intent", "send", "--file", str(tmp_path / "nowhere")).status == 2
    assert run("intent", "show", "intent:unknown").status == 1


def test_a_schema_is_checked_put_listed_and_shown(run: Any, tmp_path: Path) -> None:
    new_node(run)
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"value_type": ["number"], "json_schema": {"minimum": 0}, "cardinality": "many"}')
    bad.write_text('{"json_schema": {"$ref": "http://elsewhere.example/s.json"}}')
    assert run("schema", "check", str(good)).out == f"{good} holds a schema\n"
    refused = run("schema", "check", str(bad))
    assert (refused.status, "not fetched" in refused.err) == (2, True)
    assert run("schema", "put", "Shop:Price", str(good), "--source", "user:ada").status == 2
    assert "shop:price has a schema" in run("schema", "put", "shop:price", str(good), "--source", "user:ada").out
    assert "shop:price" in run("schema", "list").out
    assert "shop:price holds many values" in run("schema", "show", "shop:price").out
    assert run("schema", "show", "shop:price", "--json").json["schema"]["value_type"] == ["number"]
    wrong = run("fact", "put", "shop:apple", "shop:price", "cheap", "--source", "user:ada")
    assert (wrong.status, "type number" in wrong.err) == (2, True)
