"""Trips from speed, and the harsh driving within them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from agent.core import vss
from agent.core.config import Detect
from agent.core.events import Event, HarshDriving, TripEnded, TripStarted
from agent.core.signals import SignalWindow
from agent.detect.driving import DrivingDetector
from agent.detect.streams import NS

_STEP_MAX_NS: Final = 5 * NS  # a longer hole in the speed was driven, but is not measured
_START_NS: Final = NS  # one wrong sample starts no trip
_START_GAP_NS: Final = 10 * NS
_BELONGS_NS: Final = 5 * NS  # a launch is harsh before the first sample at starting speed
_COUNTS_PER_KMH: Final = 1000  # integers: sums are the same in any order
_M_PER_COUNT_US: Final = 1e-6 / 3.6 / _COUNTS_PER_KMH / 2


@dataclass(slots=True)
class _Trip:
    """The trip under way; distances in counts * us of both ends of each trapezoid."""

    started_ns: int
    moving_ns: int
    distance: int = 0
    unproven: int = 0  # driven since the last moving sample: counts once the car moves again
    fastest: int = 0
    harsh: Counter[str] = field(default_factory=Counter)


class TripDetector:
    """Harsh driving, and trips that count it.

    A trip starts at the first of the samples that stay at start_speed_kmh or above for a second, and ends with the last
    such sample once end_after_s have passed without one: standing, silent, or a gap in the recording (Samsara's
    published rule). Distance is the trapezoid sum of speed over steps of up to 5 s. Position and low voltage are
    inputs only so that time passes when the car's bus has gone to sleep.
    """

    inputs: tuple[str, ...] = (*DrivingDetector.inputs, vss.LATITUDE, vss.LOW_VOLTAGE)

    def __init__(self, limits: Detect) -> None:
        self._driving = DrivingDetector(limits)
        self._trip: _Trip | None = None
        self._candidate: _Trip | None = None
        self._previous = (0, 0)
        self._uncounted: list[HarshDriving] = []
        self.configure(limits)

    def configure(self, limits: Detect) -> None:
        """Swap the limits."""
        self._driving.configure(limits)
        self._start = round(limits.trip.start_speed_kmh * _COUNTS_PER_KMH)
        self._end_after_ns = round(limits.trip.end_after_s * NS)

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the window's samples."""
        events = self._driving.update(window)
        self._uncounted += [event for event in events if isinstance(event, HarshDriving)]
        speed = window.new(vss.SPEED)
        for t_ns, kmh in zip(speed.t_ns.tolist(), speed.value.tolist(), strict=True):
            events += self._end_if_over(t_ns)
            events += self._follow(t_ns, round(kmh * _COUNTS_PER_KMH))
        events += self._end_if_over(window.t_ns)
        if self._uncounted:
            self._count_harsh()
            self._uncounted = [h for h in self._uncounted if window.t_ns - h.t_ns < 12 * _BELONGS_NS]
        return events

    def finish(self, t_ns: int) -> list[Event]:
        """End the trip under way."""
        events = self._driving.finish(t_ns)
        self._uncounted += [event for event in events if isinstance(event, HarshDriving)]
        return events + self._end()

    def _follow(self, t_ns: int, counts: int) -> list[Event]:
        previous_ns, previous_counts = self._previous
        gap_ns = t_ns - previous_ns
        step = (counts + previous_counts) * (gap_ns // 1000) if gap_ns <= _STEP_MAX_NS else 0
        self._previous = (t_ns, counts)
        trip = self._trip or self._candidate
        moving = counts >= self._start
        if trip is None or (self._trip is None and (not moving or gap_ns > _START_GAP_NS)):
            self._candidate = _Trip(t_ns, t_ns, fastest=counts) if moving else None
            return []
        trip.unproven += step
        if moving:
            trip.distance, trip.unproven = trip.distance + trip.unproven, 0
            trip.fastest = max(trip.fastest, counts)
            trip.moving_ns = t_ns
        if self._trip is None and t_ns - trip.started_ns >= _START_NS:
            self._trip, self._candidate = trip, None
            return [TripStarted(t_ns=trip.started_ns)]
        return []

    def _end_if_over(self, now_ns: int) -> list[Event]:
        if self._trip is None or now_ns - self._trip.moving_ns < self._end_after_ns:
            return []
        return self._end()

    def _end(self) -> list[Event]:
        trip, self._candidate = self._trip, None
        if trip is None:
            return []
        self._count_harsh()
        self._trip = None
        return [
            TripEnded(
                t_ns=trip.moving_ns,
                started_ns=trip.started_ns,
                duration_s=round((trip.moving_ns - trip.started_ns) / NS, 3),
                distance_m=round(trip.distance * _M_PER_COUNT_US, 1),
                speed_max_kmh=trip.fastest / _COUNTS_PER_KMH,
                harsh_acceleration_count=trip.harsh["acceleration"],
                harsh_braking_count=trip.harsh["braking"],
                harsh_cornering_count=trip.harsh["cornering"],
            )
        ]

    def _count_harsh(self) -> None:
        """Move what belongs to the trip under way from the uncounted to its counts."""
        trip = self._trip
        if trip is None:
            return
        first_ns, last_ns = trip.started_ns - _BELONGS_NS, trip.moving_ns + _BELONGS_NS
        trip.harsh.update(h.maneuver for h in self._uncounted if first_ns <= h.t_ns <= last_ns)
        self._uncounted = [h for h in self._uncounted if not first_ns <= h.t_ns <= last_ns]
