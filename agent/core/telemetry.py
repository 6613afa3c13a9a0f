"""Telemetry in few bytes: columns of whole steps, as differences, as variable-length numbers. Pure.

A signal's column is one token a period: 0 where there was no value, else 1 + zigzag(steps - steps before), the first
against 0. Tokens are LEB128 (7 bits a byte, low ones first, the high bit says "more"). Columns stand one after another,
so that what compresses the whole finds runs of the same small differences. docs/wire.md describes it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import ProtocolError
from agent.core.events import Telemetry

Values = npt.NDArray[np.float64]

_STEPS_MAX: Final = 2**53  # beyond it a float64 has no whole numbers
_PERIOD_MAX_S: Final = 86_400.0


def pack_columns(columns: Iterable[Sequence[int | None]]) -> bytes:
    """Bytes of columns of steps; None where there was no value."""
    return b"".join(_pack(column) for column in columns)


def unpack_columns(event: Telemetry) -> dict[str, Values]:
    """float64[count] by signal in its unit, NaN where there was no value. Raises ProtocolError."""
    if len(event.steps) != len(event.signals):
        raise ProtocolError(f"telemetry: {len(event.signals)} signals, but {len(event.steps)} steps")
    if not 0 < event.period_s <= _PERIOD_MAX_S:
        raise ProtocolError(f"telemetry: a period of {event.period_s} s")
    tokens = list(_tokens(event.columns))
    if not event.signals and event.count:
        raise ProtocolError(f"telemetry: {event.count} samples of no signal")
    if len(tokens) != event.count * len(event.signals) or event.count < 0:
        raise ProtocolError(f"telemetry: {len(tokens)} numbers for {len(event.signals)} columns of {event.count}")
    starts = range(0, len(tokens), event.count) if event.count else [0] * len(event.signals)
    return {
        path: np.array(list(_values(tokens[start : start + event.count])), np.float64) * step
        for path, step, start in zip(event.signals, event.steps, starts, strict=True)
    }


def _pack(column: Sequence[int | None]) -> bytes:
    packed = bytearray()
    before = 0
    for steps in column:
        token = 0
        if steps is not None:
            change = steps - before
            token = 1 + (change << 1 if change >= 0 else (-change << 1) - 1)
            before = steps
        while token > 0x7F:
            packed.append(token & 0x7F | 0x80)
            token >>= 7
        packed.append(token)
    return bytes(packed)


def _values(tokens: Sequence[int]) -> Iterator[float]:
    before = 0
    for token in tokens:
        if token == 0:
            yield np.nan
            continue
        zigzag = token - 1
        before += -((zigzag + 1) >> 1) if zigzag & 1 else zigzag >> 1
        if abs(before) > _STEPS_MAX:
            raise ProtocolError("telemetry: a value beyond 2^53 steps")
        yield float(before)


def _tokens(data: bytes) -> Iterator[int]:
    token = shift = 0
    for byte in data:
        token |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield token
            token = shift = 0
        elif shift > 63:
            raise ProtocolError("telemetry: a number of more than 9 bytes")
    if shift:
        raise ProtocolError("telemetry: the last number is cut off")
