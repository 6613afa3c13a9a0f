"""Notices what only the conversation cares about: a stay at a partner place, a renewal, a lamp, a tyre."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Final, get_args

from agent.core.event_base import Event
from agent.core.occasions import Lamp, LowTyre, RenewalNear, WarningLamp, Wheel
from agent.core.partners import Partner, Policy
from agent.core.signals import SignalWindow
from agent.core.vss import AIRBAG_LAMP, ENGINE_LAMP, SPEED, TYRE_PRESSURES, TYRES_LOW
from agent.voice.places import Places
from agent.voice.scene_memory import SceneMemory

_SPOKEN_OF_DAYS: Final = 60
_DRIVES_KMH: Final = 10.0
_STEADY_NS: Final = 5 * 10**9  # bulbs are tested for some seconds when the ignition is switched on; M
_LOW_SHARE: Final = 0.75  # of the other wheel; GB 26149 and JT/T 1429 have it of the recommended pressure
_LOW_NS: Final = 60 * 10**9
_LAMPS: Final[dict[Lamp, str]] = {"engine": ENGINE_LAMP, "airbag": AIRBAG_LAMP}


class Occasions:
    """`update(window) -> [Event]`; none of these events is stored or sent. utc_ns: None where UTC is not known."""

    def __init__(
        self,
        partners: Sequence[Partner],
        policy: Policy,
        memory: SceneMemory,
        utc_ns: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._places = Places(partners, memory)
        self._renewal = date.fromisoformat(policy.renewal) if policy.renewal else None
        self._utc_ns = utc_ns
        self._lamps = {lamp: _Lamp(path) for lamp, path in _LAMPS.items()}
        self._tyres = [_Tyre(place) for place in range(len(TYRE_PRESSURES))]

    def update(self, window: SignalWindow) -> list[Event]:
        """Everything that this window brings."""
        found: list[Event] = [*self._places.update(window), *self._look_at_policy(window)]
        lamps = (lamp for lamp, watch in self._lamps.items() if watch.came_on(window))
        found += [WarningLamp(t_ns=window.t_ns, lamp=lamp) for lamp in lamps]
        found += [self._low_tyre(window, tyre) for tyre in self._tyres if tyre.is_low(window)]
        return found

    def _look_at_policy(self, window: SignalWindow) -> list[RenewalNear]:
        speed_kmh = window.latest(SPEED)
        if self._renewal is None or speed_kmh is None or speed_kmh < _DRIVES_KMH:
            return []
        if (utc_ns := self._utc_ns()) is None:
            return []
        days = (self._renewal - datetime.fromtimestamp(utc_ns / 1e9, UTC).date()).days
        self._renewal = None
        return [RenewalNear(t_ns=window.t_ns, days=days)] if 0 <= days <= _SPOKEN_OF_DAYS else []

    def _low_tyre(self, window: SignalWindow, tyre: "_Tyre") -> LowTyre:
        found = self._places.nearest(window, "tyres")
        wheel, pressure_kpa = get_args(Wheel)[tyre.place], window.latest(TYRE_PRESSURES[tyre.place])
        if found is None:
            return LowTyre(t_ns=window.t_ns, wheel=wheel, pressure_kpa=pressure_kpa)
        partner, distance_m = found
        return LowTyre(
            t_ns=window.t_ns,
            wheel=wheel,
            pressure_kpa=pressure_kpa,
            place=partner.name,
            distance_m=round(distance_m),
            phone=partner.phone,
        )


class _Lamp:
    """On for some seconds after it was off for as long; told once a start."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._since_ns: dict[bool, int | None] = {False: None, True: None}
        self._was_off = False
        self._told = False

    def came_on(self, window: SignalWindow) -> bool:
        series = window.new(self._path)
        for t_ns, value in zip(series.t_ns.tolist(), series.value.tolist(), strict=True):
            on = value >= 1
            self._since_ns[not on] = None
            since_ns = self._since_ns[on]
            if since_ns is None:
                self._since_ns[on] = since_ns = t_ns
            steady = t_ns - since_ns >= _STEADY_NS
            self._was_off |= steady and not on
            if steady and on and self._was_off and not self._told:
                self._told = True
                return True
        return False


class _Tyre:
    """Low for a minute, by the car's own word or against the other wheel of its axle; told once a start."""

    def __init__(self, place: int) -> None:
        self.place = place
        self._other = place ^ 1
        self._since_ns: int | None = None
        self._told = False

    def is_low(self, window: SignalWindow) -> bool:
        if self._told or not {TYRE_PRESSURES[self.place], TYRES_LOW[self.place]} & set(window.paths()):
            return False
        own, other = window.latest(TYRE_PRESSURES[self.place]), window.latest(TYRE_PRESSURES[self._other])
        less = own is not None and other is not None and own <= _LOW_SHARE * other
        if not less and not window.latest(TYRES_LOW[self.place]):
            self._since_ns = None
            return False
        self._since_ns = window.t_ns if self._since_ns is None else self._since_ns
        self._told = window.t_ns - self._since_ns >= _LOW_NS
        return self._told
