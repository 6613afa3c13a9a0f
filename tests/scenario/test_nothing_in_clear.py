"""What is taken from a box's disk, or dumped from a broker, tells nothing that was said or measured in the car."""

import asyncio
import struct
from pathlib import Path

import cbor2
import msgspec
import pytest

from agent.core.config import Config, Device, Store
from agent.core.events import Feedback, RoadImpact, SourceChanged
from agent.link.mqtt import connect
from agent.link.wire import record_topic
from agent.store.recorder import Recorder
from drivers.clock import SystemClock
from drivers.keystore import FileKeystore
from simulators.cloud import Cloud
from simulators.mosquitto import find_mosquitto

VIN = "LSVAA4182E2183456"
PLATE = "沪A·12345"
PLACE = (31.230416, 121.473701)
PHRASE = "头很疼，快叫救护车"
SPEED_KMH = 47.265625  # exact as a half, single and double: CBOR may choose

EVENTS = [
    SourceChanged(t_ns=1, source="elm327", state="lost", detail=f"vehicle {VIN} at {PLACE[0]},{PLACE[1]}"),
    Feedback(
        t_ns=2,
        question="collision",
        about="collision",
        intent="help",
        transcript=f"{PHRASE} {PLATE}",
        confidence=0.9,
        language="zh",
        asked_ns=1,
    ),
    RoadImpact(t_ns=3, peak_mps2=PLACE[1], speed_kmh=PLACE[0]),
    RoadImpact(t_ns=4, peak_mps2=20.0, speed_kmh=SPEED_KMH),
]


def spellings() -> dict[str, bytes]:
    """Every way in which a secret could lie there: as text in two encodings, as a number in three."""
    texts = [VIN, PLATE, PHRASE, *map(str, PLACE), "harsh_driving", "road_impact", "speed_kmh", "transcript"]
    found = {f"{text} ({name})": text.encode(name) for text in texts for name in ("utf-8", "utf-16-le", "gb18030")}
    for value in (*PLACE, SPEED_KMH):
        for form in (">d", "<d", ">f", "<f"):
            found[f"{value} ({form})"] = struct.pack(form, value)
    return {name: spelling for name, spelling in found.items() if len(spelling) >= 4}


def search(folder: Path) -> list[str]:
    """Secrets found in any file below the folder."""
    files = [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    assert files
    return [
        f"{path.name}: {name}" for path, data in files for name, spelling in spellings().items() if spelling in data
    ]


def test_the_search_would_find_them(tmp_path: Path) -> None:
    plain = b"".join(cbor2.dumps(msgspec.to_builtins(event)) for event in EVENTS)
    (tmp_path / "plain").write_bytes(plain)
    found = search(tmp_path)
    for secret in (VIN, PLATE, PHRASE, *map(str, PLACE), str(SPEED_KMH), "transcript"):
        assert any(secret in line for line in found), secret


async def test_neither_the_disk_nor_a_dump_of_the_broker_tells_anything(tmp_path: Path) -> None:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    box = tmp_path / "box"
    box.mkdir()
    keystore = FileKeystore.create(box / "device.pem", "car1")
    async with Cloud(tmp_path / "cloud", broker="mosquitto") as cloud:
        cloud.register("car1", keystore.public_key)
        config = Config(device=Device(id="car1"), store=Store(directory=str(box / "store")), trust=cloud.trust())
        recorder = await Recorder.open(config, keystore, SystemClock())
        recording = asyncio.create_task(recorder.run())
        for event in EVENTS:
            recorder.put(event)
        await recorder.flush()
        records = await recorder.outbox.peek(None, 16)
        await away(cloud)
        async with connect(cloud.link_config("car1"), client_id="car1") as car:
            for record in records:
                await car.publish(record_topic("car1"), record.payload)
        await cloud.broker.stop()
        recorder.close()
        await recording
        broker = tmp_path / "cloud" / "mosquitto"
        dump = (broker / "mosquitto.db").read_bytes()
        assert len(records) == len(EVENTS)
        assert all(record.payload in dump for record in records)
        assert search(box) == []
        assert search(broker) == []


async def away(cloud: Cloud) -> None:
    """The receiver leaves; its session stays, and the broker keeps for it what comes."""
    cloud._stopping.set()
    assert cloud._service is not None
    await cloud._service
