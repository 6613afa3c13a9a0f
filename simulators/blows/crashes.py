"""Plans of collisions: of cars that drive or stand in traffic, and of cars that are hit while parked."""

from typing import Final

import numpy as np

from agent.core import vss
from simulators.blows.scene import Add, Blow, Force, Plan
from simulators.blows.shapes import chatter
from simulators.world.grid import Floats, haversine_step
from simulators.world.happening import PulseShape
from simulators.world.scenario import Collision, Curve, Event, HarshBrake, Leg, Scenario

_SHAPES: Final[tuple[PulseShape, ...]] = ("haversine", "half_sine", "triangle", "plateau", "sawtooth")
_AIRBAG_KMH: Final = 25.0  # longitudinal delta-v from which front bags fire here; makers do not publish theirs
_SIDE_BAG_KMH: Final = 15.0
_BELTS: Final = tuple(vss.seat_belted(seat) for seat in vss.SEATS[:2])


def crash(rng: np.random.Generator) -> Plan:
    """A collision of a car that drives or waits in traffic: 8 to 80 km/h, 60 to 150 ms, from any side."""
    delta_v_kmh = float(np.exp(rng.uniform(np.log(8), np.log(80))))
    pdof_deg = float(rng.uniform(0, 360))
    along = delta_v_kmh * float(np.cos(np.deg2rad(pdof_deg)))
    waits = along < 0 and rng.random() < 0.4
    speed_kmh = 0.0 if waits else float(rng.uniform(max(8.0, along), max(60.0, along + 50)))
    at_s = float(rng.uniform(3, 6))
    before, curves = _before(rng, at_s, speed_kmh)
    plan = _hit(rng, at_s, delta_v_kmh, pdof_deg, legs=[Leg(at_s=0, speed_kmh=speed_kmh)], curves=curves, before=before)
    braking = ((0.0, 0.0), (at_s - 1.0, 60.0 if before else 0.0))
    fires = max(abs(along) - _AIRBAG_KMH, delta_v_kmh * abs(np.sin(np.deg2rad(pdof_deg))) - _SIDE_BAG_KMH) > 0
    bag = ((0.0, 0.0), (at_s + 0.04, 1.0 if fires and along > -_AIRBAG_KMH else 0.0))
    dies = delta_v_kmh > 40 and rng.random() < 0.4
    return Plan(
        scenario=plan.scenario,
        blow=plan.blow,
        to_car=plan.to_car,
        roughness=float(rng.choice((1.0, rng.uniform(1, 4)), p=(0.6, 0.4))),
        context={
            vss.BRAKE_PEDAL: braking,
            vss.ABS_ENGAGED: ((0.0, 0.0),),
            vss.airbag_deployed(vss.SEATS[0]): bag,
            _BELTS[0]: ((0.0, float(rng.random() < 0.9)),),
            _BELTS[1]: ((0.0, float(rng.random() < 0.4)),),
            **dict.fromkeys(vss.DOORS_OPEN, ((0.0, 0.0),)),
        },
        bus_dies_s=at_s + float(rng.uniform(0, 0.1)) if dies else float("inf"),
    )


def parked_hit(rng: np.random.Generator) -> Plan:
    """Somebody drives into a parked car: 3 to 30 km/h, from any side; nobody is in it."""
    delta_v_kmh = float(np.exp(rng.uniform(np.log(3), np.log(30))))
    plan = _hit(rng, float(rng.uniform(3, 6)), delta_v_kmh, float(rng.uniform(0, 360)), legs=[], curves=[], before=[])
    return Plan(scenario=plan.scenario, blow=plan.blow, to_car=plan.to_car, awake=False)


def _before(rng: np.random.Generator, at_s: float, speed_kmh: float) -> tuple[list[Event], list[Curve]]:
    """A driver who saw it coming brakes; another one is in a bend."""
    if speed_kmh < 20:
        return [], []
    kind = rng.random()
    if kind < 0.35:
        begins_s = at_s - float(rng.uniform(0.3, 1.0))
        return [HarshBrake(at_s=begins_s, deceleration_mps2=float(rng.uniform(4, 9.8)), duration_s=3.0)], []
    if kind < 0.55:
        radius_m = float(np.clip((speed_kmh / 3.6) ** 2 / rng.uniform(2, 7), 8, 5000))
        return [], [Curve(at_s=at_s - 2.0, duration_s=4.0, radius_m=radius_m, turn="left" if kind < 0.45 else "right")]
    return [], []


def _hit(
    rng: np.random.Generator,
    at_s: float,
    delta_v_kmh: float,
    pdof_deg: float,
    *,
    legs: list[Leg],
    curves: list[Curve],
    before: list[Event],
) -> Plan:
    duration_ms = float(rng.uniform(60, 150))
    shape = _SHAPES[int(rng.integers(len(_SHAPES)))]
    event = Collision(at_s=at_s, delta_v_kmh=delta_v_kmh, duration_ms=duration_ms, pdof_deg=pdof_deg, shape=shape)
    scenario = Scenario(
        name="blow", description="", duration_s=at_s + 3.0, legs=legs, curves=curves, events=[*before, event]
    )
    peak = 2 * delta_v_kmh / 3.6 / (duration_ms / 1000)
    to_car: list[Add] = [
        chatter(
            at_s, duration_ms / 1000, float(rng.uniform(30, 200)), _any_way(rng, float(rng.uniform(0.02, 0.4)) * peak)
        )
        for _ in range(3)
    ]
    sideways = abs(float(np.sin(np.deg2rad(pdof_deg))))
    if delta_v_kmh > 15 and sideways > 0.3 and rng.random() < 0.5:
        to_car.append(_spin(rng, at_s + duration_ms / 1000))
    blow = Blow(round(at_s * 1e9), delta_v_kmh, pdof_deg % 360, duration_ms, shape, parked=not legs)
    return Plan(scenario=scenario, blow=blow, to_car=tuple(to_car))


def _any_way(rng: np.random.Generator, size: float) -> Force:
    vector = rng.standard_normal(3)
    return np.asarray(size * vector / np.linalg.norm(vector))


def _spin(rng: np.random.Generator, from_s: float) -> Add:
    """The car turns about itself while it slides: what the tyres hold turns around in its axes."""
    rate_dps = float(rng.choice((-1, 1)) * rng.uniform(60, 250))
    grip = float(rng.uniform(1.5, 4.0))
    begins = float(rng.uniform(0, 2 * np.pi))

    def add(t_s: Floats, force: Force, turning: Force, _: np.random.Generator) -> None:
        share = haversine_step(t_s, from_s, 0.1) - haversine_step(t_s, from_s + 0.9, 0.6)
        angle = begins + np.deg2rad(rate_dps) * np.maximum(t_s - from_s, 0)
        force[:, 0] += grip * share * np.cos(angle)
        force[:, 1] += grip * share * np.sin(angle)
        turning[:, 2] += rate_dps * share
        turning[:, 0] += 0.1 * rate_dps * share * np.sin(9 * np.maximum(t_s - from_s, 0))

    return add
