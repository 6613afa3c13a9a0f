"""Telemetry in few bytes: columns of whole steps (agent.core.columns). Pure.

Columns stand one after another, so that what compresses the whole finds runs of the same small differences.
docs/wire.md describes it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from agent.core.columns import Values, pack_column, read_column, read_tokens
from agent.core.errors import ProtocolError
from agent.core.events import Telemetry

_PERIOD_MAX_S: Final = 86_400.0


def pack_columns(columns: Iterable[Sequence[int | None]]) -> bytes:
    """Bytes of columns of steps; None where there was no value."""
    return b"".join(
        pack_column(
            np.array([0 if step is None else step for step in column], np.int64),
            np.array([step is not None for step in column], np.bool_),
        )
        for column in columns
    )


def unpack_columns(event: Telemetry) -> dict[str, Values]:
    """float64[count] by signal in its unit, NaN where there was no value. Raises ProtocolError."""
    if len(event.steps) != len(event.signals):
        raise ProtocolError(f"telemetry: {len(event.signals)} signals, but {len(event.steps)} steps")
    if not 0 < event.period_s <= _PERIOD_MAX_S:
        raise ProtocolError(f"telemetry: a period of {event.period_s} s")
    tokens = read_tokens(event.columns, what="telemetry")
    if not event.signals and event.count:
        raise ProtocolError(f"telemetry: {event.count} samples of no signal")
    if len(tokens) != event.count * len(event.signals) or event.count < 0:
        raise ProtocolError(f"telemetry: {len(tokens)} numbers for {len(event.signals)} columns of {event.count}")
    columns = tokens.reshape(len(event.signals), event.count)
    return {
        path: read_column(column, what="telemetry") * step
        for path, step, column in zip(event.signals, event.steps, columns, strict=True)
    }
