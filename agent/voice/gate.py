"""When to be silent: who brakes hard, corners fast or reverses needs both ears, and a crash is no time for chatter."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from agent.core.config import Voice
from agent.core.events import BatteryAlarm, Collision, Event, Priority, Rollover
from agent.core.signals import Series, SignalWindow
from agent.core.vss import ACCELERATION_LATERAL, ACCELERATION_LONGITUDINAL, CURRENT_GEAR, SELECTED_GEAR, SPEED

# Ours, not a standard's: an IMU at 100 Hz shakes beyond any limit on rough road, a manoeuvre lasts.
_SMOOTHING_S: Final = 0.1
_GAP_S: Final = 1.0  # after a longer gap smoothing starts anew
_SPEED_SPAN_S: Final = 1.0  # braking out of the speed, for cars without an IMU
_STANDING_KMH: Final = 3.0  # a standing car does not brake: what the IMU says then is slope or mounting
_STOPS_NS: Final = 200_000_000  # from that speed to a stand, braking hard
_PULSE_LONGEST_S: Final = 2.0
_BREATH_S: Final = 0.5  # after the pulse, before the first word
_EMERGENCY_LEVEL: Final = 4  # GB/T 32960.3-2025: a thermal event
_MARGIN: Final = 0.9  # of the limits: smoothing and mounting must not let a manoeuvre pass; ours


class Gate:
    """Says when speech of an urgency may begin. Time comes from the data or as an argument; no clock.

    Crash speech passes always once the car's own pulse is over. Other speech waits while braking or cornering beyond
    the limits or reversing, and for gate_quiet_s after, and for gate_crash_s after a collision; a crash keeps nothing
    back that the driver himself has begun. Whether it reverses a car must tell by its gear; one that does not is never
    held to.
    """

    def __init__(self, config: Voice) -> None:
        self._config = config
        self._longitudinal = _Smoothed()
        self._lateral = _Smoothed()
        self._slope = _SpeedSlope()
        self._moved_ns: int | None = None
        self._reversing: set[str] = set()  # paths that tell of it
        self._manoeuvre_ns: int | None = None
        self._pulse_over_ns: int | None = None

    def configure(self, config: Voice) -> None:
        """New limits; what has been seen stays."""
        self._config = config

    def update(self, window: SignalWindow) -> None:
        """Look at the window's new samples."""
        slope = self._slope.feed(window.new(SPEED))
        self._watch_gear(window)
        braking, cornering = self._config.gate_braking_mps2 * _MARGIN, self._config.gate_cornering_mps2 * _MARGIN
        longitudinal = self._longitudinal.feed(window.new(ACCELERATION_LONGITUDINAL), beyond=braking)
        lateral = self._lateral.feed(window.new(ACCELERATION_LATERAL), beyond=cornering)
        longitudinal, lateral = self._while_moving(window, longitudinal, lateral)
        self._close_where(slope, below=-braking)
        self._close_where(longitudinal, below=-braking)
        self._close_where(lateral, below=-cornering)
        self._close_where([(t_ns, -value) for t_ns, value in lateral], below=-cornering)

    def on_event(self, event: Event) -> None:
        """Close for what lesser speech must leave alone."""
        if isinstance(event, Collision):
            self.on_collision(event)
        elif isinstance(event, Rollover) or (
            isinstance(event, BatteryAlarm) and event.level >= _EMERGENCY_LEVEL and not event.cleared
        ):
            self.on_emergency(event.t_ns)

    def on_collision(self, collision: Collision) -> None:
        """Open the crash window; a later collision opens it anew."""
        pulse_s = min(max(collision.duration_ms, 0.0) / 1000, _PULSE_LONGEST_S)
        self._open_window(collision.t_ns + round((pulse_s + _BREATH_S) * 1e9))

    def on_emergency(self, t_ns: int) -> None:
        """Keep lesser speech away as after a crash: whoever is told to get out needs no driving tips."""
        self._open_window(t_ns)

    def _open_window(self, over_ns: int) -> None:
        self._pulse_over_ns = max(over_ns, self._pulse_over_ns or over_ns)

    def opens_ns(self, urgency: int, *, begun: bool = False) -> int | None:
        """Earliest instant for speech of this urgency if nothing more happens; None: any time.

        begun: the driver has begun the talk himself.
        """
        if urgency <= Priority.CRASH:
            return self._pulse_over_ns
        candidates = []
        if self._manoeuvre_ns is not None:
            candidates.append(self._manoeuvre_ns + round(self._config.gate_quiet_s * 1e9))
        if self._pulse_over_ns is not None:
            candidates.append(self._pulse_over_ns + (0 if begun else round(self._config.gate_crash_s * 1e9)))
        return max(candidates, default=None)

    def is_open(self, t_ns: int, urgency: int, *, begun: bool = False) -> bool:
        """Whether speech of this urgency may sound now."""
        opens_ns = self.opens_ns(urgency, begun=begun)
        return opens_ns is None or t_ns >= opens_ns

    def is_calm(self, t_ns: int) -> bool:
        """Whether no manoeuvre asks for the driver's attention, a crash window or not."""
        return self._manoeuvre_ns is None or t_ns >= self._manoeuvre_ns + round(self._config.gate_quiet_s * 1e9)

    def _while_moving(self, window: SignalWindow, *values: list[tuple[int, float]]) -> list[list[tuple[int, float]]]:
        """Drop what a standing car felt; where the speed is not known nothing is dropped."""
        speed = window.new(SPEED)
        moving = speed.t_ns[speed.value >= _STANDING_KMH]
        if len(moving):
            self._moved_ns = int(moving[-1])
        speed_kmh = window.latest(SPEED)
        if speed_kmh is None or speed_kmh >= _STANDING_KMH:
            return list(values)
        until_ns = -1 if self._moved_ns is None else self._moved_ns + _STOPS_NS
        return [[(t_ns, value) for t_ns, value in each if t_ns <= until_ns] for each in values]

    def _watch_gear(self, window: SignalWindow) -> None:
        """A gear below 0 goes backwards, in both VSS paths, until another is told; told no more, for gate_quiet_s."""
        for path in (SELECTED_GEAR, CURRENT_GEAR):
            gear = window.new(path)
            for t_ns, value in zip(gear.t_ns.tolist(), gear.value.tolist(), strict=True):
                if value < 0 or path in self._reversing:
                    self._manoeuvre_ns = max(t_ns, self._manoeuvre_ns or t_ns)
                (self._reversing.add if value < 0 else self._reversing.discard)(path)

    def _close_where(self, values: list[tuple[int, float]], *, below: float) -> None:
        beyond = [t_ns for t_ns, value in values if value < below]
        if beyond:
            self._manoeuvre_ns = max(beyond[-1], self._manoeuvre_ns or beyond[-1])


@dataclass(slots=True)
class _Smoothed:
    """First-order low-pass over irregular samples; the same whatever the windows."""

    t_ns: int | None = None
    value: float = 0.0

    def feed(self, series: Series, *, beyond: float) -> list[tuple[int, float]]:
        """Take new samples; the smoothed values that are beyond a limit, either way."""
        found = []
        before_ns, smooth = self.t_ns, self.value
        for t_ns, value in zip(series.t_ns.tolist(), series.value.tolist(), strict=True):
            step_s = _GAP_S + 1 if before_ns is None else (t_ns - before_ns) / 1e9
            if step_s > _GAP_S:
                smooth = 0.0  # a first sample alone proves no manoeuvre
                step_s = 0.0
            smooth += (value - smooth) * step_s / (_SMOOTHING_S + step_s)
            before_ns = t_ns
            if not -beyond <= smooth <= beyond:
                found.append((t_ns, smooth))
        self.t_ns, self.value = before_ns, smooth
        return found


class _SpeedSlope:
    """Acceleration in m/s^2 out of the speed, over about a second."""

    def __init__(self) -> None:
        self._tail: deque[tuple[int, float]] = deque()

    def feed(self, series: Series) -> list[tuple[int, float]]:
        """Slope at each new sample that has one of at least half a span before it."""
        slopes = []
        for t_ns, value in zip(series.t_ns.tolist(), series.value.tolist(), strict=True):
            while self._tail and t_ns - self._tail[0][0] > _SPEED_SPAN_S * 1e9:
                self._tail.popleft()
            if self._tail:
                first_ns, first = self._tail[0]
                span_s = (t_ns - first_ns) / 1e9
                if span_s >= _SPEED_SPAN_S / 2:
                    slopes.append((t_ns, (value - first) / 3.6 / span_s))
            self._tail.append((t_ns, value))
        return slopes
