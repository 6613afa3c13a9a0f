"""Rollover: from the roll rate, or from how the car lies where there is no gyroscope."""

from dataclasses import dataclass
from math import atan2, degrees, sqrt
from typing import Final

import numpy as np

from agent.core.config import RolloverLimits
from agent.core.events import Rollover
from agent.core.signals import Series
from agent.detect.crash_elements import Impact
from agent.detect.crash_record import CrashRecords
from agent.detect.pulse import LONG_AGO_NS, MS, Floats, Ints, Mounting
from agent.detect.streams import NS, SpeedTrack

_ONSET_DPS: Final = 30.0  # beyond what corners and bumps do to a body for long
_CALM_DPS: Final = 15.0
_CALM_NS: Final = NS
_LONGEST_NS: Final = 20 * NS
_SHORTEST_NS: Final = 250 * MS  # a box that is flung about turns faster than a car can
_GAP_NS: Final = 200 * MS
_TILTED_DEG: Final = 30.0  # from here on gravity's share is not known well enough to integrate a pulse
_FALLING_MPS2: Final = 3.0
_FALLING_SHARE: Final = 0.5  # a box that falls off its mount feels nothing for most of its turn; a car does
_CRASH_NS: Final = 5 * NS
_LIES_SECONDS: Final = 2
_LIES_NS: Final = 20 * NS  # a car that lies on its side was upright and moving not longer ago
_KEPT_NS: Final = 40 * NS


@dataclass(slots=True)
class _Roll:
    """A turn about the long axis: degrees since its onset, right side down +, and what was felt since it is calm."""

    onset_ns: int
    last_ns: int
    rate: float
    loud_ns: int
    angle: float = 0.0
    most: float = 0.0
    falling_ns: int = 0
    lateral: float = 0.0
    vertical: float = 0.0


@dataclass(frozen=True, slots=True)
class _Second:
    """What the resting level knew after a whole second."""

    ready_ns: int
    trusted: bool
    at_rest: bool
    tilt_deg: float


class Rollovers:
    """Follows the car's roll; fed by the collision detector, which owns the IMU's history.

    The angle is the integral of the roll rate from 30 degrees/s on, without the gyroscope's bias taken off (1 degree/s
    makes 4 degrees in a long rollover). Only of a car that moved or was hit, and only where the axes are known. Without
    a gyroscope a car that comes to lie at the angle within 20 s tells, which a rollover back onto the wheels does not,
    and which a box that falls over just before a stop does too.
    """

    def __init__(self, limits: RolloverLimits, records: CrashRecords | None = None) -> None:
        self.limits = limits
        self._records = records
        self._roll: _Roll | None = None
        self._done: list[_Roll] = []
        self._spans: list[list[int]] = []  # [from, to] in which the car was tilted
        self._seconds: list[_Second] = []
        self._lying: list[_Second] = []  # told by attitude, not yet judged
        self._lying_s = 0
        self._upright_ns = LONG_AGO_NS
        self._gyroscope_ns: int | None = None
        self._held = np.zeros(3)

    @property
    def open(self) -> bool:
        """Whether a roll is under way."""
        return self._roll is not None

    def feed(self, rates: Series, t_ns: Ints, force: Floats, now_ns: int) -> None:
        """Take roll rates in degrees/s (right side down +), and the specific force float64[n, 3] in m/s^2 felt then."""
        if self._roll is not None or (len(rates) and np.abs(rates.value).max() >= _ONSET_DPS):
            felt = np.vstack([self._held, force])[np.searchsorted(t_ns, rates.t_ns, side="right")]
            for t, rate, (x, y, z) in zip(rates.t_ns.tolist(), rates.value.tolist(), felt.tolist(), strict=True):
                self._follow(t, rate, (x, y, z))
        if self._roll is not None and now_ns - self._roll.last_ns > _GAP_NS:
            self._end()
        if len(rates) and self._gyroscope_ns is None:
            self._gyroscope_ns = int(rates.t_ns[0])
        if len(t_ns):
            self._held = force[-1].copy()

    def learn(self, ready_ns: int, newest: list[float] | None, *, trusted: bool, at_rest: bool) -> None:
        """Take the median specific force of a whole second."""
        x, y, z = newest or (0.0, 0.0, 0.0)
        known = 7.0 <= sqrt(x * x + y * y + z * z) <= 12.5
        second = _Second(ready_ns, trusted, at_rest, degrees(atan2(-y, z)) if known else 0.0)
        self._seconds.append(second)
        if known and abs(second.tilt_deg) < _TILTED_DEG:
            self._upright_ns = ready_ns
        lies = known and trusted and at_rest and abs(second.tilt_deg) >= self.limits.angle_deg
        self._lying_s = self._lying_s + 1 if lies else 0
        blind = self._gyroscope_ns is None or self._gyroscope_ns > ready_ns
        if self._lying_s == _LIES_SECONDS and blind and ready_ns - self._upright_ns <= _LIES_NS:
            self._lying.append(second)

    def covers(self, t_ns: int) -> bool:
        """Whether the car was turned over so far at t_ns that gravity cannot be told from a blow."""
        return any(start_ns <= t_ns <= end_ns for start_ns, end_ns in self._spans)

    def judge(self, speeds: SpeedTrack, crashes: list[int]) -> list[Rollover]:
        """Events of what has ended; crashes are the T0 of recent ones."""
        if not self._done and not self._lying:
            return []
        events: list[Rollover] = []
        for roll in self._done:
            plausible = self._plausible(roll, speeds, crashes)
            if self._records:
                self._records.close(roll.onset_ns, roll.last_ns + _GAP_NS, crash=plausible, trigger="rollover")
            events += [self._event(roll, speeds)] if plausible else []
        for second in self._lying:
            since_ns = second.ready_ns - _LIES_NS
            moved = (speeds.highest(since_ns, second.ready_ns) or 0.0) >= max(self.limits.speed_min_kmh, 1.0)
            if moved or any(since_ns <= t0_ns < second.ready_ns - NS for t0_ns in crashes):
                events.append(_lies(second))
                self._record(second.ready_ns, second.ready_ns)
                if self._records:
                    self._records.close(second.ready_ns, second.ready_ns, crash=True, trigger="rollover")
        self._done, self._lying = [], []
        return events

    def finish(self) -> None:
        """Nothing more comes: end what is under way."""
        if self._roll is not None:
            self._end()

    def forget(self, now_ns: int) -> None:
        """Drop what nobody can ask for any more."""
        if self._seconds and now_ns - self._seconds[0].ready_ns > 2 * _KEPT_NS:
            self._seconds = [second for second in self._seconds if now_ns - second.ready_ns <= _KEPT_NS]
            self._spans = [span for span in self._spans if now_ns - span[1] <= _KEPT_NS]

    def _follow(self, t_ns: int, rate: float, felt: tuple[float, float, float]) -> None:
        if self._roll is not None and t_ns - self._roll.last_ns > _GAP_NS:
            self._end()
        roll = self._roll
        if roll is None:
            if abs(rate) >= _ONSET_DPS:
                self._roll = _Roll(t_ns, t_ns, rate, t_ns)
            return
        step_ns = t_ns - roll.last_ns
        was_tilted, had_turned = (abs(roll.most) >= limit for limit in (_TILTED_DEG, self.limits.angle_deg))
        roll.angle += (rate + roll.rate) / 2 * (step_ns / NS)
        roll.most = max(roll.most, roll.angle, key=abs)
        roll.last_ns, roll.rate = t_ns, rate
        if abs(rate) >= _CALM_DPS:
            roll.loud_ns, roll.lateral, roll.vertical = t_ns, 0.0, 0.0
        else:
            roll.lateral += felt[1]
            roll.vertical += felt[2]
        if sqrt(felt[0] ** 2 + felt[1] ** 2 + felt[2] ** 2) < _FALLING_MPS2:
            roll.falling_ns += step_ns
        if was_tilted:
            self._spans[-1][1] = t_ns + _GAP_NS
        elif abs(roll.most) >= _TILTED_DEG:
            self._spans.append([t_ns, t_ns + _GAP_NS])
        if not had_turned and abs(roll.most) >= self.limits.angle_deg:
            self._record(roll.onset_ns, t_ns)
        if t_ns - roll.loud_ns > _CALM_NS or t_ns - roll.onset_ns > _LONGEST_NS:
            self._end()

    def _record(self, onset_ns: int, now_ns: int) -> None:
        """Begin a record before it is sure: the power may fail while the car turns."""
        if self._records:
            self._records.open(Impact(onset_ns, now_ns, "rollover", np.zeros(3), Mounting()))

    def _end(self) -> None:
        if self._roll is not None and abs(self._roll.most) >= _TILTED_DEG:
            self._done.append(self._roll)
        self._roll = None

    def _plausible(self, roll: _Roll, speeds: SpeedTrack, crashes: list[int]) -> bool:
        """Whether a car can have turned so: far, not in an instant, not in free fall, and not at rest before."""
        turning_ns = roll.loud_ns - roll.onset_ns
        before = next((second for second in reversed(self._seconds) if second.ready_ns <= roll.onset_ns), None)
        if abs(roll.most) < self.limits.angle_deg or turning_ns < _SHORTEST_NS or before is None or not before.trusted:
            return False
        if roll.falling_ns > _FALLING_SHARE * turning_ns:
            return False
        if any(roll.onset_ns - _CRASH_NS <= t0_ns <= roll.onset_ns for t0_ns in crashes):
            return True
        speed_kmh = speeds.at(roll.onset_ns)
        return not before.at_rest if speed_kmh is None else speed_kmh >= self.limits.speed_min_kmh

    def _event(self, roll: _Roll, speeds: SpeedTrack) -> Rollover:
        calm = roll.last_ns - roll.loud_ns >= _CALM_NS
        return Rollover(
            t_ns=roll.onset_ns,
            roll_deg=round(roll.most, 1),
            quarter_turns=max(1, round(abs(roll.most) / 90)),
            duration_s=round((roll.loud_ns - roll.onset_ns) / NS, 2),
            resting_deg=round(degrees(atan2(-roll.lateral, roll.vertical)), 1) if calm else None,
            speed_before_kmh=speeds.at(roll.onset_ns),
        )


def _lies(second: _Second) -> Rollover:
    return Rollover(
        t_ns=second.ready_ns,
        quarter_turns=max(1, round(abs(second.tilt_deg) / 90)),
        resting_deg=round(second.tilt_deg, 1),
        basis="attitude",
    )
