"""Rebuild firmware_config/habits/simcar.habits: `python -m models.train_bus`. Under a minute; seeded.

What is normal on the bus of the simulated car, learnt by the agent's own code from healthy drives alone: hybrid, engine
alone and electric, in town and on the motorway, charging, in winter. None of their seeds is judged anywhere.
"""

import sys
from collections.abc import Iterator
from typing import Final

import numpy as np

from agent.core.events import Event
from agent.core.frames import FrameBatch
from agent.core.limits import BusLimits
from agent.core.paths import HABITS
from agent.detect.bus_guard import BusGuard
from agent.detect.streams import NS
from simulators.world import load_scenario, simulate, simulate_commute
from simulators.world.frames import encode_drive

NAME: Final = "simcar.habits"
SEED: Final = 9_000_001
BATCH: Final = 4096
COMMUTES: Final = 4
COMMUTE_S: Final = 120
SCENARIOS: Final = (
    *("healthy", "ac_charging", "dc_charging", "electric_car", "engine_only", "stop_and_go", "motorway"),
    *("mountain_road", "winter_start", "harsh_brake_abs", "two_stops", "aged_pack"),
)
BREAK_S: Final = 100  # between two drives


def main() -> None:
    """Write the file; on the screen what is in it."""
    drives = [*_drives(SEED), *_drives(SEED + COMMUTES)]  # half of it counts, half measures: both see everything
    seconds = sum(len(np.unique(frames.t_ns // NS)) for frames in drives)
    guard = BusGuard(BusLimits(enabled=True, learn_s=seconds))
    start_ns, told = 0, list[Event]()
    for frames in drives:
        frames.t_ns[:] += start_ns
        start_ns = (int(frames.t_ns[-1]) // NS + BREAK_S) * NS
        for row in range(0, len(frames), BATCH):
            told += guard.update(frames[row : row + BATCH])
    told += guard.finish()
    HABITS.mkdir(exist_ok=True)
    (HABITS / NAME).write_bytes(guard.dump())
    sys.stdout.write(f"{told} from {seconds} s\n")


def _drives(seed: int) -> Iterator[FrameBatch]:
    for commute in range(seed, seed + COMMUTES):
        yield encode_drive(simulate_commute(commute, COMMUTE_S))
    for name in SCENARIOS:
        yield encode_drive(simulate(load_scenario(name), seed))


if __name__ == "__main__":
    main()
