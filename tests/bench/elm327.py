"""Our driver against python-OBD on the same simulated dongle: values a second over a pty at 20 ms latency.

The dongle runs in a process of its own, so neither client shares an interpreter with it. Both connect outside of the
measured time. python-OBD as its documentation advises: fast mode on, the commands known to be supported, no watching
thread in the way of the others; it asks for one PID a request. Ours packs; each PID is wished
for every 50 ms, the shortest period there is.
A value is one signal that was read; both sides read the same PIDs. In turns; the median ratio of neighbours counts.
"""

import asyncio
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from agent.core.config import Dongle
from agent.proto.schedule import Poll
from drivers.clock import SystemClock
from drivers.elm327_serial import Elm327Source

_LATENCY_MS: Final = 20
_SPAN_S: Final = 5.0
_TURNS: Final = 3
_PIDS: Final = frozenset(  # what the dongle's car answers
    {0x04, 0x05, 0x06, 0x07, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x1F, 0x2F, 0x33, 0x42, 0x43, 0x45, 0x46}
)


def run() -> dict[str, object]:
    """Measure both in turns."""
    import obd  # noqa: PLC0415  GPL: only where the bench really runs

    logging.getLogger("obd").setLevel(logging.ERROR)
    ours, theirs = [], []
    with _dongle() as port:
        for _ in range(_TURNS):
            theirs.append(_measure_python_obd(obd, port))
            ours.append(asyncio.run(_measure_ours(port)))
    return {
        "name": "elm327",
        "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 1),
        "values_per_s": round(statistics.median(ours), 1),
        "python_obd_values_per_s": round(statistics.median(theirs), 1),
        "latency_ms": _LATENCY_MS,
        "pids": len(_PIDS),
    }


@contextmanager
def _dongle() -> Iterator[str]:
    command = [sys.executable, "-m", "simulators", "dongle", "--latency-ms", str(_LATENCY_MS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the dongle has no output")
            yield os.path.realpath(process.stdout.readline().strip())  # on any other path python-OBD tries baud rates
        finally:
            process.terminate()


def _measure_python_obd(obd: Any, port: str) -> float:
    connection = obd.OBD(port, baudrate=38_400, fast=True, timeout=2, check_voltage=False)
    try:
        commands = [c for c in obd.commands[1] if c and c.pid in _PIDS and connection.supports(c)]
        if len(commands) != len(_PIDS):
            raise RuntimeError(f"python-OBD reads {len(commands)} of {len(_PIDS)} PIDs: not the same work")
        for command in commands:  # its fast mode learns from the first answer how many lines to wait for
            connection.query(command)
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < _SPAN_S:
            for command in commands:
                count += not connection.query(command).is_null()
        return count / (time.perf_counter() - start)
    finally:
        connection.close()


async def _measure_ours(port: str) -> float:
    polls = [Poll(pid=pid, period_s=0.05) for pid in sorted(_PIDS)]  # all of them as often as the schedule knows
    source = Elm327Source(Dongle(port=port, period_s=0.05), SystemClock(), polls=polls)
    await source.open()
    try:
        await source.read_batch()
        seen: set[int] = set()
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < _SPAN_S:
            samples = await source.read_batch()
            seen.update(samples.signal.tolist())
            count += len(samples)
        span_s = time.perf_counter() - start
    finally:
        await source.close()
    if len(seen) != len(_PIDS):
        raise RuntimeError(f"our driver reads {len(seen)} of {len(_PIDS)} signals: not the same work")
    return count / span_s
