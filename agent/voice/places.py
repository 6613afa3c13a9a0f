"""Where the partner places are, and whether the car stayed at one. Positions stay in here."""

import math
from collections.abc import Sequence
from typing import Final

from agent.core.occasions import PartnerVisit
from agent.core.partners import Offer, Partner
from agent.core.signals import SignalWindow
from agent.core.vss import LATITUDE, LONGITUDE, SPEED
from agent.voice.scene_memory import SceneMemory

_DEGREE_M: Final = 111_320.0
_STANDS_KMH: Final = 3.0
_DRIVES_KMH: Final = 10.0
_STANDS_NS: Final = 120 * 10**9  # a queue before a junction is no stay
_STAY_S: Final = 1200.0  # shorter, and nothing was done there
_STAY_LONGEST_S: Final = 30 * 86_400.0


class Places:
    """Follows the position against the partners of the config."""

    def __init__(self, partners: Sequence[Partner], memory: SceneMemory) -> None:
        self._partners = partners
        self._memory = memory
        self._stands_since_ns: int | None = None

    def update(self, window: SignalWindow) -> list[PartnerVisit]:
        """Look at a window: a stay is noted while it lasts, and told once the car has left."""
        speed_kmh = window.latest(SPEED)
        if not self._partners or speed_kmh is None:
            return []
        if speed_kmh >= _DRIVES_KMH:
            self._stands_since_ns = None
            return self._leave(window.t_ns)
        if speed_kmh >= _STANDS_KMH:
            self._stands_since_ns = None
        elif self._stands_since_ns is None:
            self._stands_since_ns = window.t_ns
        elif window.t_ns - self._stands_since_ns >= _STANDS_NS and self._memory.stay is None:
            self._arrive(window, self._stands_since_ns)
        return []

    def nearest(self, window: SignalWindow, offer: Offer) -> tuple[Partner, float] | None:
        """The nearest place that offers it, and how far it is in m; None where that is not known."""
        here = _position(window)
        if here is None:
            return None
        offering = [(partner, _distance_m(partner, *here)) for partner in self._partners if offer in partner.offers]
        return min(offering, key=lambda pair: pair[1], default=None)

    def _arrive(self, window: SignalWindow, since_ns: int) -> None:
        here = _position(window)
        if here is None:
            return
        near = [
            (distance_m, partner)
            for partner in self._partners
            if (distance_m := _distance_m(partner, *here)) <= partner.radius_m
        ]
        if near:
            self._memory.note_stay(min(near, key=lambda pair: pair[0])[1].name, since_ns, window.t_ns)

    def _leave(self, t_ns: int) -> list[PartnerVisit]:
        stay = self._memory.stay
        if stay is None:
            return []
        stayed_s = stay.since.seconds_until(self._memory.instant(t_ns))
        if stayed_s is None:
            return []  # UTC comes with the first fixes
        self._memory.forget_stay()
        partner = next((partner for partner in self._partners if partner.name == stay.place), None)
        if partner is None or not _STAY_S <= stayed_s <= _STAY_LONGEST_S:
            return []
        return [
            PartnerVisit(
                t_ns=t_ns,
                place=partner.name,
                offers=list(partner.offers),
                minutes=round(stayed_s / 60, 1),
                phone=partner.phone,
            )
        ]


def _position(window: SignalWindow) -> tuple[float, float] | None:
    latitude, longitude = window.latest(LATITUDE), window.latest(LONGITUDE)
    return None if latitude is None or longitude is None else (latitude, longitude)


def _distance_m(partner: Partner, latitude: float, longitude: float) -> float:
    """Over a plane: good to a percent within the distances that a driver would go for a tyre."""
    north_m = (partner.latitude - latitude) * _DEGREE_M
    east = (partner.longitude - longitude + 180) % 360 - 180
    return math.hypot(north_m, east * _DEGREE_M * math.cos(math.radians(latitude)))
