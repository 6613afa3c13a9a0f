"""From event to receipt over a wire that loses, doubles and reorders in both directions: nothing is lost."""

import asyncio
import random
from pathlib import Path

import msgspec
import pytest

from agent.core.config import Config
from agent.core.events import Event
from agent.link.wire import parse_receipt
from agent.store.chain import verify_chain
from agent.store.recorder import Recorder
from agent.store.unseal import open_record
from fleet.receiver.intake import Intake
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.sqlite import SqliteStore
from simulators.clock import ManualClock
from tests.unit.store.kit import KEYS, braking, make_config, thermal

LOSS = 0.3
DOUBLING = 0.2


class Wire:
    """A wire with moods."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # a test repeats

    def carry(self, parcels: list[bytes]) -> list[bytes]:
        uniform = self._random.random
        arrived = [p for p in parcels for _ in range(1 + (uniform() < DOUBLING)) if uniform() >= LOSS]
        self._random.shuffle(arrived)
        return arrived


async def deliver(recorder: Recorder, intake: Intake, wire: Wire, receipt_key: bytes) -> None:
    """Send and receive in rounds until the outbox is empty."""
    for _ in range(200):
        waiting = await recorder.outbox.peek(None, 16)
        if not waiting:
            return
        for envelope in wire.carry([record.payload for record in waiting]):
            assert intake.take([envelope])[0].status in {"accepted", "duplicate"}
        receipts = [payload for _, payload in intake.receipts(["car-1"])]
        for receipt in wire.carry(receipts):
            await recorder.outbox.forget(parse_receipt(receipt, receipt_key, "car-1"))
    pytest.fail("the outbox does not empty")


def config_for(directory: Path, keys: ReceiverKeys) -> Config:
    config = make_config(directory)
    trust = msgspec.structs.replace(config.trust, insurer_encryption_key=str(keys.encryption_public))
    return msgspec.structs.replace(config, trust=trust)


@pytest.mark.parametrize("seed", range(4))
async def test_every_event_of_every_start_arrives_once_and_verifies(tmp_path: Path, seed: int) -> None:
    keys = ReceiverKeys.create(tmp_path / "insurer")
    keys.register("car-1", KEYS.device.public_key)
    store = SqliteStore(tmp_path / "received.db")
    intake, wire, clock = Intake(keys, store), Wire(seed), ManualClock()
    receipt_key = keys.receipt_public.read_bytes()
    told: list[Event] = []
    for boot in range(3):
        recorder = await Recorder.open(config_for(tmp_path, keys), KEYS.device, clock)
        running = asyncio.create_task(recorder.run())
        for t_ns in range(40):
            event = thermal(boot * 100 + t_ns) if t_ns % 7 == 3 else braking(boot * 100 + t_ns)
            told.append(event)
            recorder.put(event)
            if t_ns % 5 == 0:
                await clock.advance(0.1)
        await recorder.flush()
        if boot != 1:  # the second start ends without a network
            await deliver(recorder, intake, wire, receipt_key)
            assert await recorder.outbox.pending() == 0
        recorder.close()
        await running

    counts = store.counts("car-1")
    assert (counts.received, counts.verified, counts.broken, counts.dead) == (120, 120, 0, 0)
    envelopes = store.envelopes("car-1")
    opened = [open_record(envelope, keys.encryption_key, KEYS.device_public)[1].event for envelope in envelopes]
    assert sorted(opened, key=lambda event: event.t_ns) == told
    assert verify_chain(envelopes).finding is None
    store.close()
