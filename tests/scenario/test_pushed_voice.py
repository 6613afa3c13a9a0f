"""Volume and language are pushed: the running car speaks so at once, and again after a restart."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent import app
from agent.core.config import Config, Consent, Device, Store
from agent.core.ports import Hardware, Utterance
from drivers.keystore import FileKeystore
from fleet.bundle import make_manifest
from fleet.push import push
from simulators.clock import ManualClock
from simulators.cloud import Cloud
from tests.scenario.delivery import WAIT_S, quick_link


async def _until(clock: ManualClock, done: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not done():
            await asyncio.sleep(0.01)  # the broker's time is the real one
            await clock.advance(0.3)


async def test_a_pushed_voice_is_that_of_the_running_car_and_of_its_next_start(tmp_path: Path) -> None:
    volumes: list[int] = []
    prepared: list[str] = []

    async def prepare(utterances: Sequence[Utterance]) -> None:
        prepared.append(utterances[0].language)

    async with Cloud(tmp_path / "cloud", broker="embedded") as cloud:
        keystore = FileKeystore.create(tmp_path / "car1.pem", "car1")
        cloud.register("car1", keystore.public_key)
        config = Config(
            device=Device(id="car1"),
            profile="simcar",
            store=Store(directory=str(tmp_path / "car1")),
            link=msgspec.structs.replace(quick_link(cloud), drain_timeout_s=WAIT_S),
            trust=cloud.trust(),
            consent=Consent(purposes=["diagnostics"]),
        )
        hardware = Hardware(keystore=keystore, set_volume=volumes.append, prepare_speech=prepare)
        clock = ManualClock()
        stop = asyncio.Event()
        running = asyncio.create_task(app.run(config, hardware, clock, stop=stop))
        await _until(clock, lambda: prepared == ["zh"])
        manifest = make_manifest(
            '[voice]\nlanguage = "en"\nvolume_percent = 40\n',
            bundle="quiet",
            version=2,
            expires_ns=clock.wall_ns() + 86_400 * 10**9,
            vehicles=["car1"],
            groups=[],
        )
        await push(cloud.operator_link(), manifest, cloud.operator_key)
        await _until(clock, lambda: prepared == ["zh", "en"])
        assert volumes == [100, 40]
        stop.set()
        await _until(clock, running.done)
        await running
        stop.clear()
        again = asyncio.create_task(app.run(config, hardware, clock, stop=stop))
        await _until(clock, lambda: prepared == ["zh", "en", "en"])
        assert volumes[2:] == [40]
        stop.set()
        await _until(clock, again.done)
        await again
