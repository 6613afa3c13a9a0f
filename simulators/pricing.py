"""The insurer's pricing: trips into a premium factor. Pure, and simple on purpose: an example, not an actuary's tariff.

Harsh events per 100 km are compared with a portfolio's; how much that counts grows with the distance (credibility
Z = km / (km + K), Buehlmann). A car without trips, or without consent to send them, pays the base premium.
"""

from dataclasses import dataclass
from typing import Final

from agent.core.events import AnyEvent, TripEnded

FACTOR_MIN: Final = 0.8
FACTOR_MAX: Final = 1.3
_EXPECTED_PER_100_KM: Final = 4.0  # the simulated portfolio's
_CREDIBILITY_KM: Final = 1000.0
_WEIGHT: Final = 0.2
_BRAKING_WEIGHT: Final = 2.0  # braking foretells claims better than the other two


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one car has driven. harsh is weighted."""

    trips: int = 0
    distance_km: float = 0.0
    harsh: float = 0.0

    @property
    def factor(self) -> float:
        """Premium factor: 1 is the base premium, between FACTOR_MIN and FACTOR_MAX."""
        if not self.distance_km:
            return 1.0
        relative = self.harsh / self.distance_km * 100 / _EXPECTED_PER_100_KM - 1
        credibility = self.distance_km / (self.distance_km + _CREDIBILITY_KM)
        return min(max(1 + _WEIGHT * credibility * relative, FACTOR_MIN), FACTOR_MAX)


class Pricing:
    """One exposure a device, from its accepted events."""

    def __init__(self) -> None:
        self._exposures: dict[str, Exposure] = {}

    def take(self, device: str, event: AnyEvent) -> Exposure | None:
        """Return the device's new exposure where the event is a trip."""
        if not isinstance(event, TripEnded) or event.distance_m <= 0:
            return None
        before = self.exposure(device)
        harsh = event.harsh_acceleration_count + event.harsh_cornering_count
        self._exposures[device] = Exposure(
            before.trips + 1,
            before.distance_km + event.distance_m / 1000,
            before.harsh + harsh + _BRAKING_WEIGHT * event.harsh_braking_count,
        )
        return self._exposures[device]

    def exposure(self, device: str) -> Exposure:
        """What is known of a car."""
        return self._exposures.get(device, Exposure())
