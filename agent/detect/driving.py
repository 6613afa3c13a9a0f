"""Harsh acceleration, braking and cornering."""

from collections import deque
from dataclasses import dataclass
from math import radians
from typing import Final, Literal

from agent.core import vss
from agent.core.config import Detect
from agent.core.events import Event, HarshDriving
from agent.core.signals import SignalWindow
from agent.detect.maneuvers import TYRES_MPS2, Phase, PhaseTracker, SpeedSlope
from agent.detect.streams import NS, AxisMerge, BucketMeans, RestLevel, SpeedTrack

Maneuver = Literal["acceleration", "braking", "cornering"]

_BUCKET_NS: Final = NS // 20
_SMOOTHED: Final = 4  # 0.2 s of 50 ms means: -3 dB at 2.2 Hz, which rough roads do not pass
_DELAY_NS: Final = _BUCKET_NS * _SMOOTHED // 2
_REST_SECONDS: Final = 30
_CALM_AFTER_NS: Final = 2 * NS
_CONFIRM_SHARE: Final = 0.5
_CONFIRM_EARLY_NS: Final = 700_000_000
_CONFIRM_LATE_NS: Final = (
    1_200_000_000  # OBD speed lags by 0.4-0.5 s (measured, canedge car trip), its slope by half a second
)
_GIVE_UP_NS: Final = 3 * NS
_LONGEST_NS: Final = 15 * NS  # a limit broken for longer is a sensor's offset, not a maneuver
_SILENT_NS: Final = 3 * NS


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An IMU phase that speed has still to confirm."""

    maneuver: Maneuver
    phase: Phase


class DrivingDetector:
    """Limits of docs/sources.md 1 (Digital Matter's and Teltonika's published values), all configurable.

    Longitudinal is forward +, lateral is right + (SAE J670), both in m/s^2; gravity, tilt and bias are taken out as the
    level at rest. Two bases: the IMU low-passed to about 2 Hz, and the slope of Vehicle.Speed. Where both live, an IMU
    phase counts only if speed changed with it (a loose or wrongly mounted box cries wolf otherwise), and a speed
    phase counts by itself; cornering is checked against yaw rate * speed where a yaw rate is fed.
    """

    inputs: tuple[str, ...] = (
        vss.ACCELERATION_LONGITUDINAL,
        vss.ACCELERATION_LATERAL,
        vss.YAW_RATE,
        vss.SPEED,
    )

    def __init__(self, limits: Detect) -> None:
        self._axes = AxisMerge(3)
        self._buckets = BucketMeans(_BUCKET_NS)
        self._rest = RestLevel(3, seconds=_REST_SECONDS)
        self._recent: deque[list[float]] = deque(maxlen=_SMOOTHED)
        self._last_number = 0
        self._yaw_seen = False
        self._yaw_peak = 0.0
        self._speeds = SpeedTrack()
        self._slope = SpeedSlope()
        self._slopes: deque[tuple[int, float]] = deque(maxlen=64)
        self._imu: dict[Maneuver, PhaseTracker] = {m: PhaseTracker() for m in ("acceleration", "braking", "cornering")}
        self._by_speed: dict[Maneuver, PhaseTracker] = {m: PhaseTracker() for m in ("acceleration", "braking")}
        self._waiting: list[_Candidate] = []
        self._reported_ns: dict[Maneuver, int] = {}
        self._violent_ns = self._imu_ns = self._speed_ns = -(1 << 62)
        self.configure(limits)

    def configure(self, limits: Detect) -> None:
        """Swap the limits."""
        self._limits = limits.driving
        driving = limits.driving
        self._limit: dict[Maneuver, float] = {
            "acceleration": driving.acceleration_mps2,
            "braking": driving.braking_mps2,
            "cornering": driving.cornering_mps2,
        }

    def update(self, window: SignalWindow) -> list[Event]:
        """Judge the window's samples."""
        speed_ns, speed_kmh = self._speeds.feed(window.new(vss.SPEED))
        t_ns, values = self._axes.merge([window.new(path) for path in self.inputs[:3]])
        buckets = self._buckets.feed(t_ns, values)
        steps: list[tuple[int, int, list[float]]] = [(t, -1, [kmh]) for t, kmh in zip(speed_ns, speed_kmh, strict=True)]
        if buckets is not None:
            steps += zip(buckets.ready_ns.tolist(), buckets.number.tolist(), buckets.mean.tolist(), strict=True)
            steps.sort(key=lambda step: step[:2])
        events: list[Event] = []
        for now_ns, number, numbers in steps:
            events += self._let_pass(now_ns)
            if number < 0:
                self._speed_ns = now_ns
                events += self._take_speed(now_ns, numbers[0])
            else:
                self._imu_ns = now_ns
                events += self._take_imu(number, numbers)
        events += self._let_pass(window.t_ns)
        self._speeds.forget(window.t_ns)
        return events

    def finish(self, t_ns: int) -> list[Event]:
        """End all phases."""
        events = self._stop_imu() + self._stop_speed()
        return events + self._confirm(t_ns)

    def _let_pass(self, now_ns: int) -> list[Event]:
        """End what a silent basis left open, and look again at what waits for speed."""
        events: list[Event] = []
        if now_ns - self._imu_ns > _SILENT_NS:
            events += self._stop_imu()
        if now_ns - self._speed_ns > _SILENT_NS:
            events += self._stop_speed()
        return events + self._confirm(now_ns) if self._waiting else events

    def _take_imu(self, number: int, mean: list[float]) -> list[Event]:
        events: list[Event] = []
        if number - self._last_number > 10:
            self._recent.clear()
            events = self._stop_imu()
        self._last_number = number
        self._rest.feed(number, mean)
        self._recent.append(mean)
        level = self._rest.level
        if level is None or len(self._recent) < _SMOOTHED:
            return events
        forward, right, yaw = (sum(axis) / _SMOOTHED for axis in zip(*self._recent, strict=True))
        t_ns = (number + 1) * _BUCKET_NS - _DELAY_NS
        forward -= level[0]
        right = abs(right - level[1])
        self._yaw_seen = self._yaw_seen or yaw != 0.0
        self._yaw_peak = abs(yaw) if right < self._limit["cornering"] else max(self._yaw_peak, abs(yaw))
        if max(abs(forward), right) > TYRES_MPS2:
            self._violent_ns = t_ns
        pairs: tuple[tuple[Maneuver, float], ...] = (
            ("acceleration", forward),
            ("braking", -forward),
            ("cornering", right),
        )
        for maneuver, value in pairs:
            phase = self._imu[maneuver].feed(t_ns, value, self._limit[maneuver], self._limits.hysteresis)
            if phase is not None:
                events += self._weigh_imu(maneuver, phase)
        return events

    def _take_speed(self, now_ns: int, kmh: float) -> list[Event]:
        events: list[Event] = []
        slope = self._slope.feed(now_ns, kmh)
        if slope is None:
            return self._stop_speed()
        t_ns, mps2 = slope
        self._slopes.append(slope)
        if abs(mps2) > TYRES_MPS2:
            self._violent_ns = t_ns
        pairs: tuple[tuple[Maneuver, float], ...] = (("acceleration", mps2), ("braking", -mps2))
        for maneuver, value in pairs:
            phase = self._by_speed[maneuver].feed(t_ns, value, self._limit[maneuver], self._limits.hysteresis)
            if phase is not None:
                events += self._report(maneuver, phase, "speed")
        return events

    def _stop_imu(self) -> list[Event]:
        events: list[Event] = []
        for maneuver, tracker in self._imu.items():
            phase = tracker.stop()
            if phase is not None:
                events += self._weigh_imu(maneuver, phase)
        return events

    def _stop_speed(self) -> list[Event]:
        events: list[Event] = []
        for maneuver, tracker in self._by_speed.items():
            phase = tracker.stop()
            if phase is not None:
                events += self._report(maneuver, phase, "speed")
        return events

    def _weigh_imu(self, maneuver: Maneuver, phase: Phase) -> list[Event]:
        """Report an IMU phase at once, let it wait for speed, or drop it."""
        speed_kmh = self._speeds.at(phase.onset_ns)
        if maneuver == "cornering":
            if self._yaw_seen and speed_kmh is not None:
                centripetal_mps2 = radians(self._yaw_peak) * speed_kmh / 3.6
                if centripetal_mps2 < _CONFIRM_SHARE * self._limit["cornering"]:
                    return []
            return self._report(maneuver, phase, "imu")
        if speed_kmh is None:
            return self._report(maneuver, phase, "imu")
        if self._lasts(phase):
            self._waiting.append(_Candidate(maneuver, phase))
        return []

    def _confirm(self, now_ns: int) -> list[Event]:
        """Report the waiting IMU phases that speed confirms; forget those that it had time to and did not."""
        events: list[Event] = []
        still = []
        for candidate in self._waiting:
            maneuver, phase = candidate.maneuver, candidate.phase
            sign = 1 if maneuver == "acceleration" else -1
            first_ns, last_ns = phase.onset_ns - _CONFIRM_EARLY_NS, phase.end_ns + _CONFIRM_LATE_NS
            needed = _CONFIRM_SHARE * self._limit[maneuver]
            if any(first_ns <= t <= last_ns and sign * slope >= needed for t, slope in self._slopes):
                events += self._report(maneuver, phase, "imu")
            elif now_ns <= phase.end_ns + _GIVE_UP_NS:
                still.append(candidate)
        self._waiting = still
        return events

    def _lasts(self, phase: Phase) -> bool:
        return self._limits.duration_min_s * NS <= phase.end_ns - phase.onset_ns <= _LONGEST_NS

    def _report(self, maneuver: Maneuver, phase: Phase, basis: Literal["imu", "speed"]) -> list[Event]:
        """Return the event unless it is too short, too slow, beyond what tyres hold, or follows another too closely."""
        too_soon = phase.onset_ns < self._reported_ns.get(maneuver, -(1 << 62)) + self._limits.gap_min_s * NS
        violent = phase.onset_ns - _CALM_AFTER_NS <= self._violent_ns <= phase.end_ns + _CALM_AFTER_NS
        leapt = basis == "speed" and phase.onset_ns - NS <= self._slope.leapt_ns <= phase.end_ns + NS
        fastest_kmh = self._speeds.highest(phase.onset_ns - NS, phase.end_ns)
        turning = maneuver == "cornering"
        slowest_kmh = self._limits.cornering_speed_min_kmh if turning else self._limits.speed_min_kmh
        too_slow = fastest_kmh is not None and fastest_kmh < slowest_kmh
        if too_soon or violent or leapt or too_slow or not self._lasts(phase):
            return []
        self._reported_ns[maneuver] = phase.end_ns
        return [
            HarshDriving(
                t_ns=phase.onset_ns,
                maneuver=maneuver,
                peak_mps2=round(phase.peak, 2),
                duration_s=round((phase.end_ns - phase.onset_ns) / NS, 2),
                speed_kmh=self._speeds.at(phase.onset_ns),
                basis=basis,
            )
        ]
