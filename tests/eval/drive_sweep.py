"""`--sweep`: faults of an engine on simulated drives of 20 minutes, told once a second as by a diagnostics port.

Reported seeds start at 90,000; --tuning takes those from 100 on. Rules and model each have their columns: the model
has found a fault where it hints at the signal that the fault shows in, of fuel trims also at which way.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from agent.core import vss
from agent.core.config import Detect
from agent.core.events import Anomaly, EngineAdvice, Event, LowVoltageAlarm
from agent.core.signals import Samples, SignalSpec, interleave
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from models.drive_figures import PREVALENCE
from simulators.world import simulate
from simulators.world.commutes import random_commute
from simulators.world.happenings import AlternatorFault, LeanMixture, Misfire
from simulators.world.happenings_wires import SensorFault
from simulators.world.scenario import Scenario
from simulators.world.types import Drive
from tests.eval.drive_model import DriveModel, figures
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
    vss.ENGINE_LOAD,
    vss.RUN_TIME,
)
_SHOWS_IN: Final = {
    "misfire": vss.ENGINE_SPEED,
    "lean_mixture": vss.LONG_TERM_FUEL_TRIM,
    "rich_mixture": vss.LONG_TERM_FUEL_TRIM,
    "thermostat": vss.COOLANT_TEMPERATURE,
    "not_charging": vss.LOW_VOLTAGE,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault, what it should be told as, and how it is made of a healthy drive. found "": nothing should be told."""

    found: str
    signal: str = ""
    change: Callable[[Scenario], Scenario] = lambda scenario: scenario

    @property
    def shows_in(self) -> tuple[str, tuple[str, ...]]:
        """The signal that it shows in, and faults, where others show there too that mean something else."""
        trims = self.found.endswith("_mixture")
        return self.signal or _SHOWS_IN.get(self.found, ""), (self.found,) if trims else ()

    def is_told(self, event: Event) -> bool:
        """Whether the event names the fault."""
        if isinstance(event, Anomaly):
            signal, faults = self.shows_in
            return event.signal == signal and (not faults or event.fault in faults)
        if isinstance(event, LowVoltageAlarm):
            return self.found == "not_charging"  # that the battery is flat in the end is no other fault
        return isinstance(event, EngineAdvice) and event.fault == self.found and event.signal.startswith(self.signal)


@dataclass(slots=True)
class Row:
    """What came of one kind by the rules or the model."""

    drives: int = 0
    found: int = 0
    others: int = 0
    delay_s: float = 0.0

    def add(self, kind: Kind, events: Sequence[Event]) -> None:
        """Take what was told of a drive."""
        hits = [event for event in events if kind.is_told(event)]
        self.drives += 1
        self.found += bool(hits)
        self.others += len(events) - len(hits)
        if hits:
            self.delay_s += max(0.0, hits[0].t_ns / 1e9 - _AT_S)

    def cells(self, *, healthy: bool) -> list[str]:
        """Found, told besides, mean delay."""
        delay = f"{self.delay_s / self.found:.0f}" if self.found else "-"
        return ["-" if healthy else str(self.found), str(self.others), delay]


@dataclass(slots=True)
class Both:
    """Rules and model beside each other; levels float64[outputs] of each drive, of healthy ones and of the kind's."""

    rules: Row
    model: Row
    levels: list[npt.NDArray[np.float64]]


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
    "not charging": Kind("not_charging", change=_with(AlternatorFault(at_s=_AT_S))),
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
        self.t_ns = t_ns
        self.values = np.column_stack(columns)
        self.samples: Samples = interleave(t_ns, self.values)


def watch(port: ObdDrive) -> list[Event]:
    """What the rules tell of a drive; trips and hasty driving left out."""
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


def sweep(model: DriveModel | None, *, drives: int, tuning: bool, as_json: bool) -> int:
    """Print the table, or the figures as one object."""
    first = _SEEDS_TUNING if tuning else _SEEDS
    rows = {name: _run(kind, range(first, first + drives), model) for name, kind in KINDS.items()}
    healthy = [row for name, row in rows.items() if not KINDS[name].found]
    hours = sum(row.rules.drives for row in healthy) * _DRIVE_S / 3600
    summary: dict[str, object] = {"healthy_hours": round(hours, 1)}
    for who in ("rules", "model"):
        false = sum(getattr(row, who).others for row in healthy)
        summary[who] = {"false": false, "false_per_100_h_below": _bound(false, hours)}
    beside = {name: _beside(KINDS[name], row, rows["healthy"], model) for name, row in rows.items()} if model else {}
    if as_json:
        result = {name: {"drives": both.rules.drives, "rules": _plain(both.rules), "model": _plain(both.model)}
                  | beside.get(name, {}) for name, both in rows.items()}  # fmt: skip
        print(json.dumps({"name": "drive_sweep", **summary, "prevalence": PREVALENCE, "kinds": result}))
        return 0
    table = Table(title=f"drives of {_DRIVE_S / 60:.0f} minutes, the fault from {_AT_S:.0f} s on")
    for column in ("fault", "drives", "rules", "besides", "delay s", "model", "besides", "delay s", "AUROC"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for name, both in rows.items():
        well = not KINDS[name].found
        cells = [*both.rules.cells(healthy=well), *both.model.cells(healthy=well)]
        table.add_row(name, str(both.rules.drives), *cells, str(beside.get(name, {}).get("auroc", "-")))
    Console(width=110, highlight=False).print(table)
    print(json.dumps(summary))
    return 0


def _run(kind: Kind, seeds: range, model: DriveModel | None) -> Both:
    both = Both(Row(), Row(), [])
    for seed in seeds:
        port = ObdDrive(simulate(kind.change(random_commute(seed, _DRIVE_S)), seed))
        both.rules.add(kind, watch(port))
        if model is not None:
            heard = model.hear(port.specs, port.t_ns, port.values)
            both.model.add(kind, heard.hints)
            both.levels.append(heard.levels)
    return both


def _beside(kind: Kind, both: Both, healthy: Both, model: DriveModel | None) -> dict[str, float | None]:
    """AUROC and precision of the outputs that a fault should show in."""
    if model is None or not kind.found:
        return {}
    places = model.places(*kind.shows_in)
    bad, good = ([float(level[places].max()) for level in side.levels] for side in (both, healthy))
    return figures(bad, good, both.model.found, min(healthy.model.others, len(good)))


def _plain(row: Row) -> dict[str, float | None]:
    delay_s = round(row.delay_s / row.found) if row.found else None
    return {"found": row.found, "others": row.others, "delay_s": delay_s}


def _bound(count: int, hours: float) -> float:
    return round(100 * poisson_upper(count) / hours, 1)
