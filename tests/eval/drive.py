"""The engine's bars: 42 hours of a healthy combustion car, and simulated faults.

    python -m tests.eval drive [--json]          obd_drives_etios of ../shared/data
    python -m tests.eval drive --sweep [--json]  simulated drives as a diagnostics port tells them: faults and none

The last line with --json is one object; `model` counts what of the advice the drive model hints at, which is on beside
the rules unless --rules. Limits were set on the first 22 of the 64 recordings, in the order of the archive, and on
seeds from 100 to 199; the model has learnt from the same 22. The others were not looked at meanwhile.
"""

import argparse
import io
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.core.config import Detect
from agent.core.events import Anomaly, Event, HarshDriving, Priority, TripEnded, TripStarted
from agent.decode.profile import load_profile
from agent.pipeline import Pipeline
from simulators.replay.obd_log import NS, ObdLog
from tests.eval.drive_model import DriveModel
from tests.eval.drive_sweep import sweep

_LOGS: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "obd_drives_etios" / "drives.zip"
_BATCH: Final = 60
_LOOKED_AT: Final = 22
_OF_THE_DRIVER: Final = (HarshDriving, TripEnded, TripStarted)  # what they say, they say of no car's health


@dataclass(slots=True)
class Told:
    """What drives came to."""

    hours: float = 0.0
    bad_rows: int = 0
    events: list[tuple[str, Event]] = field(default_factory=list)

    def add(self, other: "Told") -> None:
        """Take another drive's account."""
        self.hours += other.hours
        self.bad_rows += other.bad_rows
        self.events += other.events

    def score(self) -> dict[str, float | int]:
        """The line of the bars: alarms are all events as urgent as safety, and whatever says stop now."""
        alarms = sum(is_alarm(event) for _, event in self.events)
        hints = sum(isinstance(event, Anomaly) for _, event in self.events)
        return {"hours": round(self.hours, 2), "advice": len(self.events) - alarms, "alarms": alarms, "model": hints}


def is_alarm(event: Event) -> bool:
    """Whether it wants the driver to act at once. Advice has a level of its own, whatever its priority."""
    level = getattr(event, "level", None)
    return level == "stop_now" if isinstance(level, str) else event.priority <= Priority.SAFETY


def watch_log(log: ObdLog, name: str, model: DriveModel | None = None) -> Told:
    """One drive through a pipeline of its own, as after a start of the box, and past the model."""
    told = Told(hours=log.seconds / 3600, bad_rows=log.bad)

    def note(events: Sequence[Event]) -> None:
        told.events.extend((name, event) for event in events if not isinstance(event, _OF_THE_DRIVER))

    pipeline = Pipeline(
        load_profile("generic"),
        [],
        limits=Detect(),
        sample_sources=[log],  # type: ignore[list-item]  # it gives its samples itself
        on_events=note,
        on_window=lambda _: None,
    )
    for first in range(0, len(log), _BATCH):
        pipeline.on_samples(log.name, log.batch(first, first + _BATCH))
    pipeline.finish()
    if model is not None and len(log):
        note(model.hear(log.specs, log.times(), log.values()).hints)
    return told


def main(argv: Sequence[str]) -> int:
    """Print what was told, and the line of the bars."""
    parser = argparse.ArgumentParser(prog="python -m tests.eval drive", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the figures alone, as one object")
    parser.add_argument("--logs", type=Path, default=_LOGS, metavar="ZIP", help="where the drives are")
    parser.add_argument("--tuning", action="store_true", help="the first 22 alone, or seeds to tune on")
    parser.add_argument("--rules", action="store_true", help="without the model")
    parser.add_argument("--sweep", action="store_true", help="simulated drives")
    parser.add_argument("--drives", type=int, default=12, metavar="N", help="of the sweep, of each kind")
    options = parser.parse_args(argv)
    model = None if options.rules else DriveModel()
    if options.sweep:
        return sweep(model, drives=options.drives, tuning=options.tuning, as_json=options.json)
    if not options.logs.is_file():
        print(f"no drives at {options.logs}", file=sys.stderr)
        return 2
    seen, unseen = Told(), Told()
    with zipfile.ZipFile(options.logs) as archive:
        names = [name for name in archive.namelist() if name.endswith(".csv")]
        for place, name in enumerate(names[:_LOOKED_AT] if options.tuning else names):
            with io.TextIOWrapper(archive.open(name), encoding="ascii", newline="") as lines:
                told = watch_log(ObdLog(lines, name=name), name, model)
            (seen if place < _LOOKED_AT else unseen).add(told)
    if not options.json:
        _print(seen, unseen)
    both = Told()
    both.add(seen)
    both.add(unseen)
    print(json.dumps(both.score() | {"unseen": unseen.score()}))
    return 0


def _print(seen: Told, unseen: Told) -> None:
    for title, told in (("tuned on", seen), ("unseen", unseen)):
        kinds = Counter(event.kind for _, event in told.events)
        print(f"{title}: {told.score()}, {told.bad_rows} rows that cannot be read, {dict(kinds)}")
        for name, event in told.events:
            print(f"  {name} {event.t_ns / NS:.0f} s {event}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
