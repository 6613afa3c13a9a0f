"""What happens in a drive of the gate's evaluation, and what is said and pressed in it: drawn by a seed."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np

from agent.core.events import (
    Anomaly,
    BatteryAlarm,
    ChargeSession,
    ConfigApplied,
    Diagnosis,
    EngineAdvice,
    Event,
    HarshDriving,
    TripEnded,
)
from simulators.world import Drive, Scenario
from simulators.world.commutes import random_commute
from simulators.world.happenings import Reversing, Rollover
from simulators.world.motion import Motion, move
from simulators.world.scenario import CellOverheat, Collision, Curve, HarshBrake

_NS: Final = 10**9
_CRASHES: Final = 0.3  # share of drives
_RUNAWAYS: Final = 0.15
_ROLLOVERS: Final = 0.2  # of crashes at a speed from which a car may roll
_ROLLS_MPS: Final = 8.0
CONSENT_WORDS: Final = ("撤回驾驶评分的同意", "我同意了什么", "Stop sending my driving score", "What did I agree to?")
_FREE_WORDS: Final = ("刹车有点响", "空调不太凉", "my brakes squeal", "the seat is too hot", *CONSENT_WORDS)


def draw(seed: int, duration_s: float) -> Scenario:
    """A commute with more braking, corners, reversing, crashes and burning cells than any day has."""
    rng = np.random.default_rng([seed, 8101])
    commute = random_commute(seed, duration_s)

    def times(most: int, *, first: float = 5.0) -> list[float]:
        count = int(rng.integers(0, most + 1))
        return sorted(float(t_s) for t_s in rng.uniform(first, duration_s - 10, count))

    events: list[Any] = list(commute.events)
    events += [
        HarshBrake(at_s=t_s, deceleration_mps2=float(rng.uniform(2.2, 8)), duration_s=float(rng.uniform(0.3, 3.5)))
        for t_s in times(5)
    ]
    events += [Reversing(at_s=t_s, duration_s=float(rng.uniform(1, 12))) for t_s in times(2)]
    if rng.random() < _RUNAWAYS:
        events.append(CellOverheat(at_s=float(rng.uniform(5, 60)), cell=3, rate_kps=3.0))
    curves = [
        Curve(
            at_s=t_s,
            duration_s=float(rng.uniform(2, 7)),
            radius_m=float(rng.uniform(18, 150)),
            turn="left" if rng.random() < 0.5 else "right",
        )
        for t_s in times(4)
    ]
    curves = sorted([*commute.curves, *curves], key=lambda curve: curve.at_s)
    events.sort(key=lambda event: event.at_s)
    scenario = msgspec.structs.replace(commute, name=f"gate-{seed}", events=events, curves=curves)
    if rng.random() < _CRASHES:
        events += _crash(rng, move(scenario, seed), duration_s)
        events.sort(key=lambda event: event.at_s)
    return msgspec.structs.replace(scenario, events=events)


def _crash(rng: np.random.Generator, motion: Motion, duration_s: float) -> list[Any]:
    at_s = float(rng.uniform(10, duration_s - 15))
    fast = np.interp(at_s, motion.t_s, motion.speed) > _ROLLS_MPS
    if fast and rng.random() < _ROLLOVERS:
        return [Rollover(at_s=at_s)]
    impacts = 1 + int(rng.random() < 0.25)
    return [
        Collision(
            at_s=at_s + n * float(rng.uniform(1, 4)),
            delta_v_kmh=float(rng.uniform(12, 60)),
            duration_ms=float(rng.uniform(60, 150)),
            pdof_deg=float(rng.choice([0.0, 0.0, 180.0, 90.0, -90.0, 30.0])),
        )
        for n in range(impacts)
    ]


def draw_prompts(drive: Drive) -> list[tuple[int, Event]]:
    """When the voice room is told what beside the pipeline's own events."""
    rng = np.random.default_rng([drive.seed, 8102])
    times = sorted(_draw_times(drive, rng, int(rng.integers(8, 25))))
    return [(t_ns, _any_event(rng, t_ns)) for t_ns in times]


def draw_talk(drive: Drive) -> list[tuple[int, str | None]]:
    """When the driver presses the button (None), or says what of his own accord."""
    rng = np.random.default_rng([drive.seed, 8104])
    times = sorted(_draw_times(drive, rng, int(rng.integers(4, 13))))
    return [(t_ns, None if rng.random() < 0.5 else str(rng.choice(_FREE_WORDS))) for t_ns in times]


def _draw_times(drive: Drive, rng: np.random.Generator, count: int) -> list[int]:
    """Half of them close to a manoeuvre."""
    busy_s = [event.at_s for event in drive.scenario.events] + [curve.at_s for curve in drive.scenario.curves]
    last_s = drive.duration_ns / _NS - 3
    times = []
    for _ in range(count):
        t_s = float(rng.uniform(1, last_s))
        if busy_s and rng.random() < 0.5:
            t_s = float(np.clip(rng.choice(busy_s) + rng.uniform(-6, 8), 1, last_s))
        times.append(round(t_s * _NS))
    return times


def _any_event(rng: np.random.Generator, t_ns: int) -> Event:
    makers: list[Callable[..., Event]] = [
        partial(HarshDriving, maneuver="braking", peak_mps2=6.0, duration_s=1.0),
        partial(Anomaly, model="drive", score=2.0, threshold=1.0),
        partial(ConfigApplied, bundle="b", config_version=1, sha256=""),
        partial(
            EngineAdvice, level="stop_now", fault="overheating", signal="", value=1, expected=0, unit="", seconds=9
        ),
        partial(TripEnded, started_ns=0, duration_s=90, distance_m=900, speed_max_kmh=60, harsh_braking_count=2),
        partial(BatteryAlarm, alarm="over_temperature", level=2, value=57.0, limit=55.0, unit="C", cell=4),
        partial(BatteryAlarm, alarm="insulation", level=3, value=57.0, limit=55.0, unit="kOhm"),
        partial(BatteryAlarm, alarm="brake_system", level=2, value=1, limit=0, unit=""),
        partial(BatteryAlarm, alarm="thermal_runaway", level=4, value=90.0, limit=60.0, unit="C", cell=4),
        _diagnosis,
        _charge,
    ]
    shares = [0.13, 0.1, 0.1, 0.1, 0.1, 0.12, 0.08, 0.06, 0.05, 0.08, 0.08]
    return makers[int(rng.choice(len(makers), p=shares))](t_ns=t_ns)


def _diagnosis(*, t_ns: int) -> Event:
    nothing: dict[str, Any] = {key: [] for key in ("evidence_of", "evidence", "evidence_points", "evidence_values")}
    return Diagnosis(
        t_ns=t_ns, codes=["P0171"], confirmed=True, drive="stop_now", causes=[], points=[], limits=[], **nothing
    )


def _charge(*, t_ns: int) -> Event:
    nothing: dict[str, Any] = dict.fromkeys(("soc_start", "soc_end", "temperature_max_c"))
    return ChargeSession(
        t_ns=t_ns,
        started_ns=t_ns,
        mode="dc",
        energy_kwh=30.0,
        charge_ah=90.0,
        power_max_kw=60.0,
        tapered=False,
        interrupted=1,
        ended="unplugged",
        **nothing,
    )
