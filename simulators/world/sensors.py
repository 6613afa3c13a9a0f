"""Sensors that lie: stuck, offset or drifting signals; a GNSS receiver without a sky, or led astray."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from simulators.world.happening import require
from simulators.world.happenings_wires import GnssOutage, GnssSpoof, SensorFault
from simulators.world.scenario import Scenario
from simulators.world.types import GnssData, Times, Values

_METRES_PER_DEGREE: Final = 111_320.0


def falsify(scenario: Scenario, signals: Mapping[str, tuple[Times, Values]]) -> Mapping[str, tuple[Times, Values]]:
    """Signals as the faulty sensors give them. Raises InputError where a fault names a signal the car has not."""
    out = dict(signals)
    for event in scenario.events:
        if not isinstance(event, SensorFault):
            continue
        require(scenario.name, event, "signal", out)
        t_ns, values = _with_edges(*out[event.signal], event)
        t_s = t_ns / 1e9
        rows = (t_ns >= event.at_s * 1e9) & (t_ns < event.until_s * 1e9)
        if event.fault == "stuck":
            lie = np.full(len(values), values[min(int(rows.argmax()), len(values) - 1)])
        else:
            lie = values + event.amount * (1.0 if event.fault == "offset" else t_s - event.at_s)
        out[event.signal] = (t_ns, np.where(rows, lie, values))
    return out


def _with_edges(t_ns: Times, values: Values, event: SensorFault) -> tuple[Times, Values]:
    """The signal with samples at both sides of the fault's begin and end, so that a coarse one steps, and not early."""
    edges = [round(at_s * 1e9) + side for at_s in (event.at_s, event.until_s) for side in (-1, 0)]
    dense = np.union1d(t_ns, [edge for edge in edges if t_ns[0] <= edge <= t_ns[-1]]).astype(np.int64)
    return dense, np.interp(dense.astype(np.float64), t_ns.astype(np.float64), values)


def disturb(scenario: Scenario, gnss: GnssData) -> GnssData:
    """Fixes as the receiver gives them under outages and spoofing."""
    for event in scenario.events:
        t_s = gnss.t_ns / 1e9
        rows = (t_s >= event.at_s) & (t_s < getattr(event, "until_s", event.at_s))
        if isinstance(event, GnssOutage):
            kept = ~rows
            columns = ("t_ns", "latitude", "longitude", "altitude_m", "speed_kmh", "heading_deg", "accuracy_m")
            gnss = GnssData(**{name: getattr(gnss, name)[kept] for name in columns})
        elif isinstance(event, GnssSpoof):
            away = np.where(rows, event.jump_m + event.speed_mps * (t_s - event.at_s), 0.0) / _METRES_PER_DEGREE
            bearing = np.deg2rad(event.bearing_deg)
            shrink = np.cos(np.deg2rad(scenario.car.latitude))
            gnss = replace(
                gnss,
                latitude=gnss.latitude + away * np.cos(bearing),
                longitude=gnss.longitude + away * np.sin(bearing) / shrink,
            )
    return gnss
