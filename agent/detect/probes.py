"""Temperature probes that lie, by what no cell can do: jump and stay, stand still while all others move, be far colder.

A reading that is too high and got there slowly is believed: it may be true, and that is the safe mistake.
"""

from statistics import median
from typing import Final

from agent.core.battery_events import PackSensorFault
from agent.detect.streams import NS

_JUMP_C: Final = 8.0
_JUMP_SPAN_NS: Final = 5 * NS  # between two samples; of slower logs nobody can say that it was a jump
_VERDICT_NS: Final = 3 * NS
_GOES_ON_C: Final = 2.0
_BACK_C: Final = 4.0
_PERIOD_NS: Final = 30 * NS
_STUCK_C: Final = 6.0  # by which the others have moved
_COLDER_C: Final = 12.0  # than the median probe, for ten minutes: nothing cools one cell alone
_COLDER_PERIODS: Final = 20
_FRESH_NS: Final = 90 * NS
_PROBES_MIN: Final = 4


class JumpWatch:
    """Whether a probe's value may be believed: after a jump not before it has shown what it does next."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None
        self._jump: tuple[int, float, float] | None = None  # when, from, to
        self.lying = False

    def feed(self, t_ns: int, celsius: float) -> bool:
        """Take a sample; whether to believe it. `lying` turns true once a jump is known to be one of the sensor."""
        last, self._last = self._last, (t_ns, celsius)
        if self._jump is None:
            if last is None or t_ns - last[0] > _JUMP_SPAN_NS or abs(celsius - last[1]) < _JUMP_C:
                return True
            self._jump = (t_ns, last[1], celsius)
            return False
        since_ns, before, after = self._jump
        if abs(celsius - before) <= _BACK_C:
            self._jump, self.lying = None, False
            return True
        if self.lying:
            return False
        if (celsius - after) * (after - before) > 0 and abs(celsius - after) >= _GOES_ON_C:
            self._jump = None  # a cell that burns goes on rising
            return True
        self.lying = t_ns - since_ns >= _VERDICT_NS
        return False

    @property
    def expected(self) -> float | None:
        """What it read before it jumped."""
        return None if self._jump is None else self._jump[1]


class ProbePanel:
    """All probes side by side every half minute: which one stands still, and which one is colder than can be."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[int, float]] = {}
        self._period: int | None = None
        self._still: dict[str, tuple[float, float]] = {}  # its value, and the median when it began to stand still
        self._colder: dict[str, int] = {}
        self._told: dict[str, str] = {}  # what is known against whom

    def feed(self, t_ns: int, path: str, celsius: float) -> list[PackSensorFault]:
        """Take a sample of a probe, VSS path and Celsius."""
        faults: list[PackSensorFault] = []
        period = t_ns // _PERIOD_NS
        if self._period is not None and period != self._period:
            faults = self._compare(t_ns)
        self._period = period
        self._latest[path] = (t_ns, celsius)
        still = self._still.get(path)
        if still is not None and still[0] != celsius:
            del self._still[path]
            if self._told.get(path) == "stuck":
                del self._told[path]
        return faults

    def is_believed(self, path: str) -> bool:
        """Whether nothing is known against this probe."""
        return path not in self._told

    def _compare(self, t_ns: int) -> list[PackSensorFault]:
        fresh = {path: value for path, (at_ns, value) in self._latest.items() if t_ns - at_ns <= _FRESH_NS}
        if len(fresh) < _PROBES_MIN:
            return []
        middle = median(fresh.values())
        faults = []
        for path, value in fresh.items():
            at_begin = self._still.setdefault(path, (value, middle))[1]
            colder = self._colder[path] = self._colder.get(path, 0) + 1 if value <= middle - _COLDER_C else 0
            stuck = abs(middle - at_begin) >= _STUCK_C
            if self._told.get(path) == "drift" and value > middle - _COLDER_C / 2:
                del self._told[path]
            if path in self._told or not (stuck or colder >= _COLDER_PERIODS):
                continue
            self._told[path] = "stuck" if stuck else "drift"
            faults.append(lie(t_ns, path, self._told[path], value=value, expected=middle))
        if len(self._told) * 2 > len(fresh):  # then it is not the probes
            self._told.clear()
            return []
        return faults


def lie(t_ns: int, path: str, fault: str, *, value: float, expected: float) -> PackSensorFault:
    """The event."""
    return PackSensorFault(
        t_ns=t_ns,
        signal=path,
        fault=fault,  # type: ignore[arg-type]  # the three that it knows
        value=round(value, 1),
        expected=round(expected, 1),
        unit="Celsius",
    )
