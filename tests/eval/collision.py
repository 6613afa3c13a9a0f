"""`./run eval collision`: the collision detector on recordings of real vehicles; `--sweep`: on simulated scenes.

Keys of the JSON: nhtsa_detected: share of four mountings at two ranges with exactly one collision, at the impact.
nhtsa_delta_v_error_pct: the worst at 200 g against the test's 65 km/h. nhtsa_frontal: share of the eight that name the
front. nhtsa_clipped_marked: share of the four at 16 g that say so and give no more than the true delta-v.
nhtsa_engine_channels_survived: share of the engine's channels that the detector lived through. canedge_collisions: of
five recordings of a car trip. escooter_*: staged crashes found, staged crashes there are, and collisions told
elsewhere, by the default config; escooter_light_*: the same with the trigger of a light vehicle.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from agent.core.events import Collision, Event
from simulators.arguments import Parser
from tests.eval import collision_sweep
from tests.eval.crash_test import ENGINE, FOLDER, MOUNTS, Verdict, judge
from tests.eval.drives import CAR_TRIP, LIGHT_KMH, Scooter, car_trip, scooter

RANGES_G: Final = (16.0, 200.0)
DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data"


def main(argv: Sequence[str]) -> int:
    """Exit code 0; 1 without recordings, 2 for what cannot be done as asked."""
    parser = Parser(prog="./run eval collision", description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="the library of blows instead of recordings")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    collision_sweep.add_options(parser)
    options = parser.parse_args(argv)
    if options.sweep:
        return collision_sweep.main(options)
    if not DATA.is_dir():
        sys.stderr.write(f"eval collision: no recordings at {DATA}; --sweep needs none\n")
        return 1
    result = measure(DATA)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        _print(Console(width=150), result)
    return 0


def measure(shared_data: Path) -> dict[str, Any]:
    """Every figure, with the files behind it."""
    folder = shared_data / FOLDER
    verdicts = [judge(folder, channel, range_g=range_g) for range_g in RANGES_G for channel in MOUNTS]
    wide = [verdict for verdict in verdicts if verdict.range_g == RANGES_G[1]]
    narrow = [verdict for verdict in verdicts if verdict.range_g == RANGES_G[0]]
    engine = [_engine(folder, channel, range_g) for channel in ENGINE for range_g in RANGES_G]
    trips = {name: car_trip(shared_data, name)[0] for name in CAR_TRIP}
    usual, light = scooter(shared_data), scooter(shared_data, delta_v_kmh=LIGHT_KMH)
    return {
        "name": "collision",
        "nhtsa_detected": _share([verdict.collision is not None for verdict in verdicts]),
        "nhtsa_delta_v_error_pct": round(max(verdict.error_pct for verdict in wide), 2),
        "nhtsa_frontal": _share([_frontal(verdict) for verdict in verdicts]),
        "nhtsa_clipped_marked": _share([_lower_bound(verdict) for verdict in narrow]),
        "nhtsa_engine_channels_survived": _share([entry["survived"] for entry in engine]),
        "canedge_collisions": sum(isinstance(event, Collision) for events in trips.values() for event in events),
        "escooter_false": usual.false,
        "escooter_found": usual.found,
        "escooter_staged": len(usual.staged),
        "escooter_light_trigger_kmh": LIGHT_KMH,
        "escooter_light_false": light.false,
        "escooter_light_found": light.found,
        "files": {
            "nhtsa": [_told_of(verdict) for verdict in verdicts],
            "engine": engine,
            "canedge": {name: _kinds(events) for name, events in trips.items()},
            "escooter": _told_on(usual),
            "escooter_light": _told_on(light),
        },
    }


def _frontal(verdict: Verdict) -> bool:
    return verdict.collision is not None and verdict.collision.crash_mode == "frontal"


def _lower_bound(verdict: Verdict) -> bool:
    event = verdict.collision
    return event is not None and event.clipped and event.delta_v_kmh <= abs(verdict.delta_v_own_kmh)


def _engine(folder: Path, channel: str, range_g: float) -> dict[str, Any]:
    """What rings and breaks off must not break the program; whatever it raises is what is looked for here."""
    try:
        verdict = judge(folder, channel, range_g=range_g)
    except Exception as exc:  # noqa: BLE001  # the finding itself
        return {"channel": channel, "range_g": range_g, "survived": False, "raised": repr(exc)}
    return {"survived": True, **_told_of(verdict)}


def _told_of(verdict: Verdict) -> dict[str, Any]:
    event = verdict.collision
    told: dict[str, Any] = {"channel": verdict.channel, "range_g": verdict.range_g, "events": _kinds(verdict.events)}
    told["delta_v_own_kmh"] = round(verdict.delta_v_own_kmh, 2)
    if event is not None:
        told |= {
            "delta_v_longitudinal_kmh": event.delta_v_longitudinal_kmh,
            "error_pct": round(verdict.error_pct, 2),
            "pdof_deg": event.pdof_deg,
            "crash_mode": event.crash_mode,
            "clipped": event.clipped,
            "peak_g": round(event.peak_mps2 / 9.80665, 1),
            "duration_ms": event.duration_ms,
            "limits_of_data": list(event.limits_of_data),
            "confidence": event.confidence,
        }
    return told


def _told_on(ride: Scooter) -> dict[str, Any]:
    return {
        "seconds": round(ride.seconds, 1),
        "staged": [_described(events) for events in ride.staged],
        "outside": _described(ride.outside),
    }


def _described(events: Sequence[Event]) -> list[str]:
    return [_text(event) for event in events]


def _text(event: Event) -> str:
    size = f" of {event.delta_v_kmh:.1f} km/h" if isinstance(event, Collision) else ""
    what = getattr(event, "what", "")
    return f"{event.kind}{':' + what if what else ''}{size} at {event.t_ns / 1e9:.2f} s"


def _kinds(events: Sequence[Event]) -> dict[str, int]:
    kinds = [str(event.kind) for event in events]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def _share(held: Sequence[bool]) -> float:
    return round(sum(held) / len(held), 4)


def _print(console: Console, result: Mapping[str, Any]) -> None:
    table = Table(title="collisions on recordings of real vehicles", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for key, value in result.items():
        if key not in ("name", "files"):
            table.add_row(key, str(value))
    console.print(table)
    crashes = Table(title="crash test 10146, by channel", title_justify="left")
    shown = ("channel", "range_g", "delta_v_own_kmh", "delta_v_longitudinal_kmh", "error_pct", "pdof_deg", "clipped")
    for column in (*shown, "events"):
        crashes.add_column(column, justify="left" if column == "events" else "right")
    for entry in (*result["files"]["nhtsa"], *result["files"]["engine"]):
        crashes.add_row(*(str(entry.get(column, "")) for column in (*shown, "events")))
    console.print(crashes)
    for name, kinds in result["files"]["canedge"].items():
        console.print(f"car trip {name}: {kinds or 'nothing told'}")
    for name in ("escooter", "escooter_light"):
        ride = result["files"][name]
        for place, told in enumerate(ride["staged"], 1):
            console.print(f"{name}: staged crash {place}: {', '.join(told) or 'nothing told'}")
        console.print(f"{name}: elsewhere: {', '.join(ride['outside']) or 'nothing told'}")
