"""Settings: where they come from, which one counts, and what is said about those that are wrong or unsafe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stigmem.core.keys import ED25519, encode_base64
from stigmem.host.safety import check_settings, is_loopback
from stigmem.host.settings import SETTINGS, HostSettings, node_settings
from stigmem.host.sources import BadSettings, resolve

SEED = bytes(range(32))


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sentence(*, flags: dict[str, str | bool] | None = None, file: str | None = None, **variables: str) -> str:
    """Why these settings are refused."""
    path = None
    if file is not None:
        path = Path("given.toml")
        path.write_text(file)
    with pytest.raises(BadSettings) as refused:
        check_settings(resolve(flags or {}, variables, path).settings)
    text = refused.value.message
    assert "\n" not in text
    return text


def test_defaults_are_safe() -> None:
    settings = resolve({}, {}).settings
    check_settings(settings)
    assert (settings.host, settings.port) == ("127.0.0.1", 8765)
    assert settings.auth_required
    assert not settings.federation_enabled
    assert not settings.federation_insecure


def test_a_flag_outranks_a_variable_and_a_variable_the_file() -> None:
    Path("stigmem.toml").write_text("port = 1\nhost = '127.0.0.2'\nlog_level = 'debug'\n")
    found = resolve({"port": "3"}, {"STIGMEM_PORT": "2", "STIGMEM_HOST": "127.0.0.3"})
    assert (found.settings.port, found.settings.host, found.settings.log_level) == (3, "127.0.0.3", "debug")
    assert (found.origins["port"], found.origins["host"], found.origins["log_level"], found.origins["node_id"]) == (
        "flag", "variable", "file", "default",
    )  # fmt: skip
    assert found.file == Path("stigmem.toml")


def test_the_file_may_group_settings_in_tables() -> None:
    Path("a.toml").write_text("[federation]\nenabled = true\nscopes = ['public']\n[rate-limit]\nwrite-per-hour = 5\n")
    settings = resolve({}, {"STIGMEM_CONFIG": "a.toml"}).settings
    assert settings.federation_enabled
    assert settings.federation_scopes == ("public",)
    assert settings.rate_limit_write_per_hour == 5


@pytest.mark.parametrize(
    ("text", "expected"), [("yes", True), ("ON", True), ("1", True), ("false", False), ("off", False)]
)
def test_switches_are_read_in_every_usual_spelling(text: str, expected: bool) -> None:
    assert resolve({}, {"STIGMEM_FEDERATION_RELAY": text}).settings.federation_relay is expected


def test_lists_are_separated_by_commas() -> None:
    assert resolve({"federation_scopes": "public, team"}, {}).settings.federation_scopes == ("public", "team")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"STIGMEM_PORT": "http"}, "STIGMEM_PORT: 'http' is not a whole number from 0 to 65535"),
        ({"STIGMEM_PORT": "70000"}, "STIGMEM_PORT: '70000' is not a whole number from 0 to 65535"),
        ({"STIGMEM_AUTH_REQUIRED": "maybe"}, "STIGMEM_AUTH_REQUIRED: 'maybe' is not true or false"),
        ({"STIGMEM_LOG_STYLE": "xml"}, "STIGMEM_LOG_STYLE: 'xml' is not one of console, json"),
        ({"STIGMEM_FEDERATION_PULL_INTERVAL_S": "0"}, "'0' is not a number from 0.05 to 86400"),
        ({"STIGMEM_FEDERATION_PULL_INTERVAL_S": "nan"}, "'nan' is not a number from 0.05 to 86400"),
        ({"STIGMEM_FEDERATION_SCOPES": "public,world"}, "not 'world'"),
        ({"STIGMEM_NODE_URL": "north.example"}, "node_url must be an http or https address"),
        ({"STIGMEM_FEDERATION_PRIVKEY": "short"}, "must be a 32-byte Ed25519 seed in base64url"),
        ({"STIGMEM_FEDERATION_PUBKEY": "x"}, "give both or neither"),
        ({"STIGMEM_TLS_CERT_PATH": "c.pem"}, "TLS needs both"),
        ({"STIGMEM_TLS_CA_BUNDLE": "c.pem"}, "which needs tls_cert_path and tls_key_path too"),
        ({"STIGMEM_CONFIG": "absent.toml"}, "there is no settings file absent.toml"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_told_by_name(variables: dict[str, str], expected: str) -> None:
    assert expected in sentence(**variables)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("prot = 1", "given.toml: prot is no setting; did you mean port?"),
        ("port = '1'", "given.toml: port: '1' is not a whole number from 0 to 65535"),
        ("port = true", "given.toml: port: True is not a whole number"),
        ("auth_required = 1", "given.toml: auth_required: 1 is not true or false"),
        ("federation_scopes = [1]", "given.toml: federation_scopes: [1] is not a list of texts"),
        ("[federation]\nenabledd = true", "federation_enabledd is no setting; did you mean federation_enabled?"),
        ("port = ", "the settings file given.toml is not TOML"),
    ],
)
def test_a_wrong_file_is_told_with_its_key(file: str, expected: str) -> None:
    assert expected in sentence(file=file)


def test_a_secret_is_never_part_of_a_sentence() -> None:
    with pytest.raises(BadSettings) as refused:
        resolve({}, {}, _written("federation_privkey = 123456789"))
    assert "123456789" not in refused.value.message
    assert "what was given is not a text" in refused.value.message


def _written(text: str) -> Path:
    Path("secret.toml").write_text(text)
    return Path("secret.toml")


def test_unknown_variables_are_reported_and_those_of_the_reference_in_other_words() -> None:
    names = ("STIGMEM_PROT", "STIGMEM_NODE_PRIVATE_KEY", "STIGMEM_TRUST_MODE", "STIGMEM_URL", "HOME")
    found = resolve({}, dict.fromkeys(names, "x"))
    instead = "; use STIGMEM_FEDERATION_PRIVKEY"
    assert found.remarks == [
        f"STIGMEM_NODE_PRIVATE_KEY is a setting of the reference node that this one does not have{instead}",
        "STIGMEM_PROT is no setting of this node and is ignored; did you mean STIGMEM_PORT?",
        "STIGMEM_TRUST_MODE is a setting of the reference node that this one does not have",
    ]


def test_the_references_name_for_where_the_journal_is_is_honoured() -> None:
    variables = {"STIGMEM_DB_PATH": "/var/lib/node/stigmem.db"}
    found = resolve({}, variables)
    assert (found.settings.data_dir, found.origins["data_dir"]) == (Path("/var/lib/node"), "variable")
    assert found.remarks == []
    assert resolve({}, variables | {"STIGMEM_DATA_DIR": "/srv"}).settings.data_dir == Path("/srv")
    assert resolve({"data_dir": "/flag"}, variables).settings.data_dir == Path("/flag")
    assert resolve({}, {"STIGMEM_DB_PATH": "stigmem.db"}).settings.data_dir == Path()
    with pytest.raises(BadSettings, match=r"always called stigmem\.db"):
        resolve({}, {"STIGMEM_DB_PATH": "/var/lib/node/facts.db"})


def test_every_setting_of_the_contract_that_exists_here_has_its_name() -> None:
    names = {setting.variable for setting in SETTINGS.values()}
    for name in (
        "HOST", "PORT", "NODE_ID", "NODE_URL", "AUTH_REQUIRED", "API_KEY_MAX_AGE_DAYS", "SOURCE_ATTESTATION_MODE",
        "RATE_LIMIT_WRITE_PER_HOUR", "RATE_LIMIT_READ_PER_HOUR", "FEDERATION_ENABLED", "FEDERATION_PULL_INTERVAL_S",
        "FEDERATION_PUSH_ENABLED", "FEDERATION_ALLOW_TEAM", "FEDERATION_INSECURE", "FEDERATION_PUBKEY",
        "FEDERATION_PRIVKEY", "FEDERATION_HLC_MAX_FUTURE_SKEW_S", "FEDERATION_HLC_MAX_PAST_SKEW_S",
        "PEER_TOKEN_LEEWAY_S", "TLS_CERT_PATH", "TLS_KEY_PATH", "TLS_CA_BUNDLE",
    ):  # fmt: skip
        assert f"STIGMEM_{name}" in names


# --- what is refused together ---


def test_without_authentication_only_this_machine_may_call() -> None:
    text = sentence(STIGMEM_AUTH_REQUIRED="false", STIGMEM_HOST="0.0.0.0")
    assert "without authentication a node may listen on this machine only, not on 0.0.0.0" in text
    for host in ("127.0.0.1", "localhost", "::1", "127.8.9.10"):
        check_settings(HostSettings(auth_required=False, host=host))
    for host in ("", "::", "192.168.1.4", "node.example"):
        with pytest.raises(BadSettings):
            check_settings(HostSettings(auth_required=False, host=host))


def test_federation_beyond_this_machine_needs_mutual_tls_or_the_operators_word() -> None:
    away = HostSettings(federation_enabled=True, host="10.0.0.4")
    with pytest.raises(BadSettings, match="needs mutual TLS"):
        check_settings(away)
    check_settings(replace(away, federation_insecure=True))
    check_settings(replace(away, tls_cert_path="c", tls_key_path="k", tls_ca_bundle="a"))
    with pytest.raises(BadSettings, match="needs mutual TLS"):
        check_settings(replace(away, tls_cert_path="c", tls_key_path="k"))


def test_a_node_behind_a_proxy_federates_beyond_this_machine_too() -> None:
    behind = HostSettings(federation_enabled=True, node_url="https://north.example")
    with pytest.raises(BadSettings, match="needs mutual TLS"):
        check_settings(behind)
    check_settings(replace(behind, node_url="http://localhost:8765"))


def test_a_node_on_every_address_must_say_which_one_peers_use() -> None:
    with pytest.raises(BadSettings, match="give --node-url"):
        check_settings(HostSettings(federation_enabled=True, host="0.0.0.0", federation_insecure=True))


def test_a_plain_address_with_a_certificate_is_a_mistake() -> None:
    with pytest.raises(BadSettings, match="this node speaks https"):
        check_settings(HostSettings(tls_cert_path="c", tls_key_path="k", node_url="http://north.example"))


def test_a_public_key_that_is_not_of_the_private_one_is_refused() -> None:
    keys = HostSettings(federation_privkey=encode_base64(SEED), federation_pubkey=ED25519.signer(SEED).public_key)
    check_settings(keys)
    with pytest.raises(BadSettings, match="not the public half"):
        check_settings(replace(keys, federation_pubkey=ED25519.signer(bytes(32)).public_key))


@pytest.mark.parametrize(
    ("host", "expected"), [("a.localhost", True), ("127.0.0.1", True), ("0.0.0.0", False), ("10.1.1.1", False)]
)
def test_loopback_is_recognised(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


# --- what the node is told ---


def test_the_node_gets_its_settings_in_its_own_units() -> None:
    chosen = HostSettings(
        rate_limit_write_per_hour=7200, rate_limit_read_per_hour=0, federation_hlc_max_future_skew_s=7,
        peer_token_leeway_s=3, federation_enabled=True, federation_pull_wait_s=1.5,
    )  # fmt: skip
    found = node_settings(chosen, seed=SEED, node_id="stigmem:node:x", port=9)
    assert (found.write_per_s, found.read_per_s) == (2.0, 0.0)
    assert (found.skew_future_ms, found.token_leeway_ms) == (7_000, 3_000)
    assert (found.federation, found.pull_wait_s, found.node_id) == (True, 1.5, "stigmem:node:x")
    assert found.node_url == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (HostSettings(host="0.0.0.0"), "http://localhost:9"),
        (HostSettings(host="::1"), "http://[::1]:9"),
        (HostSettings(host="10.0.0.1", tls_cert_path="c", tls_key_path="k"), "https://10.0.0.1:9"),
        (HostSettings(node_url="https://north.example/"), "https://north.example"),
    ],
)
def test_the_nodes_address_is_made_of_what_is_known(settings: HostSettings, expected: str) -> None:
    assert settings.url(9) == expected
