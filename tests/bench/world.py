"""The simulated world, and everything behind it, against real time: seconds of drive a second of CPU.

world_factor: one healthy drive as arrays, motion signals at 50 Hz, IMU at 400 Hz, GNSS at 5 Hz, truth included.
frames_factor: the same and its CAN frames. pipeline_factor: those frames and samples through decoding, history and
every rule, in windows of 100 ms. stack_factor: `./run demo` at pace 0: bus, driver, all tasks of the app, outbox on
disk, seal, MQTT over TLS, broker and receiver in this process, the model in its child. CPU seconds of this process and
its children, so that a busy machine changes little; the median of three, of the stack one.
"""

import asyncio
import gc
import io
import os
import statistics
from collections.abc import Callable
from typing import Final

from rich.console import Console

from agent.core.errors import AgentError
from simulators.demo import Options, run_demo
from simulators.sweep import watch
from simulators.world import load_scenario, simulate_commute
from simulators.world.frames import encode_drive

_WORLD_S: Final = 600.0
_PIPELINE_S: Final = 120.0
_STACK: Final = "healthy"
_REPEATS: Final = 3


def run() -> dict[str, object]:
    """Measure. The bars: 300 for the world, 50 for the whole stack."""
    simulate_commute(0, 5)  # loads what is loaded once
    short = simulate_commute(2, _PIPELINE_S)
    watch(simulate_commute(0, 5))
    return {
        "name": "world",
        "world_factor": _factor(lambda: simulate_commute(1, _WORLD_S), _WORLD_S),
        "frames_factor": _factor(lambda: encode_drive(simulate_commute(1, _WORLD_S)), _WORLD_S),
        "pipeline_factor": _factor(lambda: watch(short), _PIPELINE_S),
        "stack_factor": _factor(_drive_stack, load_scenario(_STACK).duration_s, repeats=1),
        "stack": f"demo {_STACK}, embedded broker",
    }


def _factor(work: Callable[[], object], seconds: float, *, repeats: int = _REPEATS) -> float:
    """Seconds of drive a CPU second."""
    spent = []
    for _ in range(repeats):
        gc.collect()
        begun = _cpu_s()
        work()
        spent.append(_cpu_s() - begun)
    return round(seconds / statistics.median(spent), 1)


def _cpu_s() -> float:
    """User and system, this process with its threads and the children it has waited for."""
    return sum(os.times()[:4])


def _drive_stack() -> None:
    options = Options(scenario=_STACK, pace=0.0, headless=True, broker="embedded")
    outcome = asyncio.run(run_demo(options, Console(file=io.StringIO(), width=200)))
    if not outcome.good:
        raise AgentError("the demo lost events: its speed means nothing")
