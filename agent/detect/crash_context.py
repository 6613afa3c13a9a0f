"""What the car itself says around a crash. All of it may be missing: it makes a verdict surer, and is never needed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.signals import EMPTY_SERIES, Series, SignalWindow
from agent.detect.pulse import MS
from agent.detect.streams import NS

_AIRBAGS: Final = tuple(vss.airbag_deployed(seat) for seat in vss.SEATS)
_BELTS: Final = tuple(vss.seat_belted(seat) for seat in vss.SEATS)
_TAKEN: Final = tuple(vss.seat_occupied(seat) for seat in vss.SEATS)
_RATES: Final = (vss.ROLL_RATE, vss.PITCH_RATE, vss.YAW_RATE)
_POSITION: Final = (vss.LATITUDE, vss.LONGITUDE, vss.HORIZONTAL_ACCURACY)

WITNESSES: Final = (
    *(*_AIRBAGS, *_BELTS, *_TAKEN, *vss.DOORS_OPEN),
    *(*_RATES, *_POSITION, vss.BRAKE_PEDAL, vss.ABS_ENGAGED),
)
"""Paths that are asked for."""

_LOOK_BACK_NS: Final = 30 * NS
_TURN_BACK_NS: Final = NS  # a gyroscope speaks up to 1,600 times a second
_STATE_NS: Final = 10 * NS  # a belt or an air bag that was told of not longer ago is believed to be so
_BRAKE_NS: Final = 2 * NS
_DOOR_NS: Final = NS
_TURN_NS: Final = 100 * MS
_PEDAL_PERCENT: Final = 5.0  # below is play
_TRUE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Context:
    """The car at T0; None where it does not tell. A door moved: within a second before T0, or since."""

    airbag_deployed: bool | None = None
    belted: int | None = None
    occupants: int | None = None
    braking: bool | None = None
    door_moved: bool | None = None
    turn_dps: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    position_accuracy_m: float | None = None


class Witness:
    """Keeps the signals around a pulse. Nothing is asked of a window in which there is none."""

    def __init__(self) -> None:
        self._seen: Mapping[str, Series] = {}

    def look(self, window: SignalWindow, t0_ns: int) -> None:
        """Take what the window knows back to 30 s before T0."""
        since_ns = window.t_ns - t0_ns
        found = (
            (path, window.recent(path, (since_ns + (_TURN_BACK_NS if path in _RATES else _LOOK_BACK_NS)) / NS))
            for path in WITNESSES
        )
        # Copies: a window is good only until the next one.
        self._seen = {path: Series(s.t_ns.copy(), s.value.copy()) for path, s in found if len(s)}

    def context(self, t0_ns: int, until_ns: int) -> Context:
        """What was told up to until_ns, of the state at T0."""
        newest = {path: self._newest(path, t0_ns, _STATE_NS) for path in (*_BELTS, *_TAKEN)}
        latitude, longitude, accuracy_m = (self._newest(path, t0_ns, _LOOK_BACK_NS) for path in _POSITION)
        placed = latitude is not None and longitude is not None
        return Context(
            airbag_deployed=self._any(_AIRBAGS, t0_ns - _STATE_NS, until_ns, _TRUE),
            belted=_count(newest[path] for path in _BELTS),
            occupants=_count(newest[path] for path in _TAKEN),
            braking=_either(
                self._any((vss.BRAKE_PEDAL,), t0_ns - _BRAKE_NS, t0_ns, _PEDAL_PERCENT),
                self._any((vss.ABS_ENGAGED,), t0_ns - _BRAKE_NS, t0_ns, _TRUE),
            ),
            door_moved=self._moved(t0_ns - _DOOR_NS, until_ns),
            turn_dps=self._fastest(t0_ns - _TURN_NS, until_ns),
            latitude=latitude if placed else None,
            longitude=longitude if placed else None,
            position_accuracy_m=accuracy_m if placed else None,
        )

    def _between(self, path: str, start_ns: int, end_ns: int) -> Series:
        series = self._seen.get(path, EMPTY_SERIES)
        first, stop = np.searchsorted(series.t_ns, [start_ns, end_ns + 1])
        return Series(series.t_ns[first:stop], series.value[first:stop])

    def _newest(self, path: str, t_ns: int, age_ns: int) -> float | None:
        series = self._between(path, t_ns - age_ns, t_ns)
        return float(series.value[-1]) if len(series) else None

    def _any(self, paths: tuple[str, ...], start_ns: int, end_ns: int, limit: float) -> bool | None:
        """Whether any of them is, at the end, beyond the limit; None where none of them spoke."""
        ends = [series.value[-1] for path in paths if len(series := self._between(path, start_ns, end_ns))]
        return bool(max(ends) >= limit) if ends else None

    def _moved(self, start_ns: int, end_ns: int) -> bool | None:
        """Whether a door is, between the two, otherwise than when it was last told of before."""
        told = [series for path in vss.DOORS_OPEN if len(series := self._between(path, start_ns - _STATE_NS, end_ns))]
        since = [series.value[max(int(np.searchsorted(series.t_ns, start_ns)) - 1, 0) :] for series in told]
        return any(bool(np.ptp(values) >= _TRUE) for values in since) if told else None

    def _fastest(self, start_ns: int, end_ns: int) -> float | None:
        told = [series.value for path in _RATES if len(series := self._between(path, start_ns, end_ns))]
        return max(float(np.abs(values).max()) for values in told) if told else None


def _count(values: Iterable[float | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(value >= _TRUE for value in known) if known else None


def _either(one: bool | None, other: bool | None) -> bool | None:  # noqa: FBT001  # private
    told = [value for value in (one, other) if value is not None]
    return any(told) if told else None
