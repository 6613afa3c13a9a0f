"""Healthy drives without end, for training and for the question how often an alarm is false."""

from typing import Final, Literal

import numpy as np

from simulators.world.grid import stream
from simulators.world.scenario import Car, Curve, Event, Gnss, Imu, Leg, Pothole, Scenario
from simulators.world.simulation import simulate
from simulators.world.types import Drive

_SLOWING_S: Final = 20.0  # by then a car has come down to the speed of the next leg


def simulate_commute(seed: int, duration_s: float) -> Drive:
    """A healthy drive of this length: its own car, weather, driver and roads, all from the seed."""
    return simulate(random_commute(seed, duration_s), seed)


def random_commute(seed: int, duration_s: float) -> Scenario:
    """The scenario behind it. Nothing in it breaks a default limit of the agent."""
    rng = stream(seed, "commute")
    legs = _legs(rng, duration_s)
    air_c = float(np.clip(rng.normal(17, 11), -18, 41))
    return Scenario(
        name=f"commute-{seed}",
        description="a healthy drive from a seed",
        duration_s=duration_s,
        car=Car(
            mass_kg=float(rng.uniform(1450, 2050)),
            power_kw=float(rng.uniform(75, 140)),
            soc_percent=float(rng.uniform(25, 92)),
            air_c=air_c,
            pack_c=float(np.clip(air_c + rng.uniform(1, 12), -10, 42)),
            coolant_c=float(rng.uniform(max(air_c, 0.0), 88)),
            heading_deg=float(rng.uniform(0, 359)),
            odometer_m=float(rng.integers(5_000, 250_000) * 1000),
        ),
        imu=Imu(misalignment_deg=float(rng.uniform(0, 1.5))),
        gnss=Gnss(accuracy_m=float(rng.uniform(1.5, 5))),
        legs=legs,
        curves=_curves(rng, duration_s, legs),
        events=_bumps(rng, duration_s),
    )


def _legs(rng: np.random.Generator, duration_s: float) -> list[Leg]:
    """Stop and go, town, country road and motorway, at the temper of one driver."""
    temper = float(rng.uniform(0.7, 1.3))
    legs: list[Leg] = []
    now = float(rng.uniform(1, 5))
    while now < duration_s - 25:
        kind = rng.choice(4, p=[0.2, 0.5, 0.2, 0.1])
        for _ in range(int(rng.integers(2, 6))):
            speed = float([rng.uniform(8, 25), rng.uniform(28, 60), rng.uniform(55, 90), rng.uniform(85, 120)][kind])
            legs.append(_leg(rng, now, speed, temper))
            now += float(rng.uniform(8, 30) * (1 + kind))
            if rng.random() < (0.6, 0.4, 0.15, 0.0)[kind]:
                legs.append(_leg(rng, now, 0.0, temper))
                now += float(rng.uniform(10, 45))
    legs = [leg for leg in legs if leg.at_s < duration_s - 25]
    return [*legs, Leg(at_s=max(duration_s - 25, 0), speed_kmh=0)]


def _leg(rng: np.random.Generator, at_s: float, speed_kmh: float, temper: float) -> Leg:
    return Leg(
        at_s=at_s,
        speed_kmh=speed_kmh,
        acceleration_mps2=float(np.clip(temper * rng.normal(1.5, 0.3), 0.6, 2.6)),
        braking_mps2=float(np.clip(temper * rng.normal(1.7, 0.3), 0.7, 2.9)),
    )


def _curves(rng: np.random.Generator, duration_s: float, legs: list[Leg]) -> list[Curve]:
    """Bends and corners as tight as the plan's speed there allows: up to 2.6 m/s^2 to the side."""
    curves: list[Curve] = []
    now = float(rng.uniform(8, 30))
    while now < duration_s - 10:
        length_s = float(rng.uniform(3, 9))
        fastest = max((leg.speed_kmh for leg in _legs_between(legs, now - _SLOWING_S, now + length_s)), default=0.0)
        speed_mps = max(fastest, 15.0) / 3.6 + 1.0
        radius_m = float(np.clip(speed_mps**2 / rng.uniform(0.5, 2.6), 9, 5000))
        turn: Literal["left", "right"] = "left" if rng.random() < 0.5 else "right"
        curves.append(Curve(at_s=now, duration_s=length_s, radius_m=radius_m, turn=turn))
        now += length_s + float(rng.uniform(5, 45))
    return curves


def _legs_between(legs: list[Leg], start_s: float, end_s: float) -> list[Leg]:
    """The legs that are being driven at some instant of the span."""
    last_before = [leg for leg in legs if leg.at_s <= start_s][-1:]
    return last_before + [leg for leg in legs if start_s < leg.at_s < end_s]


def _bumps(rng: np.random.Generator, duration_s: float) -> list[Event]:
    """Uneven spots of every road, well below what counts as an impact."""
    gaps = rng.exponential(40, size=int(duration_s / 10) + 1)
    return [
        Pothole(at_s=float(at_s), peak_mps2=float(rng.uniform(2, 7)), side="left" if rng.random() < 0.5 else "right")
        for at_s in np.cumsum(gaps)
        if at_s < duration_s - 5
    ]
