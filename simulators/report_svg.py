"""Small charts as inline SVG: bars, distributions on a logarithmic axis, lines. Pure; colours come from the page."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

from simulators.svg import line, rect, round_up, svg, text

_WIDTH: Final = 760
_LABEL: Final = 150
_RIGHT: Final = 128
_ROW: Final = 26
_RIDGE: Final = 44
_BINS: Final = 60
_PANEL: Final = (340, 220)


def stacked_bars(rows: Sequence[tuple[str, Sequence[int], str]], parts: Sequence[tuple[str, str]]) -> str:
    """Rows of (label, count of each part, note), each drawn to its own full length; parts: (name, CSS class)."""
    span = _WIDTH - _LABEL - _RIGHT
    out = [_legend(parts)]
    for number, (label, counts, note) in enumerate(rows):
        y = 30 + number * _ROW
        out.append(text(_LABEL - 10, y + 14, label, "end"))
        x = float(_LABEL)
        for (name, css), count in zip(parts, counts, strict=True):
            wide = span * count / max(1, sum(counts))
            if count:
                out.append(rect(x, y, wide, 18, css, f"{label}: {count} {name}"))
                if wide > 9 * len(str(count)) + 6:
                    out.append(text(x + wide / 2, y + 13, str(count), "middle", "on"))
            x += wide
        out.append(text(_LABEL + span + 8, y + 14, note))
    return svg(_WIDTH, 36 + len(rows) * _ROW, out)


def bars(rows: Sequence[tuple[str, int, str]], css: str) -> str:
    """Rows of (label, count, note) to one scale."""
    span = _WIDTH - _LABEL - _RIGHT - 80
    top = max((count for _, count, _ in rows), default=1)
    out = []
    for number, (label, count, note) in enumerate(rows):
        y = 6 + number * _ROW
        wide = max(2.0, span * count / top)
        out.append(text(_LABEL - 10, y + 14, label, "end"))
        out.append(rect(_LABEL, y, wide, 18, css, f"{label}: {count}"))
        out.append(text(_LABEL + wide + 8, y + 14, note))
    return svg(_WIDTH, 12 + len(rows) * _ROW, out)


def ridges(
    rows: Sequence[tuple[str, Sequence[float]]], *, tick: Callable[[float], str], mark: Callable[[float], str]
) -> str:
    """Rows of (label, positive values) as histograms over one logarithmic axis, with median and p99 marked.

    mark writes a value on the axis, tick any other.
    """
    every = np.concatenate([np.asarray(values, np.float64) for _, values in rows])
    low, high = math.floor(math.log10(every.min())), math.ceil(math.log10(every.max()) + 1e-9)
    high = max(high, low + 1)
    span = _WIDTH - _LABEL - _RIGHT
    bottom = 20 + len(rows) * _RIDGE
    out = [text(_LABEL, 12, "▏median", "start", "median"), text(_LABEL + 70, 12, "▏99th percentile", "start", "p99")]

    def x_of(value: float) -> float:
        return _LABEL + span * (math.log10(value) - low) / (high - low)

    for power in range(low, high + 1):
        x = x_of(10.0**power)
        out.append(line(x, 20, x, bottom, "grid"))
        out.append(text(x, bottom + 16, mark(10.0**power), "middle"))
    edges = np.linspace(low, high, _BINS + 1)
    for number, (label, values) in enumerate(rows):
        base = 20 + (number + 1) * _RIDGE
        counts, _ = np.histogram(np.log10(values), edges)
        heights = (_RIDGE - 10) * counts / max(1, counts.max())
        out.append(text(_LABEL - 10, base - 6, label, "end"))
        out.append(line(_LABEL, base, _LABEL + span, base, "axis"))
        for n, height in enumerate(heights.tolist()):
            if height:
                x = _LABEL + span * n / _BINS
                title = f"{label}: {counts[n]} from {tick(10.0 ** edges[n])} to {tick(10.0 ** edges[n + 1])}"
                out.append(rect(x, base - max(1.5, height), span / _BINS - 1, max(1.5, height), "found", title))
        p50, p99 = np.percentile(values, [50, 99]).tolist()
        out.append(line(x_of(p50), base - _RIDGE + 8, x_of(p50), base, "median"))
        out.append(line(x_of(p99), base - _RIDGE + 8, x_of(p99), base, "p99"))
        out.append(text(_LABEL + span + 8, base - 6, f"{tick(p50)} / {tick(p99)}"))
    return svg(_WIDTH, bottom + 24, out)


def lines(
    title: str, across: Sequence[str], series: Mapping[str, Sequence[float | None]], *, tick: Callable[[float], str]
) -> str:
    """One panel: a line a series over the values in `across` (evenly spaced), from zero; None leaves a gap."""
    width, height = _PANEL
    left, right, top, bottom = 56, width - 12, 34, height - 46
    known = [value for values in series.values() for value in values if value is not None]
    most = round_up(max(known, default=1.0) or 1.0)
    out = [text(left, 16, title, "start", "title")]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = bottom - (bottom - top) * share
        out.append(line(left, y, right, y, "grid"))
        out.append(text(left - 6, y + 4, tick(most * share), "end"))
    xs = [left + 14 + (right - left - 28) * (n / max(1, len(across) - 1)) for n in range(len(across))]
    out += [text(x, bottom + 16, label, "middle") for x, label in zip(xs, across, strict=True)]
    for number, (name, values) in enumerate(series.items()):
        css, more = f"s{number % 6}", len(series) - 1 - number  # earlier lines are wider, so that equal ones all show
        dots = [
            (x, bottom - (bottom - top) * value / most)
            for x, value in zip(xs, values, strict=True)
            if value is not None
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        out.append(f'<polyline class="{css}" stroke-width="{2 + 2 * more}" points="{points}"/>')
        for x, y in dots:
            out.append(
                f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{escape(name)}</title></circle>'
            )
        if len(series) > 1:
            out.append(text(left + number * 62, height - 8, f"● {name}", "start", css))
    return svg(width, height, out)


def _legend(parts: Sequence[tuple[str, str]]) -> str:
    out = []
    for number, (name, css) in enumerate(parts):
        x = _LABEL + number * 150
        out.append(rect(x, 4, 12, 12, css, name) + text(x + 18, 14, name))
    return "".join(out)
