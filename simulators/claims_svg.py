"""What a claims page draws: the car from above with the force that hit it, and curves over time. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.svg import line, rect, round_up, svg, text

_WIDTH: Final = 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 22, 26, 24
_POINTS_MAX: Final = 480
"""Of a curve: more than the pixels of a phone, and of each pair the smallest and the largest stays."""

_OUTLINE: Final = ((-58, 56), (58, 56), (-40, 72), (40, 72), (-58, 10), (58, 10), (-30, -44), (30, -44))
"""Corners of the car from behind."""

Values = npt.NDArray[np.float64]
_Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart. NaN leaves a gap."""

    label: str
    x: Values
    y: Values
    css: str


@dataclass(frozen=True, slots=True)
class Axis:
    """From where to where, and the ticks' distance; unit stands at the last tick."""

    low: float
    high: float
    step: float
    unit: str

    def ticks(self) -> list[float]:
        """Multiples of step within it."""
        first = math.ceil(self.low / self.step - 1e-9)
        return [n * self.step for n in range(first, math.floor(self.high / self.step + 1e-9) + 1)]


def clock_of(pdof_deg: float) -> int:
    """The hour from which a force came: 12 is ahead, 3 the right side."""
    return round(pdof_deg / 30) % 12 or 12


def value_axis(curves: Sequence[Curve], unit: str, *, least: float = 1.0, lines: int = 4) -> Axis:
    """An axis that holds zero and all values of the curves, with about so many ticks; least: its smallest span."""
    known = [curve.y[np.isfinite(curve.y)] for curve in curves]
    low = min([0.0, *(float(y.min()) for y in known if len(y))])
    high = max([0.0, *(float(y.max()) for y in known if len(y))])
    step = round_up(max(high - low, least) / lines)
    if high - low < least:
        high = low + least
    return Axis(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step, unit)


def chart(
    curves: Sequence[Curve],
    across: Axis,
    up: Axis,
    *,
    height: int = 220,
    zero: str = "",
    bands: Sequence[tuple[float, float, str]] = (),
) -> str:
    """Curves over time. zero: the word at the upright line of x = 0; bands: from, until and what it was then."""
    right, bottom = _WIDTH - _RIGHT, height - _BOTTOM

    def at(x: float) -> float:
        return _LEFT + (right - _LEFT) * (x - across.low) / (across.high - across.low)

    def over(y: float) -> float:
        return bottom - (bottom - _TOP) * (y - up.low) / (up.high - up.low)

    out = []
    for start, end, words in bands:
        first, last = at(max(start, across.low)), at(min(end, across.high))
        if last > first:
            out.append(rect(first, _TOP, last - first, bottom - _TOP, "band", words))
    for value in up.ticks():
        out.append(line(_LEFT, over(value), right, over(value), "axis" if value == 0 else "grid"))
        out.append(text(_LEFT - 6, over(value) + 4, _number(value), "end"))
    for value in across.ticks():
        out.append(line(at(value), bottom, at(value), bottom + 4, "axis"))
        out.append(text(at(value), bottom + 17, _number(value), "middle"))
    out.append(text(right, 14, across.unit, "end", "unit"))
    out.append(text(4, 14, up.unit, "start", "unit"))
    if zero and across.low <= 0 <= across.high:
        out.append(line(at(0), _TOP, at(0), bottom, "zero"))
        out.append(text(at(0), _TOP - 4, zero, "middle", "zero"))
    for curve in curves:
        out += _polylines(curve, across, at, over)
    return svg(_WIDTH, height, out)


def legend(curves: Sequence[Curve], more: Sequence[tuple[str, str]] = ()) -> str:
    """HTML: which line is which; more: (CSS class, words) of what else is drawn."""
    keys = [*((curve.css, curve.label) for curve in curves), *more]
    return '<div class="legend">' + "".join(f'<span class="{c}">{escape(words)}</span>' for c, words in keys) + "</div>"


def car(pdof_deg: float | None, *, front: str, label: str) -> str:
    """The car from above, its front up, with the hours around it and an arrow from where the force came."""
    out = ['<circle class="ring" r="112"/>']
    for hour in range(1, 13):
        angle = math.radians(hour * 30)
        css = "hour on" if pdof_deg is not None and hour == clock_of(pdof_deg) else "hour"
        x, y = 127 * math.sin(angle), -127 * math.cos(angle)
        out.append(text(x, y + 4.5, str(hour), "middle", css))
    out.append(
        '<path class="body" d="M-27 -72 q27 -13 54 0 q7 5 8 22 v92 q-1 20 -8 25 q-27 9 -54 0 q-7 -5 -8 -25 v-92 '
        'q1 -17 8 -22 z"/>'
        '<path class="glass" d="M-27 -30 q27 -13 54 0 l-6 20 q-21 -6 -42 0 z M-23 42 q23 6 46 0 l4 15 q-27 9 -54 0 z '
        'M-31 -22 l6 16 v40 l-6 12 z M31 -22 l-6 16 v40 l6 12 z"/>'
        '<path class="body" d="M-35 -18 l-9 4 v5 l9 -2 z M35 -18 l9 4 v5 l-9 -2 z"/>'
    )
    out.append(text(0, -50, front, "middle", "front"))
    if pdof_deg is not None:
        out.append(
            f'<g class="force" transform="rotate({pdof_deg:.1f})"><path d="M0 -112 V-92" stroke-width="9"/>'
            '<path d="M0 -74 l-13 -22 h26 z" stroke="none"/></g>'
        )
    body = "".join(out)
    return (
        f'<svg class="car" viewBox="-140 -140 280 280" width="280" role="img" aria-label="{escape(label)}">{body}</svg>'
    )


def rolled_car(roll_deg: float, *, label: str) -> str:
    """The car from behind as it came to rest; roll_deg: right side down +."""
    turn = math.radians(roll_deg)
    ground = max(x * math.sin(turn) + y * math.cos(turn) for x, y in _OUTLINE) + 2
    body = (
        f'<path class="axis" d="M-120 {ground:.0f} H120" fill="none"/>'
        f'<g transform="rotate({roll_deg:.0f})"><path class="glass" d="M-40 52 h18 v20 h-18 z M22 52 h18 v20 h-18 z"/>'
        '<path class="body" d="M-58 56 v-46 q0 -8 8 -10 l12 -36 q2 -8 10 -8 h56 q8 0 10 8 l12 36 q8 2 8 10 v46 z"/>'
        '<path class="glass" d="M-38 -2 l9 -28 h58 l9 28 z M-52 14 h18 v12 h-18 z M34 14 h18 v12 h-18 z"/></g>'
    )
    return (
        f'<svg class="car" viewBox="-120 -90 240 180" width="280" role="img" aria-label="{escape(label)}">{body}</svg>'
    )


def _polylines(curve: Curve, across: Axis, at: _Scale, over: _Scale) -> list[str]:
    """Pieces of one curve between its gaps, within the axis."""
    inside = (curve.x >= across.low) & (curve.x <= across.high)
    x, y = thin(curve.x[inside], curve.y[inside])
    gaps = np.flatnonzero(~np.isfinite(y))
    out = []
    for piece in np.split(np.arange(len(x)), gaps):
        kept = piece[np.isfinite(y[piece])]
        if len(kept):
            points = " ".join(
                f"{at(a):.1f},{over(b):.1f}" for a, b in zip(x[kept].tolist(), y[kept].tolist(), strict=True)
            )
            out.append(
                f'<polyline class="{curve.css}" points="{points}"><title>{escape(curve.label)}</title></polyline>'
            )
    return out


def thin(x: Values, y: Values) -> tuple[Values, Values]:
    """At most _POINTS_MAX points: the smallest and the largest of each stretch, so that no peak is lost."""
    if len(x) <= _POINTS_MAX:
        return x, y
    keep: set[int] = set()
    for stretch in np.array_split(np.arange(len(x)), _POINTS_MAX // 2):
        finite = stretch[np.isfinite(y[stretch])]
        keep.update([int(finite[y[finite].argmin()]), int(finite[y[finite].argmax()])] if len(finite) else [stretch[0]])
    kept = np.array(sorted(keep))
    return x[kept], y[kept]


def _number(value: float) -> str:
    return f"{value:.10g}".replace("-", "−") if abs(value) > 1e-9 else "0"
