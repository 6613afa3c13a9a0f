"""A device's telemetry as lines of CSV."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from agent.core.columns import Values
from agent.core.errors import ProtocolError
from agent.core.events import Telemetry
from agent.core.telemetry import unpack_columns
from fleet.receiver.store import Store


class _Batch(NamedTuple):
    row: Mapping[str, Any]
    event: Telemetry
    columns: Mapping[str, Values]


def telemetry_lines(store: Store, device: str, *, on_bad: Callable[[str], None]) -> Iterator[str]:
    """A heading, then a line a sample: boot, t_ns, UTC in ns where it is known, and the signals of any batch.

    Empty where there was no value. on_bad is told of each batch that is left out because its columns are none. The
    store is gone through twice: a year of a car has no room in memory. Raises StoreError.
    """
    paths = list(dict.fromkeys(path for batch in _batches(store, device, lambda _: None) for path in batch.columns))
    yield _line(["boot", "t_ns", "wall_ns", *paths])
    for row, event, columns in _batches(store, device, on_bad):
        for index in range(event.count):
            after_ns = round(index * event.period_s * 1e9)
            values = [columns[path][index] if path in columns else np.nan for path in paths]
            wall_ns = "" if row["wall_ns"] is None else row["wall_ns"] + after_ns
            shown = ["" if np.isnan(value) else f"{value:.6g}" for value in values]
            yield _line([row["boot"], event.t_ns + after_ns, wall_ns, *shown])


def _batches(store: Store, device: str, on_bad: Callable[[str], None]) -> Iterator[_Batch]:
    for row in store.events(device, kinds=["telemetry"]):
        try:
            event = msgspec.convert(row["event"], Telemetry)
            yield _Batch(row, event, unpack_columns(event))
        except (ProtocolError, msgspec.ValidationError) as exc:  # the latter: JSON has no word for what is no number
            on_bad(f"{device}: boot {row['boot']}, sequence {row['sequence']}: {exc}")


def _line(fields: list[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
