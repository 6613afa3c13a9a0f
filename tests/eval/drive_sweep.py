"""`--sweep`: faults of an engine on simulated drives of 20 minutes, told once a second as by a diagnostics port.

Reported seeds start at 90,000; --tuning takes those from 100 on.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from agent.core import vss
from agent.core.config import Detect
from agent.core.events import EngineAdvice, Event
from agent.core.signals import Samples, SignalSpec, interleave
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from simulators.world import simulate
from simulators.world.commutes import random_commute
from simulators.world.happenings import LeanMixture, Misfire
from simulators.world.happenings_wires import SensorFault
from simulators.world.scenario import Scenario
from simulators.world.types import Drive
from tests.eval.statistics import poisson_upper

_DRIVE_S: Final = 1200.0
_AT_S: Final = 300.0
_SEEDS: Final = 90_000
_SEEDS_TUNING: Final = 100
_PATHS: Final = (
    vss.ENGINE_SPEED,
    vss.SPEED,
    vss.THROTTLE,
    vss.MASS_AIR_FLOW,
    vss.COOLANT_TEMPERATURE,
    vss.SHORT_TERM_FUEL_TRIM,
    vss.LONG_TERM_FUEL_TRIM,
    vss.LOW_VOLTAGE,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault, what it should be told as, and how it is made of a healthy drive. found "": nothing should be told."""

    found: str
    signal: str = ""
    change: Callable[[Scenario], Scenario] = lambda scenario: scenario

    def is_told(self, event: Event) -> bool:
        """Whether the event names the fault."""
        return isinstance(event, EngineAdvice) and event.fault == self.found and event.signal.startswith(self.signal)


@dataclass(slots=True)
class Row:
    """What came of one kind."""

    drives: int = 0
    found: int = 0
    others: int = 0
    delay_s: float = 0.0


def _with(*events: object, **car: object) -> Callable[[Scenario], Scenario]:
    def change(scenario: Scenario) -> Scenario:
        return msgspec.structs.replace(
            scenario,
            events=sorted([*scenario.events, *events], key=lambda event: event.at_s),
            car=msgspec.structs.replace(scenario.car, kind="ice", **car),
        )

    return change


def _sensor(signal: str, fault: str, *, amount: float = 0.0, **car: object) -> Callable[[Scenario], Scenario]:
    return _with(SensorFault(at_s=_AT_S, signal=signal, fault=fault, amount=amount), **car)  # type: ignore[arg-type]


KINDS: Final[dict[str, Kind]] = {
    "healthy": Kind("", change=_with()),
    "healthy hybrid": Kind(""),
    "misfire": Kind("misfire", change=_with(Misfire(at_s=_AT_S))),
    "misfire, slight (40 rpm)": Kind("misfire", change=_with(Misfire(at_s=_AT_S, roughness_rpm=40.0))),
    "lean, 28 %": Kind("lean_mixture", change=_with(LeanMixture(at_s=_AT_S))),
    "lean, 21 %": Kind("lean_mixture", change=_with(LeanMixture(at_s=_AT_S, trim_percent=21.0))),
    "rich, -25 %": Kind("rich_mixture", change=_sensor(vss.LONG_TERM_FUEL_TRIM, "offset", amount=-25.0)),
    "coolant sensor drifts": Kind(
        "sensor_implausible",
        vss.COOLANT_TEMPERATURE,
        _sensor(vss.COOLANT_TEMPERATURE, "drift", amount=0.5, coolant_c=84.0),
    ),
    "coolant 40 K too cold": Kind("thermostat", change=_with(
        SensorFault(at_s=0.0, signal=vss.COOLANT_TEMPERATURE, fault="offset", amount=-40.0), coolant_c=84.0
    )),
    "throttle stuck": Kind("sensor_stuck", vss.THROTTLE, _sensor(vss.THROTTLE, "stuck")),
    "air flow stuck": Kind("sensor_stuck", vss.MASS_AIR_FLOW, _sensor(vss.MASS_AIR_FLOW, "stuck")),
}  # fmt: skip


class ObdDrive:
    """A simulated drive as a port tells it: once a second, in the steps of SAE J1979."""

    name = "obd"
    _STEPS: Final = {vss.ENGINE_SPEED: 0.25, vss.SPEED: 1.0, vss.MASS_AIR_FLOW: 0.01, vss.COOLANT_TEMPERATURE: 1.0}

    def __init__(self, drive: Drive) -> None:
        self.specs = [SignalSpec(path, stale_after_s=3.0) for path in _PATHS if path in drive.signals]
        t_ns = np.arange(drive.duration_ns // 1_000_000_000) * 1_000_000_000
        columns = []
        for spec in self.specs:
            times, values = drive.signals[spec.path]
            held = values[np.clip(np.searchsorted(times, t_ns, side="right") - 1, 0, None)]
            step = self._STEPS.get(spec.path, 100 / 255)
            columns.append(np.rint(held / step) * step)
        self.samples: Samples = interleave(t_ns, np.column_stack(columns))


def watch(scenario: Scenario, seed: int) -> list[Event]:
    """What the pipeline tells of a drive; trips and hasty driving left out."""
    port = ObdDrive(simulate(scenario, seed))
    told: list[Event] = []
    pipeline = Pipeline(
        load_profile("generic"),
        [],
        limits=Detect(),
        sample_sources=[port],  # type: ignore[list-item]  # it gives its samples itself
        on_events=told.extend,
        on_window=lambda _: None,
    )
    pipeline.on_samples(port.name, port.samples)
    pipeline.finish()
    return [event for event in told if event.purpose != "ubi_score"]


def sweep(*, drives: int, tuning: bool, as_json: bool) -> int:
    """Print the table, or the figures as one object."""
    first = _SEEDS_TUNING if tuning else _SEEDS
    rows = {name: _run(kind, range(first, first + drives)) for name, kind in KINDS.items()}
    healthy = [row for name, row in rows.items() if not KINDS[name].found]
    hours = sum(row.drives for row in healthy) * _DRIVE_S / 3600
    false = sum(row.others for row in healthy)
    result = {name: {"drives": r.drives, "found": r.found, "others": r.others} for name, r in rows.items()}
    summary = {"healthy_hours": round(hours, 1), "false": false, "false_per_100_h_below": _bound(false, hours)}
    if as_json:
        print(json.dumps({"name": "drive_sweep", **summary, "kinds": result}))
        return 0
    table = Table(title=f"drives of {_DRIVE_S / 60:.0f} minutes, the fault from {_AT_S:.0f} s on")
    for column in ("fault", "drives", "found", "told besides", "mean delay s"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for name, row in rows.items():
        found = f"{row.found}" if KINDS[name].found else "-"
        delay = f"{row.delay_s / row.found:.0f}" if row.found else "-"
        table.add_row(name, str(row.drives), found, str(row.others), delay)
    Console(width=100, highlight=False).print(table)
    print(json.dumps(summary))
    return 0


def _run(kind: Kind, seeds: range) -> Row:
    row = Row()
    for seed in seeds:
        events = watch(kind.change(random_commute(seed, _DRIVE_S)), seed)
        hits = [event for event in events if kind.is_told(event)]
        row.drives += 1
        row.found += bool(hits)
        row.others += len(events) - len(hits)
        if hits:
            row.delay_s += max(0.0, hits[0].t_ns / 1e9 - _AT_S)
    return row


def _bound(count: int, hours: float) -> float:
    return round(100 * poisson_upper(count) / hours, 1)
