"""Plans of what roads and drivers do to a car that is not hit. Amplitudes are ours: docs/sources.md 11."""

import numpy as np

from agent.core import vss
from simulators.blows.scene import Add, Force, Plan
from simulators.blows.shapes import blow, push, ringing, rough
from simulators.world.grid import Floats, haversine_step
from simulators.world.happening import Side
from simulators.world.happenings import Kerb, RailCrossing, SpeedBump, Swell
from simulators.world.scenario import Curve, Event, HarshBrake, Leg, Pothole, Scenario

_AFTER_S = 3.0


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Any value alike."""
    return float(rng.uniform(low, high))


def mostly_low(rng: np.random.Generator, low: float, high: float) -> float:
    """Any order of magnitude alike: many small ones, a few nasty ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def begin(rng: np.random.Generator) -> float:
    """When the event comes: long enough after the start for a level to be known."""
    return between(rng, 3.0, 6.0)


def drive(
    at_s: float,
    speed_kmh: float,
    events: list[Event],
    *,
    lasts_s: float = 0.0,
    legs: list[Leg] | None = None,
    curves: list[Curve] | None = None,
) -> Scenario:
    """A car that rolls at this speed from the start, and what befalls it."""
    plan = [Leg(at_s=0, speed_kmh=speed_kmh), *(legs or [])]
    duration_s = at_s + lasts_s + _AFTER_S
    return Scenario(name="blow", description="", duration_s=duration_s, legs=plan, curves=curves or [], events=events)


def pothole(rng: np.random.Generator) -> Plan:
    """Up to 70 m/s^2 under the front wheel; a sharp far edge pushes back as well as up."""
    at_s, peak = begin(rng), mostly_low(rng, 8, 70)
    hole = Pothole(at_s=at_s, peak_mps2=peak, side=_side(rng))
    edge = _edge(rng, at_s, peak) if rng.random() < 0.3 else ()
    return Plan(drive(at_s, between(rng, 15, 110), [hole]), to_car=edge, roughness=between(rng, 1, 3))


def pothole_braking(rng: np.random.Generator) -> Plan:
    """A hole under wheels that brake, the ABS at work in some."""
    at_s = begin(rng)
    brake = HarshBrake(
        at_s=at_s, deceleration_mps2=between(rng, 3, 9.8), duration_s=between(rng, 1, 2), antilock=rng.random() < 0.5
    )
    hole = Pothole(at_s=at_s + between(rng, 0.5, 1.0), peak_mps2=mostly_low(rng, 8, 60), side=_side(rng))
    return Plan(drive(at_s, between(rng, 40, 110), [brake, hole], lasts_s=2), context=_braking(at_s, antilock=True))


def kerb(rng: np.random.Generator) -> Plan:
    """One side's wheels climb a kerb, at walking pace or at 40 km/h; some meet it square."""
    at_s, peak = begin(rng), mostly_low(rng, 8, 80)
    edge = _edge(rng, at_s, peak) if rng.random() < 0.3 else ()
    return Plan(drive(at_s, between(rng, 4, 40), [Kerb(at_s=at_s, peak_mps2=peak, side=_side(rng))]), to_car=edge)


def speed_bump(rng: np.random.Generator) -> Plan:
    """From well behaved to taken at 50 km/h, the suspension at its stops."""
    at_s, speed_kmh = begin(rng), between(rng, 8, 50)
    stop = mostly_low(rng, 1, 40) * (speed_kmh / 50)
    to_car = (blow(at_s + 0.1, between(rng, 0.03, 0.08), stop * np.array([-0.25, between(rng, -0.1, 0.1), 1.0])),)
    bump = SpeedBump(at_s=at_s, peak_mps2=mostly_low(rng, 3, 25))
    return Plan(drive(at_s, speed_kmh, [bump], lasts_s=2), to_car=to_car)


def rail_crossing(rng: np.random.Generator) -> Plan:
    """Rails under both axles."""
    at_s = begin(rng)
    rails = RailCrossing(at_s=at_s, peak_mps2=mostly_low(rng, 3, 30), rails=int(rng.choice((2, 4, 8))))
    return Plan(drive(at_s, between(rng, 10, 70), [rails], lasts_s=2))


def cobbles(rng: np.random.Generator) -> Plan:
    """A stretch of cobbles or of washboard, up to ten times as rough as a road."""
    at_s, speed_kmh = begin(rng), between(rng, 15, 70)
    add = rough(at_s, at_s + 6, mostly_low(rng, 3, 10), speed_kmh / 3.6)
    return Plan(drive(at_s, speed_kmh, [], lasts_s=5), to_car=(add,))


def harsh_brake(rng: np.random.Generator) -> Plan:
    """Up to 1.1 g, the ABS at work in most of the hardest."""
    at_s, size = begin(rng), between(rng, 5, 10.8)
    antilock = bool(rng.random() < (0.8 if size > 7 else 0.2))
    brake = HarshBrake(at_s=at_s, deceleration_mps2=size, duration_s=between(rng, 0.6, 2.5), antilock=antilock)
    scenario = drive(at_s, between(rng, 50, 130), [brake], lasts_s=2)
    return Plan(scenario, roughness=between(rng, 1, 3), context=_braking(at_s, antilock=antilock))


def emergency_stop(rng: np.random.Generator) -> Plan:
    """Braked to a stand: the body nods back when the wheels stop."""
    at_s, size, speed_kmh = begin(rng), between(rng, 5, 10.8), between(rng, 15, 60)
    stands_s = at_s + speed_kmh / 3.6 / size + 0.25
    brake = HarshBrake(at_s=at_s, deceleration_mps2=size, duration_s=8.0, antilock=rng.random() < 0.5)
    nod = ringing(stands_s, between(rng, 1.2, 3), between(rng, 0.15, 0.4), np.array([0.45 * size, 0, 0.2 * size]))
    scenario = drive(at_s, speed_kmh, [brake], lasts_s=speed_kmh / 3.6 / size + 1)
    return Plan(scenario, to_car=(nod,), context=_braking(at_s, antilock=True))


def swerve(rng: np.random.Generator) -> Plan:
    """Around an obstacle and back, up to what tyres hold."""
    at_s, size, period_s = begin(rng), between(rng, 4, 9), between(rng, 1.0, 2.2)

    def add(t_s: Floats, force: Force, turning: Force, _: np.random.Generator) -> None:
        phase = np.clip((t_s - at_s) / period_s, 0, 1)
        wave = np.sin(2 * np.pi * phase) * np.sin(np.pi * phase) ** 0.3
        force[:, 1] += size * wave
        force[:, 0] -= 0.15 * size * np.abs(wave)
        turning[:, 0] -= 3.0 * size * np.gradient(wave, t_s) * 0.2
        turning[:, 2] -= 2.0 * size * wave

    return Plan(drive(at_s, between(rng, 40, 120), [], lasts_s=period_s), to_car=(add,))


def hard_cornering(rng: np.random.Generator) -> Plan:
    """A bend at up to 0.9 g."""
    at_s, speed_kmh = begin(rng), between(rng, 30, 90)
    radius_m = float(np.clip((speed_kmh / 3.6) ** 2 / rng.uniform(5, 9), 6, 5000))
    bend = Curve(at_s=at_s, duration_s=between(rng, 2.5, 5), radius_m=radius_m, turn=_side(rng))
    return Plan(drive(at_s, speed_kmh, [], lasts_s=5, curves=[bend]), roughness=between(rng, 1, 3))


def hard_launch(rng: np.random.Generator) -> Plan:
    """Full torque from a stand, with the jerk of a clutch, a tow hook or an electric drive."""
    at_s, size = begin(rng), between(rng, 3, 8)
    jerk = ringing(at_s, between(rng, 4, 9), between(rng, 0.05, 0.2), np.array([between(rng, 1, 6), 0, 0.5]))
    to_car = (push(at_s, between(rng, 1.5, 3), between(rng, 0.05, 0.3), np.array([size, 0, 0])), jerk)
    legs = [Leg(at_s=at_s, speed_kmh=60, acceleration_mps2=3.0)]
    return Plan(drive(at_s, 0.0, [], lasts_s=3, legs=legs), to_car=to_car)


def ferry(rng: np.random.Generator) -> Plan:
    """At sea, the ignition off or on, with the thumps of waves."""
    at_s = begin(rng)
    swell = Swell(
        at_s=0.5,
        duration_s=16,
        roll_deg=between(rng, 1, 12),
        pitch_deg=between(rng, 0.5, 6),
        period_s=between(rng, 4, 12),
    )
    to_car: list[Add] = [
        blow(at_s + k * 2.5, between(rng, 0.05, 0.3), np.array([0, 0, between(rng, 0.5, 4)])) for k in range(3)
    ]
    scenario = Scenario(name="blow", description="", duration_s=18, events=[swell])
    return Plan(scenario, to_car=tuple(to_car), awake=False)


def trailer_jerk(rng: np.random.Generator) -> Plan:
    """A trailer runs up and pulls away again: a few blows from behind of tons that are coupled with play."""
    at_s = begin(rng)
    to_car = [
        blow(at_s + k * between(rng, 0.3, 1.5), between(rng, 0.08, 0.3), np.array([between(rng, -5, 5), 0, 1.0]))
        for k in range(4)
    ]
    return Plan(drive(at_s, between(rng, 5, 80), [], lasts_s=5), to_car=tuple(to_car))


def gravel_stop(rng: np.random.Generator) -> Plan:
    """Braking on gravel or into a soft verge: rough, tilted and slowing at once."""
    at_s, speed_kmh = begin(rng), between(rng, 20, 70)
    brake = HarshBrake(at_s=at_s, deceleration_mps2=between(rng, 3, 7), duration_s=8.0)
    rattle = rough(at_s - 0.5, at_s + 4, mostly_low(rng, 3, 10), speed_kmh / 3.6)
    verge = push(at_s, 2.0, 0.5, np.array([0, between(rng, -1.5, 1.5), 0]))
    return Plan(
        drive(at_s, speed_kmh, [brake], lasts_s=4), to_car=(rattle, verge), context=_braking(at_s, antilock=True)
    )


def _edge(rng: np.random.Generator, at_s: float, peak: float) -> tuple[Add, ...]:
    """What a square edge adds along the car."""
    share = np.array([-between(rng, 0.2, 0.9), between(rng, -0.3, 0.3), 0.2])
    return (blow(at_s + between(rng, 0, 0.03), between(rng, 0.015, 0.06), peak * share),)


def _braking(at_s: float, *, antilock: bool) -> dict[str, tuple[tuple[float, float], ...]]:
    return {
        vss.BRAKE_PEDAL: ((0.0, 0.0), (at_s, 80.0)),
        vss.ABS_ENGAGED: ((0.0, 0.0), (at_s + 0.2, float(antilock))),
        **dict.fromkeys(vss.DOORS_OPEN, ((0.0, 0.0),)),
    }


def _side(rng: np.random.Generator) -> Side:
    return "left" if rng.random() < 0.5 else "right"


def fades(t_s: Floats, start_s: float, end_s: float, ramp_s: float) -> Floats:
    """0 before and after, 1 between."""
    return haversine_step(t_s, start_s, ramp_s) - haversine_step(t_s, end_s - ramp_s, ramp_s)
