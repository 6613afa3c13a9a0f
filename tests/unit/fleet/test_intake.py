import itertools
import random
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from agent.core.errors import InputError
from agent.core.events import AgentStarted
from agent.core.records import GENESIS, Range, SealedRecord, build_envelope, parse_envelope
from agent.link.wire import parse_receipt
from agent.store.chain import split_envelopes, verify_chain
from agent.store.seal import Sealer
from drivers.keystore import FileKeystore
from fleet.receiver.database import open_store
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import TAKEN, Counts, Place
from tests.unit.store import kit
from tests.unit.store.kit import KEYS, braking, thermal

NOW_NS = 1_790_000_000_000_000_000


class Insurer:
    """A receiver with keys and a database of its own; seals as the registered car does."""

    def __init__(self, directory: Path, new_database: Callable[[], str]) -> None:
        self.keys = ReceiverKeys.create(directory / "keys")
        self.keys.register("car-1", KEYS.device.public_key)
        self._new_database = new_database
        self.begin_anew()

    def begin_anew(self) -> None:
        """The same insurer with an empty database."""
        self._database = self._new_database()
        self.open()

    def open(self) -> None:
        self.store = open_store(self._database, create=True)
        self.intake = Intake(self.keys, self.store, now_ns=lambda: NOW_NS)

    def seal(
        self, count: int, *, boot: int = 1, after: bytes = GENESIS, offset_ns: int | None = 7
    ) -> list[SealedRecord]:
        events = [thermal(t_ns) if t_ns % 3 == 2 else braking(t_ns) for t_ns in range(count)]
        sealer = Sealer(KEYS.device, [self.keys.encryption_key.public_key()])
        return kit.seal_chain(events, boot=boot, after=after, wall_offset_ns=offset_ns, sealer=sealer)

    def receipted(self, device: str = "car-1") -> list[Range]:
        public = self.keys.receipt_public.read_bytes()
        receipts = self.intake.receipts([device])
        assert all(topic == f"outrider/v1/{device}/receipt" for topic, _ in receipts)
        return [part for _, payload in receipts for part in parse_receipt(payload, public, device)]


@pytest.fixture
def insurer(tmp_path: Path, new_database: Callable[[], str]) -> Insurer:
    return Insurer(tmp_path, new_database)


def take(insurer: Insurer, *records: SealedRecord) -> list[str]:
    return [insurer.intake.take([record.payload])[0].status for record in records]


def test_a_record_is_opened_stored_and_signed_for(insurer: Insurer) -> None:
    records = insurer.seal(3)
    outcome = insurer.intake.take([records[0].payload])[0]
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
    reasons = [
        insurer.intake.take([e])[0].reason for e in (forged.payload, unknown, foreign.payload, b"noise", b"noise")
    ]
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
        insurer.store.close()
        insurer.begin_anew()
        take(insurer, *order)
        assert insurer.store.counts() == Counts(received=3, verified=2, broken=1, dead=0)
    insurer.store.close()


def test_events_from_before_the_clock_sync_are_dated_afterwards(insurer: Insurer) -> None:
    early, late = insurer.seal(4, offset_ns=None), insurer.seal(4, offset_ns=1_000)
    other_boot = insurer.seal(1, boot=2, offset_ns=None)
    take(insurer, early[0], early[2], other_boot[0])
    assert [row["wall_ns"] for row in insurer.store.events()] == [None, None, None]
    take(insurer, late[3], early[1])
    assert [row["wall_ns"] for row in insurer.store.events()] == [1_000, 1_001, 1_002, 1_003, None]
    insurer.store.close()


def test_what_was_taken_survives_the_receiver(insurer: Insurer) -> None:
    records = insurer.seal(4)
    take(insurer, *records[:2])
    insurer.intake.take([record.payload for record in records[1:3]])
    killed = insurer.store
    insurer.open()
    assert insurer.store.counts().received == 3
    assert take(insurer, *records) == ["duplicate"] * 3 + ["accepted"]
    insurer.store.close()
    killed.close()


def test_a_batch_knows_its_own_duplicates_and_contradictions(insurer: Insurer) -> None:
    records, again = insurer.seal(3), insurer.seal(3)
    batch = [records[0], records[1], records[0], again[1], records[2]]
    outcomes = insurer.intake.take([record.payload for record in batch])
    assert [outcome.status for outcome in outcomes] == ["accepted", "accepted", "duplicate", "dead", "accepted"]
    assert outcomes[3].reason == TAKEN
    assert insurer.receipted() == [Range(1, 1, 3, records[2].digest)]
    insurer.store.close()


def test_two_workers_take_the_same_records_once_in_effect(insurer: Insurer) -> None:
    records, again = insurer.seal(3), insurer.seal(3)
    first = insurer.store
    insurer.open()
    Intake(insurer.keys, first, now_ns=lambda: NOW_NS).take([record.payload for record in records])
    digests = insurer.store.digests

    def ask_too_early(places: Collection[Place]) -> dict[Place, bytes]:
        """The first worker stores between our question and our writing."""
        del places
        insurer.store.digests = digests  # type: ignore[method-assign]
        return {}

    insurer.store.digests = ask_too_early  # type: ignore[method-assign]
    outcomes = insurer.intake.take([records[0].payload, again[1].payload])
    assert [(outcome.status, outcome.told) for outcome in outcomes] == [("duplicate", None), ("dead", None)]
    assert insurer.store.counts() == Counts(received=3, verified=3, broken=0, dead=1)
    assert insurer.receipted() == [Range(1, 1, 1, records[0].digest)]
    first.close()
    insurer.store.close()


def test_no_copy_of_what_was_not_stored_is_receipted(insurer: Insurer) -> None:
    """The same record twice in a batch, while another worker stores a contradiction: the car must keep it."""
    records, again = insurer.seal(1), insurer.seal(1)
    first, digests = insurer.store, insurer.store.digests
    insurer.open()
    Intake(insurer.keys, first, now_ns=lambda: NOW_NS).take([again[0].payload])
    answers: Iterator[dict[Place, bytes]] = iter([{}])
    insurer.store.digests = lambda places: next(answers, None) or digests(places)  # type: ignore[method-assign]
    outcomes = insurer.intake.take([records[0].payload] * 2)
    assert [outcome.status for outcome in outcomes] == ["dead", "dead"]
    assert insurer.receipted() == []
    first.close()
    insurer.store.close()


def test_what_other_workers_stored_between_ours_joins_a_range(insurer: Insurer) -> None:
    records = insurer.seal(6)
    take(insurer, records[0], records[3], records[5])
    other = Intake(insurer.keys, insurer.store, now_ns=lambda: NOW_NS)
    other.take([record.payload for record in records[1:3]])
    assert [(r.first, r.last, r.digest) for r in insurer.receipted()] == [
        (1, 4, records[3].digest),
        (6, 6, records[5].digest),
    ]
    insurer.store.close()


def test_a_device_restored_from_a_backup_is_told(insurer: Insurer) -> None:
    """After the restore it counts on from an older record: new places fork the chain, old ones are taken."""
    records = insurer.seal(4)
    take(insurer, *records)
    assert [row["restored"] for row in insurer.store.devices()] == [0]
    restarted = insurer.seal(2, boot=2, after=records[1].digest)
    take(insurer, *restarted)
    (device,) = insurer.store.devices()
    assert (device["device"], device["events"], device["restored"]) == ("car-1", 6, 1)
    take(insurer, *insurer.seal(3)[1:])
    assert insurer.store.devices()[0]["restored"] == 3
    insurer.store.close()


def test_content_of_an_unknown_kind_is_buried_and_kept_in_the_car(insurer: Insurer) -> None:
    """A newer agent may say what this receiver does not understand yet."""

    class Novelty(AgentStarted, frozen=True, kw_only=True, tag="novelty"):
        """Of the future."""

    sealer = Sealer(KEYS.device, [insurer.keys.encryption_key.public_key()])
    event = Novelty(t_ns=1, agent_version="9", config_version=1, profile="p")
    record = kit.seal_chain([event], sealer=sealer)[0]
    outcome = insurer.intake.take([record.payload])[0]
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


def test_events_are_found_by_kind_with_their_date(insurer: Insurer) -> None:
    take(insurer, *insurer.seal(2, offset_ns=None), insurer.seal(3)[2])
    rows = list(insurer.store.events("car-1", kinds=["battery_alarm"]))
    assert [(row["sequence"], row["wall_ns"], row["dated"]) for row in rows] == [(3, 9, "told")]
    assert [row["dated"] for row in insurer.store.events(kinds=["harsh_driving"])] == ["derived", "derived"]
    assert list(insurer.store.events(kinds=["collision"])) == []
    insurer.store.close()
