"""Fragments of a crash record, as a desk gets them from a stranger's car."""

from contextlib import suppress
from typing import Final, Literal

import msgspec
import numpy as np

from agent.core.crash import IMU_PATHS, assemble
from agent.core.crash_columns import pack_samples
from agent.core.errors import ProtocolError
from agent.core.events import CrashRecord
from agent.core.signals import Series
from tests.fuzz.target import Feed, Target

_FRAGMENTS_MAX: Final = 4


def crash_record(data: bytes) -> None:
    """Columns and elements come from the input, in fragments whose number, kind and counts it chooses."""
    feed = Feed(data)
    fragments: list[CrashRecord] = []
    while feed and len(fragments) < _FRAGMENTS_MAX:
        number, kind, count = feed.number(), feed.number(), feed.number(2)
        columns, elements = feed.chunk(), feed.chunk().decode("utf-8", "replace")
        made = _FRAGMENTS[kind % len(_FRAGMENTS)]
        counts = [count] * len(made.signals)
        fragments.append(
            msgspec.structs.replace(made, fragment=number, elements=elements, columns=columns, counts=counts)
        )
    with suppress(ProtocolError):
        found = assemble(fragments)
        assert found.imu.values.shape == (len(found.imu.t_ns), len(IMU_PATHS))
        assert (np.diff(found.imu.t_ns) > 0).all()
        assert not (found.complete and (found.missing or found.withdrawn))


def _fragment(part: Literal["imu", "table", "end"], *paths: str) -> CrashRecord:
    times = np.arange(3, dtype=np.int64) * 2_500_000
    samples = {path: Series(times, np.array([0.0, 1.0, np.nan])) for path in paths}
    signals, steps, counts, columns = pack_samples(0, samples, dict.fromkeys(paths, 0.01))
    return CrashRecord(
        t_ns=0,
        record=1,
        fragment=0,
        part=part,
        from_ns=0,
        until_ns=1,
        complete=part == "end",
        signals=signals,
        steps=steps,
        counts=counts,
        columns=columns,
    )


_FRAGMENTS: Final = (_fragment("imu", *IMU_PATHS[:2]), _fragment("table", IMU_PATHS[0]), _fragment("end"))
_SEED: Final = b"".join(
    bytes([number, number, 0, 3, len(fragment.columns)]) + fragment.columns + bytes([len(text)]) + text
    for number, (fragment, text) in enumerate(zip(_FRAGMENTS, (b"", b'{"clipped": null}', b""), strict=True))
)

CRASH: Final = (Target("crash_record", crash_record, [_SEED, _SEED[: len(_SEED) // 2]]),)
