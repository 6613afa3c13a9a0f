"""Rows of a sweep to figures, and figures to tables."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from simulators.blows import NEGATIVES
from tests.eval.judges import Judge
from tests.eval.scenes import Row
from tests.eval.statistics import percentile, poisson_upper, weighted_upper, within

_HOURS: Final = 10_000
_EXAMPLES_MAX: Final = 60
_QUIET: Final = frozenset({"door_slam", "boot_lid", "car_wash", "loading"})
_BANDS_KMH: Final = ((3, 5), (5, 8), (8, 12), (12, 20), (20, 40), (40, 80))
_OCTANTS: Final = ("front", "front right", "right", "rear right", "rear", "rear left", "left", "front left")

Summary = Mapping[str, Any]


def summarise(rows: Sequence[Row], judge: Judge) -> dict[str, Any]:
    """All figures of a sweep, under one judge."""
    crashes = [row for row in rows if row.job.kind == "crash"]
    parked = [row for row in rows if row.job.kind == "parked_hit"]
    negatives = [row for row in rows if row.blow is None and row.job.kind != "commute"]
    commutes = [row for row in rows if row.job.kind == "commute"]
    errors, false_alarms = _errors(crashes, parked, judge), _false_alarms(negatives, judge)
    return {
        "headline": {
            "recall": _recall(crashes, judge),
            "recall_400_hz": _recall([row for row in crashes if row.job.rate_hz == 400], judge),
            "recall_100_hz": _recall([row for row in crashes if row.job.rate_hz == 100], judge),
            "recall_without_gnss": _recall([r for r in crashes if r.conditions and not r.conditions.gnss], judge),
            "parked_recall": _recall(parked, judge),
            "parked_false_door_wash_loading": sum(
                len(_told(row, judge)) > 0 for row in negatives if row.job.kind in _QUIET
            ),
            "false_per_10000_h": false_alarms["all"]["per_10000_h"],
            "false_upper_95_per_10000_h": false_alarms["all"]["upper_95_per_10000_h"],
            "delta_v_within_10_pct": errors["all"]["delta_v_within_10_pct"],
            "pdof_within_20_deg": errors["all"]["pdof_within_20_deg"],
        },
        "crash": _recalls(crashes, judge),
        "parked_hit": _recalls(parked, judge),
        "errors": errors,
        "clipped": _clipped([*crashes, *parked], judge),
        "extra_collisions": sum(len(_told(row, judge)) > 1 for row in [*crashes, *parked]),
        "false_alarms": false_alarms,
        "commute_false_alarms": sum(len(_told(row, judge)) for row in commutes),
        "confusion": _confusion(negatives, judge),
        "missed": [_name(row) for row in [*crashes, *parked] if not _hit(row, judge)][:_EXAMPLES_MAX],
        "false": [_name(row) for row in negatives if _told(row, judge)][:_EXAMPLES_MAX],
    }


def _told(row: Row, judge: Judge) -> list[Any]:
    return [event for event in row.collisions() if judge(event)]


def _hit(row: Row, judge: Judge) -> bool:
    event = row.found()
    return event is not None and judge(event)


def _recall(rows: Sequence[Row], judge: Judge) -> float | None:
    return round(sum(_hit(row, judge) for row in rows) / len(rows), 4) if rows else None


def _recalls(rows: Sequence[Row], judge: Judge) -> dict[str, Any]:
    """Recall in all and by what may matter to it."""

    def by(group: Callable[[Row], str]) -> dict[str, list[float]]:
        counts: dict[str, list[int]] = {}
        for row in rows:
            found, all_of_them = counts.setdefault(group(row), [0, 0])
            counts[group(row)] = [found + _hit(row, judge), all_of_them + 1]
        return {name: [round(found / total, 4), total] for name, (found, total) in sorted(counts.items())}

    return {
        "rate_hz": by(lambda row: str(row.job.rate_hz)),
        "direction": by(lambda row: _OCTANTS[round(row.blow.pdof_deg / 45) % 8] if row.blow else ""),
        "delta_v_kmh": by(_band),
        "mounting": by(lambda row: row.conditions.mount if row.conditions else ""),
        "gnss": by(lambda row: "with" if row.conditions and row.conditions.gnss else "without"),
        "speed_by": by(lambda row: row.conditions.speed_by if row.conditions else ""),
        "shape": by(lambda row: row.blow.shape if row.blow else ""),
    }


def _band(row: Row) -> str:
    value = row.blow.delta_v_kmh if row.blow else 0.0
    return next((f"{low:02}-{high:02}" for low, high in _BANDS_KMH if low <= value < high), "80")


def _errors(crashes: Sequence[Row], parked: Sequence[Row], judge: Judge) -> dict[str, Any]:
    """Of collisions found, all together and apart."""
    groups = {"all": [*crashes, *parked]}
    for name, rows in (("crash", crashes), ("parked", parked)):
        groups |= {f"{name} {rate} Hz": [row for row in rows if row.job.rate_hz == rate] for rate in (400, 100)}
    return {name: _errors_of(rows, judge) for name, rows in groups.items()}


def _errors_of(rows: Sequence[Row], judge: Judge) -> dict[str, Any]:
    """Delta-v where the sensor was not clipped, direction where it is told and the mounting known."""
    delta_v, direction, onset = [], [], []
    for row in rows:
        event, blow = row.found(), row.blow
        if event is None or blow is None or not judge(event):
            continue
        onset.append(abs(event.t_ns - blow.t_ns) / 1e6)
        if not row.clipped:
            delta_v.append(abs(event.delta_v_kmh / blow.delta_v_kmh - 1) * 100)
        if event.pdof_deg is not None and row.conditions and row.conditions.mount != "unknown":
            direction.append(abs((event.pdof_deg - blow.pdof_deg + 180) % 360 - 180))
    return {
        "delta_v_within_10_pct": _round(within(delta_v, 10.0), 4),
        "delta_v_pct_p50": _round(percentile(delta_v, 0.5), 2),
        "delta_v_pct_p95": _round(percentile(delta_v, 0.95), 2),
        "pdof_within_20_deg": _round(within(direction, 20.0), 4),
        "pdof_deg_p50": _round(percentile(direction, 0.5), 2),
        "pdof_deg_p95": _round(percentile(direction, 0.95), 2),
        "t0_ms_p50": _round(percentile(onset, 0.5), 1),
        "t0_ms_p95": _round(percentile(onset, 0.95), 1),
        "delta_v_count": len(delta_v),
        "pdof_count": len(direction),
    }


def _clipped(rows: Sequence[Row], judge: Judge) -> dict[str, Any]:
    """Of collisions found whose sensor was at its end: is it told, and is delta-v a lower bound then."""
    pairs = [(row.found(), row.blow) for row in rows if row.clipped and _hit(row, judge)]
    true = [(event, blow) for event, blow in pairs if event is not None and blow is not None]
    marked = [event.clipped for event, _ in true]
    bound = [event.delta_v_kmh <= 1.1 * blow.delta_v_kmh for event, blow in true]
    count = len(true)
    return {
        "count": count,
        "marked": _round(sum(marked) / count, 4) if count else None,
        "lower_bound": _round(sum(bound) / count, 4) if count else None,
    }


def _false_alarms(rows: Sequence[Row], judge: Judge) -> dict[str, Any]:
    """False collisions in 10,000 hours: of each class, and of all together, with an upper bound of 95 %.

    All: an hour of driving and an hour of parking.
    """
    classes: dict[str, Any] = {}
    counts: list[tuple[int, float]] = []
    for kind, negative in NEGATIVES.items():
        mine = [row for row in rows if row.job.kind == kind]
        if not mine:
            continue
        false = sum(len(_told(row, judge)) > 0 for row in mine)
        weight = negative.per_hour / len(mine) * _HOURS  # alarms in 10,000 hours that one false scene stands for
        counts.append((false, weight))
        classes[kind] = {
            "scenes": len(mine),
            "per_hour": negative.per_hour,
            "hours": round(len(mine) / negative.per_hour),
            "hours_of": negative.hours_of,
            "false": false,
            "false_400_hz": sum(len(_told(row, judge)) > 0 for row in mine if row.job.rate_hz == 400),
            "false_100_hz": sum(len(_told(row, judge)) > 0 for row in mine if row.job.rate_hz == 100),
            "per_10000_h": round(false * weight, 3),
            "upper_95_per_10000_h": round(poisson_upper(false) * weight, 3),
        }
    return {
        "all": {
            "scenes": len(rows),
            "false": sum(false for false, _ in counts),
            "per_10000_h": round(sum(false * weight for false, weight in counts), 3),
            "upper_95_per_10000_h": round(weighted_upper(counts), 3) if counts else None,
            "hours_by_event_rates": min((entry["hours"] for entry in classes.values()), default=0),
        },
        "classes": classes,
    }


def _confusion(rows: Sequence[Row], judge: Judge) -> dict[str, dict[str, int]]:
    """What each class of what is no collision was told as; a scene counts once for each kind of event."""
    table: dict[str, dict[str, int]] = {}
    for row in rows:
        told = {_label(event) for event in row.events if event.kind != "collision"}
        told |= {"collision"} if _told(row, judge) else set()
        counts = Counter(table.get(row.job.kind, {}))
        counts.update(told or {"nothing"})
        table[row.job.kind] = dict(counts)
    return table


def _label(event: Any) -> str:
    what = getattr(event, "what", None)
    return f"{event.kind}:{what}" if what else str(event.kind)


def _name(row: Row) -> str:
    truth = f" of {row.blow.delta_v_kmh:.1f} km/h from {row.blow.pdof_deg:.0f} deg" if row.blow else ""
    box = f", {row.conditions.mount}, {row.conditions.range_g:g} g" if row.conditions else ""
    told = "; ".join(f"{event.delta_v_kmh:.1f} km/h in {event.duration_ms:.0f} ms" for event in row.collisions())
    return f"{row.job.kind} {row.job.seed} at {row.job.rate_hz} Hz{truth}{box}" + (f": told {told}" if told else "")


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def render(console: Console, name: str, summary: Summary) -> None:
    """Print the figures as tables."""
    table = Table(title=f"collisions, {name}", title_justify="left", show_header=False)
    for figure, value in summary["headline"].items():
        table.add_row(figure, str(value))
    console.print(table)
    table = Table(title=f"{name}: recall", title_justify="left")
    for column in ("by", "group", "collisions", "of", "parked hits", "of"):
        table.add_column(column, justify="left" if column in ("by", "group") else "right")
    for by in summary["crash"]:
        groups = sorted({*summary["crash"][by], *summary["parked_hit"].get(by, {})})
        for group in groups:
            cells = [summary[kind].get(by, {}).get(group) for kind in ("crash", "parked_hit")]
            shown = [text for cell in cells for text in ((f"{cell[0]:.2%}", str(cell[1])) if cell else ("", ""))]
            table.add_row(by, group, *shown)
    console.print(table)
    console.print(_errors_table(summary))
    console.print(_false_table(summary))
    for what in ("missed", "false"):
        for text in summary[what]:
            console.print(f"{what}: {text}")


def _errors_table(summary: Summary) -> Table:
    table = Table(title="errors of what was found", title_justify="left")
    table.add_column("figure")
    for group in summary["errors"]:
        table.add_column(group, justify="right")
    for figure in next(iter(summary["errors"].values())):
        table.add_row(figure, *(str(column[figure]) for column in summary["errors"].values()))
    clipped = ", ".join(f"{key} {value}" for key, value in summary["clipped"].items())
    table.caption = f"clipped: {clipped}; scenes with a second collision that is none: {summary['extra_collisions']}"
    return table


def _false_table(summary: Summary) -> Table:
    table = Table(title="what is no collision", title_justify="left")
    for column in ("class", "scenes", "an hour", "hours", "false", "per 10,000 h", "95 % below"):
        table.add_column(column, justify="left" if column == "class" else "right")
    table.add_column("told as")
    for kind, entry in summary["false_alarms"]["classes"].items():
        told = ", ".join(f"{what} {count}" for what, count in sorted(summary["confusion"][kind].items()))
        figures = (entry["scenes"], entry["per_hour"], entry["hours"], entry["false"], entry["per_10000_h"])
        table.add_row(kind, *map(str, figures), str(entry["upper_95_per_10000_h"]), told)
    total = summary["false_alarms"]["all"]
    figures = (total["scenes"], "", total["hours_by_event_rates"], total["false"], total["per_10000_h"])
    table.add_row("all", *map(str, figures), str(total["upper_95_per_10000_h"]), "", end_section=True)
    table.caption = f"false collisions on whole healthy drives: {summary['commute_false_alarms']}"
    return table
