"""Whether the car is switched on, told from what can be observed without asking it, and from what it answers.

No single sign is there in every car, so each sign renews a lease: the car counts as on until LEASE_NS after the last
one, and off from then on. Signs, the strong ones first:

| sign | says on | says off at once |
|---|---|---|
| engine speed, vehicle speed | above 0 | |
| `Vehicle.LowVoltageSystemState` | ON, START | LOCK, OFF, ACC |
| the adapter's ignition pin (AT IGN) | ON, once it has said OFF: many are not wired | OFF |
| 12 V supply (AT RV, or a signal) | alternator or DC-DC converter at work | it fell |

An answer is no sign: ECUs go on answering for minutes after the key is out. Nor is movement alone (a tow truck); it
only proves that a wake was a real one. The voltages are common knowledge of lead-acid supplies, not a standard's.

Where only the supply has spoken since the car woke, it dozes: asked for one sign now and then (see guard.py), for
IDLE_NS_MAX at most, and no more at all once it has left SILENCES_MAX requests in a row unanswered. A converter that
tops the 12 V battery up looks like an electric car that stands ready to go, and only the wait tells them apart.

A supply that comes up again and again without the car ever moving (a wake loop: by itself or because of us) locks:
weak signs are not believed for an hour, and twice as long each time after that.
"""

import math
import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from agent.core import vss

_SECOND: Final = 1_000_000_000

LEASE_NS: Final = 900_000_000  # below the second that is promised, by the time a frame takes to get out
CHARGING_V: Final = 13.2  # no lead-acid battery rests above it for long
FALL_V: Final = 0.3  # below the last seconds' highest: the alternator or converter has stopped
RISE_V: Final = 0.5  # above the lowest since the car went off: it has started
GAP_NS: Final = 60 * _SECOND  # without a sign, after which only a rise is believed
STEADY_V: Final = 13.5  # nor rests here at all
STEADY_NS: Final = 60 * _SECOND  # without decline, as surface charge has
DECLINE_V: Final = 0.05  # from the first half of that time to the second
PEAK_NS: Final = 10 * _SECOND
STILL_NS_MAX: Final = 1800 * _SECOND  # supply up, engine and car still: a charger, not a driver
IDLE_NS_MAX: Final = 120 * _SECOND  # the same where it has not moved since it woke: a converter that tops the 12 V up
DOZE_AFTER_NS: Final = 5 * _SECOND  # of such a wake
SILENCES_MAX: Final = 5  # requests without any answer, for SILENCE_NS at least: nobody there is awake
SILENCE_NS: Final = 3 * _SECOND
WAKES_MAX: Final = 3
WAKES_WITHIN_NS: Final = 6 * 3600 * _SECOND
LOCK_NS: Final = 3600 * _SECOND
LOCK_NS_MAX: Final = 24 * 3600 * _SECOND

MOVEMENT_KMH: Final = 10.0  # beyond what a standing GNSS receiver imagines

SIGNS: Final = (vss.ENGINE_SPEED, vss.SPEED, vss.LOW_VOLTAGE_STATE, vss.GNSS_SPEED)  # worth listening for on a bus
STATES: Final = ("UNDEFINED", "LOCK", "OFF", "ACC", "ON", "START")  # VSS's order: a sample's value is the place in it
_VOLTAGES_MAX: Final = 192


class Ignition:
    """The lease and its signs. Times are those of the observation's request, so an old answer never looks fresh."""

    def __init__(self) -> None:
        self.on_until_ns: int | None = None  # None: nothing has been observed yet
        self.locked_until_ns: int | None = None
        self.wake_loops = 0
        self._weak_wakes: deque[int] = deque(maxlen=WAKES_MAX)
        self._locks_in_row = 0
        self._voltages: deque[tuple[int, float]] = deque(maxlen=_VOLTAGES_MAX)
        self._rest_v: float | None = None  # lowest since off
        self._risen = False
        self._last_on_v: float | None = None
        self._fallen = False
        self._stood = False
        self._moved_ns: int | None = None  # or when it woke
        self._moved = False  # in this wake
        self._silences = 0  # requests in a row without an answer, and since when
        self._silent_ns = 0
        self._pin_wired = False
        self._measured = False  # the adapter has told a voltage

    def is_on(self, t_ns: int) -> bool:
        """Whether a sign of life is recent enough."""
        return self.on_until_ns is not None and t_ns < self.on_until_ns

    def is_locked(self, t_ns: int) -> bool:
        """Whether weak signs are not believed for now."""
        return self.locked_until_ns is not None and t_ns < self.locked_until_ns

    def dozes(self, t_ns: int) -> bool:
        """Whether only the supply or the adapter's pin has spoken since it woke, for some seconds already."""
        if self._moved or self._moved_ns is None or not self.is_on(t_ns):
            return False
        return t_ns - self._moved_ns > DOZE_AFTER_NS

    def observe_answer(self) -> None:
        """An ECU has answered: no sign that the car is on, but somebody there is awake."""
        self._silences = 0

    def observe_silence(self, t_ns: int) -> None:
        """No ECU has answered a request. Where only the supply has spoken, it is believed less for that."""
        if self._moved:
            return
        self._silent_ns = self._silent_ns if self._silences else t_ns
        self._silences += 1
        if self._silences >= SILENCES_MAX and t_ns - self._silent_ns >= SILENCE_NS:
            self._stood = True

    def observe(self, path: str, value: float, t_ns: int) -> None:
        """Any signal by its VSS path; most say nothing."""
        if not math.isfinite(value):
            return
        match path:
            case vss.ENGINE_SPEED:
                self.observe_engine(value, t_ns)
            case vss.SPEED:
                self.observe_speed(value, t_ns)
            case vss.LOW_VOLTAGE_STATE:
                self.observe_state(value, t_ns)
            case vss.LOW_VOLTAGE if not self._measured:
                self.observe_voltage(value, t_ns)
            case vss.GNSS_SPEED if value >= MOVEMENT_KMH:
                self.observe_movement(t_ns)

    def observe_adapter(self, lines: Sequence[str], t_ns: int) -> bool:
        """What an adapter said to AT RV or AT IGN; False where that was neither (it does not know the command).

        Its voltage is believed rather than the car's own signal: two meters that differ would look like a fall.
        """
        for line in lines:
            text = line.strip().upper()
            if text in {"ON", "OFF"}:
                self.observe_pin(on=text == "ON", t_ns=t_ns)
                return True
            if volts := re.search(r"(\d{1,2}(?:\.\d{1,2})?) ?V$", text):
                self._measured = True
                self.observe_voltage(float(volts[1]), t_ns)
                return True
        return False

    def observe_engine(self, rpm: float, t_ns: int) -> None:
        """Engine speed, from the car's own answer or its bus."""
        if rpm > 0:
            self._strong(t_ns)

    def observe_speed(self, kmh: float, t_ns: int) -> None:
        """Speed as the car's own wheels tell it."""
        if kmh > 0:
            self._strong(t_ns)

    def observe_state(self, state: float, t_ns: int) -> None:
        """`Vehicle.LowVoltageSystemState` as its place in STATES; UNDEFINED and unknown numbers say nothing."""
        if state in {4, 5}:
            self._strong(t_ns)
        elif state in {1, 2, 3}:
            self._off(t_ns)

    def observe_pin(self, *, on: bool, t_ns: int) -> None:
        """What AT IGN says."""
        if not on:
            self._pin_wired = True
            self._off(t_ns)
        elif self._pin_wired:
            self._weak(t_ns)

    def observe_movement(self, t_ns: int) -> None:
        """GNSS sees the car move: no reason to ask anything, but a wake was no idle one."""
        self._weak_wakes.clear()
        self._moved_ns, self._stood = t_ns, False
        self._unlock()

    def observe_voltage(self, volts: float, t_ns: int) -> None:
        """12 V supply as the adapter or the car measures it."""
        while self._voltages and self._voltages[0][0] < t_ns - STEADY_NS:
            self._voltages.popleft()
        self._voltages.append((t_ns, volts))
        self._stood = self._stood and volts >= CHARGING_V  # one look is enough: a starter pulls it down that long
        if self.is_on(t_ns) or self._was_on(t_ns):
            self._look_for_fall(volts, t_ns)
        else:
            self._look_for_rise(volts, t_ns)

    def _look_for_fall(self, volts: float, t_ns: int) -> None:
        """Renew the lease while the supply stays up; the first look at it has nothing to compare with."""
        recent = [(seen_ns, seen) for seen_ns, seen in self._voltages if seen_ns >= t_ns - PEAK_NS]
        peak = max(self._last_on_v or 0.0, *(seen for _, seen in recent), 0.0)
        if volts < CHARGING_V or volts <= peak - FALL_V:
            self._fallen = True
            self._voltages.clear()  # what was before the fall says nothing about a rest
            self._voltages.append((t_ns, volts))
            return
        compared = recent[0][0] <= t_ns - _SECOND or not self.is_on(t_ns)
        if compared and not self._stands_too_long(t_ns) and not self.is_locked(t_ns):
            self._last_on_v = volts
            self._renew(t_ns)

    def _was_on(self, t_ns: int) -> bool:
        """Whether the lease only lapsed for want of signs, as when the adapter was away, and nothing fell since."""
        recent = self.on_until_ns is not None and t_ns - self.on_until_ns < GAP_NS
        return recent and not self._fallen and self._last_on_v is not None

    def _look_for_rise(self, volts: float, t_ns: int) -> None:
        peak = max(seen for seen_ns, seen in self._voltages if seen_ns >= t_ns - PEAK_NS)
        if volts <= peak - FALL_V:  # it was up, unnoticed or not believed (locked), and is coming down: a new rest
            self._rest_v, self._risen = volts, False
            self._voltages.clear()
            self._voltages.append((t_ns, volts))
            return
        rest = volts if self._rest_v is None else self._rest_v
        self._rest_v = min(volts, rest)
        risen = volts >= max(CHARGING_V, rest + RISE_V)
        first_look = self.on_until_ns is None and volts >= STEADY_V
        if first_look or (risen and self._risen) or self._is_steady(t_ns):
            self._last_on_v = volts
            self._weak(t_ns)
        self._risen = risen

    def _stands_too_long(self, t_ns: int) -> bool:
        """Whether only the supply has spoken for so long that it is believed no more until it has been down."""
        limit_ns = STILL_NS_MAX if self._moved else IDLE_NS_MAX
        self._stood = self._stood or (self._moved_ns is not None and t_ns - self._moved_ns > limit_ns)
        return self._stood

    def _is_steady(self, t_ns: int) -> bool:
        """High for STEADY_NS, seen every other second or so, and not sinking."""
        count = len(self._voltages)
        if self._stood or count < 24 or self._voltages[0][0] > t_ns - STEADY_NS + 2 * _SECOND:
            return False
        volts = [seen for _, seen in self._voltages]
        decline = sum(volts[: count // 2]) / (count // 2) - sum(volts[count // 2 :]) / (count - count // 2)
        return min(volts) >= STEADY_V and decline < DECLINE_V

    def _strong(self, t_ns: int) -> None:
        if not self.is_on(t_ns):
            self._last_on_v = None  # of an earlier drive: says nothing about a fall in this one
        self._weak_wakes.clear()
        self._locks_in_row = 0
        self._moved_ns, self._moved, self._stood = t_ns, True, False
        self._unlock()
        self._renew(t_ns)

    def _weak(self, t_ns: int) -> None:
        if self.is_locked(t_ns):
            return
        if not self.is_on(t_ns):
            recent = [wake for wake in list(self._weak_wakes) if wake > t_ns - WAKES_WITHIN_NS]
            if len(recent) >= WAKES_MAX:
                self._lock(t_ns)
                return
            self._weak_wakes.append(t_ns)
            self._moved_ns, self._moved, self._silences = t_ns, False, 0
        self._renew(t_ns)

    def _renew(self, t_ns: int) -> None:
        self._fallen, self._rest_v, self._risen = False, None, False
        self.on_until_ns = max(self.on_until_ns or 0, t_ns + LEASE_NS)

    def _off(self, t_ns: int) -> None:
        self._fallen = True
        self.on_until_ns = min(t_ns, t_ns if self.on_until_ns is None else self.on_until_ns)

    def _lock(self, t_ns: int) -> None:
        self.locked_until_ns = t_ns + min(LOCK_NS_MAX, LOCK_NS << self._locks_in_row)
        self._locks_in_row = min(self._locks_in_row + 1, 8)
        self._weak_wakes.clear()
        self.wake_loops += 1

    def _unlock(self) -> None:
        self.locked_until_ns = None
