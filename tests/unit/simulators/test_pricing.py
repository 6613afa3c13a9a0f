"""Pricing: what trips do to a premium."""

import pytest

from agent.core.events import TripEnded, TripStarted
from simulators.pricing import FACTOR_MAX, FACTOR_MIN, Exposure, Pricing


def _trip(km: float, braking: int = 0, cornering: int = 0) -> TripEnded:
    return TripEnded(
        t_ns=1,
        started_ns=0,
        duration_s=60.0,
        distance_m=km * 1000,
        speed_max_kmh=50.0,
        harsh_braking_count=braking,
        harsh_cornering_count=cornering,
    )


def test_without_trips_the_premium_is_the_base() -> None:
    pricing = Pricing()
    assert pricing.exposure("car1").factor == 1.0
    assert pricing.take("car1", TripStarted(t_ns=0)) is None
    assert pricing.take("car1", _trip(0.0)) is None


def test_a_portfolio_driver_pays_the_base_and_braking_counts_twice() -> None:
    assert Exposure(distance_km=100.0, harsh=4.0).factor == 1.0
    pricing = Pricing()
    exposure = pricing.take("car1", _trip(100.0, braking=1, cornering=2))
    assert exposure is not None
    assert (exposure.trips, exposure.distance_km, exposure.harsh) == (1, 100.0, 4.0)


@pytest.mark.parametrize(("harsh", "sign"), [(0.0, -1), (8.0, 1)])
def test_more_distance_counts_more(harsh: float, sign: int) -> None:
    short = Exposure(distance_km=100.0, harsh=harsh).factor - 1
    long = Exposure(distance_km=5000.0, harsh=harsh * 50).factor - 1
    assert 0 < sign * short < sign * long


def test_the_factor_is_bounded_and_each_car_has_its_own() -> None:
    assert Exposure(distance_km=1e6, harsh=1e6).factor == FACTOR_MAX
    assert Exposure(distance_km=1e9).factor == pytest.approx(FACTOR_MIN)
    pricing = Pricing()
    pricing.take("car1", _trip(100.0, braking=20))
    assert pricing.exposure("car1").factor > 1.0 == pricing.exposure("car2").factor
