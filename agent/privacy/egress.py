"""The only door between an event and the outbox.

What no consented purpose covers does not pass, and where a crash was passes only as precisely as was agreed to.
"""

import logging
from collections import Counter
from dataclasses import replace
from math import cos, hypot, isfinite, radians
from typing import Final, Literal

import msgspec

from agent.core.config import Consent
from agent.core.errors import ProtocolError
from agent.core.events import Collision, CrashRecord, EmergencyData, Event, Purpose, Telemetry
from agent.core.vss import LATITUDE, LONGITUDE
from agent.proto.msd import Place, decode_msd, degrees_of, encode_msd, place_of

_LOG: Final = logging.getLogger(__name__)
_AREA_DIGITS: Final = 2
_EXACT_DIGITS: Final = 5
_DEGREE_M: Final = 111_320.0
_WORDS: Final = ("latitude", "longitude", "currentlocation")

Precision = Literal["none", "area", "exact"]


class EgressFilter:
    """Lets events pass by purpose, without what was not agreed to, and counts what it withheld."""

    def __init__(self, consent: Consent) -> None:
        self._purposes = frozenset(consent.purposes)
        self._precision: Precision = consent.crash_position
        self.withheld: Counter[Purpose] = Counter()

    def admit(self, event: Event) -> Event | None:
        """What may leave of an event, None for nothing."""
        leaving = self._cut(event) if event.purpose in self._purposes else None
        if leaving is None:
            self.withheld[event.purpose] += 1
        return leaving

    def _cut(self, event: Event) -> Event | None:
        if isinstance(event, Collision):
            return _cut_collision(event, self._precision)
        if isinstance(event, EmergencyData):
            return _cut_emergency(event, self._precision)
        if _tells_a_place(event):
            _LOG.error("%s at %d ns tells where the car was: withheld", event.kind, event.t_ns)
            return None
        return event


def _cut_collision(event: Collision, precision: Precision) -> Collision:
    latitude, longitude, accuracy_m = event.latitude, event.longitude, event.position_accuracy_m
    if event.latitude is None and event.longitude is None and event.position_accuracy_m is None:
        return event
    if precision == "none" or latitude is None or longitude is None or not _is_place(latitude, longitude):
        return msgspec.structs.replace(event, latitude=None, longitude=None, position_accuracy_m=None)
    if precision == "area":
        accuracy_m = _cell_m(latitude) + (accuracy_m or 0.0)
    digits = _AREA_DIGITS if precision == "area" else _EXACT_DIGITS
    return msgspec.structs.replace(
        event,
        latitude=round(latitude, digits),
        longitude=round(longitude, digits),
        position_accuracy_m=accuracy_m,
    )


def _cut_emergency(event: EmergencyData, precision: Precision) -> EmergencyData | None:
    """An area is no position to be trusted, and the places before it would tell more than it."""
    try:
        msd = decode_msd(event.msd)
    except ProtocolError:
        _LOG.exception("what cannot be read may tell anything: withheld")
        return None
    if msd.additional is not None:
        return None  # nobody here makes one, and it could tell anything
    if precision == "exact":
        cut = replace(msd, place=_rounded(msd.place, _EXACT_DIGITS))
    elif precision == "area":
        cut = replace(msd, place=_rounded(msd.place, _AREA_DIGITS), trusted=False, recent=())
    else:
        cut = replace(msd, place=None, trusted=False, recent=(), direction_deg=None)
    return msgspec.structs.replace(event, msd=encode_msd(cut))


def _rounded(place: Place | None, digits: int) -> Place | None:
    if place is None:
        return None
    latitude_deg, longitude_deg = degrees_of(place)
    return place_of(round(latitude_deg, digits), round(longitude_deg, digits))


def _is_place(latitude: float, longitude: float) -> bool:
    return isfinite(latitude) and isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180


def _cell_m(latitude: float) -> float:
    """From the middle of a cell of the area's grid to its corner."""
    half_m = _DEGREE_M * 10**-_AREA_DIGITS / 2
    return round(hypot(half_m, half_m * cos(radians(latitude))))


def _tells_a_place(event: Event) -> bool:
    """Whether signals of a record or of telemetry say where the car was: nobody may agree to that, it is a bug."""
    if isinstance(event, Telemetry):
        return any(path in {LATITUDE, LONGITUDE} for path in event.signals)
    if isinstance(event, CrashRecord):
        said = "\n".join([event.elements, *event.signals]).lower()
        return any(word in said for word in _WORDS)
    return False
