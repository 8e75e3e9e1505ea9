"""A simulation remembers signatures, and what it did not see made it verifies in earnest."""

from __future__ import annotations

import pytest

from sim.simulation.digest import state_digest
from sim.world import signature_cache
from sim.world.signature_cache import SignatureCache
from stigmem.core.keys import ED25519, Signer, Suite
from tests.sim.small_runs import run, workload

SEED = bytes(range(32))


class Counting:
    """Ed25519 that counts how often it is asked whether a signature is valid."""

    name = "ed25519"

    def __init__(self) -> None:
        self.asked = 0

    def signer(self, seed: bytes) -> Signer:
        return ED25519.signer(seed)

    def verify(self, public_key: str, message: bytes, signature: bytes) -> bool:
        self.asked += 1
        return ED25519.verify(public_key, message, signature)


def test_a_signature_made_here_is_the_real_one_and_need_not_be_verified() -> None:
    suite = Counting()
    signer = SignatureCache(suite).signer(SEED)
    memory = SignatureCache(suite)
    remembered = memory.signer(SEED)
    signature = remembered.sign(b"message")
    assert signature == signer.sign(b"message") == ED25519.signer(SEED).sign(b"message")
    assert memory.verify(remembered.public_key, b"message", signature)
    assert suite.asked == 0


@pytest.mark.parametrize(
    ("message", "flip", "key"),
    [(b"another", False, SEED), (b"message", True, SEED), (b"message", False, bytes(32))],
    ids=["other message", "flipped bit", "other key"],
)
def test_anything_else_is_verified_once_and_refused(message: bytes, flip: bool, key: bytes) -> None:
    suite = Counting()
    memory = SignatureCache(suite)
    signature = memory.signer(SEED).sign(b"message")
    given = bytes([signature[0] ^ 1, *signature[1:]]) if flip else signature
    public_key = ED25519.signer(key).public_key
    assert not memory.verify(public_key, message, given)
    assert not memory.verify(public_key, message, given)
    assert suite.asked == 1


def test_what_was_made_elsewhere_is_verified_once() -> None:
    suite = Counting()
    memory, signer = SignatureCache(suite), ED25519.signer(SEED)
    for _ in range(3):
        assert memory.verify(signer.public_key, b"message", signer.sign(b"message"))
    assert suite.asked == 1


def test_the_memory_is_bounded_and_forgetting_costs_a_verification_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature_cache, "_REMEMBERED_MAX", 10)
    suite = Counting()
    memory = SignatureCache(suite)
    signer = memory.signer(SEED)
    first = signer.sign(b"0")
    for number in range(1, 40):
        signer.sign(str(number).encode())
    assert len(memory._memory._younger) + len(memory._memory._older) <= 12
    assert memory.verify(signer.public_key, b"0", first)
    assert suite.asked == 1


def test_a_run_is_the_same_to_the_byte_with_and_without_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def digests() -> tuple[str, str]:
        simulation = run(workload("writers", rate="1/s"), signatures="ed25519", duration="30s")
        return simulation.trace.close(), state_digest(simulation.machines)

    def forgetful(suite: Suite) -> Suite:
        return suite

    remembered = digests()
    monkeypatch.setattr("sim.simulation.build.SignatureCache", forgetful)
    assert digests() == remembered
