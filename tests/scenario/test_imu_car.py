"""A crash, from the words in the chip's buffer to the event: mounted at any angle, learnt on an earlier drive."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from agent.core.config import Detect, Imu
from agent.core.events import Collision, Event
from agent.core.ports import SampleSource
from agent.core.signals import Samples, SignalSpec
from agent.decode.profile import load_profile
from agent.detect.mounting import SelfMount
from agent.pipeline import Pipeline
from drivers.imu_iio import ImuSource
from drivers.imu_mount import FileMountStore
from simulators.clock import ManualClock
from simulators.mounting import commute, feed, random_rotation
from simulators.world import Drive, load_scenario, simulate
from tests.unit.drivers.fake_iio import FakeDevice

NS = 1_000_000_000
SCALES = (0.004785645, 0.000532113)  # what the driver chooses of the fake's
EDGE_NS = 200_000_000


class Speed:
    """The specs of a car that tells its speed."""

    name = "car"
    specs: Sequence[SignalSpec] = (SignalSpec(vss.SPEED, "km/h", 0, 300),)


def words(drive: Drive, mounted: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    """What the chip's six axes put into the buffer, int16[n, 6]."""
    force = (drive.imu.acceleration * (1, -1, 1)) @ mounted.T / SCALES[0]
    turning = np.deg2rad(drive.imu.rotation) @ mounted.T / SCALES[1]
    return np.clip(np.rint(np.hstack([force, turning])), -32768, 32767).astype(np.int16)


async def crash(root: Path, mount: SelfMount, drive: Drive, mounted: npt.NDArray[np.float64]) -> list[Collision]:
    device = FakeDevice(root)
    source = ImuSource(Imu(), ManualClock(start_ns=30 * NS), mount, root=root)
    events: list[Event] = []
    sources: list[SampleSource] = [source, Speed()]  # type: ignore[list-item]  # only its name and specs are asked for
    pipeline = Pipeline(
        load_profile("generic"),
        [],
        limits=Detect(),
        sample_sources=sources,
        on_events=events.extend,
        on_window=source.observe,
    )
    await source.open()
    device.start()
    chip, t_ns = words(drive, mounted), drive.imu.t_ns
    told_ns, kmh = drive.signals[vss.SPEED]
    for edge in range(EDGE_NS, int(t_ns[-1]), EDGE_NS):
        now = slice(*np.searchsorted(told_ns, [edge - EDGE_NS, edge]))
        count = len(told_ns[now])
        speeds = Samples(told_ns[now], np.zeros(count, np.int32), kmh[now], np.zeros(count, np.uint8))
        pipeline.on_samples("car", speeds)
        for row in range(*np.searchsorted(t_ns, [edge - EDGE_NS, edge])):
            device.push(int(t_ns[row]), *chip[row].tolist())
        pipeline.on_samples("imu", await source.read_batch())
    assert source.counters()["lost"] == 0
    pipeline.finish()
    await source.close()
    device.stop()
    return [event for event in events if isinstance(event, Collision)]


@pytest.mark.parametrize(
    ("scenario", "pdof_deg"), [("crash_front", 0.0), ("crash_side_left", 270.0), ("crash_rear", 180.0)]
)
async def test_a_crash_has_its_direction_at_any_mounting(tmp_path: Path, scenario: str, pdof_deg: float) -> None:
    mounted = random_rotation(11)
    store = FileMountStore(tmp_path)
    for _ in feed(SelfMount(store), commute(1, 600), mounted):
        pass
    drive = simulate(load_scenario(scenario), 3)
    (event,) = await crash(tmp_path, SelfMount(FileMountStore(tmp_path)), drive, mounted)
    truth = next(t for t in drive.truth if t.kind == "collision")
    assert event.delta_v_kmh == pytest.approx(truth.details["delta_v_kmh"], rel=0.1)
    assert event.pdof_deg is not None
    assert abs((event.pdof_deg - pdof_deg + 180) % 360 - 180) < 10


async def test_a_box_that_was_just_mounted_finds_the_crash_and_gives_no_direction(tmp_path: Path) -> None:
    drive = simulate(load_scenario("crash_front"), 3)
    (event,) = await crash(tmp_path, SelfMount(), drive, random_rotation(12))
    truth = next(t for t in drive.truth if t.kind == "collision")
    assert event.delta_v_kmh == pytest.approx(truth.details["delta_v_kmh"], rel=0.1)
    assert event.pdof_deg is None


async def test_a_box_that_learns_has_no_crash_to_tell_of(tmp_path: Path) -> None:
    scenario = load_scenario("crash_front")
    healthy = simulate(msgspec.structs.replace(scenario, events=[]), 3)
    assert await crash(tmp_path, SelfMount(), healthy, np.diag([-1.0, 1.0, -1.0])) == []  # upside down
