"""Faults put into rows of a healthy drive, and from which second on they show: what the drive model learns them from.

Rows are float64[seconds, inputs] in the order of INPUTS, NaN where a car does not tell a signal.
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from agent.core import vss

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Input(NamedTuple):
    """A signal as SAE J1979 tells it: a step in its unit; slow ones are asked for seldom; name of drive_cars.Driven."""

    path: str
    unit: str
    name: str
    step: float
    slow: bool = False


INPUTS: Final = (
    Input(vss.SPEED, "km/h", "speed", 1.0),
    Input(vss.ENGINE_SPEED, "rpm", "rpm", 0.25),
    Input(vss.LONG_TERM_FUEL_TRIM, "percent", "long", 100 / 128, slow=True),
    Input(vss.SHORT_TERM_FUEL_TRIM, "percent", "short", 100 / 128),
    Input(vss.THROTTLE, "percent", "throttle", 100 / 255),
    Input(vss.ENGINE_LOAD, "percent", "load", 100 / 255),
    Input(vss.MANIFOLD_PRESSURE, "kPa", "map_kpa", 1.0),
    Input(vss.MASS_AIR_FLOW, "g/s", "maf_gps", 0.01),
    Input(vss.COOLANT_TEMPERATURE, "Celsius", "coolant", 1.0, slow=True),
    Input(vss.INTAKE_TEMPERATURE, "Celsius", "intake", 1.0, slow=True),
    Input(vss.LOW_VOLTAGE, "V", "volts", 0.001, slow=True),
    Input(vss.RUN_TIME, "s", "run_s", 1.0, slow=True),
)
REQUIRED: Final = 3  # the first of them: what has no fuel trim is a diesel, an electric car or nothing known here
PLACE: Final = {signal.name: place for place, signal in enumerate(INPUTS)}

COLD_C: Final = 73.0  # some thermostats keep an engine at 80: above this nobody can tell

_SHOWN_S: Final = 60  # of the last two minutes
_LOOK_S: Final = 120

Kind = Literal[
    "misfire", "lean_mixture", "rich_mixture", "thermostat", "not_charging", "sensor_implausible"
]  # as agent.core.manifest.Output.fault


class Fault(NamedTuple):
    """An output of the model: the fault, the input it shows in, and how far off that must be to be called wrong.

    moved: how much that input must be all through a window for the output to count.
    """

    fault: Kind
    name: str
    least: float
    moved: float | None = None

    @property
    def path(self) -> str:
        """Of the input it shows in."""
        return INPUTS[PLACE[self.name]].path


FAULTS: Final = (
    Fault("misfire", "rpm", 10.0),
    Fault("lean_mixture", "long", 12.0),
    Fault("rich_mixture", "long", 12.0),
    Fault("thermostat", "coolant", 10.0),
    Fault("not_charging", "volts", 0.7),
    Fault("sensor_implausible", "coolant", 12.0),
    Fault("sensor_implausible", "throttle", 3.0),
    Fault("sensor_implausible", "maf_gps", 2.0),
    Fault("sensor_implausible", "map_kpa", 12.0),
    Fault("sensor_implausible", "speed", 8.0, moved=5.0),
)


def put_in(fault: Fault, rows: Floats, onset: int, rng: np.random.Generator) -> tuple[Floats, Flags]:
    """The rows with the fault from the onset on, and where it shows: bool[seconds]."""
    broken = rows.copy()
    since = np.arange(len(rows) - onset, dtype=np.float64)
    part = broken[onset:]
    _CHANGES[fault.fault](fault, part, since, rng)
    off = np.abs(broken - rows)
    place = PLACE[fault.name]
    wrong = off[:, place] + (off[:, PLACE["short"]] if fault.name == "long" else 0.0) >= fault.least
    if fault.fault == "thermostat":
        wrong &= broken[:, place] < COLD_C
    return broken, shows(wrong)


def shows(wrong: Flags) -> Flags:
    """Where it has been wrong for one of the last two minutes."""
    total = np.cumsum(wrong)
    before = np.concatenate([np.zeros(min(_LOOK_S, len(total)), total.dtype), total[:-_LOOK_S]])
    return np.asarray(total - before >= _SHOWN_S)


def _misfire(_: Fault, part: Floats, since: Floats, rng: np.random.Generator) -> None:
    rough = rng.uniform(35, 170) * rng.normal(0, 1, len(since)) * (rng.random(len(since)) < rng.uniform(0.7, 1.0))
    part[:, PLACE["rpm"]] = np.maximum(part[:, PLACE["rpm"]] + rough, 405.0)
    if rng.random() < 0.5:
        part[:, PLACE["short"]] += rng.uniform(0, 8)


def _mixture(fault: Fault, part: Floats, since: Floats, rng: np.random.Generator) -> None:
    percent = rng.uniform(14, 45) if fault.fault == "lean_mixture" else -rng.uniform(14, 40)
    _learn(part, since, percent, rng)


def _learn(part: Floats, since: Floats, percent: float, rng: np.random.Generator) -> None:
    """The short trim answers at once, the long one learns, within what the control unit allows."""
    learnt = 1 - np.exp(-since / rng.uniform(10, 200))
    most = rng.uniform(25, 50)
    for name, share in (("long", learnt), ("short", 1 - learnt)):
        place = PLACE[name]
        part[:, place] = np.clip(part[:, place] + percent * share, -most, most)


def _thermostat(_: Fault, part: Floats, since: Floats, rng: np.random.Generator) -> None:
    place = PLACE["coolant"]
    floor_c = np.nanmin(part[:, PLACE["intake"]]) if np.isfinite(part[:, PLACE["intake"]]).any() else 15.0
    kept = rng.uniform(0.35, 0.75)
    share = kept + (1 - kept) * np.exp(-since / rng.uniform(60, 400))
    part[:, place] = floor_c + np.maximum(part[:, place] - floor_c, 0) * share


def _alternator(_: Fault, part: Floats, since: Floats, rng: np.random.Generator) -> None:
    place, rest_v = PLACE["volts"], rng.uniform(12.0, 12.6)
    fallen = rest_v + (part[:, place] - rest_v) * np.exp(-since / 6) - rng.uniform(0.01, 0.7) / 60 * since
    part[:, place] = np.where(np.isnan(part[:, place]), np.nan, np.maximum(fallen, rng.uniform(8, 11.5)))


_SPAN: Final = {  # offsets, and drift a second
    "coolant": (20.0, 60.0, 0.1, 1.0),
    "throttle": (10.0, 40.0, 0.02, 0.3),
    "maf_gps": (6.0, 40.0, 0.02, 0.3),
    "map_kpa": (20.0, 60.0, 0.05, 0.5),
    "speed": (10.0, 60.0, 0.05, 0.3),
}
_MOST: Final = {
    "coolant": (-40, 215),
    "throttle": (0, 100),
    "maf_gps": (0, 655),
    "map_kpa": (0, 255),
    "speed": (0, 255),
}


def _sensor(fault: Fault, part: Floats, since: Floats, rng: np.random.Generator) -> None:
    place = PLACE[fault.name]
    true = part[:, place].copy()
    least, most, slow, fast = _SPAN[fault.name]
    sign = 1.0 if rng.random() < 0.5 else -1.0
    how = rng.random()
    if fault.name == "speed":
        how = min(how, 0.49)  # another scale is another tyre; an offset shows at once when the car stands
    if how < 0.5:
        part[:, place] = 0.0 if rng.random() < 0.25 and fault.name != "coolant" else true[0]
    elif how < 0.7:
        part[:, place] = true + sign * rng.uniform(least, most)
    elif how < 0.85 or fault.name == "coolant":
        part[:, place] = true + sign * rng.uniform(slow, fast) * since
    else:
        part[:, place] = true * (rng.uniform(0.3, 0.6) if sign < 0 else rng.uniform(1.6, 2.2))
    part[:, place] = np.clip(part[:, place], *_MOST[fault.name])
    if fault.name in {"maf_gps", "map_kpa"}:
        _mislead(part, true, since, place, rng)


def _mislead(part: Floats, true: Floats, since: Floats, place: int, rng: np.random.Generator) -> None:
    """A control unit that believes the sensor misreckons the load, and its trims mend the mixture."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip(np.nan_to_num(part[:, place] / true, nan=1.0, posinf=2.5), 0.3, 2.5)
    if rng.random() < 0.5:
        part[:, PLACE["load"]] = np.clip(part[:, PLACE["load"]] * ratio, 0, 100)
    if rng.random() < 0.4:
        _learn(part, since, float(np.clip(100 / ratio.mean() - 100, -35, 35)), rng)


_CHANGES: Final[dict[str, Callable[[Fault, Floats, Floats, np.random.Generator], None]]] = {
    "misfire": _misfire,
    "lean_mixture": _mixture,
    "rich_mixture": _mixture,
    "thermostat": _thermostat,
    "not_charging": _alternator,
    "sensor_implausible": _sensor,
}
