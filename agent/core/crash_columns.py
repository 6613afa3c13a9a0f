"""Samples in the fragments of a crash record: columns of times, and of values at those times. Pure.

docs/wire.md describes them. A time column holds for the value columns behind it, up to the next one.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from agent.core.columns import Known, Steps, Values, pack_column, read_column, read_tokens
from agent.core.crash_events import CrashRecord
from agent.core.errors import ProtocolError
from agent.core.signals import Series

TIME: Final = "time"
TIME_STEP_S: Final = 1e-6
SPAN_MAX_US: Final = 3_600_000_000
"""Times are whole microseconds from T0, and this far from it at most."""

_US: Final = 1000  # ns
_T0_MAX_NS: Final = 2**62
_COLUMNS_MAX: Final = 512
_STEP_MAX: Final = 1e6
_PACKED_MAX: Final = 2**40  # steps; what is beyond is told as this much


class Columns(NamedTuple):
    """The four fields of a fragment that hold samples."""

    signals: list[str]
    steps: list[float]
    counts: list[int]
    columns: bytes


def pack_samples(t0_ns: int, samples: Mapping[str, Series], steps: Mapping[str, float]) -> Columns:
    """Columns of the signals that have samples. steps: the resolution of each, in its unit."""
    packed = Columns([], [], [], b"")
    parts: list[bytes] = []
    t_ns: Steps | None = None
    for path, series in samples.items():
        if not len(series):
            continue
        if t_ns is None or not np.array_equal(t_ns, series.t_ns):
            t_ns = series.t_ns
            _add(packed, TIME, TIME_STEP_S, len(t_ns))
            parts.append(pack_column((t_ns - t0_ns) // _US))
        _add(packed, path, steps[path], len(series))
        parts.append(pack_column(*_whole(series.value, steps[path])))
    return packed._replace(columns=b"".join(parts))


def unpack_samples(fragment: CrashRecord) -> dict[str, Series]:
    """Samples by signal; NaN where there was no value. Raises ProtocolError."""
    what = f"crash record {fragment.record}, fragment {fragment.fragment}"
    tokens = read_tokens(fragment.columns, what=what)
    _check(fragment, len(tokens), what)
    found: dict[str, Series] = {}
    t_ns: Steps | None = None
    start = 0
    for path, step, count in zip(fragment.signals, fragment.steps, fragment.counts, strict=True):
        values = read_column(tokens[start : start + count], what=what)
        start += count
        if path == TIME:
            t_ns = _times(values, step, fragment.t_ns, what)
        elif t_ns is None or len(t_ns) != count:
            raise ProtocolError(f"{what}: {path} has no time for each of its {count} values")
        elif path in found:
            raise ProtocolError(f"{what}: {path} is there twice")
        else:
            found[path] = Series(t_ns, values * step)
    return found


def _add(columns: Columns, path: str, step: float, count: int) -> None:
    columns.signals.append(path)
    columns.steps.append(step)
    columns.counts.append(count)


def _whole(values: Values, step: float) -> tuple[Steps, Known | None]:
    known = np.isfinite(values)
    limit = _PACKED_MAX * step
    steps = np.rint(np.clip(np.where(known, values, 0.0), -limit, limit) / step).astype(np.int64)
    return steps, None if known.all() else known


def _check(fragment: CrashRecord, tokens: int, what: str) -> None:
    signals, steps, counts = fragment.signals, fragment.steps, fragment.counts
    if not len(signals) == len(steps) == len(counts) <= _COLUMNS_MAX:
        raise ProtocolError(f"{what}: {len(signals)} signals, {len(steps)} steps and {len(counts)} counts")
    if any(count < 0 for count in counts) or sum(counts) != tokens:
        raise ProtocolError(f"{what}: {tokens} numbers, but counts of {sum(counts)}")
    if not all(0 < step <= _STEP_MAX for step in steps):
        raise ProtocolError(f"{what}: a step that is none")
    if abs(fragment.t_ns) > _T0_MAX_NS:
        raise ProtocolError(f"{what}: T0 of {fragment.t_ns} ns")


def _times(microseconds: Values, step: float, t0_ns: int, what: str) -> Steps:
    if step != TIME_STEP_S:
        raise ProtocolError(f"{what}: time in steps of {step} s")
    if not (np.abs(microseconds) <= SPAN_MAX_US).all():
        raise ProtocolError(f"{what}: a time that is missing or too far from T0")
    t_ns: Steps = microseconds.astype(np.int64) * _US + t0_ns
    if (t_ns[1:] < t_ns[:-1]).any():
        raise ProtocolError(f"{what}: times that go back")
    return t_ns
