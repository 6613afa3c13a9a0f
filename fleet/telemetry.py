"""A device's telemetry as lines of CSV."""

import csv
import io
from collections.abc import Iterator

import msgspec
import numpy as np

from agent.core.events import Telemetry
from agent.core.telemetry import unpack_columns
from fleet.receiver.store import Store


def telemetry_lines(store: Store, device: str) -> Iterator[str]:
    """A heading, then a line a sample: boot, t_ns, UTC in ns where it is known, and the signals of any batch.

    Empty where there was no value. Raises StoreError, ProtocolError for columns that are none.
    """
    rows = list(store.events(device, kinds=["telemetry"]))
    batches = [msgspec.convert(row["event"], Telemetry) for row in rows]
    paths = list(dict.fromkeys(path for batch in batches for path in batch.signals))
    yield _line(["boot", "t_ns", "wall_ns", *paths])
    for row, batch in zip(rows, batches, strict=True):
        columns = unpack_columns(batch)
        for index in range(batch.count):
            after_ns = round(index * batch.period_s * 1e9)
            values = [columns[path][index] if path in columns else np.nan for path in paths]
            wall_ns = "" if row["wall_ns"] is None else row["wall_ns"] + after_ns
            shown = ["" if np.isnan(value) else f"{value:.6g}" for value in values]
            yield _line([row["boot"], batch.t_ns + after_ns, wall_ns, *shown])


def _line(fields: list[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
