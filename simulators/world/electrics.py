"""The 12 V system: DC-DC converter or alternator, rest, cranking, and the faults of all of them."""

import numpy as np

from simulators.world.grid import STEP_S, Floats, lag
from simulators.world.happenings import AlternatorFault, Crank, Drain, SmartAlternator
from simulators.world.powertrain import Powertrain
from simulators.world.scenario import Scenario


def low_voltage(scenario: Scenario, t_s: Floats, train: Powertrain, off_s: float) -> Floats:
    """The DC-DC converter holds 14.2 V less the load's drop; switched off, the battery rests; then the faults."""
    load = lag(train.brake / 100 + (train.engine_rpm > 0), STEP_S, 1.0)
    rest = 12.7 + 0.9 * np.exp(-np.clip(t_s - off_s, 0, None) / 20.0)
    volts = np.where(t_s < off_s, 14.2 - 0.12 * load, rest)
    for event in scenario.events:
        since = np.maximum(t_s - event.at_s, 0)
        if isinstance(event, SmartAlternator):
            wanted = 13.4 - 0.9 * (train.accelerator > 15) + 1.5 * (train.brake > 3)  # percent
            inside = (t_s >= event.at_s) & (t_s < event.until_s) & (t_s < off_s)
            volts = np.where(inside, lag(wanted, STEP_S, 1.5), volts)
        elif isinstance(event, AlternatorFault):
            falling = 12.5 + (volts - 12.5) * np.exp(-since / 4) - event.volts_per_min / 60 * since
            volts = np.where((t_s >= event.at_s) & (t_s < event.until_s), np.maximum(falling, 5.0), volts)
        elif isinstance(event, Drain):
            volts = np.maximum(volts - event.volts_per_min / 60 * since, np.minimum(volts, 4.0))
        elif isinstance(event, Crank):
            dip = (t_s >= event.at_s) & (t_s < event.at_s + 2)
            volts = np.where(dip, volts - (volts - event.lowest_v) * np.exp(-since / 0.35), volts)
    return volts
