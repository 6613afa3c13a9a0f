"""The charger: power into the pack, what the cable and the grid do, and faults of both."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.world.grid import STEP_S, Floats
from simulators.world.happenings_pack import ChargerFault, Charging, GridFault
from simulators.world.scenario import Scenario

GRID_V: Final = 220.0
_WAITS_BELOW_V: Final = 187.0  # 85 and 115 % of 220 V, as common chargers do; the grid's own promise is narrower
_WAITS_ABOVE_V: Final = 253.0
_TAPER_FROM_PERCENT: Final = 80.0
_TAPER_TO: Final = 0.2  # of the power, at a full pack
_IDLE, _WAITING, _CHARGING, _FULL, _FAULT = range(5)

_VSS: Final = "Vehicle.Powertrain.TractionBattery.Charging"
IS_CHARGING: Final = f"{_VSS}.IsCharging"
CABLE: Final = f"{_VSS}.ChargingPort.AnyPosition.IsChargingCableConnected"
CHARGE_POWER: Final = "Vehicle.Private.Powertrain.TractionBattery.Charging.Power"  # kW, into the pack
CHARGER_STATE: Final = "Vehicle.Private.Powertrain.TractionBattery.Charging.State"  # 0 idle 1 waiting 2 charging ...
GRID_VOLTAGE: Final = "Vehicle.Private.Powertrain.TractionBattery.Charging.GridVoltage"  # V, 0 without a cable


def charging_kw(scenario: Scenario, t_s: Floats, capacity_kwh: float) -> Floats:
    """Power into the pack on the motion grid; a charger stops at a full pack unless told to overcharge."""
    total = np.zeros(len(t_s))
    for event in scenario.events:
        if isinstance(event, Charging):
            total += _session_kw(event, scenario, t_s, capacity_kwh)
    return total


def plugged(scenario: Scenario, slow_s: Floats, kw: Floats) -> Mapping[str, Floats]:
    """Signals of the charger on the slow grid; kw: charging_kw there."""
    cable = np.zeros(len(slow_s), np.bool_)
    for event in scenario.events:
        if isinstance(event, Charging):
            cable |= (slow_s >= event.at_s) & (slow_s < event.until_s)
    volts = grid_v(scenario, slow_s)
    broken = _broken(scenario, slow_s)
    taking = (kw > 0) & cable
    state = np.select([~cable, broken, taking, _waits(volts)], [_IDLE, _FAULT, _CHARGING, _WAITING], _FULL)
    return {
        IS_CHARGING: taking.astype(np.float64),
        CABLE: cable.astype(np.float64),
        CHARGE_POWER: kw,
        CHARGER_STATE: state.astype(np.float64),
        GRID_VOLTAGE: np.where(cable, volts, 0.0),
    }


def grid_v(scenario: Scenario, t_s: Floats) -> Floats:
    """The grid's voltage."""
    volts = np.full(len(t_s), GRID_V)
    for event in scenario.events:
        if isinstance(event, GridFault):
            volts[(t_s >= event.at_s) & (t_s < event.until_s)] = event.volts
    return volts


def interruptions(scenario: Scenario) -> list[tuple[float, str]]:
    """When a session that was under way was broken off, and by what: `charger` or `grid`."""
    found = []
    for event in scenario.events:
        if not isinstance(event, ChargerFault | GridFault):
            continue
        sessions = [e for e in scenario.events if isinstance(e, Charging) and e.at_s <= event.at_s < e.until_s]
        if isinstance(event, ChargerFault):
            found += [(event.at_s, "charger")] if sessions else []
        elif _waits(np.array([event.volts]))[0] and any(session.mode == "ac" for session in sessions):
            found.append((event.at_s, "grid"))
    return found


def _session_kw(event: Charging, scenario: Scenario, t_s: Floats, capacity_kwh: float) -> Floats:
    share = np.where((t_s >= event.at_s) & (t_s < event.until_s) & ~_broken(scenario, t_s), 1.0, 0.0)
    if event.mode == "ac":
        # The charger's current is limited: less voltage is less power.
        volts = grid_v(scenario, t_s)
        share *= np.where(_waits(volts), 0.0, np.minimum(volts / GRID_V, 1.0))
    soc = scenario.car.soc_percent
    percent_per_s = 100 * event.power_kw / capacity_kwh / 3600
    asked = np.cumsum(share) * STEP_S * percent_per_s  # percent, were there no taper
    if event.mode == "dc":
        # d soc/dt falls linearly with soc, so the power falls exponentially with what was asked for beyond the bend.
        slope = (1 - _TAPER_TO) / (100 - _TAPER_FROM_PERCENT)
        beyond = np.maximum(asked - max(_TAPER_FROM_PERCENT - soc, 0), 0)
        start = 1 - slope * max(soc - _TAPER_FROM_PERCENT, 0)
        share = share * start * np.exp(-slope * beyond)
    taken = np.cumsum(share) * STEP_S * percent_per_s
    full = np.zeros(len(t_s), np.bool_) if event.overcharge else taken >= 100 - soc
    return np.where(full, 0.0, share * event.power_kw)


def _broken(scenario: Scenario, t_s: Floats) -> npt.NDArray[np.bool_]:
    broken = np.zeros(len(t_s), np.bool_)
    for event in scenario.events:
        if isinstance(event, ChargerFault):
            broken |= (t_s >= event.at_s) & (t_s < event.until_s)
    return broken


def _waits(volts: Floats) -> npt.NDArray[np.bool_]:
    return (volts < _WAITS_BELOW_V) | (volts > _WAITS_ABOVE_V)
