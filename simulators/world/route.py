"""A route with speed limits into the legs that a driver makes of it."""

from typing import Final

import numpy as np

from simulators.world.scenario import Driver, Leg, Scenario, Stretch

_START_S: Final = 1.0
_FORESIGHT_S: Final = 1.5  # how much earlier than a sum would have it a driver begins to brake


def legs_of(scenario: Scenario) -> list[Leg]:
    """The legs as given, or those of the route: each limit kept from its sign on, stops at the ends of stretches."""
    if not scenario.route:
        return scenario.legs
    legs: list[Leg] = []
    now, speed = _START_S, 0.0
    for stretch, following in zip(scenario.route, [*scenario.route[1:], None], strict=True):
        now, speed = _drive(stretch, following, scenario.driver, now, speed, legs)
    return [leg for leg in legs if leg.at_s < scenario.duration_s]


def _drive(
    stretch: Stretch, following: Stretch | None, driver: Driver, now: float, speed: float, legs: list[Leg]
) -> tuple[float, float]:
    """Add the legs of one stretch; return when it ends, and how fast. m/s throughout."""
    push, brake = driver.acceleration_mps2, driver.braking_mps2
    wanted = driver.keeps_share * stretch.limit_kmh / 3.6
    stops = following is None or stretch.stop_s > 0
    leave = 0.0 if stops or following is None else min(wanted, driver.keeps_share * following.limit_kmh / 3.6)
    # The fastest that length, acceleration and braking allow.
    free = (stretch.length_m + speed**2 / (2 * push) + leave**2 / (2 * brake)) / (1 / (2 * push) + 1 / (2 * brake))
    peak = max(min(wanted, float(np.sqrt(free))), leave, 1.0)
    legs.append(_leg(driver, now, peak))
    speeding_up = max(peak - speed, 0) / push
    cruise_m = stretch.length_m - abs(peak**2 - speed**2) / (2 * push) - (peak**2 - leave**2) / (2 * brake)
    now += speeding_up + max(cruise_m, 0) / peak
    if leave < peak:
        legs.append(_leg(driver, max(now - _FORESIGHT_S, legs[-1].at_s + 0.5), leave))
        now += (peak - leave) / brake
    return now + stretch.stop_s, leave


def _leg(driver: Driver, at_s: float, mps: float) -> Leg:
    return Leg(
        at_s=round(at_s, 3),
        speed_kmh=round(3.6 * mps, 3),
        acceleration_mps2=driver.acceleration_mps2,
        braking_mps2=driver.braking_mps2,
    )
