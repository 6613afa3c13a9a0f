import asyncio
import struct
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import vss
from agent.core.config import Imu
from agent.core.errors import SourceLost
from agent.core.signals import Quality, Samples
from drivers.imu_iio import ImuSource
from drivers.imu_mount import FixedMount
from simulators.clock import ManualClock
from tests.unit.drivers.fake_iio import FakeDevice

G = 9.80665
SCALE = 0.004785645  # of +-16 g in 16 bits
STEP_NS = 2_500_000
IDENTITY = FixedMount([(1, 0, 0), (0, 1, 0), (0, 0, 1)])

Make = Callable[..., FakeDevice]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[FakeDevice] = []

    def device(**settings: object) -> FakeDevice:
        made.append(FakeDevice(tmp_path, **settings))  # type: ignore[arg-type]  # each test names real fields
        return made[-1]

    yield device
    for one in made:
        one.stop()


def source_of(
    device: FakeDevice, imu: Imu | None = None, *, mount: FixedMount = IDENTITY, silence_s: float = 1.0
) -> ImuSource:
    clock = ManualClock(start_ns=1_000_000_000)
    return ImuSource(imu or Imu(), clock, mount, root=device.root, silence_s=silence_s)


def values(source: ImuSource, samples: Samples) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for number, value in zip(samples.signal, samples.value, strict=True):
        found.setdefault(source.specs[number].path, []).append(float(value))
    return found


async def opened(device: FakeDevice, imu: Imu | None = None, *, silence_s: float = 1.0) -> ImuSource:
    source = source_of(device, imu, silence_s=silence_s)
    await source.open()
    device.start()
    return source


async def test_the_device_is_set_up_and_read_back(make: Make) -> None:
    device = make(extra={"in_accel_sampling_frequency": "25"})
    source = await opened(device)
    assert device.get("current_timestamp_clock") == "boottime"
    assert float(device.get("in_accel_scale")) == pytest.approx(SCALE)
    assert float(device.get("in_anglvel_scale")) == pytest.approx(0.000532113)  # the finest that holds 1000 degrees/s
    assert device.get("sampling_frequency") == "400"
    assert device.get("in_accel_sampling_frequency") == "400"
    assert device.get("buffer/length") == "800"
    assert device.get("buffer/watermark") == "8"
    assert device.get("buffer/enable") == "1"
    assert all(path.read_text() == "1" for path in device.folder.glob("scan_elements/*_en"))
    await source.close()
    assert device.get("buffer/enable") == "0"


async def test_values_come_in_vehicle_axes_and_units(make: Make) -> None:
    device = make()
    source = await opened(device)
    device.push(1_000_000_000, 100, 200, round(G / SCALE), 1000, 0, -1000)
    samples = await source.read_batch()
    assert set(samples.t_ns.tolist()) == {1_000_000_000}
    assert set(samples.quality.tolist()) == {Quality.VALID}
    found = values(source, samples)
    assert found[vss.ACCELERATION_LONGITUDINAL] == pytest.approx([100 * SCALE])
    assert found[vss.ACCELERATION_LATERAL] == pytest.approx([-200 * SCALE])  # ISO 8855's left is our right
    assert found[vss.ACCELERATION_VERTICAL] == pytest.approx([G], abs=SCALE)
    assert found[vss.ROLL_RATE] == pytest.approx([np.rad2deg(0.532113)])
    assert found[vss.YAW_RATE] == pytest.approx([-np.rad2deg(0.532113)])
    assert found[vss.IMU_HEADING_ERROR] == [2.0]
    assert vss.IMU_CLIPPED not in found
    await source.close()


async def test_a_told_mounting_turns_the_axes(make: Make) -> None:
    device = make(kinds=("accel",))
    mount = FixedMount([(0, 1, 0), (-1, 0, 0), (0, 0, 1)])  # the chip's y looks forward
    source = source_of(device, mount=mount)
    await source.open()
    device.start()
    device.push(1_000_000_000, 0, 100, 0)
    found = values(source, await source.read_batch())
    assert found[vss.ACCELERATION_LONGITUDINAL] == pytest.approx([100 * SCALE])
    assert found[vss.ACCELERATION_LATERAL] == pytest.approx([0])
    await source.close()


@pytest.mark.parametrize(
    ("kind", "pack", "word", "scale"),
    [
        ("be:s16/16>>0", ">3h2xq", 1000, "0.0048"),
        ("le:s12/16>>4", "<3h2xq", 1000 << 4, "0.0768"),
        ("le:s32/32>>0", "<3i4xq", 1000, "0.0000001"),
        ("be:s20/32>>12", ">3i4xq", 1000 << 12, "0.0003"),
    ],
)
async def test_formats(make: Make, kind: str, pack: str, word: int, scale: str) -> None:
    device = make(kinds=("accel",), type=kind, extra={"in_accel_scale_available": scale, "in_accel_offset": "24"})
    if pack.startswith(">"):
        device.put("scan_elements/in_timestamp_type", "be:s64/64>>0")
    source = await opened(device)
    device.raw(struct.pack(pack, word, -word, 0, 1_000_000_000))
    found = values(source, await source.read_batch())
    assert found[vss.ACCELERATION_LONGITUDINAL] == pytest.approx([1024 * float(scale)])
    assert found[vss.ACCELERATION_LATERAL] == pytest.approx([976 * float(scale)])
    await source.close()


async def test_a_scan_that_comes_in_pieces_is_put_together(make: Make) -> None:
    device = make(kinds=("accel",))
    source = await opened(device)
    scan = struct.pack("<3h2xq", 7, 0, 0, 1_000_000_000)
    device.raw(scan + scan[:5])
    assert len(values(source, await source.read_batch())[vss.ACCELERATION_LONGITUDINAL]) == 1
    device.raw(scan[5:])
    assert values(source, await source.read_batch())[vss.ACCELERATION_LONGITUDINAL] == pytest.approx([7 * SCALE])
    await source.close()


async def test_other_elements_are_switched_off_and_padding_is_stepped_over(make: Make) -> None:
    device = make(kinds=("accel",))
    device.element("temp", 9, "le:s16/16>>0")
    device.put("scan_elements/in_temp_en", "1")
    source = await opened(device)
    assert device.get("scan_elements/in_temp_en") == "0"
    device.raw(struct.pack("<3h", 1, 2, 3) + b"\xff\xff" + struct.pack("<q", 1_000_000_000))
    found = values(source, await source.read_batch())
    assert found[vss.ACCELERATION_LONGITUDINAL] == pytest.approx([SCALE])
    await source.close()


async def test_clipped_samples_stay_valid_and_are_told(make: Make) -> None:
    device = make(kinds=("accel",))
    source = await opened(device)
    for number, word in enumerate((32766, 32767, -32768, 0)):
        device.push(1_000_000_000 + number * STEP_NS, word, 32767 if word == -32768 else 0, 0)
    samples = await source.read_batch()
    assert not samples.quality.any()
    assert values(source, samples)[vss.IMU_CLIPPED] == [1, 2]
    told = samples.t_ns[samples.signal == [s.path for s in source.specs].index(vss.IMU_CLIPPED)]
    assert told.tolist() == [1_000_000_000 + STEP_NS, 1_000_000_000 + 2 * STEP_NS]
    assert source.counters()["clipped"] == 2
    await source.close()


async def test_the_driver_may_tell_where_it_clips(make: Make) -> None:
    device = make(
        kinds=("accel",), extra={"in_accel_raw_available": "[-8000 1 8000]", "in_accel_scale_available": "0.0197"}
    )
    source = await opened(device)
    device.push(1_000_000_000, 8000, 0, 0)
    assert values(source, await source.read_batch())[vss.IMU_CLIPPED] == [1]
    await source.close()


async def test_lost_samples_are_counted_by_the_gaps(make: Make) -> None:
    device = make(kinds=("accel",))
    source = await opened(device)
    for number in (0, 1, 2, 3, 4, 5, 9, 10, 13):
        device.push(1_000_000_000 + number * STEP_NS, 0, 0, 0)
    await source.read_batch()
    assert source.counters()["lost"] == 3 + 2
    device.push(1_000_000_000 + 16 * STEP_NS, 0, 0, 0)  # between two looks
    await source.read_batch()
    assert source.counters()["lost"] == 3 + 2 + 2
    assert source.counters()["scans"] == 10
    await source.close()
    assert source.counters()["lost"] == 7  # kept when it is opened again


async def test_a_rate_that_wanders_loses_nothing(make: Make) -> None:
    device = make(kinds=("accel",))
    source = await opened(device)
    t_ns = 1_000_000_000
    for number in range(200):
        t_ns += round(STEP_NS * (1 + 0.1 * np.sin(number / 9)) + 200_000 * (-1) ** number)
        device.push(t_ns, 0, 0, 0)
    await source.read_batch()
    assert source.counters()["lost"] == 0
    await source.close()


async def test_stamps_that_go_back_or_are_of_another_clock_are_counted(make: Make) -> None:
    device = make(kinds=("accel",))
    source = await opened(device)
    for t_ns in (1_000_000_000, 1_005_000_000, 1_002_500_000, 1_790_000_000_000_000_000):
        device.push(t_ns, 0, 0, 0)
    samples = await source.read_batch()
    assert source.counters()["mistimed"] == 2
    times = samples.t_ns[samples.signal == 0]
    assert times.tolist() == [1_000_000_000, 1_005_000_000, 1_005_000_000]
    await source.close()


async def test_a_chip_in_two_devices_is_read_from_both(make: Make) -> None:
    accel = make(number=0, name="icm42605-accel", kinds=("accel",))
    gyro = make(number=1, name="icm42605-gyro", kinds=("anglvel",))
    source = await opened(accel)
    gyro.start()
    accel.push(1_000_000_000, 1, 0, 0)
    gyro.push(1_000_000_000, 0, 0, 1000)
    found = values(source, await source.read_batch())
    assert found[vss.YAW_RATE] == pytest.approx([np.rad2deg(0.532113)])
    assert found[vss.ACCELERATION_LONGITUDINAL] == pytest.approx([SCALE])
    await source.close()


async def test_the_gyroscope_may_be_named(make: Make) -> None:
    accel = make(number=0, name="adxl372", kinds=("accel",))
    gyro = make(number=1, name="bmg160", kinds=("anglvel",))
    source = await opened(accel, Imu(device="adxl372", gyroscope="bmg160"))
    gyro.start()
    gyro.push(1_000_000_000, 0, 0, 0)
    assert set(values(source, await source.read_batch())) == {vss.ROLL_RATE, vss.PITCH_RATE, vss.YAW_RATE}
    await source.close()
    missing = source_of(accel, Imu(device="adxl372", gyroscope="mpu"))
    with pytest.raises(SourceLost, match="no device 'mpu' with a buffer of in_anglvel_x"):
        await missing.open()
    await missing.close()


async def test_a_gyroscope_that_turns_slower_is_better_than_none(make: Make) -> None:
    device = make(extra={"in_anglvel_scale_available": "0.0001 0.0002"})
    source = await opened(device)
    assert float(device.get("in_anglvel_scale")) == pytest.approx(0.0002)
    await source.close()


async def test_what_is_set_already_is_left_alone(make: Make) -> None:
    device = make()
    first = await opened(device)
    await first.close()
    device.put("buffer/enable", "1")
    written = {path: path.stat().st_mtime_ns for path in device.folder.rglob("*") if path.is_file()}
    source = source_of(device)
    await source.open()
    assert {path: path.stat().st_mtime_ns for path in written} == written
    await source.close()


def leave(_: FakeDevice) -> None:
    """The device as it is."""


@pytest.mark.parametrize(
    ("prepare", "imu", "message"),
    [
        (lambda d: d.put("in_accel_scale_available", "0.0006 0.0012"), Imu(), "in_accel_scale reaches 39.3 at most"),
        (lambda d: d.remove("in_accel_scale_available"), Imu(), "in_accel_scale reaches 19.6 at most, 156.9 is wanted"),
        (leave, Imu(range_g=200), "in_accel_scale reaches 156.8 at most, 1961.3 is wanted"),
        (leave, Imu(rate_hz=3200), "sampling_frequency offers 1600 Hz at most, 3200 wanted"),
        (lambda d: d.remove("current_timestamp_clock"), Imu(), "current_timestamp_clock is missing"),
        (lambda d: d.remove("sampling_frequency"), Imu(), "sampling_frequency is missing, of the device and of its"),
        (lambda d: d.remove("scan_elements/in_timestamp_en"), Imu(), "in_timestamp_en is missing"),
        (lambda d: d.remove("scan_elements/in_accel_z_en"), Imu(), "in_accel_z_en is missing: it cannot be captured"),
        (lambda d: d.element("accel_y", 1, "le:s16/16X2>>0"), Imu(), "in_accel_y_type: a repeated element"),
        (lambda d: d.element("accel_y", 1, "le:s33/16>>0"), Imu(), "in_accel_y_type 'le:s33/16>>0'"),
        (lambda d: d.put("in_accel_scale_available", "fine"), Imu(), "in_accel_scale_available is no number: 'fine'"),
        (lambda d: d.remove("buffer/length"), Imu(), "buffer/length cannot be read"),
        (lambda d: d.put("trigger/current_trigger", ""), Imu(trigger="mine"), "no trigger 'mine'; triggers: none"),
        (lambda d: d.put("trigger/current_trigger", ""), Imu(), "trigger/current_trigger is empty, no trigger of its"),
        (lambda d: d.node.unlink(), Imu(), "cannot be opened: No such file"),
        (lambda d: d.put("name", "other"), Imu(device="bmi160"), "no device 'bmi160' with a buffer of in_accel_x"),
    ],
)
async def test_what_is_missing_or_not_taken_is_named(
    make: Make, prepare: Callable[[FakeDevice], None], imu: Imu, message: str
) -> None:
    device = make()
    prepare(device)
    source = source_of(device, imu)
    with pytest.raises(SourceLost, match=message):
        await source.open()
    await source.close()


async def test_a_value_that_does_not_stay_is_named(make: Make) -> None:
    device = make()
    path = device.folder / "sampling_frequency"
    path.unlink()
    path.symlink_to("/dev/null")  # takes everything, keeps nothing
    source = source_of(device)
    with pytest.raises(SourceLost, match="sampling_frequency was set to '400' and reads back ''"):
        await source.open()
    await source.close()


async def test_a_refusal_names_the_attribute(make: Make) -> None:
    device = make()
    path = device.folder / "in_accel_scale"
    path.unlink()
    path.symlink_to("/proc/self/stat")  # readable, and takes no writing
    source = source_of(device)
    with pytest.raises(SourceLost, match=r"iio:device0: in_accel_scale does not take '0\.004785645'"):
        await source.open()
    await source.close()


async def test_the_devices_own_trigger_is_chosen_and_a_told_one_before_it(make: Make) -> None:
    device = make(extra={"trigger/current_trigger": ""})
    device.trigger(0, "bmi160-dev0")
    device.trigger(1, "timer", "100")
    source = await opened(device)
    assert device.get("trigger/current_trigger") == "bmi160-dev0"
    await source.close()
    source = source_of(device, Imu(trigger="timer"))
    await source.open()
    assert device.get("trigger/current_trigger") == "timer"
    assert (device.folder.parent / "trigger1/sampling_frequency").read_text() == "400"
    await source.close()


async def test_a_timer_is_made_where_there_is_no_trigger(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    device = make(extra={"trigger/current_trigger": ""})
    device.remove("sampling_frequency")  # such a chip is sampled at the timer's rate
    folder = device.root / "sys/kernel/config/iio/triggers/hrtimer"
    folder.mkdir(parents=True)
    source = source_of(device)
    with pytest.raises(SourceLost, match="does not show"):
        await source.open()
    make_folder = Path.mkdir

    def make_as_the_kernel_does(path: Path, *, exist_ok: bool = False) -> None:
        make_folder(path, exist_ok=exist_ok)
        shown = device.folder.parent / "trigger0"
        make_folder(shown)
        (shown / "name").write_text(path.name + "\n")
        (shown / "sampling_frequency").write_text("100\n")

    monkeypatch.setattr(Path, "mkdir", make_as_the_kernel_does)
    await source.open()
    assert device.get("trigger/current_trigger") == "outrider"
    assert (device.folder.parent / "trigger0/sampling_frequency").read_text() == "400"
    await source.close()
    (device.folder / "trigger/current_trigger").write_text("\n")
    await source.open()  # the timer of an earlier run is taken
    assert device.get("trigger/current_trigger") == "outrider"
    await source.close()


async def test_removal_silence_and_the_end_are_told_apart(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    device = make(kinds=("accel",))
    source = await opened(device, silence_s=0.01)
    with pytest.raises(SourceLost, match=r"silent for 0\.01 s"):
        await source.read_batch()
    device.stop()
    with pytest.raises(SourceLost, match="closed by the other end"):
        await source.read_batch()

    def gone(_fd: int, _size: int) -> bytes:
        raise OSError(19, "No such device")

    monkeypatch.setattr("drivers.iio_buffer.os.read", gone)
    with pytest.raises(SourceLost, match="the device was removed"):
        await source.read_batch()
    await source.close()
    await source.close()
    with pytest.raises(SourceLost, match="not open"):
        await source.read_batch()


async def test_it_comes_back_after_a_removal(make: Make) -> None:
    device = make(kinds=("accel",))
    source = await opened(device)
    device.push(1_000_000_000, 0, 0, 0)
    await source.read_batch()
    device.stop()
    with pytest.raises(SourceLost):
        await source.read_batch()
    await source.open()
    device.start()
    device.push(2_000_000_000, 1, 0, 0)
    assert values(source, await source.read_batch())[vss.ACCELERATION_LONGITUDINAL] == pytest.approx([SCALE])
    assert source.counters() == {"scans": 2, "lost": 0, "mistimed": 0, "clipped": 0, "heading_error_deg": 2}
    await source.close()


async def test_a_cancelled_reader_leaves_nothing_watched(make: Make) -> None:
    device = make(kinds=("accel",))
    source = await opened(device)
    task = asyncio.create_task(source.read_batch())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    device.push(1_000_000_000, 0, 0, 0)
    assert len(await source.read_batch()) == 4  # three axes, and how well forward is known
    await source.close()


@given(cuts=st.lists(st.integers(1, 24 * 40 - 1), max_size=12, unique=True))
@settings(max_examples=25, deadline=None)
def test_any_split_of_the_bytes_gives_the_same_samples(cuts: list[int]) -> None:
    stream = b"".join(
        struct.pack("<6h4xq", row, -row, 2 * row, 3, 4, row, 1_000_000_000 + row * STEP_NS) for row in range(40)
    )
    edges = [0, *sorted(cuts), len(stream)]

    async def read(pieces: list[bytes]) -> dict[str, list[float]]:
        with tempfile.TemporaryDirectory() as folder:
            device = FakeDevice(Path(folder))
            source = await opened(device)
            found: dict[str, list[float]] = {}
            have = 0
            for piece in pieces:
                device.raw(piece)
                have += len(piece)
                while source.counters()["scans"] < have // 24:
                    for path, some in values(source, await source.read_batch()).items():
                        found.setdefault(path, []).extend(some)
            await source.close()
            device.stop()
            return found

    whole = asyncio.run(read([stream]))
    assert len(whole[vss.YAW_RATE]) == 40
    assert asyncio.run(read([stream[a:b] for a, b in pairwise(edges)])) == whole
