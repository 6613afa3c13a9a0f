"""The shipped drive model on simulated drives as a diagnostics port tells them."""

import msgspec
import pytest

from agent.core import vss
from simulators.world import simulate
from simulators.world.commutes import random_commute
from tests.eval.drive_model import DriveModel
from tests.eval.drive_sweep import KINDS, ObdDrive

MODEL = DriveModel()
DRIVE_S, SEED = 800.0, 4_711


def _hints(name: str, lacking: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    scenario = KINDS[name].change(random_commute(SEED, DRIVE_S))
    port = ObdDrive(simulate(msgspec.structs.replace(scenario, name="drive"), SEED))
    told = [place for place, spec in enumerate(port.specs) if spec.path not in lacking]
    heard = MODEL.hear([port.specs[place] for place in told], port.t_ns, port.values[:, told])
    return [(hint.fault, hint.signal) for hint in heard.hints]


@pytest.mark.parametrize("name", ["healthy", "healthy hybrid"])
def test_a_healthy_drive_is_left_alone(name: str) -> None:
    assert _hints(name) == []


@pytest.mark.parametrize(
    ("name", "fault", "signal"),
    [
        ("lean, 28 %", "lean_mixture", vss.LONG_TERM_FUEL_TRIM),
        ("not charging", "not_charging", vss.LOW_VOLTAGE),
        ("misfire", "misfire", vss.ENGINE_SPEED),
    ],
)
def test_a_fault_is_named(name: str, fault: str, signal: str) -> None:
    assert _hints(name)[0] == (fault, signal)


def test_a_fault_is_named_where_little_else_is_told_and_not_without_its_signal() -> None:
    bare = frozenset({vss.THROTTLE, vss.MASS_AIR_FLOW, vss.ENGINE_LOAD, vss.RUN_TIME, vss.LOW_VOLTAGE})
    assert _hints("lean, 28 %", bare)[0] == ("lean_mixture", vss.LONG_TERM_FUEL_TRIM)
    assert _hints("not charging", bare) == []
    assert _hints("lean, 28 %", frozenset({vss.LONG_TERM_FUEL_TRIM})) == []  # a diesel, for all that is known
