"""Collision, parked impact, rollover and road shock from the IMU."""

from typing import Final

import numpy as np

from agent.core import vss
from agent.core.config import Detect
from agent.core.events import Event
from agent.core.signals import EMPTY_SERIES, SignalWindow
from agent.detect.crash_context import WITNESSES, Witness
from agent.detect.crash_elements import Impact
from agent.detect.crash_features import AFTER_NS
from agent.detect.crash_record import CrashRecords
from agent.detect.impacts import LONGEST_NS, SAME_CRASH_NS, CrashSequence, Pulse, find_end
from agent.detect.intake import ACCELERATIONS, Intake, News
from agent.detect.pulse import (
    LONG_AGO_NS,
    MS,
    Floats,
    Ints,
    PulseHistory,
    PulseTrace,
    horizontal,
    parts,
    reach,
)
from agent.detect.resting import Resting
from agent.detect.road import SHOCK_NS, RoadShocks
from agent.detect.rollover import Rollovers
from agent.detect.screen import Screen
from agent.detect.streams import NS, AxisMerge, SpeedTrack
from agent.detect.verdict import TOLERANCE, make_case

_RANGE_SHARE: Final = 0.99
_CRASHES_KEPT_NS: Final = 30 * NS
_REARM_AFTER_NOTHING_NS: Final = NS
_SHOCK_GAP_NS: Final = 10 * NS  # a box that hangs loose is shaken all the time, and telling it once is enough
_SILENT_NS: Final = NS
_HOLD_NS: Final = 50 * MS  # an axis that is silent for so long while others speak is dead
_TILTED_MPS2: Final = 4.9  # a car at rest that lies so far otherwise is tilted by 30 degrees


class CollisionDetector:
    """Delta-v of at least 8 km/h within 150 ms across gravity; a lower limit for a car at rest.

    Input: acceleration in m/s^2 (longitudinal forward +, lateral right + as in SAE J670, vertical either way), with or
    without gravity, 100 to 1,600 Hz, times need not be even; speed in km/h where there is one. The event comes 0.1 s
    after the pulse has ended; what begins within 5 s of a crash's first impact is another impact of it. A resting level
    that absorbs gravity on whichever axis it lies is learnt every second, at first in 150 ms; before that nothing is
    judged. Hard braking at 1.0 g gives 5.3 km/h in 150 ms and cannot reach the trigger.
    Standing means speed 0 and an IMU at rest in the second before; where speed is unknown, nothing stirred for up to
    five. An IMU that tells of itself is asked whether it knows forward (else there is no direction in the event) and
    which samples were clipped.
    """

    inputs: tuple[str, ...] = (
        *ACCELERATIONS,
        vss.SPEED,
        vss.ROLL_RATE,
        vss.IMU_HEADING_ERROR,
        vss.IMU_CLIPPED,
        *(path for path in WITNESSES if path != vss.ROLL_RATE),
    )

    def __init__(self, limits: Detect, records: CrashRecords | None = None) -> None:
        """Records, where there are any, hear of every trigger and of what became of it."""
        self._records = records
        self._intake = Intake()
        self._screen = Screen()
        self._axes = AxisMerge(3, hold_ns=_HOLD_NS)
        self._speeds = SpeedTrack()
        self._history = PulseHistory()
        self._shocks = RoadShocks(limits.road)
        self._rolls = Rollovers(limits.rollover, records)
        self._resting = Resting(self._rolls.learn)
        self._witness = Witness()
        self._window: SignalWindow | None = None  # the last one that was judged
        self._pulse: Pulse | None = None
        self._sequence = CrashSequence()
        self._over_ns = LONG_AGO_NS  # end of the last pulse: none begins before
        self._restless = False  # it was cut where it was not calm yet, and has not become so since
        self._rearm_ns = LONG_AGO_NS  # until then the lower limit of a standing car rests
        self._shaken_ns = LONG_AGO_NS  # T0 of the last shock of the box that was told
        self._heard_ns = LONG_AGO_NS
        self._loud_ns = LONG_AGO_NS
        self._crashes: list[int] = []  # T0 of recent crashes
        self._clips = EMPTY_SERIES.t_ns
        self.configure(limits)

    def configure(self, limits: Detect) -> None:
        """Swap the limits."""
        collision = limits.collision
        self._limits = collision
        self._shocks.limits = limits.road
        self._rolls.limits = limits.rollover
        self._span_ns = collision.span_ms * MS
        self._lowest_kmh = TOLERANCE * min(collision.delta_v_kmh, collision.stationary_delta_v_kmh)

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the window's samples; where they are calm, up to five seconds later."""
        news = self._intake.take(window)
        if news is None:
            return []
        self._window = window
        events = self._work(news)
        idle = self._pulse is None and not self._rolls.open
        self._intake.expect(self._resting.level if idle else None, self._calm_mps2(window.t_ns))
        return events

    def _work(self, news: News) -> list[Event]:
        self._speeds.feed(self._screen.pass_on(vss.SPEED, news.new(vss.SPEED)))
        self._listen(news)
        t_ns, values = self._axes.merge([self._screen.pass_on(path, news.new(path)) for path in ACCELERATIONS])
        rates = self._screen.pass_on(vss.ROLL_RATE, news.new(vss.ROLL_RATE))
        self._rolls.feed(rates, t_ns, np.nan_to_num(values) if self._axes.dead else values, news.t_ns)
        events: list[Event] = []
        if len(t_ns):
            for rows in self._resting.stretches(t_ns, values):
                events += self._judge(t_ns[rows], values[rows])
            self._history.trim()
            self._heard_ns = int(t_ns[-1])
        elif news.t_ns - self._heard_ns > _SILENT_NS:
            events = self._finish_blows()  # the IMU fell silent in the crash
        events += self._rolls.judge(self._speeds, self._crashes)
        self._crashes = [t for t in self._crashes if news.t_ns - t < _CRASHES_KEPT_NS]
        self._rolls.forget(news.t_ns)
        self._speeds.forget(news.t_ns)
        return events

    def _calm_mps2(self, t_ns: int) -> float:
        """Off the resting level by less on every axis, a window may wait: it makes no trigger."""
        standing = not self._speeds.at(t_ns) and self._resting.rested(t_ns)
        return self._mean_mps2(standing=standing) / 3**0.5

    def _mean_mps2(self, *, standing: bool) -> float:
        """Across gravity, what is nowhere reached in a span adds up to no trigger within it."""
        limit_kmh = self._limits.stationary_delta_v_kmh if standing else self._limits.delta_v_kmh
        return 0.98 * TOLERANCE * min(limit_kmh, self._limits.delta_v_kmh) / 3.6 / (self._span_ns / NS)

    def finish(self, t_ns: int) -> list[Event]:  # noqa: ARG002  # the protocol's signature
        """Report what was under way."""
        events = [] if (news := self._intake.rest()) is None else self._work(news)
        events += self._finish_blows()
        self._rolls.finish()
        return events + self._rolls.judge(self._speeds, self._crashes)

    def _finish_blows(self) -> list[Event]:
        events: list[Event] = []
        if (pulse := self._pulse) is not None:
            trace = self._history.trace()
            last = min(trace.first_after(pulse.t0_ns + LONGEST_NS + 1), len(trace.t_ns)) - 1
            end, calm = find_end(trace, pulse) or (last, False)
            events = self._close(pulse, trace, end, calm=calm)
        return events + self._road_events(self._shocks.finish())

    def _listen(self, news: News) -> None:
        """Hear what the IMU says of itself; only some do."""
        self._resting.hear(news.new(vss.IMU_HEADING_ERROR))
        clipped = news.new(vss.IMU_CLIPPED)
        if len(clipped):
            recent = self._clips[self._clips > clipped.t_ns[-1] - NS]
            self._clips = np.concatenate([recent, clipped.t_ns])

    def _judge(self, t_ns: Ints, values: Floats) -> list[Event]:
        level = self._resting.level
        deviation = np.zeros_like(values) if level is None else values - level
        if self._axes.dead:
            deviation = np.nan_to_num(deviation)  # an axis that is dead deviates from nothing
        most = float(np.abs(deviation).max())
        standing = self._resting.rested_within(int(t_ns[0]) - self._span_ns)
        mean_mps2 = self._mean_mps2(standing=standing)
        recent = int(t_ns[0]) - self._loud_ns <= 2 * self._span_ns
        idle = not recent and self._pulse is None and not self._shocks.open
        if idle and level is not None and most < min(mean_mps2, self._shocks.limits.peak_mps2) / 3**0.5:
            self._history.add(t_ns, deviation, np.zeros(len(t_ns), np.bool_))
            self._shocks.calm()
            return []
        self._history.add(t_ns, deviation, reach(values, self._limits.sensor_range_mps2 * _RANGE_SHARE))
        across, vertical = parts(deviation, self._resting.mounting)
        loud = np.flatnonzero(across >= mean_mps2)
        if len(loud):
            self._loud_ns = int(t_ns[loud[-1]])
        events: list[Event] = []
        if len(loud) or recent or self._pulse is not None:
            trace = self._history.trace()
            quiet = 0 if recent or self._restless or self._pulse is not None else int(loud[0])
            events = self._find_pulses(trace, len(trace.t_ns) - len(t_ns) + quiet)
        if self._shocks.open or float(vertical.max()) >= self._shocks.limits.peak_mps2:
            events += self._road_events(self._shocks.feed(t_ns, vertical, across))
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
            end = find_end(trace, self._pulse)
            if end is None or int(trace.t_ns[-1] - trace.t_ns[end[0]]) < AFTER_NS:
                break  # what comes after a pulse tells what it was
            events += self._close(self._pulse, trace, end[0], calm=end[1])
            row = end[0] + 1
        return events

    def _trigger(self, trace: PulseTrace, row: int) -> Pulse | None:
        """Open a pulse at the first sample from row on that passes the trigger."""
        mounting = self._resting.mounting
        if self._restless:
            calm = trace.end(row - 1, mounting)
            if calm is None:
                return None
            row, self._restless, self._over_ns = calm, False, int(trace.t_ns[calm])
        # A span after the last loud sample there is nothing left to add up.
        rows = slice(row, max(row, trace.first_after(self._loud_ns + self._span_ns + 1)))
        delta_kmh = horizontal(trace.delta_v_within(self._span_ns, rows, since_ns=self._over_ns), mounting)
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
        following = self._sequence.covers(since_ns)
        standing = not following and now_ns >= self._rearm_ns and self._stood(now_ns - self._span_ns)
        limit_kmh = self._limits.stationary_delta_v_kmh if standing else self._limits.delta_v_kmh
        if delta_kmh < TOLERANCE * limit_kmh:
            return None
        mounting = self._resting.mounting_at(now_ns)
        before = trace.acceleration(slice(first := trace.first_after(since_ns), first + 1))
        if standing and float(horizontal(before, mounting)[0]) >= _TILTED_MPS2:
            return None  # a blow comes out of rest: this is a box, or a car, that was tilted and lies so
        t0_ns = int(trace.t_ns[trace.time_zero(index, since_ns, mounting)])
        level, full = self._resting.level, self._sequence.is_full(t0_ns, self._limits.events_max)
        if self._records and level is not None and not full:
            self._records.open(Impact(t0_ns, now_ns, "collision", level, mounting))
        return Pulse(t0_ns, now_ns, standing, mounting, following, self._over_ns)

    def _stood(self, t_ns: int) -> bool:
        """Whether the car stood before t_ns: by its speed and an IMU at rest; with no speed, by an IMU long at rest."""
        speed_kmh = self._speeds.at(t_ns)
        return self._resting.still(t_ns) if speed_kmh is None else speed_kmh == 0 and self._resting.rested(t_ns)

    def _close(self, pulse: Pulse, trace: PulseTrace, end: int, *, calm: bool) -> list[Event]:
        """Measure the pulse, and tell what it was."""
        self._pulse = None
        end_ns = int(trace.t_ns[end])
        if self._window is not None:
            self._witness.look(self._window, pulse.t0_ns)
        case = make_case(
            trace,
            pulse,
            end,
            calm=calm,
            context=self._witness.context(pulse.t0_ns, end_ns + AFTER_NS),
            speed_kmh=self._speeds.at(pulse.t0_ns),
            told_clipped=bool(((self._clips >= pulse.t0_ns) & (self._clips <= end_ns)).any()),
            jumped=self._screen.jumped(pulse.t0_ns - NS, end_ns),
        )
        kind = case.kind(self._limits)
        self._over_ns, self._restless = end_ns, not calm
        if kind != "collision":
            self._rearm_ns = end_ns + _REARM_AFTER_NOTHING_NS
            if self._records:
                self._records.close(pulse.t0_ns, end_ns + AFTER_NS, crash=False)
            if kind == "nothing" or pulse.t0_ns - self._shaken_ns < _SHOCK_GAP_NS:
                return []
            self._shaken_ns = pulse.t0_ns
            return [case.shock(kind)]
        self._crashes.append(pulse.t0_ns)
        number, since_first_s = self._sequence.number(pulse.t0_ns)
        if number > self._limits.events_max:
            return []
        record = 0
        if self._records:
            sure_ns = end_ns + AFTER_NS
            record = self._records.close(pulse.t0_ns, sure_ns, crash=True, event=number, since_first_s=since_first_s)
        return [case.collision(self._limits, number=number, since_first_s=since_first_s, record=record)]
