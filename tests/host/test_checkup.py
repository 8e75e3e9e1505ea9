"""What the doctor says of certificates, peers, clocks and room: each case with its grade and its sentence."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pytest

from stigmem.core.declaration import Discovery
from stigmem.core.hlc import stamp
from stigmem.core.records import ClockMark, PeerRow
from stigmem.core.wire import Request, Response
from stigmem.host import checkup
from stigmem.host.certificate import Certificate
from stigmem.host.checkup import check_clock, check_directory, check_peers, check_tls
from stigmem.host.settings import HostSettings
from stigmem.host.sources import BadSettings
from stigmem.node.ports import Unreachable
from tests.host.nodes import filled, opened

OURS: Final = SimpleNamespace(node_id="stigmem:node:ours")
TLS = HostSettings(tls_cert_path="north.pem", tls_key_path="north.key", tls_ca_bundle="ca.pem", federation_enabled=True)
URL = "http://peer.example"


def graded(findings: Any) -> list[tuple[str, str]]:
    return [(each.grade, each.sentence) for each in findings]


# --- certificates ---


def certified(monkeypatch: pytest.MonkeyPatch, days: float, *uris: str) -> list[tuple[str, str]]:
    """What is said of a certificate that ends in so many days and names these."""
    ends = datetime.now(UTC) + timedelta(days=days, minutes=1)
    monkeypatch.setattr(checkup, "own_certificate", lambda _: Certificate(ends, uris))
    return graded(check_tls(TLS, OURS))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("days", "grade", "verb"),
    [(400, "ok", "ends"), (21, "ok", "ends"), (20, "note", "ends"), (0, "note", "ends"), (-2, "bad", "ended")],
)
def test_a_certificate_is_looked_at_three_weeks_before_it_ends(
    monkeypatch: pytest.MonkeyPatch, days: int, grade: str, verb: str
) -> None:
    (first, *_) = certified(monkeypatch, days, OURS.node_id)
    assert first[0] == grade
    assert first[1].startswith(f"north.pem {verb} 20")
    assert first[1].endswith(f" ({days} days)")


def test_peers_require_that_the_certificate_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    assert certified(monkeypatch, 90, OURS.node_id)[1] == ("ok", "the certificate names this node, as peers require")
    other = certified(monkeypatch, 90, "stigmem:node:b", "stigmem:node:c")[1]
    assert other == (
        "bad", "the certificate names stigmem:node:b, stigmem:node:c, and peers require stigmem:node:ours"
    )  # fmt: skip
    assert certified(monkeypatch, 90)[1] == ("bad", "the certificate names no URI, and peers require stigmem:node:ours")
    assert len(graded(check_tls(replace(TLS, federation_enabled=False), OURS))) == 1  # type: ignore[arg-type]
    assert len(graded(check_tls(TLS, None))) == 1


@pytest.mark.parametrize(
    "error", [BadSettings("the key does not fit"), FileNotFoundError("no such file"), ssl.SSLError("x")]
)
def test_a_certificate_that_cannot_be_used_is_bad(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(_: HostSettings) -> Certificate:
        raise error

    monkeypatch.setattr(checkup, "own_certificate", broken)
    assert graded(check_tls(TLS, None)) == [("bad", str(error))]


def test_without_tls_it_is_off_and_that_is_noted_where_peers_are_spoken_to_without_it() -> None:
    assert graded(check_tls(HostSettings(), None)) == [("ok", "off")]
    assert graded(check_tls(HostSettings(federation_insecure=True), None)) == [("note", "off")]


# --- peers ---


def with_peers(directory: Path, **statuses: str) -> Path:
    with opened(directory) as journal:
        journal.write([
            PeerRow(f"{name}-0000-0000", f"stigmem:node:{name}", f"{URL}/{name}", "key", ("public",), status, "2.1+")
            for name, status in statuses.items()
        ])  # fmt: skip
    return directory


async def asked(
    directory: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Response]
) -> list[tuple[str, str, str]]:
    """What is said of the peers of a node when each answers so."""

    class Transport:
        def __init__(self, *_: Any) -> None:
            self.is_closed = False

        async def request(self, url: str, request: Request, timeout_ns: int, body_max: int) -> Response:
            assert request.target == "/.well-known/stigmem"
            return answer()

        async def aclose(self) -> None:
            self.is_closed = True

    monkeypatch.setattr(checkup, "HttpTransport", Transport)
    return [(each.subject, each.grade, each.sentence) for each in await check_peers(HostSettings(), directory)]


def discovery(node_id: str = "stigmem:node:north", key: str = "key", off_s: float | None = 0.0) -> Response:
    body = msgspec.json.encode(Discovery(node_id=node_id, federation_pubkey=key))
    date = None if off_s is None else format_datetime(datetime.fromtimestamp(time.time() + off_s, UTC), usegmt=True)
    return Response(200, {} if date is None else {"date": date}, body)


async def test_nobody_is_asked_where_nobody_is_approved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = with_peers(tmp_path, north="revoked", south="pending_approval")
    assert await asked(directory, monkeypatch, discovery) == [("peers", "ok", "none are approved")]


@pytest.mark.parametrize(
    ("answer", "grade", "sentence"),
    [
        (discovery, "ok", f"{URL}/north answers"),
        (lambda: discovery(off_s=None), "ok", f"{URL}/north answers"),
        (lambda: discovery(off_s=60), "note", f"{URL}/north answers; its clock differs by +"),
        (lambda: discovery(off_s=-60), "note", f"{URL}/north answers; its clock differs by -"),
        (lambda: Response(200, {}, b"<html>"), "bad", f"{URL}/north answers, and not as a node"),
        (lambda: Response(200, {"date": "yesterday"}, discovery().body), "ok", f"{URL}/north answers"),
        (lambda: discovery(key="another"), "bad", f"{URL}/north is not the node that was approved there"),
        (lambda: discovery("stigmem:node:x"), "bad", f"{URL}/north is not the node that was approved there"),
    ],
)
async def test_each_active_peer_is_asked_who_it_is_and_what_time_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Response], grade: str, sentence: str
) -> None:
    ((subject, found, said),) = await asked(with_peers(tmp_path, north="active"), monkeypatch, answer)
    assert (subject, found) == ("peer north-00", grade)
    assert said.startswith(sentence)


async def test_a_peer_that_does_not_answer_is_bad_in_the_words_of_the_transport(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent() -> Response:
        raise Unreachable("timeout", "http://peer.example/north: no answer within 5 s")

    found = await asked(with_peers(tmp_path, north="active", south="active"), monkeypatch, silent)
    assert [each[1:] for each in found] == [("bad", "http://peer.example/north: no answer within 5 s")] * 2


# --- the machine ---


@pytest.mark.parametrize(("ahead_s", "grade"), [(-100.0, "ok"), (3.0, "ok"), (3_600.0, "bad")])
def test_a_clock_behind_the_last_stamp_is_bad(tmp_path: Path, ahead_s: float, grade: str) -> None:
    with opened(tmp_path) as journal:
        journal.write([ClockMark(stamp(int((time.time() + ahead_s) * 1_000), 0))])
    ((found, sentence),) = graded(check_clock(tmp_path))
    assert found == grade
    assert ("before the last stamp" in sentence) is (grade == "bad")


def test_a_data_directory_that_others_can_enter_or_that_is_full_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, 1)
    tmp_path.chmod(0o750)
    settings = HostSettings(data_dir=tmp_path)
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda _: SimpleNamespace(free=200_000_000))
    found = graded(check_directory(settings))
    assert found[0] == ("note", f"{tmp_path} can be entered by others; run: chmod 700 {tmp_path}")
    assert found[1] == ("bad", f"{tmp_path.resolve()}, 0.2 GB free: too little")
    tmp_path.chmod(0o700)
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda _: SimpleNamespace(free=200_000_001))
    assert graded(check_directory(settings))[0] == ("ok", f"{tmp_path.resolve()}, 0.2 GB free")
