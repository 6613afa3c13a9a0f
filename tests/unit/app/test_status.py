"""What the box tells of itself once a second."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from agent.core.config import Config, Device, Store
from agent.core.ports import Hardware, Notice
from agent.pipeline import PipelineCounts
from agent.status import Parts, Status
from simulators.clock import ManualClock


class NoKey:
    device_id = "test"
    public_key = b""

    def sign(self, data: bytes) -> bytes:
        return data

    def agree(self, public_key: X25519PublicKey) -> bytes:
        return bytes(public_key.public_bytes_raw())


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class Box:
    """A Status over parts that only say what they are asked."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.notices: list[Notice] = []
        self.signs: list[str] = []
        self.counts = PipelineCounts(frames=7, quality=Counter(valid=3))
        values: Any = SimpleNamespace(
            counts=self.counts,
            latest=lambda: {"Vehicle.Speed": 50.0},
            failed_checks=dict,
            quality=lambda t_ns: {"Vehicle.Speed": {"valid": 3, "age_s": t_ns / 1e9}},
        )
        recorder: Any = SimpleNamespace(
            outbox=SimpleNamespace(pending=self._pending), sealed=2, dropped=0, shed=Counter()
        )
        parts = Parts(
            pipeline=values,
            recorder=recorder,
            conversation=SimpleNamespace(counters=dict, troubles=dict),  # type: ignore[arg-type]  # all that is asked of it
            egress=SimpleNamespace(withheld=Counter(trip_ended=1)),  # type: ignore[arg-type]  # the same
            uplink=None,
            events=Counter(trip_started=1),
        )
        hardware = Hardware(keystore=NoKey(), notify=self.notices.append, service=self.signs.append)
        config = Config(device=Device(id="box-1", key=""), store=Store(directory=str(folder)))
        self.status = Status(config, hardware, self.clock, parts)

    async def live(self, seconds: float) -> None:
        task = asyncio.create_task(self.status.run())
        await self.clock.advance(seconds)
        task.cancel()

    async def _pending(self) -> int:
        return 5


async def test_once_a_second_it_tells_the_screen_the_file_and_the_service_manager(tmp_path: Path) -> None:
    box = Box(tmp_path)
    await box.live(2.5)
    assert [(notice.topic, notice.t_ns) for notice in box.notices] == [("signals", 10**9), ("signals", 2 * 10**9)]
    assert box.notices[0].values == {"Vehicle.Speed": 50.0}
    assert box.signs == ["alive", "alive"]
    text = (tmp_path / "status.json").read_text(encoding="utf-8")
    status = json.loads(text)
    assert status["device"] == "box-1"
    assert status["waiting"] == 5
    assert status["frames"] == 7
    assert status["quality"] == {"valid": 3}
    assert status["signals"] == {"Vehicle.Speed": {"valid": 3, "age_s": 2.0}}
    assert status["store"] == {"sealed": 2, "dropped": 0, "shed": 0}
    assert status["withheld"] == {"trip_ended": 1}
    assert list(status) == sorted(status)
    assert len(text.splitlines()) > len(status), "a person may read it"
    assert names(tmp_path) == ["status.json"], "replaced in one step"


async def test_a_file_that_cannot_be_written_is_left_out_and_the_box_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "not there"))
    box = Box(tmp_path)
    await box.live(1.5)
    assert box.signs == ["alive"]
    assert names(tmp_path) == []
