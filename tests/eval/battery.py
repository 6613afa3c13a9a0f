"""The battery's bars: real cloud logs through the agent's own path, and simulated packs.

    python -m tests.eval battery [--json]          ev_battery_cloud_logs of ../shared/data, every sentinel in place
    python -m tests.eval battery --rules [--json]  the same without the model
    python -m tests.eval battery --sweep [--json]  simulated packs: faults, sensors, ageing

The last line with --json is one object. Rules and limits were set on simulated packs, on the first half of car1 and on
car2 before 2019-05-06; the rest of both was not looked at while they were.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.core.config import Detect
from agent.core.events import BatteryAdvice, BatteryAlarm, Event
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from simulators.replay.cell_log import NS, CellLog
from tests.eval.battery_model import Listener
from tests.eval.battery_sweep import figures, sweep
from tests.eval.battery_worth import model_figures

_LOGS: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "ev_battery_cloud_logs"
_STOP_LEVEL: Final = 3  # of a BatteryAlarm, GB/T 32960.3


@dataclass(slots=True)
class Told:
    """All events of one log, dated, and the days on which the BMS itself raised level 3."""

    first_s: float = 0.0
    rows: int = 0
    events: list[tuple[datetime, Event]] = field(default_factory=list)
    bms_days: set[str] = field(default_factory=set)

    def stops(self) -> list[tuple[datetime, Event]]:
        """What told the driver to stop now."""
        return [(at, event) for at, event in self.events if _is_stop(event)]

    def advice(self) -> list[tuple[datetime, BatteryAdvice]]:
        """What named a cell."""
        return [(at, e) for at, e in self.events if isinstance(e, BatteryAdvice) and e.cell is not None]

    def day_of(self, at: datetime) -> int:
        """Days since the log's first row."""
        return int((at.timestamp() - self.first_s) // 86_400)


def watch_log(path: Path, listener: Listener | None = None) -> Told:
    """Feed a log to the pipeline as a sample source, with the model or without. Raises InputError."""
    log, told = CellLog(path), Told()
    pipeline: Pipeline | None = None

    def note(events: Sequence[Event]) -> None:
        tell(listener.hold(events) if listener is not None else events)

    def tell(events: Sequence[Event]) -> None:
        dated = ((datetime.fromtimestamp(told.first_s + event.t_ns / NS, UTC), event) for event in events)
        told.events.extend(dated)

    for piece in log:
        if pipeline is None:
            told.first_s = float(piece.wall_s[0])
            pipeline = Pipeline(
                load_profile("generic"),
                [],
                limits=Detect(),
                sample_sources=[log],
                on_events=note,
                on_window=lambda _: None,
                epoch_ns=round(told.first_s * NS),
            )
            if listener is not None:
                listener.begin(pipeline)
        pipeline.on_samples(log.name, piece.samples)
        if listener is not None:
            tell(listener.after(pipeline, int(piece.t_ns[-1])))
        told.rows += len(piece.t_ns)
        for wall_s in piece.wall_s[piece.bms_level >= _STOP_LEVEL].tolist():
            told.bms_days.add(datetime.fromtimestamp(wall_s, UTC).date().isoformat())
    if pipeline is not None:
        pipeline.finish()
    return told


def score(car1: Told, car2: Told) -> dict[str, int | str | None]:
    """The line of the bars. Cells are named as in the logs: V_1 is the first."""
    advice = car2.advice()
    first = advice[0] if advice else None
    cell = None if first is None else first[1].cell
    raised = [at for at, event in advice if event.cell == cell and event.level != "advice"]
    return {
        "car1_stop_now": len(car1.stops()),
        "car1_cells_named": len({event.cell for _, event in car1.advice()}),
        "car2_stop_now_outside_bms_days": sum(at.date().isoformat() not in car2.bms_days for at, _ in car2.stops()),
        "car2_first_cell": None if cell is None else f"V_{cell + 1}",
        "car2_first_advice_day": None if first is None else car2.day_of(first[0]),
        "car2_escalated_on": raised[0].date().isoformat() if raised else None,
        "car2_other_cells_named": len({event.cell for _, event in advice} - {cell}),
    }


def main(argv: Sequence[str]) -> int:
    """Print the events of both logs and the line of the bars."""
    parser = argparse.ArgumentParser(prog="python -m tests.eval battery", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the figures alone, as one object")
    parser.add_argument("--sweep", action="store_true", help="simulated packs instead of the logs, some minutes")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="of the sweep: more or fewer packs")
    parser.add_argument("--rules", action="store_true", help="the rules alone, without the model")
    parser.add_argument("--logs", type=Path, default=_LOGS, metavar="DIR", help="where the two logs are")
    options = parser.parse_args(argv)
    if options.sweep:
        stories = sweep(
            scale=options.scale,
            model=not options.rules,
            progress=lambda kind: print(f"done: {kind}", file=sys.stderr),
        )
        found = figures(stories) | ({} if options.rules else model_figures(stories, Listener().threshold))
        print(json.dumps(found, indent=None if options.json else 2))
        return 0
    if not options.logs.is_dir():
        print(f"no logs at {options.logs}", file=sys.stderr)
        return 2
    cars = [
        watch_log(options.logs / f"{name}_processed.zip", None if options.rules else Listener())
        for name in ("car1", "car2")
    ]
    if not options.json:
        for name, car in zip(("car1", "car2"), cars, strict=True):
            print(f"{name}: {car.rows} rows, level 3 of the BMS on {', '.join(sorted(car.bms_days)) or 'no day'}")
            for at, event in car.events:
                if isinstance(event, BatteryAdvice | BatteryAlarm):
                    print(f"  {at:%Y-%m-%d %H:%M} {event}")
    print(json.dumps(score(*cars)))
    return 0


def _is_stop(event: Event) -> bool:
    if isinstance(event, BatteryAdvice):
        return event.level == "stop_now"
    return isinstance(event, BatteryAlarm) and event.level >= _STOP_LEVEL and not event.cleared


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
