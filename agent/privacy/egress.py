"""The only door between an event and the outbox.

A field leaves where its class says on what (`leaves`) and that is agreed to. What is not covered is blanked, and an
event that cannot be without it is withheld. Where the car was leaves only as precisely as was agreed to.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import cos, hypot, isfinite, radians
from typing import Any, Final, TypeVar

import msgspec

from agent.core.declared import Blanks, blanks_of, grounds_of
from agent.core.errors import ProtocolError
from agent.core.events import CrashRecord, EmergencyData, Event, Telemetry
from agent.core.privacy_events import Precision
from agent.core.vss import LATITUDE, LONGITUDE
from agent.privacy.agreed import Agreed
from agent.proto.msd import Place, decode_msd, degrees_of, encode_msd, place_of

_LOG: Final = logging.getLogger(__name__)
_AREA_DIGITS: Final = 2
_EXACT_DIGITS: Final = 5
_DEGREE_M: Final = 111_320.0
_WORDS: Final = ("latitude", "longitude", "currentlocation")
_PLACE: Final = ("latitude", "longitude", "position_accuracy_m")
_MSD: Final = "msd"
_PATHS: Final = ("signals", "frame_signals")

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done with one kind of event, as long as the same is agreed to."""

    blanks: Blanks
    place: Precision
    has_place: bool
    paths: tuple[str, ...]


class EgressFilter:
    """Lets events pass as agreed, and counts by purpose what it withheld or had to blank."""

    def __init__(self, agreed: Callable[[], Agreed]) -> None:
        """agreed: what is agreed to now; the same object as long as that does not change."""
        self._agreed = agreed
        self._known: Agreed | None = None
        self._plans: dict[type[Event], _Plan | None] = {}
        self.withheld: Counter[str] = Counter()

    def admit(self, event: Event) -> Event | None:
        """What may leave of an event, None for nothing."""
        agreed = self._agreed()
        if agreed is not self._known:
            self._known = agreed
            self._plans.clear()
        kind = type(event)
        if kind not in self._plans:
            self._plans[kind] = _plan(kind, agreed)
        plan = self._plans[kind]
        if event.t_ns < agreed.since.get(event.purpose, event.t_ns):
            plan = None  # nobody had agreed then
        leaving = None if plan is None else _cut(event, plan)
        if leaving is None:
            self.withheld[event.purpose] += 1
        return leaving


def _plan(kind: type[Event], agreed: Agreed) -> _Plan | None:
    blanks = blanks_of(kind, agreed.grounds)
    if blanks is None:
        return None
    grounds = grounds_of(kind)
    place = next((name for name in (_PLACE[0], _MSD) if name in grounds), None)
    return _Plan(
        blanks=blanks,
        place="none" if place is None else agreed.precision(grounds[place]),
        has_place=_PLACE[0] in grounds,
        paths=tuple(name for name in _PATHS if name in grounds),
    )


def _cut(event: Event, plan: _Plan) -> Event | None:
    if blanks := plan.blanks.of():
        event = msgspec.structs.replace(event, **blanks)
    if isinstance(event, EmergencyData):
        return _cut_emergency(event, plan.place)
    if any(_names_a_place(event, name) for name in plan.paths):
        _LOG.error("%s at %d ns tells where the car was: withheld", event.kind, event.t_ns)
        return None
    return _cut_place(event, plan.place) if plan.has_place else event


def _cut_place(event: E, precision: Precision) -> E:
    """Of any event that has latitude, longitude and position_accuracy_m."""
    latitude, longitude, accuracy_m = (getattr(event, name) for name in _PLACE)
    if latitude is None and longitude is None and accuracy_m is None:
        return event
    if precision == "none" or latitude is None or longitude is None or not _is_place(latitude, longitude):
        return msgspec.structs.replace(event, **dict.fromkeys(_PLACE))
    if precision == "area":
        accuracy_m = _cell_m(latitude) + (accuracy_m or 0.0)
    digits = _AREA_DIGITS if precision == "area" else _EXACT_DIGITS
    cut: dict[str, Any] = dict(
        zip(_PLACE, (round(latitude, digits), round(longitude, digits), accuracy_m), strict=True)
    )
    return msgspec.structs.replace(event, **cut)


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


def _names_a_place(event: Event, field: str) -> bool:
    """Whether signals of an event say where the car was: nobody may agree to that, it is a bug.

    Of telemetry config may ask for the heading and the altitude; elements of a crash record are texts.
    """
    paths = list(getattr(event, field))
    if isinstance(event, Telemetry):
        return any(path in {LATITUDE, LONGITUDE} for path in paths)
    if isinstance(event, CrashRecord):
        paths.append(event.elements)
    text = "\n".join(paths).lower()
    return any(word in text for word in _WORDS)
