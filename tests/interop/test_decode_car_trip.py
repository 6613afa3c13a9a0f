"""A real car trip through the canedge profile: five files by CSS Electronics (api-examples, MIT licence).

The axes of the profile were found on files 1 to 3; files 4 and 5 only check them.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from agent.core.frames import DATA_SIZE, EXTENDED, FrameBatch
from agent.core.signals import Quality, Samples, Series, SignalCatalog
from agent.decode.agreement import speed_agreement
from agent.decode.decode import decode_batch
from agent.decode.profile import load_profile
from agent.decode.table import build_table
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop

FILES = ["00000001-60FE3F04", "00000002-60FE415D", "00000003-60FE43B2", "00000004-60FEB585", "00000005-60FEB5A8"]


class Trip:
    """One file, decoded."""

    def __init__(self, folder: Path, name: str) -> None:
        asammdf = pytest.importorskip("asammdf", reason="the extra mf4 is not installed")
        with asammdf.MDF(folder / "car_trip" / f"{name}.MF4") as recording:
            columns = recording.get("CAN_DataFrame")
        rows = {key.rpartition(".")[2]: columns.samples[key] for key in columns.samples.dtype.names}
        count = len(columns.timestamps)
        data = np.zeros((count, DATA_SIZE), np.uint8)
        data[:, : rows["DataBytes"].shape[1]] = rows["DataBytes"]
        self.frames = FrameBatch(
            np.round(columns.timestamps * 1e9).astype(np.int64),
            np.zeros(count, np.uint8),
            rows["ID"].astype(np.uint32),
            np.where(rows["IDE"] == 1, EXTENDED, 0).astype(np.uint8),
            rows["DataLength"].astype(np.uint8),
            data,
        )
        self.name = name
        self.catalog = SignalCatalog()
        table = build_table(load_profile("canedge"), [folder / "canmod-gps.dbc"], self.catalog)
        self.decoded = decode_batch(table, self.frames)

    def samples(self, path: str) -> Samples:
        every = self.decoded.samples
        rows = every.signal == self.catalog.index(path)
        return Samples(every.t_ns[rows], every.signal[rows], every.value[rows], every.quality[rows])

    def valid(self, path: str) -> Series:
        samples = self.samples(path)
        rows = samples.quality == Quality.VALID
        return Series(samples.t_ns[rows], samples.value[rows])

    def means(self, path: str, t_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Means over the second around each time."""
        series = self.valid(path)
        total = np.concatenate([[0.0], np.cumsum(series.value)])
        edges = [np.searchsorted(series.t_ns / 1e9, t_s + side) for side in (-0.5, 0.5)]
        means: npt.NDArray[np.float64] = (total[edges[1]] - total[edges[0]]) / np.maximum(1, edges[1] - edges[0])
        return means


@pytest.fixture(scope="module", params=FILES)
def trip(request: pytest.FixtureRequest, shared_data: Path) -> Trip:
    return Trip(shared_data / "canedge_mf4", request.param)


def test_speeds_of_obd_and_gnss_agree(trip: Trip, figures: Figures) -> None:
    gnss = trip.samples(vss.GNSS_SPEED)
    gated = int(np.count_nonzero(gnss.quality != Quality.VALID))
    agreement = speed_agreement(trip.valid(vss.SPEED), trip.valid(vss.GNSS_SPEED), gated=gated)
    assert agreement is not None
    figures("canedge_mf4", f"{trip.name}: OBD speed against GNSS, RMSE in m/s", agreement.rmse, "<= 0.6")
    figures("canedge_mf4", f"{trip.name}: and its lag in s", agreement.lag_s, "0.2 to 0.6")
    assert agreement.rmse <= 0.6
    assert 0.2 <= agreement.lag_s <= 0.6
    assert agreement.samples + agreement.left_out == len(gnss)
    assert agreement.left_out <= 0.25 * len(gnss)


def test_no_valid_imu_sample_without_the_flag(trip: Trip) -> None:
    imu = (trip.frames.can_id == 9) & (trip.frames.flags & EXTENDED == 0)
    flag = trip.frames.data[imu, 0] & 1
    for path in (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL, vss.YAW_RATE):
        samples = trip.samples(path)
        assert len(samples) == len(flag)
        np.testing.assert_array_equal(samples.quality == Quality.VALID, flag == 1)
        assert np.abs(trip.valid(path).value).max() < 40


def test_axes(trip: Trip) -> None:
    speed = trip.valid(vss.GNSS_SPEED)
    t_s = np.arange(speed.t_ns[0] / 1e9 + 2, speed.t_ns[-1] / 1e9 - 2)
    known_s, known_mps = speed.t_ns / 1e9, speed.value / 3.6
    slope = (np.interp(t_s + 1, known_s, known_mps) - np.interp(t_s - 1, known_s, known_mps)) / 2
    forward = trip.means(vss.ACCELERATION_LONGITUDINAL, t_s)
    assert np.corrcoef(forward, slope)[0, 1] > 0.6
    assert 0.7 < np.polyfit(slope, forward, 1)[0] < 1.3

    yaw = trip.means(vss.YAW_RATE, t_s)  # to the left +
    rightward = -np.deg2rad(yaw - np.median(yaw)) * np.interp(t_s, known_s, known_mps)
    assert np.corrcoef(trip.means(vss.ACCELERATION_LATERAL, t_s), rightward)[0, 1] > 0.6
    heading = trip.valid(vss.HEADING)
    compass = np.unwrap(np.deg2rad(heading.value))
    turn = np.rad2deg(np.interp(t_s + 1, heading.t_ns / 1e9, compass) - np.interp(t_s - 1, heading.t_ns / 1e9, compass))
    moving = np.interp(t_s, known_s, known_mps) > 3
    assert -1.2 < np.polyfit(turn[moving] / 2, yaw[moving], 1)[0] < -0.5, "the compass turns the other way"
    assert trip.means(vss.ACCELERATION_VERTICAL, t_s).mean() == pytest.approx(9.64, abs=0.1)


def test_every_frame_is_accounted_for(trip: Trip) -> None:
    ours = np.isin(trip.frames.can_id, [3, 4, 5, 7, 9, 0x7E8]) & (trip.frames.flags & EXTENDED == 0)
    assert trip.decoded.bad == 0
    assert trip.decoded.decoded == np.count_nonzero(ours)
    assert trip.decoded.unknown == np.count_nonzero(~ours)


def test_positions_are_plausible(trip: Trip) -> None:
    assert 50 < trip.valid(vss.LATITUDE).value.min() <= trip.valid(vss.LATITUDE).value.max() < 60
    assert trip.valid(vss.HORIZONTAL_ACCURACY).value.max() <= 63
    assert 0 <= trip.valid(vss.SPEED).value.min() <= trip.valid(vss.SPEED).value.max() < 130
