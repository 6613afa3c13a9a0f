"""What an owner asks to be erased is blanked at the insurer's, whenever it comes, and signed for."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agent.core.events import BatteryAlarm, Collision, CrashRecord, ErasureRequested, Event, Purpose
from agent.core.records import SealedRecord
from agent.link.wire import erasure_topic
from agent.link.wire_erasure import open_erasure_receipt
from agent.store.seal import Sealer
from fleet.receiver.store import Counts, Letter
from tests.unit.fleet.test_intake import NOW_NS, Insurer
from tests.unit.store.kit import KEYS, braking, seal_chain, thermal

NS = 10**9
CRASH = Collision(t_ns=5 * NS, delta_v_kmh=20, duration_ms=90, peak_mps2=100, stationary=False)
FRAGMENT = CrashRecord(t_ns=5 * NS, record=1, fragment=0, part="trigger", from_ns=0, until_ns=1, columns=b"\0\1")


@pytest.fixture
def insurer(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[Insurer]:
    made = Insurer(tmp_path, new_database)
    yield made
    made.store.close()


def request(*purposes: Purpose, from_s: int | None = None, until_s: int | None = None) -> ErasureRequested:
    return ErasureRequested(
        t_ns=50 * NS,
        request="r1",
        boot=1,
        of_purposes=list(purposes),
        from_ns=None if from_s is None else from_s * NS,
        until_ns=None if until_s is None else until_s * NS,
        asked_ns=0,
        deadline_ns=1,
        by="page",
    )


def seal(insurer: Insurer, events: Sequence[Event], *, offset_ns: int | None = 0) -> list[SealedRecord]:
    sealer = Sealer(KEYS.device, [insurer.keys.encryption_key.public_key()])
    return seal_chain(events, wall_offset_ns=offset_ns, sealer=sealer)


def kinds(insurer: Insurer) -> list[str]:
    return [row["event"]["kind"] for row in insurer.store.events("car-1")]


def receipts(insurer: Insurer) -> list[tuple[str, int]]:
    public = insurer.keys.receipt_public.read_bytes()
    found = [blob for topic, blob in insurer.intake.receipts(["car-1"]) if topic == erasure_topic("car-1")]
    opened = [open_erasure_receipt(blob, public, "car-1") for blob in found]
    assert all(receipt.erased_ns == NOW_NS for receipt in opened)
    return [(receipt.request, receipt.records) for receipt in opened]


@pytest.mark.parametrize(
    ("asked", "left", "count"),
    [
        (request("claims"), ["harsh_driving", "battery_alarm", "harsh_driving"], 2),
        (request("ubi_score", "safety"), ["collision", "crash_record"], 3),
        (request(), [], 5),
        (request(from_s=2, until_s=5), ["harsh_driving", "collision", "crash_record", "harsh_driving"], 1),
        (request("ubi_score", until_s=5), ["collision", "crash_record", "battery_alarm", "harsh_driving"], 1),
        (request("feedback"), ["harsh_driving", "collision", "crash_record", "battery_alarm", "harsh_driving"], 0),
    ],
)
def test_what_is_asked_for_is_gone_and_signed_for(
    insurer: Insurer, asked: ErasureRequested, left: list[str], count: int
) -> None:
    events = [braking(1 * NS), CRASH, FRAGMENT, thermal(3 * NS), braking(9 * NS), asked]
    records = seal(insurer, events)
    insurer.store.put([], [Letter("car-1", b"what nobody could open", "forged")], received_ns=1)
    for record in records:
        insurer.intake.take([record.payload])
    assert kinds(insurer) == [*left, "erasure_requested"]
    assert receipts(insurer) == receipts(insurer) == [("r1", count)]
    assert receipts(insurer) == []
    assert len(insurer.store.envelopes("car-1")) == len(left) + 1
    dead = 0 if count else 1
    assert insurer.store.counts("car-1") == Counts(received=6, verified=6, broken=0, dead=dead)
    assert [digest for _, digest in insurer.store.positions("car-1")] == [record.digest for record in records]


def test_what_comes_after_the_request_goes_as_well_and_nobody_hears_of_it(insurer: Insurer) -> None:
    records = seal(insurer, [braking(1), thermal(2), request("ubi_score"), braking(99 * NS)])
    insurer.intake.take([records[2].payload])
    late, kept = insurer.intake.take([records[0].payload, records[1].payload])
    assert (late.status, late.event) == ("accepted", None)
    assert isinstance(kept.event, BatteryAlarm)
    insurer.intake.take([records[3].payload])
    assert kinds(insurer) == ["battery_alarm", "erasure_requested", "harsh_driving"]
    assert [outcome.status for outcome in insurer.intake.take([records[0].payload])] == ["duplicate"]
    assert kinds(insurer) == ["battery_alarm", "erasure_requested", "harsh_driving"]
    assert receipts(insurer) == [("r1", 0)], "as it was when it was signed"


def test_a_request_that_comes_again_is_answered_again(insurer: Insurer) -> None:
    records = seal(insurer, [braking(1), request()])
    insurer.intake.take([record.payload for record in records])
    receipts(insurer), receipts(insurer)
    insurer.store.close()
    insurer.open()  # another worker, or the same after a restart
    insurer.intake.take([records[1].payload])
    assert receipts(insurer) == [("r1", 1)]


def test_what_has_no_date_goes_with_any_time(insurer: Insurer) -> None:
    records = seal(insurer, [braking(1), request(from_s=100, until_s=200)], offset_ns=None)
    insurer.intake.take([record.payload for record in records])
    assert kinds(insurer) == ["erasure_requested"]


def test_other_cars_keep_theirs(insurer: Insurer) -> None:
    insurer.keys.register("car-2", KEYS.device.public_key)
    sealer = Sealer(KEYS.device, [insurer.keys.encryption_key.public_key()])
    theirs = seal_chain([braking(1)], sealer=sealer, device="car-2")
    ours = seal(insurer, [braking(1), request()])
    insurer.intake.take([record.payload for record in (*theirs, *ours)])
    assert [row["device"] for row in insurer.store.events()] == ["car-1", "car-2"]


def test_no_byte_of_it_is_left_in_the_file(tmp_path: Path) -> None:
    insurer = Insurer(tmp_path, lambda: str(tmp_path / "received.db"))
    secret = CrashRecord(
        t_ns=1, record=1, fragment=0, part="table", from_ns=0, until_ns=1, elements='{"what":"nobody is to know"}' * 900
    )
    records = seal(insurer, [braking(1), secret, request("claims")])
    for record in records[:2]:
        insurer.intake.take([record.payload])
    assert b"nobody is to know" in b"".join(path.read_bytes() for path in tmp_path.glob("received.db*"))
    insurer.intake.take([records[2].payload])
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("received.db*"))
    assert b"nobody is to know" not in everything
    assert records[1].payload[200:264] not in everything
    with sqlite3.connect(tmp_path / "received.db") as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_what_was_collected_since_stays_though_the_car_asks_again(insurer: Insurer) -> None:
    first = seal(insurer, [braking(1), request()])
    sealer = Sealer(KEYS.device, [insurer.keys.encryption_key.public_key()])
    later = seal_chain([braking(2), request()], boot=2, after=first[-1].digest, wall_offset_ns=0, sealer=sealer)
    insurer.intake.take([record.payload for record in first])
    receipts(insurer), receipts(insurer)
    insurer.intake.take([record.payload for record in later])
    assert receipts(insurer) == [("r1", 1)]
    assert kinds(insurer) == ["erasure_requested", "harsh_driving", "erasure_requested"]


def test_nor_does_it_go_where_only_the_second_asking_came(insurer: Insurer) -> None:
    first = seal(insurer, [braking(1), request()])
    sealer = Sealer(KEYS.device, [insurer.keys.encryption_key.public_key()])
    later = seal_chain([braking(2), request()], boot=2, after=first[-1].digest, wall_offset_ns=0, sealer=sealer)
    insurer.intake.take([first[0].payload, *(record.payload for record in later)])
    assert kinds(insurer) == ["harsh_driving", "erasure_requested"]
