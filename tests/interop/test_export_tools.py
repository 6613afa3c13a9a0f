"""Exported drives, opened by the tools that others use: python-can, asammdf, cantools, and our own replay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import can
import cantools
import numpy as np
import pytest

from agent.core import vss
from agent.core.frames import EXTENDED, FrameBatch, concatenate
from agent.core.paths import DBC
from simulators.export import START_S, export_drive
from simulators.replay import open_recording
from simulators.world import Drive, load_scenario, simulate
from simulators.world.frames import encode_drive

pytestmark = pytest.mark.interop

FORMATS: Final = {"candump": ".log", "asc": ".asc", "blf": ".blf", "mf4": ".mf4", "csv": ".csv"}
RESOLUTION_S: Final = 1.1e-6  # text has six decimals, and today's seconds as a double are good to 0.2 us
SIGNALS: Final = {
    "VehicleSpeed": vss.SPEED,
    "EngineSpeed": vss.ENGINE_SPEED,
    "SteeringAngle": vss.STEERING_ANGLE,
    "YawRate": vss.YAW_RATE,
    "PackVoltage": vss.PACK_VOLTAGE,
    "StateOfCharge": vss.STATE_OF_CHARGE,
    "CoolantTemperature": vss.COOLANT_TEMPERATURE,
    "CellVoltage07": vss.cell_voltage(7),
    "CellTemperature07": vss.cell_temperature(7),
    "Odometer": vss.TRAVELED_DISTANCE,
}
NO_VALUE_S: Final = 0.6  # until then the battery's controller says "not measured"


@pytest.fixture(scope="module")
def drive() -> Drive:
    return simulate(load_scenario("harsh_brake"), 11)


@pytest.fixture(scope="module")
def frames(drive: Drive) -> FrameBatch:
    return encode_drive(drive)


@pytest.fixture(scope="module", params=FORMATS)
def exported(request: pytest.FixtureRequest, drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    form = str(request.param)
    path = tmp_path_factory.mktemp("export") / f"drive{FORMATS[form]}"
    export_drive(drive, path, form)
    return path


def read_messages(path: Path) -> list[can.Message]:
    """What python-can reads; only ASC counts from the first frame."""
    if path.suffix == ".mf4":
        pytest.importorskip("asammdf", reason="python-can reads MF4 with asammdf")
    with can.LogReader(path) as reader:
        return list(reader)


def times_s(path: Path, messages: list[can.Message], frames: FrameBatch) -> np.ndarray[Any, np.dtype[np.float64]]:
    seconds = np.array([message.timestamp for message in messages])
    return seconds + frames.t_ns[0] / 1e9 if path.suffix == ".asc" else seconds - START_S


def test_python_can_reads_the_same_frames_at_the_same_times(exported: Path, frames: FrameBatch) -> None:
    messages = read_messages(exported)
    assert [message.arbitration_id for message in messages] == frames.can_id.tolist()
    assert [message.is_extended_id for message in messages] == ((frames.flags & EXTENDED) != 0).tolist()
    assert [bytes(message.data) for message in messages] == payloads(frames)
    np.testing.assert_allclose(times_s(exported, messages, frames), frames.t_ns / 1e9, rtol=0, atol=RESOLUTION_S)


def test_cantools_decodes_them_to_the_values_of_the_world(exported: Path, drive: Drive, frames: FrameBatch) -> None:
    messages = read_messages(exported)
    compare(decode(messages, times_s(exported, messages, frames)), drive)


def test_our_own_replay_reads_the_same(exported: Path, frames: FrameBatch) -> None:
    recording = open_recording(exported)
    batch = concatenate(list(recording))
    assert recording.bad_lines == recording.backward_steps == 0
    for column in ("can_id", "flags", "length", "data", "bus"):
        np.testing.assert_array_equal(getattr(batch, column), getattr(frames, column), err_msg=column)
    np.testing.assert_allclose(batch.t_ns, frames.t_ns - frames.t_ns[0], rtol=0, atol=RESOLUTION_S * 1e9)


def test_asammdf_decodes_the_mf4_with_the_dbc(drive: Drive, tmp_path: Path) -> None:
    asammdf = pytest.importorskip("asammdf", reason="the oracle is not installed")
    path = tmp_path / "drive.mf4"
    count = export_drive(drive, path, "mf4")
    with asammdf.MDF(path) as log:
        assert log.header.start_time.timestamp() == START_S
        assert len(log.get("CAN_DataFrame.ID")) == count
        with log.extract_bus_logging({"CAN": [(DBC / "outrider_sim.dbc", 0)]}) as decoded:
            found = {name: decoded.get(name) for name in SIGNALS if not name.startswith("Cell")}  # it wants no groups
    compare({name: (signal.timestamps, signal.samples.astype(float)) for name, signal in found.items()}, drive)


def test_the_same_seed_gives_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    form = next(name for name, suffix in FORMATS.items() if suffix == exported.suffix)
    again = tmp_path / exported.name
    export_drive(simulate(load_scenario("harsh_brake"), 11), again, form)
    assert again.read_bytes() == exported.read_bytes()


def payloads(frames: FrameBatch) -> list[bytes]:
    return [row[:length].tobytes() for row, length in zip(frames.data, frames.length, strict=True)]


def decode(messages: list[can.Message], seconds: Any) -> dict[str, tuple[Any, Any]]:
    database = cantools.database.load_file(DBC / "outrider_sim.dbc")
    assert isinstance(database, cantools.database.Database)

    def values() -> Iterator[tuple[str, float, float]]:
        for message, t_s in zip(messages, seconds.tolist(), strict=True):
            decoded = cast("dict[str, Any]", database.decode_message(message.arbitration_id, bytes(message.data)))
            for name, value in decoded.items():
                if name in SIGNALS and isinstance(value, int | float):
                    yield name, t_s, float(value)

    rows = list(values())
    return {
        name: (np.array([t for n, t, _ in rows if n == name]), np.array([v for n, _, v in rows if n == name]))
        for name in SIGNALS
    }


def compare(found: dict[str, tuple[Any, Any]], drive: Drive) -> None:
    """Within half a step of the DBC, and what the signal does in the time that a timestamp leaves open."""
    database = cantools.database.load_file(DBC / "outrider_sim.dbc")
    assert isinstance(database, cantools.database.Database)
    steps = {signal.name: float(signal.scale) for message in database.messages for signal in message.signals}
    for name, (seconds, values) in found.items():
        measured = seconds > NO_VALUE_S if name.startswith("Cell") else seconds >= 0
        times_ns, truth = drive.signals[SIGNALS[name]]
        expected = np.interp(seconds * 1e9, times_ns.astype(np.float64), truth)
        slope = float(np.abs(np.diff(truth) / np.diff(times_ns / 1e9)).max())
        assert measured.sum() >= 50, name
        np.testing.assert_allclose(
            values[measured],
            expected[measured],
            rtol=0,
            atol=steps[name] * 0.501 + slope * 2 * RESOLUTION_S,
            err_msg=name,
        )
