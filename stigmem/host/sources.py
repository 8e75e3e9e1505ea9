"""Where settings come from: flags, `STIGMEM_*` variables, a TOML file, defaults, in that order.

Reading and merging only. Every mistake is one sentence that names the place: the flag, the variable, or the file
and its key; a name that nobody knows is refused in a file and reported in the environment.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

from stigmem.core.errors import StigmemError
from stigmem.host.settings import SETTINGS, HostSettings, Setting

__all__ = ["BadSettings", "Origin", "Resolved", "overlaid", "resolve", "told_settings"]

DEFAULT_FILE: Final = Path("stigmem.toml")
_PREFIX: Final = "STIGMEM_"
_DB_PATH: Final = "STIGMEM_DB_PATH"
"""The reference's name for where the journal is. Honoured: the directory of the file is the data directory."""
_DB_NAME: Final = "stigmem.db"
_NOT_SETTINGS: Final = frozenset({"STIGMEM_CONFIG", "STIGMEM_URL", "STIGMEM_API_KEY", _DB_PATH})
"""Variables that the command line reads and no node, and one that is another name for a setting."""
_OF_THE_REFERENCE: Final = frozenset(
    _PREFIX + name
    for name in (
        "TRUST_MODE", "TRUST_RULES_FILE", "TRUST_WEIGHT_IDENTITY", "TRUST_WEIGHT_PEER_HISTORY",
        "TRUST_WEIGHT_SCOPE_AUTHORITY", "TRUST_WEIGHT_ATTESTATION_MODE", "SANITIZER_MODE",
        "RATE_LIMIT_DISABLED_ACK", "ASYNC_JOB_THRESHOLD", "API_KEY_EXPIRING_SOON_DAYS", "DECAY_TTL_SECONDS",
        "DECAY_MIN_CONFIDENCE", "SUBSCRIPTION_REPLAY_S", "FEDERATION_NONCE_WINDOW_S",
        "FACT_CHAIN_CHECKPOINT_INTERVAL", "FACT_CHAIN_CHECKPOINT_MAX_AGE_S", "FACT_CHAIN_CHECKPOINT_RETRY_S",
        "TL_BACKEND", "TL_LOCAL_PATH", "TL_REKOR_URL", "EMBED_ENABLED", "LOCAL_DEV_ALLOW_INSECURE_NON_LOOPBACK",
        "NODE_PRIVATE_KEY",
    )
)  # fmt: skip
_INSTEAD: Final = {
    "STIGMEM_NODE_PRIVATE_KEY": "STIGMEM_FEDERATION_PRIVKEY",
    "STIGMEM_LOCAL_DEV_ALLOW_INSECURE_NON_LOOPBACK": "STIGMEM_FEDERATION_INSECURE",
}
_PATHS: Final = ("tls_cert_path", "tls_key_path", "tls_ca_bundle")
_TRUE: Final = ("true", "1", "yes", "on")
_FALSE: Final = ("false", "0", "no", "off")

Origin = Literal["default", "file", "variable", "flag", "running"]
"""`running`: told by the node that runs on the data directory."""


class BadSettings(StigmemError):
    """Settings that cannot be read, or must not be used; the message is one sentence for the operator."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_settings", message)


class Resolved(NamedTuple):
    """The settings, where each came from, the file that was read if any, and what was odd."""

    settings: HostSettings
    origins: dict[str, Origin]
    file: Path | None
    remarks: list[str]


def resolve(
    flags: Mapping[str, str | bool | None], environment: Mapping[str, str], file: Path | None = None
) -> Resolved:
    """Merge the sources. `file`: a TOML file that must exist; else `stigmem.toml` is read where it does.

    Raises BadSettings.
    """
    named = file or (Path(environment["STIGMEM_CONFIG"]) if environment.get("STIGMEM_CONFIG") else None)
    found, from_file = _read_file(named)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for name, setting in SETTINGS.items():
        origins[name] = "default"
        if name in from_file:
            values[name], origins[name] = _native(setting, from_file[name], f"{found}: {name}"), "file"
        text = environment.get(setting.variable)
        if text is not None:
            values[name], origins[name] = _parse(setting, text, setting.variable), "variable"
        flag = flags.get(name)
        if flag is not None:
            values[name] = flag if isinstance(flag, bool) else _parse(setting, flag, setting.flag)
            origins[name] = "flag"
    if environment.get(_DB_PATH) and origins["data_dir"] in ("default", "file"):
        values["data_dir"], origins["data_dir"] = _directory_of(environment[_DB_PATH]), "variable"
    return Resolved(HostSettings(**values), origins, found, _remarks(environment))


def _directory_of(db_path: str) -> Path:
    """The data directory that a path of a journal means. Raises BadSettings."""
    path = Path(db_path)
    if path.name != _DB_NAME:
        raise BadSettings(
            f"{_DB_PATH}: the journal of this node is always called {_DB_NAME}, and {db_path!r} ends otherwise; give a "
            "path that ends so, or name the directory by STIGMEM_DATA_DIR"
        )
    return path.parent


def overlaid(found: Resolved, told: Mapping[str, Any]) -> Resolved:
    """The same with what a running node tells of its settings, which count whatever stands elsewhere. Names that are
    unknown here and values of another type are left out: the node may be of another version."""
    values, origins = {}, dict(found.origins)
    for name, value in told.items():
        setting = SETTINGS.get(name)
        if setting is None or setting.secret:
            continue
        try:
            values[name], origins[name] = _native(setting, value, name), "running"
        except BadSettings:
            continue
    return found._replace(settings=replace(found.settings, **values), origins=origins)


def told_settings(settings: HostSettings, port: int) -> dict[str, Any]:
    """What a running node tells its operator of its settings: no secret, paths that mean the same everywhere, and the
    port that was bound."""
    told: dict[str, Any] = {}
    for name, setting in SETTINGS.items():
        value = getattr(settings, name)
        if setting.secret:
            continue
        if isinstance(value, Path) or (name in _PATHS and value):
            value = str(Path(value).resolve())
        told[name] = list(value) if isinstance(value, tuple) else value
    return told | {"port": port}


def _remarks(environment: Mapping[str, str]) -> list[str]:
    known = {setting.variable for setting in SETTINGS.values()} | _NOT_SETTINGS
    remarks = []
    for name in sorted(environment):
        if not name.startswith(_PREFIX) or name in known:
            continue
        if name in _OF_THE_REFERENCE:
            instead = f"; use {_INSTEAD[name]}" if name in _INSTEAD else ""
            remarks.append(f"{name} is a setting of the reference node that this one does not have{instead}")
        else:
            remarks.append(f"{name} is no setting of this node and is ignored{_nearest(name, sorted(known))}")
    return remarks


def _nearest(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, 1)
    return f"; did you mean {close[0]}?" if close else ""


# --- the file ---


def _read_file(named: Path | None) -> tuple[Path | None, dict[str, Any]]:
    path = named or DEFAULT_FILE
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named is None:
            return None, {}
        raise BadSettings(f"there is no settings file {path}") from None
    except OSError as error:
        raise BadSettings(f"the settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"the settings file {path} is not TOML: {error}") from error
    return path, _flat(tables, path)


def _flat(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    """Settings by name: `port = 1` and `[federation] enabled = true` both name one."""
    found: dict[str, Any] = {}

    def walk(table: dict[str, Any], prefix: str) -> None:
        for key, value in table.items():
            name = f"{prefix}{key.replace('-', '_')}"
            if isinstance(value, dict):
                walk(value, name + "_")
            elif name not in SETTINGS:
                raise BadSettings(f"{path}: {name} is no setting{_nearest(name, list(SETTINGS))}")
            else:
                found[name] = value

    walk(tables, "")
    return found


# --- values ---


def _parse(setting: Setting, text: str, where: str) -> Any:
    """A value from text, as flags and variables carry it."""
    kind = setting.type
    try:
        if kind is bool:
            value: Any = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}[text.strip().lower()]
        elif kind in (int, float):
            value = kind(text)
        elif get_origin(kind) is tuple:
            value = tuple(part.strip() for part in text.split(",") if part.strip())
        else:
            value = Path(text) if kind is Path else text
    except (KeyError, ValueError):
        raise _wrong(setting, text, where) from None
    return _bounded(setting, value, text, where)


def _native(setting: Setting, value: Any, where: str) -> Any:
    """A value as TOML typed it."""
    kind = setting.type
    if kind is float and type(value) is int:
        value = float(value)
    elif kind is Path and isinstance(value, str):
        value = Path(value)
    elif get_origin(kind) is tuple:
        if isinstance(value, str):
            return _parse(setting, value, where)
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise _wrong(setting, value, where)
        value = tuple(value)
    if get_origin(kind) is None and type(value) is not kind and not isinstance(value, Path):
        raise _wrong(setting, value, where)
    return _bounded(setting, value, value, where)


def _bounded(setting: Setting, value: Any, given: object, where: str) -> Any:
    choices = get_args(setting.type) if get_origin(setting.type) is Literal else None
    if choices is not None and value not in choices:
        raise _wrong(setting, given, where)
    if setting.least is not None and not setting.least <= value <= (setting.most or 0):
        raise _wrong(setting, given, where)
    return value


def _wrong(setting: Setting, given: object, where: str) -> BadSettings:
    shown = "what was given" if setting.secret else repr(given)
    return BadSettings(f"{where}: {shown} is not {_expected(setting)}")


def _expected(setting: Setting) -> str:
    kind = setting.type
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "a list of texts, separated by commas"
    if kind in (int, float):
        article = "a whole number" if kind is int else "a number"
        return f"{article} from {setting.least:g} to {setting.most:g}"
    return "a text"
