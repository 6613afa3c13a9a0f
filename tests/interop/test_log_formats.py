"""Recordings made by others: one capture in six formats, logs with a clock that goes back, CANedge files."""

from functools import reduce
from pathlib import Path

import can
import numpy as np
import numpy.typing as npt
import pytest

from agent.core.errors import EndOfSource
from agent.core.frames import EXTENDED, OWN, FrameBatch, concatenate
from simulators.clock import ManualClock
from simulators.replay import ReplaySource, open_recording
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop

FORMATS = {
    "GVRET_Log.csv": ("gvret", 1_000),
    "CRTD_Log.txt": ("crtd", 1_000),
    "MicrochipLog.log": ("microchip", 1_000_000),
    "BusMasterLog.log": ("busmaster", 1_000_000),
    "candump.log": ("candump", 1_000_000_000),
    "GenericID_Log.csv": ("generic-id", None),
}


def read(path: Path) -> FrameBatch:
    recording = open_recording(path)
    batch = concatenate(list(recording))
    assert recording.bad_lines == 0, recording.bad_places
    return batch


@pytest.fixture(scope="session")
def log_formats(shared_data: Path) -> Path:
    return shared_data / "can_log_formats"


@pytest.fixture(scope="session")
def reference(log_formats: Path) -> FrameBatch:
    return read(log_formats / "GVRET_Log.csv")


def test_the_capture_is_the_one_described(reference: FrameBatch) -> None:
    assert len(reference) == 12_974
    assert len(np.unique(reference.can_id)) == 180
    assert reference.t_ns[-1] == 8_560_000_000


@pytest.mark.parametrize("name", FORMATS)
def test_six_formats_give_identical_frames(
    log_formats: Path, reference: FrameBatch, figures: Figures, name: str
) -> None:
    kind, resolution_ns = FORMATS[name]
    assert open_recording(log_formats / name).format == kind
    batch = read(log_formats / name)
    assert len(batch) == len(reference)
    same = [
        batch.bus == reference.bus,
        batch.can_id == reference.can_id,
        batch.flags == reference.flags,
        batch.length == reference.length,
        (batch.data == reference.data).all(axis=1),
    ]
    identical = int(np.logical_and.reduce(same).sum())
    figures("can_log_formats", f"{name}: frames as in GVRET_Log.csv", f"{identical} of {len(reference)}", "all")
    for column in ("bus", "can_id", "flags", "length", "data"):
        np.testing.assert_array_equal(getattr(batch, column), getattr(reference, column), err_msg=column)
    if resolution_ns is not None:
        assert np.abs(batch.t_ns - reference.t_ns).max() < resolution_ns


def test_candump_equals_python_can(log_formats: Path) -> None:
    batch = read(log_formats / "candump.log")
    with can.LogReader(log_formats / "candump.log") as reader:
        _assert_equal(batch, list(reader))


def test_asc_equals_python_can(shared_data: Path, figures: Figures) -> None:
    paths = sorted((shared_data / "kona_ev_can" / "bms_diagnostics").glob("*.asc"))
    assert len(paths) == 9
    frames = 0
    for path in paths:
        with can.LogReader(path) as reader:
            messages = list(reader)
        _assert_equal(read(path), messages)
        frames += len(messages)
    figures("kona_ev_can", "nine ASC files: frames as python-can reads them", frames, "all")


@pytest.mark.parametrize(
    ("name", "frames", "steps"),
    [
        ("230112-7-2019-pcan-ccan-power-off-on-ready-off.csv", 39_546, 1845),
        ("221217-1-2021-pcan-bcan-no-key.csv", 14_294, 1029),
        ("250105-1-2020-comp-can-heating.csv", 27_982, 1),
    ],
)
async def test_a_clock_that_goes_back_is_survived(
    shared_data: Path, figures: Figures, name: str, frames: int, steps: int
) -> None:
    clock = ManualClock()
    source = ReplaySource([shared_data / "kona_ev_can" / name], clock, window_s=0.02)
    await source.open()
    latest_ns = 0
    while True:
        try:
            batch = await source.read_batch()
        except EndOfSource:
            break
        assert batch.t_ns[0] >= latest_ns
        assert (np.diff(batch.t_ns) >= 0).all()
        assert batch.t_ns[-1] < clock.monotonic_ns()
        latest_ns = int(batch.t_ns[-1])
    counters = source.counters()
    figures("kona_ev_can", f"{name}: frames", counters["frames"], frames)
    figures("kona_ev_can", f"{name}: backward steps survived", counters["backward_steps"], steps)
    assert (counters["frames"], counters["backward_steps"], counters["bad_lines"]) == (frames, steps, 0)


def test_canedge_equals_python_can(shared_data: Path) -> None:
    pytest.importorskip("asammdf", reason="python-can reads MF4 with asammdf")
    for name in ("obd2_uds/17BD1DB7-00000170.MF4", "obd2_uds/2F6913DB-00000001.MF4", "car_trip/00000005-60FEB5A8.MF4"):
        path = shared_data / "canedge_mf4" / name
        with can.LogReader(path) as reader:
            messages = list(reader)
        batch = read(path)
        _assert_equal(batch, messages)
        start_ns = open_recording(path).start_wall_ns
        assert start_ns is not None
        assert abs(start_ns / 1e9 - messages[0].timestamp) < 1e-3


def test_canedge_equals_asammdf(shared_data: Path, figures: Figures) -> None:
    asammdf = pytest.importorskip("asammdf", reason="the oracle is not installed")
    paths = sorted((shared_data / "canedge_mf4").glob("*/*.MF4"))
    assert len(paths) == 10
    frames = 0
    for path in paths:
        batch = read(path)
        with asammdf.MDF(path) as mdf:
            signal = mdf.get("CAN_DataFrame", group=0, raw=True)
        rows, nanoseconds = signal.samples, signal.timestamps * 1e9
        np.testing.assert_array_equal(batch.can_id, rows["CAN_DataFrame.ID"])
        np.testing.assert_array_equal((batch.flags & EXTENDED) != 0, rows["CAN_DataFrame.IDE"])
        np.testing.assert_array_equal((batch.flags & OWN) != 0, rows["CAN_DataFrame.Dir"])
        np.testing.assert_array_equal(batch.bus + 1, rows["CAN_DataFrame.BusChannel"])
        np.testing.assert_array_equal(batch.length, rows["CAN_DataFrame.DataLength"])
        payload = rows["CAN_DataFrame.DataBytes"]
        np.testing.assert_array_equal(batch.data[:, : payload.shape[1]], payload)
        assert np.abs(batch.t_ns - (nanoseconds - nanoseconds[0])).max() < 100
        frames += len(batch)
    figures("canedge_mf4", "ten MF4 files: frames as asammdf reads them", frames, "all")


async def test_a_trip_in_five_files_is_one_drive(shared_data: Path) -> None:
    paths = sorted((shared_data / "canedge_mf4" / "car_trip").glob("*.MF4"), reverse=True)
    source = ReplaySource(paths, ManualClock(), window_s=1)
    await source.open()
    batches = []
    while True:
        try:
            batches.append(await source.read_batch())
        except EndOfSource:
            break
    whole = concatenate(batches)
    assert len(whole) == 65_296 + 73_785 + 73_765 + 73_774 + 5_477
    assert source.counters()["files"] == 5
    assert whole.t_ns[-1] / 1e9 == pytest.approx(2389.3, abs=0.5)
    assert np.diff(whole.t_ns).max() < 1_000_000_000, "the files follow each other without a gap"


def _assert_equal(batch: FrameBatch, messages: list[can.Message]) -> None:
    def column(name: str) -> npt.NDArray[np.float64]:
        return np.array([getattr(message, name) for message in messages], np.float64)

    np.testing.assert_array_equal(batch.can_id, column("arbitration_id"))
    np.testing.assert_array_equal((batch.flags & EXTENDED) != 0, column("is_extended_id"))
    np.testing.assert_array_equal((batch.flags & OWN) == 0, column("is_rx"))
    payloads = reduce(bytes.__add__, (row[:n].tobytes() for row, n in zip(batch.data, batch.length, strict=True)))
    assert payloads == b"".join(bytes(message.data) for message in messages)
    seconds = column("timestamp")
    assert np.abs(batch.t_ns / 1e9 - (seconds - seconds[0])).max() < 1e-6
