"""A crash record put together again from its fragments: what desks, evidence and training read. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.crash_columns import unpack_samples
from agent.core.crash_events import CrashRecord
from agent.core.errors import ProtocolError
from agent.core.signals import Series

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Element = float | int | bool | str | list[float | None] | None

IMU_PATHS: Final = (
    vss.ACCELERATION_LONGITUDINAL,
    vss.ACCELERATION_LATERAL,
    vss.ACCELERATION_VERTICAL,
    vss.ROLL_RATE,
    vss.PITCH_RATE,
    vss.YAW_RATE,
)
_AXES: Final = ("longitudinal", "lateral", "resultant")
_BEFORE: Final = ("speed_kmh", "accelerator_percent", "service_brake", "engine_rpm", "steering_deg")
ELEMENTS: Final = (
    "trigger",
    "trigger_ms",
    *(f"delta_v_{axis}_kmh" for axis in _AXES),
    *(f"delta_v_max_{axis}_{unit}" for axis in _AXES for unit in ("kmh", "ms")),
    "clipped",
    "clipped_ms",
    *(f"{name}_{span}" for name in _BEFORE for span in ("5s", "20s")),
    "abs_active_5s",
    "esc_active_5s",
    "belt_driver",
    "belt_passenger",
    "airbag_lamp",
    "airbag_driver_ms",
    "airbag_passenger_ms",
    "roll_deg",
    "ignition_cycles_crash",
    "ignition_cycles_download",
    "events",
    "since_first_s",
    "since_previous_s",
    "locked",
    "locked_by",
    "imu_rate_hz",
    "mounting_known",
    "complete",
    "incomplete_because",
)
"""Names of a recorder's elements, every one of them always there; docs/wire.md says what they mean."""
FRAGMENTS_MAX: Final = 4096
"""Of one record; a number beyond is refused."""

_ELEMENTS_MAX: Final = 256
_LIST_MAX: Final = 1024
_LAST: Final = ("end", "withdrawn")


@dataclass(frozen=True, slots=True)
class Trace:
    """Samples of one or more channels: t_ns int64[n], not decreasing, and values float64[n, k], NaN for none."""

    t_ns: Times
    values: Values


@dataclass(frozen=True, slots=True)
class CrashData:
    """One crash record as far as its fragments have come.

    t0_ns: time zero, monotonic ns of its boot. elements: the 563-like table, name -> value, list of values, or None
    where the car does not tell; empty while it is missing. imu: what the car's axes felt in the order of IMU_PATHS
    (acceleration forward, right, vertical in m/s^2, gravity included; roll, pitch, yaw rate in degrees/s), so values
    is float64[n, 6]. signals: by VSS path, float64[n, 1]. complete: the record has ended with all that belongs to it,
    and every fragment is here. withdrawn: it was no crash. missing: numbers of fragments that later ones prove.
    """

    record: int
    t0_ns: int
    elements: Mapping[str, Element]
    imu: Trace
    signals: Mapping[str, Trace] = field(default_factory=dict)
    complete: bool = False
    withdrawn: bool = False
    missing: tuple[int, ...] = ()


def assemble(fragments: Iterable[CrashRecord]) -> CrashData:
    """One record from its fragments in any order; what is here twice counts once.

    Raises ProtocolError where there are none, where they belong to several records, contradict each other or hold what
    no recorder writes.
    """
    ordered = _in_order(fragments)
    last = ordered[-1]
    numbers = {fragment.fragment for fragment in ordered}
    missing = tuple(number for number in range(last.fragment) if number not in numbers)
    samples: dict[str, list[Series]] = {}
    elements: dict[str, Element] = {}
    for fragment in ordered:
        for path, series in unpack_samples(fragment).items():
            samples.setdefault(path, []).append(series)
        if fragment.elements:
            elements = _parse_elements(fragment)
    joined = {path: _join(parts) for path, parts in samples.items()}
    return CrashData(
        record=last.record,
        t0_ns=last.t_ns,
        elements=elements,
        imu=_imu(joined),
        signals={path: Trace(s.t_ns, s.value[:, None]) for path, s in joined.items() if path not in IMU_PATHS},
        complete=last.part == "end" and last.complete and not missing,
        withdrawn=last.part == "withdrawn",
        missing=missing,
    )


def _in_order(fragments: Iterable[CrashRecord]) -> list[CrashRecord]:
    """By number, each once, at least one. Raises ProtocolError."""
    known: dict[int, CrashRecord] = {}
    for fragment in fragments:
        if not 0 <= fragment.fragment < FRAGMENTS_MAX:
            raise ProtocolError(f"crash record {fragment.record}: a fragment of number {fragment.fragment}")
        if known.setdefault(fragment.fragment, fragment) != fragment:
            raise ProtocolError(f"crash record {fragment.record}: two fragments of number {fragment.fragment}")
    ordered = [known[number] for number in sorted(known)]
    if not ordered:
        raise ProtocolError("crash record: no fragment")
    if len({(fragment.record, fragment.t_ns) for fragment in ordered}) > 1:
        raise ProtocolError("crash record: fragments of several records")
    if any(fragment.part in _LAST for fragment in ordered[:-1]):
        raise ProtocolError(f"crash record {ordered[0].record}: fragments behind its end")
    return ordered


def _parse_elements(fragment: CrashRecord) -> dict[str, Element]:
    what = f"crash record {fragment.record}, fragment {fragment.fragment}: elements"
    try:
        elements = msgspec.json.decode(fragment.elements, type=dict[str, Element])
    except (msgspec.MsgspecError, ValueError) as exc:
        raise ProtocolError(f"{what}: {exc}") from exc
    if len(elements) > _ELEMENTS_MAX or any(isinstance(v, list) and len(v) > _LIST_MAX for v in elements.values()):
        raise ProtocolError(f"{what}: more than anybody writes")
    return elements


def _join(parts: list[Series]) -> Series:
    """Samples of all parts by time; pieces overlap, and the same instant counts once."""
    t_ns = np.concatenate([part.t_ns for part in parts])
    unique, first = np.unique(t_ns, return_index=True)
    return Series(unique, np.concatenate([part.value for part in parts])[first])


def _imu(samples: Mapping[str, Series]) -> Trace:
    """Six channels on one time line, NaN where one has no sample at an instant."""
    present = [(column, samples[path]) for column, path in enumerate(IMU_PATHS) if path in samples]
    if not present:
        return Trace(np.empty(0, np.int64), np.empty((0, len(IMU_PATHS))))
    t_ns = np.unique(np.concatenate([series.t_ns for _, series in present]))
    values = np.full((len(t_ns), len(IMU_PATHS)), np.nan)
    for column, series in present:
        values[np.searchsorted(t_ns, series.t_ns), column] = series.value
    return Trace(t_ns, values)
