from typing import Literal, cast

import cantools
import numpy as np
import pytest
from cantools.database.can import Message, Signal
from cantools.database.conversion import BaseConversion
from hypothesis import given
from hypothesis import strategies as st

from agent.core import vss
from agent.core.frames import FrameBatch
from agent.core.paths import DBC
from agent.core.signals import Quality, SignalCatalog
from agent.decode.decode import decode_batch
from agent.decode.profile import load_profile
from agent.decode.table import build_table
from simulators.world import Drive, load_scenario, simulate
from simulators.world.frames import encode_drive, load_database
from simulators.world.packing import pack
from simulators.world.scenario import CELL_COUNT

ByteOrder = Literal["little_endian", "big_endian"]


@pytest.fixture(scope="module")
def drive() -> Drive:
    return simulate(load_scenario("commute"), 7)


@pytest.fixture(scope="module")
def frames(drive: Drive) -> FrameBatch:
    return encode_drive(drive)


def test_the_dbc_has_what_a_real_one_has() -> None:
    messages = load_database().messages
    signals = [signal for message in messages for signal in message.signals]
    assert {signal.byte_order for signal in signals} == {"little_endian", "big_endian"}
    assert any(signal.is_signed for signal in signals)
    assert any(message.is_multiplexed() for message in messages)
    assert any(message.is_extended_frame for message in messages)
    assert {message.cycle_time for message in messages} >= {10, 20, 100, 1000}


def test_frames_come_in_order_at_their_cycle_times(frames: FrameBatch) -> None:
    assert (np.diff(frames.t_ns) >= 0).all()
    for message in load_database().messages:
        rows = frames.can_id == message.frame_id
        gaps_ms = np.diff(frames.t_ns[rows]) / 1e6
        assert np.abs(gaps_ms - message.cycle_time).max() < 1.0
        assert (frames.length[rows] == message.length).all()
    bits = (47 + 8 * frames.length.astype(np.int64)).sum() * 1.1
    assert bits / 75 < 0.5 * 500_000  # a bus of 500 kbit/s has room for it


def test_payloads_are_what_cantools_reads(drive: Drive, frames: FrameBatch) -> None:
    database = load_database()
    rng = np.random.default_rng(3)
    for row in rng.integers(0, len(frames), 400):
        values = cast("dict[str, float]", database.decode_message(int(frames.can_id[row]), _payload(frames, row)))
        t_ns = int(frames.t_ns[row])
        if "VehicleSpeed" in values:
            expected = np.interp(t_ns, *drive.signals[vss.SPEED])
            assert values["VehicleSpeed"] == pytest.approx(expected, abs=0.0051)
        if "PackCurrent" in values:
            assert values["PackCurrent"] == pytest.approx(-np.interp(t_ns, *drive.signals[vss.PACK_CURRENT]), abs=0.051)


def _payload(frames: FrameBatch, row: int) -> bytes:
    return frames.data[row, : frames.length[row]].tobytes()


def test_the_checksum_of_steering_holds(frames: FrameBatch) -> None:
    rows = frames.data[frames.can_id == 0x25].astype(int)
    np.testing.assert_array_equal((rows[:, :7].sum(axis=1) + 0x25 + 8) % 256, rows[:, 7])


def test_the_profile_gives_back_the_world(drive: Drive, frames: FrameBatch) -> None:
    catalog = SignalCatalog()
    decoded = decode_batch(build_table(load_profile("simcar"), [DBC / "outrider_sim.dbc"], catalog), frames)
    assert decoded.bad == 0
    samples = decoded.samples
    valid = samples.quality == Quality.VALID
    for path, tolerance in {
        vss.SPEED: 0.006,
        vss.ENGINE_SPEED: 0.13,
        vss.STEERING_ANGLE: 0.051,
        vss.PACK_CURRENT: 0.051,
        vss.PACK_VOLTAGE: 0.006,
        vss.STATE_OF_CHARGE: 0.051,
        vss.LOW_VOLTAGE: 0.0006,
        vss.TRAVELED_DISTANCE: 0.51,
        vss.COOLANT_TEMPERATURE: 0.51,
        **{vss.cell_voltage(cell): 0.0006 for cell in range(CELL_COUNT)},
        **{vss.cell_temperature(cell): 0.26 for cell in range(CELL_COUNT)},
    }.items():
        rows = valid & (samples.signal == catalog.index(path))
        assert rows.sum() > 50, path
        expected = np.interp(samples.t_ns[rows], *drive.signals[path])
        assert np.abs(samples.value[rows] - expected).max() < tolerance, path


def test_a_battery_that_has_measured_nothing_says_so(frames: FrameBatch) -> None:
    catalog = SignalCatalog()
    decoded = decode_batch(build_table(load_profile("simcar"), [DBC / "outrider_sim.dbc"], catalog), frames)
    early = decoded.samples.t_ns < 500_000_000
    cells = decoded.samples.signal == catalog.index(vss.CELL_VOLTAGE_MAX)
    assert (decoded.samples.quality[early & cells] == Quality.SENTINEL).all()
    assert (decoded.samples.quality[~early & cells] == Quality.VALID).sum() > 700


def test_a_car_that_sleeps_is_silent() -> None:
    drive = simulate(load_scenario("parked_hit"), 2)
    frames = encode_drive(drive)
    assert drive.sleep_ns == 26_000_000_000
    assert frames.t_ns.max() <= drive.sleep_ns + 1_000_000


@given(
    start=st.integers(0, 40),
    length=st.integers(1, 24),
    order=st.sampled_from(["little_endian", "big_endian"]),
    signed=st.booleans(),
    scale=st.sampled_from([1.0, 0.1, 0.25, 2.0, -0.5]),
    offset=st.sampled_from([0.0, -40.0, 12.5]),
    values=st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=20),
)
def test_packing_equals_cantools(
    *, start: int, length: int, order: ByteOrder, signed: bool, scale: float, offset: float, values: list[float]
) -> None:
    if order == "big_endian":
        start = start // 8 * 8 + 7 - start % 8  # any bit of the first bytes may be the most significant one
    conversion = BaseConversion.factory(scale, offset)
    signal = Signal("s", start, length, order, signed, conversion=conversion)
    message = Message(1, "m", 8, [signal], strict=False)
    top = (1 << (length - signed)) - 1
    low = -top - 1 if signed else 0
    physical = np.array([np.clip(round((v - offset) / scale), low, top) * scale + offset for v in values])
    data = pack([signal], {"s": physical}, len(physical))
    for row, value in zip(data, physical, strict=True):
        assert row[:8].tobytes() == message.encode({"s": float(value)}, strict=False)
        assert not row[8:].any()


def test_packing_clips_and_knows_no_value() -> None:
    signal = cantools.database.can.Signal("s", 0, 8, conversion=BaseConversion.factory(0.5, -40))
    data = pack([signal], {"s": np.array([1e9, -1e9, np.nan, 0.0])}, 4)
    assert data[:, 0].tolist() == [255, 0, 255, 80]
