"""What a finished pulse was: a crash, or something that only shook the box; and how bad, and how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, sqrt
from typing import Final, Literal

from agent.core.config import CollisionLimits
from agent.core.crash_events import Collision, DeviceShock, LimitOfData
from agent.detect.crash_context import Context
from agent.detect.crash_features import crash_features, named
from agent.detect.crash_figures import Figures
from agent.detect.data_limits import find_limits, is_stuck
from agent.detect.impacts import Pulse
from agent.detect.pulse import MS, PulseTrace, crash_mode_of, pdof_deg

Kind = Literal["collision", "nothing", "knock", "drop", "loose"]
Severity = Literal["minor", "moderate", "severe"]

TOLERANCE: Final = 0.95
"""Share of a limit that is enough: sensors are off by some per cent in scale, and noise takes from a pulse's tails."""

_SAMPLES_MIN: Final = 3  # one or two loud samples are a glitch
_RISE_MS: Final = 22.0  # a ton of steel that crumples for 60 ms has 29, a knee or a bag on the box at most 20
_FILL: Final = 0.12  # a pulse is a haversine (0.5) or fuller, 0.3 where it rattles much; less is spikes in a long time
# A blow of a few ms whose top was clipped, or lies between two samples, has lost its way back: its delta-v stays, so it
# seems to last, and is all spike. The haversine of its peak and delta-v is 54 ms long at most, that of steel 60.
_SHORT_FILL: Final = 0.2
_SHORT_MS: Final = 55.0
_FALL_MS: Final = 100  # a box that falls for so long fell 5 cm
_TILT_DEG: Final = 45.0
_SWING_ECHO: Final = 0.35  # it was shaken before, a third as hard or harder, and all the time
_SWING_MPS2: Final = 3.5
_TORN: Final = 2.0  # times the trigger: a blow that tears the box off its mount is a blow
_REACHED: Final = 0.85  # of a limit: less than that is another shape that passed the trigger
_HAND_DPS: Final = 90.0  # a car that is bumped turns by less
_HAND_ECHO: Final = 0.25
_SLOW_RISE_MS: Final = 120.0  # a crash of 150 ms has 99 at most: so slow is a car in a ditch, or a box that is swung
_SWUNG_DPS: Final = 290.0  # a car that is hit on its tail spins by 250
_CARRY_ON: Final = 0.12  # a push that goes on is a car that sets off or brakes, or a box that is held otherwise
_STATIONARY_PEAK_MPS2: Final = 6.5  # 3 km/h in 150 ms as a plateau; nothing pushes a parked car so but another one
_STATIONARY_VERTICAL: Final = 0.38
_STATIONARY_RISE_MS: Final = 112.0  # a plateau of 150 ms has 96
_STATIONARY_LONGEST_NS: Final = 280 * MS
_STATIONARY_REBOUND: Final = 1.3  # a car may be pushed back by its springs, a box by a hand, and faster
_STATIONARY_ASIDE_MPS2: Final = 7.5  # tyres hold against the push; a box that is turned feels gravity beside it


@dataclass(frozen=True, slots=True)
class Case:
    """A finished pulse and all that is known of it; features as in crash_features, shape the same by name."""

    pulse: Pulse
    figures: Figures
    features: list[int]
    shape: Mapping[str, float]
    context: Context
    speed_kmh: float | None
    stuck: bool
    limits_of_data: list[LimitOfData]

    def kind(self, limits: CollisionLimits) -> Kind:
        """Name what it was by rules."""
        return "nothing" if self.stuck else _kind(self, limits)

    def shock(self, what: Literal["knock", "drop", "loose"]) -> DeviceShock:
        """Tell of a box that was shaken without its car."""
        peak = round(self.figures.peak_mps2, 2)
        return DeviceShock(t_ns=self.pulse.t0_ns, what=what, peak_mps2=peak, speed_kmh=self.speed_kmh)

    def collision(self, limits: CollisionLimits, *, number: int, since_first_s: float | None, record: int) -> Collision:
        """Tell of a collision, the number-th of its crash."""
        pulse, figures, context = self.pulse, self.figures, self.context
        known = pulse.mounting.trusted
        pdof = pdof_deg(figures.x_kmh, figures.y_kmh) if known else None
        severity = severity_of(figures, context, limits)
        confidence = round(confidence_of(self, limits), 3)
        return Collision(
            t_ns=pulse.t0_ns,
            delta_v_kmh=round(figures.delta_v_kmh, 2),
            duration_ms=round((figures.end_ns - pulse.t0_ns) / MS, 1),
            peak_mps2=round(figures.peak_mps2, 2),
            stationary=pulse.standing,
            pdof_deg=None if pdof is None else round(pdof, 1),
            delta_v_longitudinal_kmh=round(figures.x_kmh, 2) if known else None,
            delta_v_lateral_kmh=round(figures.y_kmh, 2) if known else None,
            speed_before_kmh=self.speed_kmh,
            clipped="clipped" in self.limits_of_data,
            crash_mode=None if pdof is None else crash_mode_of(pdof, limits.frontal_deg),
            multi_event=number,
            since_first_s=since_first_s,
            record=record,
            max_after_ms=round(figures.max_after_ms, 1),
            asi=round(figures.asi, 2),
            severity=severity,
            confidence=confidence,
            confidence_rules=confidence,
            airbag_deployed=context.airbag_deployed,
            belted=context.belted,
            occupants=context.occupants,
            braking=context.braking,
            drivable=_drivable(severity),
            limits_of_data=self.limits_of_data,
            features=self.features,
            latitude=context.latitude,
            longitude=context.longitude,
            position_accuracy_m=context.position_accuracy_m,
        )


def make_case(
    trace: PulseTrace,
    pulse: Pulse,
    end: int,
    *,
    calm: bool,
    context: Context,
    speed_kmh: float | None,
    told_clipped: bool,
    jumped: bool,
) -> Case:
    """Measure the pulse whose last sample is `end`; calm: it is not cut there.

    told_clipped: the IMU said so. jumped: its clock went back not long before, or within.
    """
    figures = Figures.of(trace, pulse, end)
    features = crash_features(
        trace, pulse, end, mounting=pulse.mounting, speed_kmh=speed_kmh, turn_dps=context.turn_dps
    )
    limits_of_data = find_limits(trace, pulse, end, calm=calm)
    if told_clipped or figures.clipped:
        limits_of_data.insert(0, "clipped")
    if jumped:
        limits_of_data.append("clock_jumped")
    stuck = is_stuck(trace, pulse, end)
    return Case(pulse, figures, features, named(features), context, speed_kmh, stuck, limits_of_data)


def _kind(case: Case, limits: CollisionLimits) -> Kind:
    """What nobody can drive into comes first, then what is not felt as cars feel it, then how hard it was."""
    pulse, figures, shape = case.pulse, case.figures, case.shape
    if shape["free_fall_ms"] >= _FALL_MS:
        return "drop"
    if figures.loud < _SAMPLES_MIN:
        return "nothing"
    torn = shape["kmh_in_150ms"] >= _TORN * limits.delta_v_kmh
    if shape["rise_ms"] < _RISE_MS or shape["fill"] < _FILL or (not torn and _is_short(shape)):
        return "knock"
    swings = shape["echo_before"] >= _SWING_ECHO and shape["shake_before_mps2"] >= _SWING_MPS2 and not pulse.following
    if not torn and (swings or shape["tilt_after_deg"] >= _TILT_DEG or _is_swung(case)):
        return "loose"
    if pulse.standing and figures.delta_v_kmh < limits.delta_v_kmh:
        return _kind_of_standing(case, limits)
    return "collision" if figures.delta_v_kmh >= _REACHED * limits.delta_v_kmh else "nothing"


def _is_short(shape: Mapping[str, float]) -> bool:
    """Whether it is a spike in a long time whose peak would need but a few ms for all of its delta-v."""
    return shape["fill"] < _SHORT_FILL and _length_ms(shape) < _SHORT_MS


def _length_ms(shape: Mapping[str, float]) -> float:
    """Of the haversine that has its peak and its delta-v."""
    return 2000 * shape["delta_v_kmh"] / 3.6 / max(shape["peak_mps2"], 1.0)


def _is_swung(case: Case) -> bool:
    """Whether a push that is slower than a crash is a hand's: it turns the box as no car turns."""
    shape, pulse = case.shape, case.pulse
    if shape["rise_ms"] < _SLOW_RISE_MS:
        return False
    stood = pulse.standing or (case.speed_kmh == 0 and not pulse.following)
    held = shape["carry_on"] > _CARRY_ON or shape["echo_before"] > _HAND_ECHO
    return shape["turn_dps"] > (_HAND_DPS if stood and held else _SWUNG_DPS)


def _kind_of_standing(case: Case, limits: CollisionLimits) -> Kind:
    """Below the limit of a moving car: it comes out of rest, is a push across gravity, and is over."""
    figures, shape = case.figures, case.shape
    goes_on = shape["carry_on"] > _CARRY_ON
    if shape["turn_dps"] > _HAND_DPS or (shape["echo_before"] > _HAND_ECHO and not goes_on):
        return "loose"
    pushed = (
        figures.delta_v_kmh >= max(figures.along_kmh, _REACHED * limits.stationary_delta_v_kmh)
        and figures.peak_mps2 >= _STATIONARY_PEAK_MPS2
        and shape["vertical_share"] <= _STATIONARY_VERTICAL
    )
    over = (
        not goes_on
        and shape["rebound"] <= _STATIONARY_REBOUND
        and _aside_mps2(shape) <= _STATIONARY_ASIDE_MPS2
        and shape["rise_ms"] <= _STATIONARY_RISE_MS
        and figures.end_ns - case.pulse.t0_ns <= _STATIONARY_LONGEST_NS
    )
    return "collision" if pushed and over else "nothing"


def _aside_mps2(shape: Mapping[str, float]) -> float:
    """What is left at the end beside the pulse's own direction."""
    along = shape["carry_on"] * shape["peak_mps2"]
    return sqrt(max(shape["offset_after_mps2"] ** 2 - along * along, 0.0))


def severity_of(figures: Figures, context: Context, limits: CollisionLimits) -> Severity:
    """Severe from the delta-v that locks a record, here in any direction, or where an air bag fired."""
    if context.airbag_deployed or figures.delta_v_kmh >= limits.lock_delta_v_kmh:
        return "severe"
    # Clipped, delta-v is a lower bound, and nothing minor brings a sensor to its end.
    if figures.delta_v_kmh >= limits.moderate_delta_v_kmh or figures.clipped:
        return "moderate"
    return "minor"


def confidence_of(case: Case, limits: CollisionLimits) -> float:
    """How clearly this is a collision, 0 to 1.

    A logistic sum, so that more of any part never makes it less: how far the trigger is passed (all from 1.8 times),
    the duration (all from 55 to 220 ms), the shape (a push across gravity that neither rings, nor turns, nor swings
    back), and what the car says. The weights are ours: a clean pulse just at the trigger comes to 0.86, one of twice
    the trigger to 0.98, an air bag lifts either beyond 0.99.
    """
    pulse, figures, shape, context = case.pulse, case.figures, case.shape, case.context
    limit = limits.stationary_delta_v_kmh if pulse.standing else limits.delta_v_kmh
    duration_ms = (figures.end_ns - pulse.t0_ns) / MS
    passed = _ramp(figures.delta_v_kmh / limit, TOLERANCE, 1.8)
    lasting = min(_ramp(duration_ms, 40, 55), 1 - _ramp(duration_ms, 220, 300))
    clean = 1.0
    for name, good, bad in (
        ("vertical_share", 0.4, 0.8),
        ("sign_changes", 2, 8),
        ("ringing", 0.2, 0.7),
        ("rebound", 0.4, 1.0),
        ("echo_before", 0.4, 1.0),
    ):
        clean *= 1 - _ramp(shape[name], good, bad)
    told = 3.0 * bool(context.airbag_deployed) + 0.5 * bool(context.braking)
    told -= 1.5 * bool(context.door_moved and pulse.standing)
    return 1 / (1 + exp(1.0 - 2.2 * passed - 1.2 * lasting - 1.6 * clean - told))


def _drivable(severity: Severity) -> Literal["likely", "unlikely", "unknown"]:
    """Say as a hint what a workshop would guess: practice, not published."""
    return "likely" if severity == "minor" else "unlikely" if severity == "severe" else "unknown"


def _ramp(value: float, low: float, high: float) -> float:
    """0 at low, 1 at high."""
    return min(1.0, max(0.0, (value - low) / (high - low)))
