"""The mounting learnt from a real drive: four recordings of one car, of ten minutes each, must agree."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from agent.core import vss
from agent.core.signals import SignalWindow
from agent.detect.alignment import KNOWN_DEG, Orientation, angle_deg
from agent.detect.mounting import SelfMount
from simulators.mounting import random_rotation
from tests.eval.drives import CAR_TRIP, windows
from tests.interop.figures import Figures

pytestmark = pytest.mark.interop

FORCES = (vss.ACCELERATION_LONGITUDINAL, vss.ACCELERATION_LATERAL, vss.ACCELERATION_VERTICAL)
TURNS = (vss.ROLL_RATE, vss.PITCH_RATE, vss.YAW_RATE)
LEFT = np.array([1.0, -1.0, 1.0])
MINUTE_NS = 60_000_000_000


def _rows(window: SignalWindow, paths: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """All axes at the instants at which each has a sample; some are marked invalid by the sensor."""
    axes = [window.new(path) for path in paths]
    if len({len(axis) for axis in axes}) != 1:
        return axes[0].t_ns[:0], np.empty((0, 3))
    return axes[0].t_ns, np.column_stack([axis.value for axis in axes])


def _learn(path: Path, dbc: Path, mounted: npt.NDArray[np.float64]) -> tuple[Orientation | None, float | None]:
    """What ten minutes teach a chip that is mounted so in the box, and after how many minutes forward was known."""
    mount, first_ns, known_min = SelfMount(), None, None
    for window in windows(path, dbc, window_s=0.5):
        first_ns = window.t_ns if first_ns is None else first_ns
        mount.observe(window)
        t_ns, rows = _rows(window, TURNS)
        mount.rotations(t_ns, rows @ mounted.T)
        t_ns, rows = _rows(window, FORCES)
        if len(t_ns):
            mount.accelerations(t_ns, (rows * LEFT) @ mounted.T)
        if known_min is None and mount.orientation and mount.orientation.heading_error_deg <= KNOWN_DEG:
            known_min = (window.t_ns - first_ns) / MINUTE_NS
    return mount.orientation, known_min


def test_ten_minutes_of_a_real_drive_tell_the_mounting(shared_data: Path, figures: Figures) -> None:
    folder = shared_data / "canedge_mf4"
    found = []
    for number, name in enumerate(CAR_TRIP[:4]):  # the fifth has 40 s
        mounted = random_rotation(number)
        learnt, known_min = _learn(folder / "car_trip" / name, folder / "canmod-gps.dbc", mounted)
        assert learnt is not None
        assert known_min is not None
        assert known_min < 10
        found.append(learnt.rotation @ mounted)  # from the axes of the profile to the car's
    total = np.sum(found, axis=0)
    left, _, right = np.linalg.svd(total)
    middle = left @ right
    apart = [angle_deg(one, middle) for one in found]
    figures(
        "canedge_mf4", "mounting learnt from 10 minutes: degrees from the mean of four recordings", max(apart), "< 5"
    )
    assert max(apart) < 5
    # The profile's axes are those of the maker, at right angles to the car's; the sensor was put down by eye.
    assert angle_deg(middle, np.eye(3)) < 15
