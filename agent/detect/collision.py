"""Collision, parked impact, rollover and road shock from the IMU."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.config import Detect
from agent.core.events import Collision, Event
from agent.core.signals import EMPTY_SERIES, SignalWindow
from agent.detect.alignment import KNOWN_DEG
from agent.detect.impacts import LONGEST_NS, SAME_CRASH_NS, CrashSequence, Pulse, find_end
from agent.detect.pulse import (
    LONG_AGO_NS,
    MS,
    Floats,
    Ints,
    Mounting,
    PulseHistory,
    PulseTrace,
    crash_mode_of,
    horizontal,
    pdof_deg,
    reach,
)
from agent.detect.road import SHOCK_NS, RoadShocks
from agent.detect.rollover import Rollovers
from agent.detect.streams import NS, AxisMerge, BucketMeans, RestLevel, SpeedTrack

_BUCKET_NS: Final = 50 * MS
_REST_SECONDS: Final = 10
_RANGE_SHARE: Final = 0.99
_CRASHES_KEPT_NS: Final = 30 * NS
_REARM_AFTER_NOTHING_NS: Final = NS
_SILENT_NS: Final = NS
_SAMPLES_MIN: Final = 3  # one or two loud samples are a glitch
_SHORTEST_NS: Final = 45 * MS  # a knock on the box is over before; a ton of steel needs 80-150 ms (docs/sources.md 3)
_REST_SPREAD_MPS2: Final = 0.6  # a driving car shakes more than this within a second; quantisation is 0.125
_STATIONARY_PEAK_MPS2: Final = 9.8  # 3 km/h in 100 ms peak at 1.7 g (docs/sources.md 3)
_STATIONARY_LONGEST_NS: Final = 280 * MS


class CollisionDetector:
    """Delta-v of at least 8 km/h within 150 ms across gravity; a lower limit for a car at rest.

    Input: acceleration in m/s^2 (longitudinal forward +, lateral right + as in SAE J670, vertical either way), with or
    without gravity, 100 to 1,600 Hz, times need not be even; speed in km/h where there is one. The event comes when the
    pulse has ended; what begins within 5 s of a crash's first impact is another impact of it. A resting level that
    absorbs gravity on whichever axis it lies is learnt every second, at first in 150 ms; before that nothing is judged.
    Hard braking at 1.0 g gives 5.3 km/h in 150 ms and cannot reach the trigger.
    Standing means speed 0 or unknown, and an IMU at rest in the second before. An IMU that tells of itself is asked
    whether it knows forward (else there is no direction in the event) and which samples were clipped.
    """

    inputs: tuple[str, ...] = (
        vss.ACCELERATION_LONGITUDINAL,
        vss.ACCELERATION_LATERAL,
        vss.ACCELERATION_VERTICAL,
        vss.SPEED,
        vss.ROLL_RATE,
        vss.IMU_HEADING_ERROR,
        vss.IMU_CLIPPED,
    )

    def __init__(self, limits: Detect) -> None:
        self._axes = AxisMerge(3)
        self._buckets = BucketMeans(_BUCKET_NS)
        self._rest = RestLevel(3, seconds=_REST_SECONDS, hasty=True)
        self._speeds = SpeedTrack()
        self._history = PulseHistory()
        self._mounting = Mounting()
        self._pulse: Pulse | None = None
        self._sequence = CrashSequence()
        self._over_ns = LONG_AGO_NS  # end of the last pulse: none begins before
        self._restless = False  # it was cut where it was not calm yet, and has not become so since
        self._rearm_ns = LONG_AGO_NS
        self._heard_ns = LONG_AGO_NS
        self._loud_ns = LONG_AGO_NS
        self._level: Floats | None = None
        self._rests: deque[tuple[int, bool]] = deque(maxlen=8)  # (since, at rest) of the last seconds
        self._crashes: list[int] = []  # T0 of recent crashes
        self._shocks = RoadShocks(limits.road)
        self._rolls = Rollovers(limits.rollover)
        self._headings: deque[tuple[int, bool]] = deque(maxlen=64)  # (since, forward is known), as the IMU tells it
        self._clips = EMPTY_SERIES.t_ns
        self.configure(limits)

    def configure(self, limits: Detect) -> None:
        """Swap the limits."""
        collision = limits.collision
        self._limits = collision
        self._shocks.limits = limits.road
        self._rolls.limits = limits.rollover
        self._span_ns = collision.span_ms * MS
        self._lowest_kmh = min(collision.delta_v_kmh, collision.stationary_delta_v_kmh)
        # Below this on every axis no span adds up to a trigger, and there is no shock: the common case ends here.
        pulse_mps2 = 0.9 * self._lowest_kmh / 3.6 / (collision.span_ms / 1000) / 3**0.5
        self._gate_mps2 = min(pulse_mps2, limits.road.peak_mps2 / 2)

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the window's samples."""
        self._speeds.feed(window.new(vss.SPEED))
        self._listen(window)
        t_ns, values = self._axes.merge([window.new(path) for path in self.inputs[:3]])
        self._rolls.feed(window.new(vss.ROLL_RATE), t_ns, values, window.t_ns)
        events: list[Event] = []
        if len(t_ns):
            for rows in self._stretches(t_ns, values):
                events += self._judge(t_ns[rows], values[rows])
            self._history.trim()
            self._heard_ns = int(t_ns[-1])
        elif window.t_ns - self._heard_ns > _SILENT_NS:
            events = self._finish_blows()  # the IMU fell silent in the crash
        events += self._rolls.judge(self._speeds, self._crashes)
        self._crashes = [t for t in self._crashes if window.t_ns - t < _CRASHES_KEPT_NS]
        self._rolls.forget(window.t_ns)
        self._speeds.forget(window.t_ns)
        return events

    def finish(self, t_ns: int) -> list[Event]:  # noqa: ARG002  # the protocol's signature
        """Report what was under way."""
        events = self._finish_blows()
        self._rolls.finish()
        return events + self._rolls.judge(self._speeds, self._crashes)

    def _finish_blows(self) -> list[Event]:
        pulse = self._pulse
        events = [] if pulse is None else self._close(pulse, self._history.trace(), None, calm=True)
        return events + self._road_events(self._shocks.finish())

    def _listen(self, window: SignalWindow) -> None:
        """Hear what the IMU says of itself; only some do."""
        heading, clipped = window.new(vss.IMU_HEADING_ERROR), window.new(vss.IMU_CLIPPED)
        self._headings.extend(zip(heading.t_ns.tolist(), (heading.value <= KNOWN_DEG).tolist(), strict=True))
        if len(clipped):
            recent = self._clips[self._clips > clipped.t_ns[-1] - NS]
            self._clips = np.concatenate([recent, clipped.t_ns])

    def _mounting_at(self, t_ns: int) -> Mounting:
        """The mounting, its axes not trusted where the IMU said before that it does not know forward."""
        known = next((known for since_ns, known in reversed(self._headings) if since_ns <= t_ns), True)
        return self._mounting if known else replace(self._mounting, trusted=False)

    def _stretches(self, t_ns: Ints, values: Floats) -> Iterator[slice]:
        """Rows over which one resting level holds; the level and the mounting are set before each."""
        done = 0
        buckets = self._buckets.feed(t_ns, values)
        if buckets is not None:
            columns = zip(buckets.number.tolist(), buckets.mean.tolist(), buckets.ready_ns.tolist(), strict=True)
            for number, mean, ready_ns in columns:
                if not self._rest.feed(number, mean):
                    continue
                upto = int(np.searchsorted(t_ns, ready_ns))
                if upto > done:
                    yield slice(done, upto)
                done = upto
                self._learn(ready_ns)
        if done < len(t_ns):
            yield slice(done, len(t_ns))

    def _learn(self, ready_ns: int) -> None:
        """Take over what the resting level has become."""
        self._level = None if self._rest.level is None else np.array(self._rest.level)
        self._mounting = Mounting() if self._rest.level is None else Mounting.from_rest(self._rest.level)
        at_rest = self._rest.spread < _REST_SPREAD_MPS2
        self._rests.append((ready_ns, at_rest))
        trusted = self._mounting_at(ready_ns).trusted
        self._rolls.learn(ready_ns, self._rest.newest, trusted=trusted, at_rest=at_rest)

    def _judge(self, t_ns: Ints, values: Floats) -> list[Event]:
        deviation = np.zeros_like(values) if self._level is None else values - self._level
        self._history.add(t_ns, deviation, reach(values, self._limits.sensor_range_mps2 * _RANGE_SHARE))
        loud = reach(deviation, self._gate_mps2).nonzero()[0]
        recent = int(t_ns[0]) - self._loud_ns <= 2 * self._span_ns
        if len(loud):
            self._loud_ns = int(t_ns[loud[-1]])
        if not len(loud) and not recent and self._pulse is None and not self._shocks.open:
            self._shocks.calm()
            return []
        trace = self._history.trace()
        events = self._find_pulses(trace, len(trace.t_ns) - len(t_ns))
        vertical = np.abs(deviation @ np.array(self._mounting.down))
        if self._shocks.open or float(vertical.max()) >= self._shocks.limits.peak_mps2:
            events += self._road_events(self._shocks.feed(t_ns, vertical, horizontal(deviation, self._mounting)))
        else:
            self._shocks.calm()
        return events

    def _road_events(self, shocks: list[tuple[int, float]]) -> list[Event]:
        """Shocks that no crash explains and that did not happen to a standing car."""
        events: list[Event] = []
        for onset_ns, peak in shocks:
            in_crash = any(onset_ns - SAME_CRASH_NS <= t0_ns <= onset_ns + SHOCK_NS for t0_ns in self._crashes)
            event = (
                None if in_crash or self._rolls.covers(onset_ns) else self._shocks.event(onset_ns, peak, self._speeds)
            )
            if event is not None:
                events.append(event)
        return events

    def _find_pulses(self, trace: PulseTrace, first_new: int) -> list[Event]:
        """Open and close pulses over the samples from first_new on."""
        events: list[Event] = []
        row = first_new
        while row < len(trace.t_ns):
            if self._pulse is None:
                self._pulse = self._trigger(trace, row)
            if self._pulse is None:
                break
            end = find_end(trace, self._pulse, self._mounting)
            if end is None:
                break
            events += self._close(self._pulse, trace, end[0], calm=end[1])
            row = end[0] + 1
        return events

    def _trigger(self, trace: PulseTrace, row: int) -> Pulse | None:
        """Open a pulse at the first sample from row on that passes the trigger."""
        if self._restless:
            calm = trace.end(row - 1, self._mounting)
            if calm is None:
                return None
            row, self._restless, self._over_ns = calm, False, int(trace.t_ns[calm])
        row = max(row, trace.first_after(self._rearm_ns))
        rows = slice(row, len(trace.t_ns))
        delta_kmh = horizontal(trace.delta_v_within(self._span_ns, rows, since_ns=self._over_ns), self._mounting)
        for k in np.flatnonzero(delta_kmh >= self._lowest_kmh).tolist():
            pulse = self._open(trace, row + k, delta_kmh[k])
            if pulse is not None:
                return pulse
        return None

    def _open(self, trace: PulseTrace, index: int, delta_kmh: float) -> Pulse | None:
        now_ns = int(trace.t_ns[index])
        if self._rolls.covers(now_ns):
            return None  # the blows of a rollover are its own
        since_ns = max(now_ns - self._span_ns, self._over_ns)
        # A car that was just hit does not stand any more.
        standing = not self._sequence.covers(since_ns) and self._stood(now_ns - self._span_ns)
        if delta_kmh < (self._limits.stationary_delta_v_kmh if standing else self._limits.delta_v_kmh):
            return None
        before = trace.acceleration(slice(first := trace.first_after(since_ns), first + 1))
        if standing and float(horizontal(before, self._mounting)[0]) >= _STATIONARY_PEAK_MPS2 / 2:
            return None  # a blow comes out of rest: this is a box, or a car, that was tilted and lies so
        t0_ns = int(trace.t_ns[trace.time_zero(index, since_ns, self._mounting_at(now_ns))])
        return Pulse(t0_ns, now_ns, standing)

    def _stood(self, t_ns: int) -> bool:
        """Whether the car stood before t_ns: speed 0 or unknown, and the IMU at rest in the last whole second."""
        if self._speeds.at(t_ns):
            return False
        return next((rest for since_ns, rest in reversed(self._rests) if since_ns <= t_ns), False)

    def _close(self, pulse: Pulse, trace: PulseTrace, end: int | None, *, calm: bool) -> list[Event]:
        """Measure the pulse; an event unless it has not the shape of a crash."""
        self._pulse = None
        start = trace.first_after(pulse.t0_ns)
        if end is None:
            end = min(trace.first_after(pulse.t0_ns + LONGEST_NS + 1), len(trace.t_ns)) - 1
        rows = slice(start, end + 1)
        end_ns = int(trace.t_ns[end])
        delta_v = trace.delta_v(start, rows)
        across = horizontal(delta_v, self._mounting)
        most = int(np.argmax(across))
        loudness = horizontal(trace.acceleration(rows), self._mounting)
        peak = float(loudness.max())
        plausible = int((loudness >= peak / 4).sum()) >= _SAMPLES_MIN and end_ns - pulse.t0_ns >= _SHORTEST_NS
        if pulse.standing and across[most] < self._limits.delta_v_kmh:
            along = float(np.abs(delta_v @ np.array(self._mounting.down)).max())
            short = end_ns - pulse.t0_ns <= _STATIONARY_LONGEST_NS
            plausible &= short and peak >= _STATIONARY_PEAK_MPS2 and across[most] >= along
        self._over_ns, self._restless = end_ns, not calm
        if not plausible:
            self._rearm_ns = end_ns + _REARM_AFTER_NOTHING_NS
            return []
        self._crashes.append(pulse.t0_ns)
        number, since_first_s = self._sequence.number(pulse.t0_ns)
        if number > self._limits.events_max:
            return []
        x_kmh, y_kmh = float(delta_v[most, 0]), float(delta_v[most, 1])
        pdof = pdof_deg(x_kmh, y_kmh) if (known := self._mounting_at(pulse.t0_ns).trusted) else None
        told = (self._clips >= pulse.t0_ns) & (self._clips <= end_ns)
        return [
            Collision(
                t_ns=pulse.t0_ns,
                delta_v_kmh=round(float(across[most]), 2),
                duration_ms=round((end_ns - pulse.t0_ns) / MS, 1),
                peak_mps2=round(peak, 2),
                stationary=pulse.standing,
                pdof_deg=None if pdof is None else round(pdof, 1),
                delta_v_longitudinal_kmh=round(x_kmh, 2) if known else None,
                delta_v_lateral_kmh=round(y_kmh, 2) if known else None,
                speed_before_kmh=self._speeds.at(pulse.t0_ns),
                clipped=bool(trace.clipped[rows].any() or told.any()),
                crash_mode=None if pdof is None else crash_mode_of(pdof, self._limits.frontal_deg),
                multi_event=number,
                since_first_s=since_first_s,
            )
        ]
