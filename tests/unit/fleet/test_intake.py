import itertools
import random
from pathlib import Path

import pytest

from agent.core.errors import InputError
from agent.core.events import AgentStarted, Priority
from agent.core.records import GENESIS, Range, SealedRecord, build_envelope, parse_envelope
from agent.link.wire import parse_receipt
from agent.store.chain import split_envelopes, verify_chain
from agent.store.seal import Sealer
from drivers.keystore import FileKeystore
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import Counts, ReceiverStore
from tests.unit.store import kit
from tests.unit.store.kit import KEYS, braking, thermal

NOW_NS = 1_790_000_000_000_000_000


class Insurer:
    """A receiver with keys and files of its own; seals as the registered car does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.keys = ReceiverKeys.create(directory / "keys")
        self.keys.register("car-1", KEYS.device.public_key)
        self.open()

    def open(self) -> None:
        self.store = ReceiverStore(self.directory / "received.db")
        self.intake = Intake(self.keys, self.store, now_ns=lambda: NOW_NS)

    def seal(
        self, count: int, *, boot: int = 1, after: bytes = GENESIS, offset_ns: int | None = 7
    ) -> list[SealedRecord]:
        events = [thermal(t_ns) if t_ns % 3 == 2 else braking(t_ns) for t_ns in range(count)]
        sealer = Sealer(KEYS.device, [self.keys.encryption_key.public_key()])
        return kit.seal_chain(events, boot=boot, after=after, wall_offset_ns=offset_ns, sealer=sealer)

    def receipted(self, device: str = "car-1") -> list[Range]:
        public = self.keys.receipt_public.read_bytes()
        receipts = self.intake.receipts(device)
        assert all(topic == f"outrider/v1/{device}/receipt" for topic, _ in receipts)
        return [part for _, payload in receipts for part in parse_receipt(payload, public, device)]


@pytest.fixture
def insurer(tmp_path: Path) -> Insurer:
    return Insurer(tmp_path)


def take(insurer: Insurer, *records: SealedRecord) -> list[str]:
    return [insurer.intake.take(record.payload).status for record in records]


def test_a_record_is_opened_stored_and_signed_for(insurer: Insurer) -> None:
    records = insurer.seal(3)
    outcome = insurer.intake.take(records[0].payload)
    assert (outcome.status, outcome.device, outcome.position, outcome.event) == (
        "accepted",
        "car-1",
        (1, 1),
        braking(0),
    )
    assert take(insurer, *records[1:]) == ["accepted"] * 2
    assert insurer.receipted() == [Range(1, 1, 3, records[2].digest)]
    assert insurer.store.counts() == Counts(received=3, verified=3, broken=0, dead=0)
    stored = list(insurer.store.events("car-1"))
    assert [row["event"]["kind"] for row in stored] == ["harsh_driving", "harsh_driving", "battery_alarm"]
    assert stored[2]["wall_ns"] == 9
    assert list(insurer.store.events("car-2")) == []
    insurer.store.close()


def test_a_duplicate_is_known_and_receipted_again(insurer: Insurer) -> None:
    records = insurer.seal(4)
    take(insurer, *records)
    while insurer.receipted():
        pass
    assert take(insurer, records[1], records[2]) == ["duplicate", "duplicate"]
    assert insurer.receipted() == [Range(1, 2, 3, records[2].digest)]
    assert insurer.store.counts().received == 4
    insurer.store.close()


def test_a_receipt_is_repeated_once_for_a_connection_may_break(insurer: Insurer) -> None:
    records = insurer.seal(2)
    take(insurer, *records)
    assert insurer.receipted() == insurer.receipted() == [Range(1, 1, 2, records[1].digest)]
    assert insurer.receipted() == []
    insurer.store.close()


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_arrival_verifies_the_whole_chain(insurer: Insurer, seed: int) -> None:
    first = insurer.seal(8)
    records = first + insurer.seal(5, boot=2, after=first[-1].digest)
    shuffled = records[:]
    random.Random(seed).shuffle(shuffled)  # noqa: S311  # the order is no secret
    for count, record in enumerate(shuffled, 1):
        take(insurer, record)
        counts = insurer.store.counts()
        assert (counts.received, counts.broken) == (count, 0)
    assert insurer.store.counts().verified == 13
    assert [(r.boot, r.first, r.last) for r in insurer.receipted()] == [(1, 1, 8), (2, 1, 5)]
    assert verify_chain(list(split_envelopes(b"".join(insurer.store.envelopes("car-1"))))).finding is None
    insurer.store.close()


def test_overtaking_records_are_receipted_though_the_chain_waits(insurer: Insurer) -> None:
    records = insurer.seal(6)
    take(insurer, records[2], records[5])
    assert [(r.first, r.last) for r in insurer.receipted()] == [(3, 3), (6, 6)]
    assert insurer.store.counts().waiting == 2
    take(insurer, *records[3:5])
    # Records 3 and 6 may be forgotten by now: new ones are answered in a range that does not end in them.
    assert [(r.first, r.last) for r in insurer.receipted()] == [(4, 5), (3, 6)]
    insurer.store.close()


def test_what_the_car_did_not_say_is_buried_with_the_reason(insurer: Insurer, tmp_path: Path) -> None:
    stranger = FileKeystore.create(tmp_path / "stranger.pem", "car-1")
    public = insurer.keys.encryption_key.public_key()
    forged = kit.seal_chain([braking()], sealer=Sealer(stranger, [public]))[0]
    header, cose = parse_envelope(insurer.seal(1)[0].payload)
    unknown = build_envelope(
        type(header)(**{**{n: getattr(header, n) for n in header.__struct_fields__}, "device": "x"}), cose
    )
    foreign = kit.seal_chain([braking()])[0]
    reasons = [insurer.intake.take(e).reason for e in (forged.payload, unknown, foreign.payload, b"noise", b"noise")]
    assert reasons[:3] == ["signature is wrong", "the device is not registered", "not sealed for this key"]
    assert reasons[3].startswith("not an envelope")
    letters = insurer.store.dead_letters()
    assert [(device, times) for device, _, times in letters] == [("car-1", 1), ("x", 1), ("car-1", 1), ("", 2)]
    assert insurer.receipted() == []
    assert insurer.store.counts() == Counts(received=0, verified=0, broken=0, dead=4)
    insurer.store.close()


def test_a_place_used_twice_is_no_duplicate_and_gets_no_receipt(insurer: Insurer) -> None:
    """A replaced SD card begins to count anew: receipts for the old records must not delete the new ones."""
    take(insurer, *insurer.seal(3))
    while insurer.receipted():
        pass
    again = insurer.seal(3)
    assert take(insurer, *again) == ["dead"] * 3
    assert insurer.receipted() == []
    insurer.store.close()


def test_a_signed_record_that_does_not_fit_is_marked_broken(insurer: Insurer) -> None:
    ours, other = insurer.seal(4), insurer.seal(4)
    for order in itertools.permutations([ours[0], ours[1], other[2]]):
        with_break = Insurer(insurer.directory / str([r.digest[0] for r in order]))
        with_break.keys, with_break.intake._keys = insurer.keys, insurer.keys
        take(with_break, *order)
        assert with_break.store.counts() == Counts(received=3, verified=2, broken=1, dead=0)
        with_break.store.close()
    insurer.store.close()


def test_events_from_before_the_clock_sync_are_dated_afterwards(insurer: Insurer) -> None:
    early, late = insurer.seal(4, offset_ns=None), insurer.seal(4, offset_ns=1_000)
    other_boot = insurer.seal(1, boot=2, offset_ns=None)
    take(insurer, early[0], early[2], other_boot[0])
    assert [row["wall_ns"] for row in insurer.store.events()] == [None, None, None]
    take(insurer, late[3], early[1])
    assert [row["wall_ns"] for row in insurer.store.events()] == [1_000, 1_001, 1_002, 1_003, None]
    insurer.store.close()


def test_what_was_receipted_survives_the_receiver(insurer: Insurer) -> None:
    records = insurer.seal(3)
    take(insurer, *records[:2])
    insurer.receipted()
    take(insurer, records[2])
    insurer.store._db.close()  # killed: nothing was committed since the receipt
    insurer.open()
    assert insurer.store.counts().received == 2
    assert take(insurer, *records) == ["duplicate", "duplicate", "accepted"]
    insurer.store.close()


def test_content_of_an_unknown_kind_is_buried_and_kept_in_the_car(insurer: Insurer) -> None:
    """A newer agent may say what this receiver does not understand yet."""

    class Novelty(AgentStarted, frozen=True, kw_only=True, tag="novelty"):
        """Of the future."""

    sealer = Sealer(KEYS.device, [insurer.keys.encryption_key.public_key()])
    event = Novelty(t_ns=1, agent_version="9", config_version=1, profile="p")
    record = kit.seal_chain([event], sealer=sealer)[0]
    outcome = insurer.intake.take(record.payload)
    assert outcome.status == "dead"
    assert "novelty" in outcome.reason
    assert insurer.receipted() == []
    insurer.store.close()


def test_keys_are_made_once_and_found_again(tmp_path: Path) -> None:
    made = ReceiverKeys.create(tmp_path)
    opened = ReceiverKeys.open(tmp_path)
    assert opened.encryption_key.private_bytes_raw() == made.encryption_key.private_bytes_raw()
    assert opened.sign_receipt(b"x") == made.sign_receipt(b"x")
    with pytest.raises(InputError, match="never overwritten"):
        ReceiverKeys.create(tmp_path)
    with pytest.raises(InputError, match=r"insurer_encryption\.pem: cannot be read"):
        ReceiverKeys.open(tmp_path / "nowhere")


def test_registering_names_what_is_wrong(tmp_path: Path) -> None:
    keys = ReceiverKeys.create(tmp_path)
    assert keys.device_key("car-1") is None
    keys.register("car-1", KEYS.device.public_pem())
    keys.register("car-1", KEYS.device.public_key)
    assert keys.device_key("car-1") == KEYS.device_public
    assert ReceiverKeys.open(tmp_path).device_key("car-1") == KEYS.device_public
    with pytest.raises(InputError, match="another key"):
        keys.register("car-1", bytes(32))
    with pytest.raises(InputError, match="device id"):
        keys.register("../car", KEYS.device.public_key)
    with pytest.raises(InputError, match="not a PEM"):
        keys.register("car-2", b"nonsense")


def test_priorities_are_kept(insurer: Insurer) -> None:
    take(insurer, *insurer.seal(3))
    rows = insurer.store._db.execute("SELECT priority FROM events ORDER BY sequence").fetchall()
    assert rows == [(Priority.SERVICE,), (Priority.SERVICE,), (Priority.SAFETY,)]
    assert insurer.store._db.execute("SELECT device, events, verified, broken FROM devices").fetchall() == [
        ("car-1", 3, 3, 0)
    ]
    insurer.store.close()
