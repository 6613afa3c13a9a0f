"""Healthy drives without end, for training and for the question how often an alarm is false."""

import numpy as np

from simulators.world.grid import stream
from simulators.world.scenario import Car, Curve, Gnss, Imu, Leg, Scenario
from simulators.world.simulation import simulate
from simulators.world.types import Drive


def simulate_commute(seed: int, duration_s: float) -> Drive:
    """A healthy drive of this length: its own car, weather, driver and roads, all from the seed."""
    return simulate(random_commute(seed, duration_s), seed)


def random_commute(seed: int, duration_s: float) -> Scenario:
    """The scenario behind it. Nothing in it breaks a default limit of the agent."""
    rng = stream(seed, "commute")
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
        legs=_legs(rng, duration_s),
        curves=_curves(rng, duration_s),
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


def _curves(rng: np.random.Generator, duration_s: float) -> list[Curve]:
    """Bends wide enough for any speed of the plan: 120 km/h on 450 m is 2.5 m/s^2."""
    curves: list[Curve] = []
    now = float(rng.uniform(8, 30))
    while now < duration_s - 10:
        length_s = float(rng.uniform(3, 9))
        turn = "left" if rng.random() < 0.5 else "right"
        curves.append(
            Curve(at_s=now, duration_s=length_s, radius_m=float(rng.uniform(450, 1500)), turn=turn)  # type: ignore[arg-type] # a str literal
        )
        now += length_s + float(rng.uniform(5, 60))
    return curves
