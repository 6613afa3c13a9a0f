"""What a crash record keeps of the signals: which, how finely, and in pieces that fit into an event."""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.crash import IMU_PATHS
from agent.core.crash_columns import Columns, pack_samples
from agent.core.signals import EMPTY_SERIES, Series, SignalWindow
from agent.detect.streams import NS

_ACCELERATION_STEP: Final = 0.01  # m/s^2; a chip of 16 g in 16 bits has 0.005
_RATE_STEP: Final = 0.05  # degrees/s

RECORDED: Final[Mapping[str, float]] = {
    vss.SPEED: 0.1,
    vss.GNSS_SPEED: 0.1,
    vss.ACCELERATOR_PEDAL: 0.5,
    vss.THROTTLE: 0.5,
    vss.BRAKE_PEDAL: 0.5,
    vss.STEERING_ANGLE: 0.5,
    vss.ENGINE_SPEED: 10.0,
    vss.ABS_ENGAGED: 1.0,
    vss.ESC_ENGAGED: 1.0,
    vss.AIRBAG_LAMP: 1.0,
    **{vss.airbag_deployed(seat): 1.0 for seat in vss.SEATS},
    **{vss.seat_belted(seat): 1.0 for seat in vss.SEATS},
    **dict.fromkeys(vss.DOORS_OPEN, 1.0),
    vss.LOW_VOLTAGE: 0.1,
    vss.PACK_VOLTAGE: 1.0,
    vss.PACK_CURRENT: 1.0,
    vss.IMU_HEADING_ERROR: 1.0,
    vss.IMU_CLIPPED: 1.0,
}
"""Signals beside the IMU's, and the step each is told in. Where the car was is not among them."""

STEPS: Final[Mapping[str, float]] = {
    **dict.fromkeys(IMU_PATHS[:3], _ACCELERATION_STEP),
    **dict.fromkeys(IMU_PATHS[3:], _RATE_STEP),
    **RECORDED,
}

_THIN_NS: Final = NS // 100  # a signal of the car is kept at 100 Hz at most
_COLUMNS_SIZE_MAX: Final = 8_000  # bytes; seven seconds of a line of 9.6 kbit/s, and a notice may have to wait for one


def between(window: SignalWindow, path: str, from_ns: int, until_ns: int) -> Series:
    """A signal's samples from from_ns up to, not with, until_ns, as far as the history reaches."""
    if from_ns > window.t_ns:
        return EMPTY_SERIES
    series = window.recent(path, (window.t_ns - from_ns) / NS + 1e-3)
    first, last = np.searchsorted(series.t_ns, [from_ns, until_ns])
    return Series(series.t_ns[first:last], series.value[first:last])


def imu_between(window: SignalWindow, from_ns: int, until_ns: int) -> dict[str, Series]:
    """The IMU at its full rate."""
    return {path: between(window, path, from_ns, until_ns) for path in IMU_PATHS}


def signals_between(window: SignalWindow, from_ns: int, until_ns: int) -> dict[str, Series]:
    """The car's other signals: of each the first sample in 10 ms."""
    return {path: _thin(between(window, path, from_ns, until_ns)) for path in RECORDED}


def pieces(
    t0_ns: int, samples: Mapping[str, Series], from_ns: int, until_ns: int
) -> Iterator[tuple[int, int, Columns]]:
    """(from, until, columns) that each fit into an event, split by time where one would not; nothing of no samples."""
    packed = pack_samples(t0_ns, samples, STEPS)
    if not packed.signals:
        return
    middle_ns = (from_ns + until_ns) // 2
    if len(packed.columns) <= _COLUMNS_SIZE_MAX or middle_ns == from_ns:
        yield from_ns, until_ns, packed
        return
    cuts = {path: int(np.searchsorted(series.t_ns, middle_ns)) for path, series in samples.items()}
    earlier = {path: Series(s.t_ns[: cuts[path]], s.value[: cuts[path]]) for path, s in samples.items()}
    later = {path: Series(s.t_ns[cuts[path] :], s.value[cuts[path] :]) for path, s in samples.items()}
    yield from pieces(t0_ns, earlier, from_ns, middle_ns)
    yield from pieces(t0_ns, later, middle_ns, until_ns)


def _thin(series: Series) -> Series:
    if len(series) < 2 or int(np.diff(series.t_ns).min()) >= _THIN_NS:
        return series
    number = series.t_ns // _THIN_NS
    first = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    return Series(series.t_ns[first], series.value[first])
