"""One seeded vehicle: `simulate` turns a scenario into everything its sensors and buses would say."""

from simulators.world.commutes import random_commute, simulate_commute
from simulators.world.loading import load_scenario, scenario_names
from simulators.world.scenario import Scenario
from simulators.world.simulation import simulate
from simulators.world.types import Drive, GnssData, ImuData, Truth

__all__ = [
    "Drive",
    "GnssData",
    "ImuData",
    "Scenario",
    "Truth",
    "load_scenario",
    "random_commute",
    "scenario_names",
    "simulate",
    "simulate_commute",
]
