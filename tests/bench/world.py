"""The simulated world, and everything behind it, against real time: seconds of drive a second of CPU.

world_factor: one healthy drive as arrays, motion signals at 50 Hz, IMU at 400 Hz, GNSS at 5 Hz, truth included.
frames_factor: the same and its CAN frames. pipeline_factor: those frames and samples through decoding, history and
every rule, in windows of 100 ms. stack_factor: a commute of ten minutes through what `./run demo` runs at pace 0:
world, CAN encoding, all tasks of the app, outbox on disk, seal, MQTT over TLS, broker and receiver in this process, the
model in its child. Start-up is in it (keys, certificates, broker, database, the child's imports), and told by itself:
stack_start_s, the CPU seconds of a drive of one second. demo_factor: the demo's own 86 seconds with 14 events, a config
push and a cut link. bus_factor: a minute of the commute over python-can's virtual bus, in the car's windows of 20 ms.
CPU seconds of this process with its threads and of its children, so that a busy machine changes less; median of three.
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
from simulators.demo import run_demo
from simulators.demo_options import Options
from simulators.sweep import watch
from simulators.world import Scenario, load_scenario, random_commute, simulate_commute
from simulators.world.frames import encode_drive

_WORLD_S: Final = 600.0
_PIPELINE_S: Final = 120.0
_STACK_S: Final = 600.0
_BUS_S: Final = 60.0
_DEMO: Final = "commute"
_REPEATS: Final = 3


def run() -> dict[str, object]:
    """Measure. The bars: 300 for the world, 50 for the whole stack."""
    simulate_commute(0, 5)  # loads what is loaded once
    short = simulate_commute(2, _PIPELINE_S)
    watch(simulate_commute(0, 5))
    demo = load_scenario(_DEMO)
    _drive_stack(random_commute(1, 1.0))
    return {
        "name": "world",
        "world_factor": _factor(lambda: simulate_commute(1, _WORLD_S), _WORLD_S),
        "frames_factor": _factor(lambda: encode_drive(simulate_commute(1, _WORLD_S)), _WORLD_S),
        "pipeline_factor": _factor(lambda: watch(short), _PIPELINE_S),
        "stack_factor": _factor(lambda: _drive_stack(random_commute(1, _STACK_S)), _STACK_S),
        "stack_start_s": round(_cost_s(lambda: _drive_stack(random_commute(1, 1.0))), 2),
        "demo_factor": _factor(lambda: _drive_stack(demo), demo.duration_s),
        "bus_factor": _factor(lambda: _drive_stack(random_commute(1, _BUS_S), can="virtual"), _BUS_S, repeats=1),
        "stack": f"commute of {_STACK_S:g} s, embedded broker",
    }


def _factor(work: Callable[[], object], seconds: float, *, repeats: int = _REPEATS) -> float:
    """Seconds of drive a CPU second."""
    return round(seconds / _cost_s(work, repeats=repeats), 1)


def _cost_s(work: Callable[[], object], *, repeats: int = _REPEATS) -> float:
    """CPU seconds, the median."""
    spent = []
    for _ in range(repeats):
        gc.collect()
        begun = _cpu_s()
        work()
        spent.append(_cpu_s() - begun)
    return statistics.median(spent)


def _cpu_s() -> float:
    """User and system, this process with its threads and the children it has waited for."""
    return sum(os.times()[:4])


def _drive_stack(scenario: Scenario, *, can: str = "") -> None:
    options = Options(pace=0.0, headless=True, broker="embedded", can=can)
    outcome = asyncio.run(run_demo(options, Console(file=io.StringIO(), width=200), scenario=scenario))
    if not outcome.good:
        raise AgentError("the demo lost events: its speed means nothing")
