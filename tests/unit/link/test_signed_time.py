"""The newest signed time outlives a restart, and no change of the file raises it."""

import logging
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.best_time import EARLIEST_NS, BestTime
from agent.core.records import Range
from agent.link.signed_time import SignedTime
from agent.link.wire import encode_receipt
from simulators.clock import ManualClock

INSURER = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)
KEY = INSURER.public_key().public_bytes_raw()
HOUR_NS = 3_600 * 10**9
THEN_NS = 1_790_000_000 * 10**9


def receipt(received_ns: int, *, device: str = "car-1", key: Ed25519PrivateKey = INSURER) -> bytes:
    return encode_receipt(device, [Range(1, 1, 1, bytes(32))], received_ns=received_ns, sign=key.sign)


def start(directory: Path, *, wall_ns: int = 0, synced: bool = False) -> tuple[SignedTime, BestTime]:
    clock = ManualClock(wall_start_ns=wall_ns)
    clock.synced = synced
    best = BestTime(clock)
    return SignedTime(directory, best, device="car-1", receipt_key=KEY), best


async def test_the_next_start_knows_what_this_one_learnt(tmp_path: Path) -> None:
    signed, best = start(tmp_path)
    assert best.now().floor_ns == EARLIEST_NS
    await signed.take(receipt(THEN_NS), THEN_NS)
    assert best.now().floor_ns == start(tmp_path)[1].now().floor_ns == THEN_NS


async def test_it_is_written_once_an_hour_at_most(tmp_path: Path) -> None:
    signed, best = start(tmp_path)
    for later_ns in (0, 1, HOUR_NS - 1):
        await signed.take(receipt(THEN_NS + later_ns), THEN_NS + later_ns)
    assert best.now().floor_ns == THEN_NS + HOUR_NS - 1
    assert start(tmp_path)[1].now().floor_ns == THEN_NS
    await signed.take(receipt(THEN_NS + HOUR_NS), THEN_NS + HOUR_NS)
    await signed.take(receipt(THEN_NS), THEN_NS)  # an old one again
    assert start(tmp_path)[1].now().floor_ns == THEN_NS + HOUR_NS


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"junk",
        bytes(70_000),
        receipt(2 * THEN_NS, device="car-2"),
        receipt(2 * THEN_NS, key=Ed25519PrivateKey.from_private_bytes(b"\4" * 32)),
        receipt(THEN_NS)[:-1] + b"\xff",
    ],
)
def test_a_forged_file_says_nothing(forged: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "newest.receipt").write_bytes(forged)
    with caplog.at_level(logging.WARNING):
        assert start(tmp_path)[1].now().floor_ns == EARLIEST_NS
    assert "newest.receipt: " in caplog.text


async def test_a_disk_that_refuses_only_forgets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    signed, best = start(tmp_path / "missing")
    with caplog.at_level(logging.WARNING):
        await signed.take(receipt(THEN_NS), THEN_NS)
    assert best.now().floor_ns == THEN_NS
    assert "newest.receipt: No such file" in caplog.text


async def test_a_receipt_from_the_future_is_told_of_and_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signed, best = start(tmp_path, wall_ns=THEN_NS, synced=True)
    with caplog.at_level(logging.WARNING):
        await signed.take(receipt(THEN_NS + HOUR_NS), THEN_NS + HOUR_NS)
    assert "dated 3600 s ahead of this box's clock" in caplog.text
    assert best.now().floor_ns == EARLIEST_NS
    assert not (tmp_path / "newest.receipt").exists()
