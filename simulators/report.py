"""A sweep as one HTML file that needs nothing else: tables, plots, and how to get each miss and false alarm again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from simulators.report_html import Code, bad, figure, listing, seconds, shorten, table
from simulators.report_svg import bars, lines, ridges, stacked_bars
from simulators.report_table import TRIPS, Row, percent, tabulate, total
from simulators.score import NS, Lead, Run, name_of
from simulators.sweep_plan import COMMUTE, swept

_STYLE: Final = Path(__file__).with_name("report.css")
_PARTS: Final = (("found", "found"), ("missed", "missed"), ("no event for this yet", "unable"))
_LEAST_MS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Title:
    """How the sweep was made."""

    command: str
    took_s: float
    processes: int


def render(runs: Sequence[Run], title: Title) -> str:
    """The whole page."""
    rows = tabulate(run.outcome for run in runs)
    body = "".join(
        [
            _head(runs, rows, title),
            _families(rows),
            _recall(rows),
            _kinds(runs),
            _latency(rows),
            _leads(runs),
            _false_kinds(runs, rows),
            *(_sensitivity(runs, key) for key in swept(runs)),
            _no_event(runs),
            _misses(runs),
            _false_alarms(runs),
            _scenarios(runs),
        ]
    )
    style = _STYLE.read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Outrider sweep</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>\n{style}</style>\n<body>{body}</body></html>\n'
    )


def _head(runs: Sequence[Run], rows: Sequence[Row], title: Title) -> str:
    hours = sum(run.outcome.seconds for run in runs) / 3600
    verdicts = [row for row in rows if row.family != TRIPS]
    found, missed = sum(row.found for row in verdicts), sum(row.missed.total() for row in verdicts)
    truths = sum(row.truths for row in verdicts)
    latency = [value for row in verdicts for value in row.latency_ms]
    healthy = next((row for row in rows if row.family == COMMUTE), None)
    leads = [value for row in verdicts for value in row.lead_s]
    tiles = [
        (percent(found / (found + missed) if found + missed else None), "recall of what the agent has an event for"),
        (percent(found / truths if truths else None), f"recall of all {truths:,} truths"),
        (
            f"{healthy.false.total()}" if healthy else str(sum(row.false.total() for row in rows)),
            f"false alarms in {healthy.seconds / 3600:.0f} h of healthy commutes" if healthy else "false alarms",
        ),
        (seconds(float(np.median(latency)) / 1000) if latency else "-", "median latency, trips apart"),
        (seconds(float(np.median(leads))) if leads else "-", "median lead before a hazard"),
    ]
    grid = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>' for value, text in tiles
    )
    return (
        f'<h1>Outrider sweep</h1><p class="soft">{len(runs):,} drives, {hours:.1f} hours of driving in '
        f"{seconds(title.took_s)} on {title.processes} processes ({hours * 3600 / title.took_s:.0f} times real "
        f'time). Made by <code>{escape(title.command)}</code></p><div class="tiles">{grid}</div>'
    )


def _families(rows: Sequence[Row]) -> str:
    heads = ["family", "drives", "hours", "truths", "found", "missed", "no event yet", "recall", "of all"]
    heads += ["false", "per 1,000 h", "latency p50", "p99", "lead p50"]
    cells = [
        [
            row.family,
            row.drives,
            f"{row.seconds / 3600:.2f}",
            row.truths,
            row.found,
            bad(row.missed.total()),
            row.unable.total() or "-",
            percent(row.recall),
            percent(row.recall_of_all),
            bad(row.false.total()),
            f"{row.false_per_1000_h:,.0f}",
            seconds(row.p50_p99_ms[0] / 1000) if row.p50_p99_ms else "-",
            seconds(row.p50_p99_ms[1] / 1000) if row.p50_p99_ms else "-",
            "-" if row.lead_p50_s is None else seconds(row.lead_p50_s),
        ]
        for row in rows
    ]
    return (
        "<h2>Families of scenarios</h2><p>A truth is what a perfect agent would report. “No event yet” are truths for "
        "which the agent has no kind of event: recall leaves them out, “of all” counts them as missed. False alarms "
        "per 1,000 hours come from a few hours full of traps: they compare versions, they do not foretell the road. "
        "Trips have a row of their own; each other row and the trips count the same drives.</p>"
        + table(heads, cells, text=1)
    )


def _recall(rows: Sequence[Row]) -> str:
    shown = [
        (
            row.family,
            (row.found, row.missed.total(), row.unable.total()),
            f"{percent(row.recall)} of {row.found + row.missed.total()}" if row.recall is not None else "no event yet",
        )
        for row in rows
        if row.truths
    ]
    return figure("Recall by family", stacked_bars(shown, _PARTS), "") if shown else ""


def _kinds(runs: Sequence[Run]) -> str:
    """Found and missed of each kind of truth, with its latency."""
    missed = total(Counter(name_of(truth) for truth in run.outcome.missed) for run in runs)
    late: dict[str, list[float]] = {}
    for run in runs:
        for truth, report in run.outcome.found:
            late.setdefault(name_of(truth), []).append((report.told_ns - truth.t_ns) / NS)
    cells = []
    for kind in sorted({*missed, *late}):
        found = len(late.get(kind, ()))
        spread = np.percentile(late[kind], [50, 99]).tolist() if found else []
        percentiles = [seconds(value) for value in spread] or ["-", "-"]
        cells.append([kind, found, bad(missed[kind]), percent(found / (found + missed[kind])), *percentiles])
    if not cells:
        return ""
    heads = ["truth", "found", "missed", "recall", "latency p50", "p99"]
    return f"<h2>Recall by kind of truth</h2>{table(heads, cells, text=1)}"


def _latency(rows: Sequence[Row]) -> str:
    shown = [(row.family, [max(value, _LEAST_MS) for value in row.latency_ms]) for row in rows if row.latency_ms]
    if not shown:
        return ""
    note = (
        "From the instant it was true to the end of the window of 100 ms in which the agent told it. On the right: "
        "median / 99th percentile. A trip ends when the car has stood long enough. The truth of slow things, such as "
        "temperatures, is known to half a second: the agent may be earlier, which counts as 10 ms here."
    )
    return figure(
        "Latency", ridges(shown, tick=lambda ms: seconds(ms / 1000), mark=lambda ms: f"{ms / 1000:g} s"), note
    )


def _leads(runs: Sequence[Run]) -> str:
    grouped: dict[tuple[str, str], list[Lead]] = {}
    for run in runs:
        for lead in run.outcome.leads:
            grouped.setdefault((lead.hazard, run.outcome.name), []).append(lead)
    if not grouped:
        return ""
    cells = []
    for (hazard, scenario), leads in sorted(grouped.items()):
        known = [lead.seconds for lead in leads if lead.seconds is not None]
        spread = [seconds(value) for value in (min(known), float(np.median(known)), max(known))] if known else ["-"] * 3
        cells.append([hazard, scenario, len(leads), bad(len(leads) - len(known)), *spread])
    heads = ["hazard", "scenario", "drives", "unwarned", "least", "median", "most"]
    note = "From the first true warning to the hazard. Negative: the first word came after it."
    return f"<h2>Lead time</h2><p>{note}</p>" + table(heads, cells, text=2)


def _false_kinds(runs: Sequence[Run], rows: Sequence[Row]) -> str:
    kinds = total(row.false for row in rows)
    if not kinds:
        return "<h2>False alarms by kind</h2><p>None.</p>"
    where: dict[str, Counter[str]] = {}
    for run in runs:
        for report in run.outcome.false:
            where.setdefault(report.event.kind, Counter())[run.outcome.name] += 1
    shown = [
        (kind, count, f"{count}, most in {where[kind].most_common(1)[0][0]}") for kind, count in kinds.most_common()
    ]
    return figure("False alarms by kind", bars(shown, "warm"), "")


def _sensitivity(runs: Sequence[Run], key: str) -> str:
    """Recall, median latency and false alarms over the values of one parameter, a line a family."""
    values = sorted({dict(run.parameters)[key] for run in runs if key in dict(run.parameters)}, key=_number_first)
    tables = {
        value: {
            row.family: row
            for row in tabulate(run.outcome for run in runs if dict(run.parameters).get(key) == value)
            if row.family != TRIPS
        }
        for value in values
    }
    families = sorted({family for one in tables.values() for family in one})

    def series(measure: Callable[[Row], float | None]) -> dict[str, list[float | None]]:
        return {
            family: [measure(tables[value][family]) if family in tables[value] else None for value in values]
            for family in families
        }

    panels = [
        lines("recall", values, series(lambda row: row.recall), tick="{:.0%}".format),
        lines(
            "median latency",
            values,
            series(lambda row: row.p50_p99_ms[0] if row.p50_p99_ms else None),
            tick=lambda ms: seconds(ms / 1000),
        ),
        lines(
            "false alarms per drive", values, series(lambda row: row.false.total() / row.drives), tick="{:.2g}".format
        ),
    ]
    if any(row.lead_s for one in tables.values() for row in one.values()):
        panels.append(lines("median lead", values, series(lambda row: row.lead_p50_s), tick=seconds))
    return f'<h2>Sensitivity to <code>{escape(key)}</code></h2><div class="panels">{"".join(panels)}</div>'


def _no_event(runs: Sequence[Run]) -> str:
    counts: Counter[str] = Counter()
    where: dict[str, set[str]] = {}
    for run in runs:
        for truth in run.outcome.unable:
            counts[name_of(truth)] += 1
            where.setdefault(name_of(truth), set()).add(run.outcome.name)
    if not counts:
        return ""
    cells = [[kind, count, shorten(sorted(where[kind]))] for kind, count in counts.most_common()]
    return (
        "<h2>No event for this yet</h2><p>The world knows these truths; the agent has no kind of event that says them."
        "</p>" + table(["truth", "count", "scenarios"], cells, text=1, text_last=True)
    )


def _misses(runs: Sequence[Run]) -> str:
    cells = [
        [run.outcome.name, name_of(truth), run.seed, f"{truth.t_ns / NS:.1f} s", Code(run.command)]
        for run in runs
        for truth in run.outcome.missed
    ]
    return listing("Misses", ["scenario", "truth", "seed", "at", "again with"], cells)


def _false_alarms(runs: Sequence[Run]) -> str:
    cells = []
    for run in runs:
        for report in run.outcome.false:
            which = next(
                (str(getattr(report.event, key)) for key in ("alarm", "maneuver") if hasattr(report.event, key)), ""
            )
            kind = f"{report.event.kind}:{which}" if which else report.event.kind
            cells.append([run.outcome.name, kind, run.seed, f"{report.event.t_ns / NS:.1f} s", Code(run.command)])
    return listing("False alarms", ["scenario", "report", "seed", "at", "again with"], cells)


def _scenarios(runs: Sequence[Run]) -> str:
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        name = COMMUTE + "s" if run.outcome.family == COMMUTE else run.outcome.name
        grouped.setdefault((run.outcome.family, name), []).append(run)
    cells = []
    for (family, name), mine in sorted(grouped.items()):
        counts = [
            sum(len(getattr(run.outcome, part)) for run in mine) for part in ("found", "missed", "unable", "false")
        ]
        cells.append([name, family, len(mine), counts[0], bad(counts[1]), counts[2] or "-", bad(counts[3])])
    heads = ["scenario", "family", "drives", "found", "missed", "no event yet", "false"]
    folded = (
        f"<details><summary>{len(cells)} scenarios, trips included</summary>{table(heads, cells, text=2)}</details>"
    )
    return f"<h2>Scenarios</h2>{folded}"


def _number_first(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text
