"""After each crash a minimum set of data, as eCall has it, for desks that read those. It calls nobody.

The first notice goes first: half a second later, when it and the first fragments of the crash record are on the disk,
the set is put together on a thread, since loading its encoder takes as long as a blink.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from agent.core import vss
from agent.core.config import Vehicle
from agent.core.events import Collision, EmergencyData, Event, Rollover
from agent.core.ports import Clock
from agent.core.signals import SignalWindow
from agent.proto.msd import NO_VIN, Msd, encode_msd, place_of, recent_of

_AFTER_S: Final = 0.5
_WAITING_MAX: Final = 8
_FIXES_MAX: Final = 16
_FIX_EVERY_NS: Final = 10**9
_RECENT_NS: Final = 5 * 10**9  # between the places before; no source at hand names a figure
_FRESH_NS: Final = 3 * 10**9
_OLD_NS: Final = 60 * 10**9  # what was known longer ago is no place of the crash
_TRUSTED_M: Final = 150.0  # common knowledge of EN 15722
_MOVING_KMH: Final = 5.0  # slower, a receiver's heading is noise


@dataclass(frozen=True, slots=True)
class _Fix:
    t_ns: int
    latitude_deg: float
    longitude_deg: float
    accuracy_m: float | None


class Emergency:
    """Hears windows and events; run emits an EmergencyData for the first impact of a crash and for a rollover.

    The set names the place as exactly as it is known: how much of it may leave is up to the egress filter.
    """

    def __init__(
        self, vehicle: Vehicle, clock: Clock, *, emit: Callable[[Event], None], enabled: Callable[[], bool]
    ) -> None:
        """enabled: whether the driver agrees to claims now; as long as not, the encoder is never loaded."""
        self._vehicle = vehicle
        self._clock = clock
        self._emit = emit
        self._enabled = enabled
        self._fixes: deque[_Fix] = deque(maxlen=_FIXES_MAX)
        self._heading_deg: float | None = None
        self._waiting: deque[tuple[int, Msd]] = deque(maxlen=_WAITING_MAX)
        self._ready = asyncio.Event()

    def on_window(self, window: SignalWindow) -> None:
        """Note where the car is, once a second, and which way it drives."""
        latitude = window.new(vss.LATITUDE)
        longitude_deg = window.latest(vss.LONGITUDE)
        if len(latitude) == 0 or longitude_deg is None:
            return
        t_ns = int(latitude.t_ns[-1])
        if self._fixes and t_ns - self._fixes[-1].t_ns < _FIX_EVERY_NS:
            return
        accuracy_m = window.latest(vss.HORIZONTAL_ACCURACY)
        self._fixes.append(_Fix(t_ns, float(latitude.value[-1]), longitude_deg, accuracy_m))
        speed_kmh = window.latest(vss.GNSS_SPEED)
        if speed_kmh is None:
            speed_kmh = window.latest(vss.SPEED)
        heading_deg = window.latest(vss.HEADING)
        if heading_deg is not None and speed_kmh is not None and speed_kmh >= _MOVING_KMH:
            self._heading_deg = heading_deg

    def on_event(self, event: Event) -> None:
        """Take what is known now, if it is a crash. Never waits."""
        first = isinstance(event, Collision) and event.multi_event == 1
        if self._enabled() and (first or isinstance(event, Rollover)):
            self._waiting.append((event.t_ns, self._describe(event)))
            self._ready.set()

    async def run(self) -> None:
        """Until cancelled; what waits then is told at once."""
        try:
            while True:
                self._ready.clear()
                while self._waiting:
                    await self._clock.sleep(_AFTER_S)
                    t_ns, msd = self._waiting[0]
                    with self._clock.hold():
                        data = await asyncio.to_thread(partial(encode_msd, msd))
                    self._tell(t_ns, data)
                await self._ready.wait()
        finally:
            while self._waiting:
                t_ns, msd = self._waiting[0]
                self._tell(t_ns, encode_msd(msd))

    def _tell(self, t_ns: int, data: bytes) -> None:
        self._waiting.popleft()
        self._emit(EmergencyData(t_ns=t_ns, msd=data))

    def _describe(self, event: Event) -> Msd:
        fixes = self._places_before(event.t_ns)
        fix = fixes[0] if fixes else None
        fresh = fix is not None and event.t_ns - fix.t_ns <= _FRESH_NS
        accuracy_m = None if fix is None else fix.accuracy_m
        places = [place_of(each.latitude_deg, each.longitude_deg) for each in fixes]
        return Msd(
            vin=self._vehicle.vin or NO_VIN,
            category=self._vehicle.category,
            propulsion=frozenset(self._vehicle.propulsion),
            timestamp_s=self._utc_s(event.t_ns),
            place=places[0] if places else None,
            trusted=fresh and accuracy_m is not None and accuracy_m <= _TRUSTED_M,
            direction_deg=None if self._heading_deg is None else round(self._heading_deg / 2) % 180 * 2,
            recent=recent_of(places),
            passengers=event.belted if isinstance(event, Collision) else None,
        )

    def _places_before(self, t_ns: int) -> list[_Fix]:
        """The newest fix of the last minute, and up to two more, each at least five seconds before."""
        found: list[_Fix] = []
        by_ns = t_ns
        for fix in reversed(self._fixes):
            if fix.t_ns <= by_ns and t_ns - fix.t_ns <= _OLD_NS and len(found) < 3:
                found.append(fix)
                by_ns = fix.t_ns - _RECENT_NS
        return found

    def _utc_s(self, t_ns: int) -> int:
        """Of an instant of this boot; 0, which means unknown, where the clock was not set."""
        if not self._clock.synced:
            return 0
        utc_s = (self._clock.wall_ns() - self._clock.monotonic_ns() + t_ns) // 10**9
        return utc_s if 0 <= utc_s < 2**32 else 0
