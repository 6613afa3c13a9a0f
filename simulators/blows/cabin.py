"""Plans of what happens to the box alone: knocks, falls, hands, loose mounts, and who sits beside it."""

from typing import Literal

import numpy as np

from simulators.blows.road import begin, between, drive, fades, mostly_low
from simulators.blows.scene import Force, Plan
from simulators.blows.shapes import blow, direction, knocked, turned, white
from simulators.world.grid import Floats, lag
from simulators.world.happenings import Drop, LooseMount
from simulators.world.scenario import Scenario

Where = Literal["driving", "parked"]


def _base(rng: np.random.Generator, where: Where, at_s: float, *, lasts_s: float = 0.0) -> Scenario:
    if where == "driving":
        return drive(at_s, between(rng, 10, 120), [], lasts_s=lasts_s)
    return Scenario(name="blow", description="", duration_s=at_s + lasts_s + 3)


def _awake(rng: np.random.Generator, where: Where) -> bool:
    return where == "driving" or bool(rng.random() < 0.4)


def knock(rng: np.random.Generator, where: Where) -> Plan:
    """A knee, a bag, a phone on the box: 20 to 400 m/s^2 for 3 to 20 ms, some of them again and again.

    A box that is fixed gets no lasting delta-v: 12 ms are the longest at 400 m/s^2.
    """
    at_s = begin(rng)
    to_box = []
    for k in range(int(rng.choice((1, 2, 4), p=(0.6, 0.25, 0.15)))):
        peak = mostly_low(rng, 20, 400)
        to_box.append(
            knocked(
                at_s + k * between(rng, 0.08, 0.6),
                between(rng, 0.003, 0.02),
                peak * direction(rng),
                back=between(rng, 0.7, 4),
                turning_dps=between(rng, 0, 2) * peak * direction(rng),
            )
        )
    return Plan(_base(rng, where, at_s, lasts_s=1), to_box=tuple(to_box), awake=_awake(rng, where))


def drop(rng: np.random.Generator, where: Where) -> Plan:
    """The box falls off its mount: weightless, then the floor, then it lies at another angle."""
    at_s = begin(rng)
    scenario = _base(rng, where, at_s, lasts_s=2)
    fallen = Drop(at_s=at_s, height_m=between(rng, 0.1, 1.2))
    plan = Scenario(name="blow", description="", duration_s=scenario.duration_s, legs=scenario.legs, events=[fallen])
    return Plan(plan, awake=_awake(rng, where))


def loose_box(rng: np.random.Generator) -> Plan:
    """The glue gives: it rattles with the road, hangs at another angle, and slaps against what is beside it."""
    at_s = begin(rng)
    loose = LooseMount(at_s=at_s, duration_s=30, rattle=mostly_low(rng, 2, 20), pitch_deg=between(rng, -25, 25))
    slaps = tuple(
        knocked(
            at_s + between(rng, 0.5, 7), between(rng, 0.004, 0.03), mostly_low(rng, 5, 120) * direction(rng), back=1
        )
        for _ in range(int(rng.integers(0, 10)))
    )
    return Plan(drive(at_s, between(rng, 20, 110), [loose], lasts_s=6), to_box=slaps)


def seat_beside(rng: np.random.Generator) -> Plan:
    """A child kicks the console, a dog leans on the box: bursts of two to five a second."""
    at_s, hertz = begin(rng), between(rng, 1.5, 5)
    towards = direction(rng, up=0.3)
    to_box = tuple(
        knocked(
            at_s + k / hertz + between(rng, 0, 0.1),
            between(rng, 0.015, 0.06),
            mostly_low(rng, 2, 30) * towards,
            back=between(rng, 0.7, 3),
            turning_dps=between(rng, 2, 30) * direction(rng),
        )
        for k in range(int(rng.integers(3, 14)))
    )
    return Plan(drive(at_s, between(rng, 0, 110), [], lasts_s=5), to_box=to_box)


def handling(rng: np.random.Generator, where: Where) -> Plan:
    """Somebody takes the box in hand, turns it over, puts it down: as one handles a phone."""
    at_s, lasts_s = begin(rng), between(rng, 3, 8)
    size, angle_deg = between(rng, 0.5, 6), between(rng, 10, 55)

    def add(t_s: Floats, force: Force, turning: Force, inner: np.random.Generator) -> None:
        step_s = float(t_s[1] - t_s[0])
        coarse = max(1, round(0.01 / step_s))
        count = len(t_s[::coarse])
        share = fades(t_s, at_s, at_s + lasts_s, 0.4)
        for axis in range(3):
            walk = lag(inner.standard_normal(count), step_s * coarse, between(inner, 0.08, 0.3))
            walk /= max(float(walk.std()), 1e-9)
            force[:, axis] += size * share * np.interp(t_s, t_s[::coarse], walk)
        angles = np.empty((len(t_s), 3))
        for axis in range(3):
            swing = lag(inner.standard_normal(count), step_s * coarse, between(inner, 0.3, 0.9))
            swing = np.clip(swing / max(float(np.abs(swing).max()), 1e-9), -1, 1)
            angles[:, axis] = angle_deg * share * np.interp(t_s, t_s[::coarse], swing)
        turned(t_s, force, turning, angles)

    down = blow(at_s + lasts_s, between(rng, 0.004, 0.015), mostly_low(rng, 10, 150) * direction(rng, up=2))
    return Plan(_base(rng, where, at_s, lasts_s=lasts_s + 1), to_box=(add, down), awake=_awake(rng, where))


def cable_tugged(rng: np.random.Generator) -> Plan:
    """Something is laid on the dashboard, a cable is pulled: the box shakes with a noise, and is still again."""
    at_s = begin(rng)
    add = white(at_s, at_s + between(rng, 0.1, 1.5), mostly_low(rng, 2, 25), between(rng, 20, 120))
    return Plan(_base(rng, "driving", at_s, lasts_s=1), to_box=(add,))
