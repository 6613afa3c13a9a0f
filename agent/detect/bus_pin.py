"""Whether pinned habits are those that their manifest speaks of, and judge as they did where they were learnt. Pure."""

import hashlib

import numpy as np

from agent.core.errors import ConfigError
from agent.core.habits_manifest import HabitsManifest
from agent.detect.bus import BusWatch
from agent.detect.bus_guard import load_habits
from agent.detect.bus_habits import HabitLearner


def check_pin(manifest: HabitsManifest, state: bytes) -> None:
    """Raise ConfigError naming what differs."""
    digest = hashlib.sha256(state).hexdigest()
    if digest != manifest.sha256:
        raise ConfigError(f"habits: {manifest.file}: sha256 is {digest}, the manifest says {manifest.sha256}")
    for number, golden in enumerate(manifest.golden):
        found = watch_of(state).judge(golden.batch())
        wrong = np.flatnonzero(found != np.array(golden.findings, np.uint8))
        if len(wrong):
            raise ConfigError(f"habits: {manifest.file}: golden frames {number}: frame {wrong[0]} is judged otherwise")


def watch_of(state: bytes) -> BusWatch:
    """The judge of bus 0 by pinned habits. Raises ConfigError where they are nothing this software can read."""
    bus = load_habits(state).get(0)
    learner = None if bus is None else HabitLearner.load(bus.habits)
    if learner is None:
        raise ConfigError("habits: damaged, of another version, or not of bus 0")
    return BusWatch(learner.habits())
