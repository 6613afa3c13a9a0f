"""The battery's charts as inline SVG: cells at rest, capacity with its interval, charges. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.cli.battery_facts import BatteryFacts, day_text
from agent.cli.battery_words import word
from agent.core.ports import Language
from agent.detect.battery_diary import Charge
from agent.detect.cell_figures import Values
from simulators.svg import line, rect, round_up, svg, text

_WIDTH: Final = 764
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 92, 26, 30
_SPAN_DAYS: Final = 7  # at least, or one day alone has no place
_TICKS: Final = 5
_GAP_DAYS: Final = 21  # no line is drawn over so long without use
_MODES: Final = ("ac", "dc", "unknown")
_MV: Final = 1000.0
_LABEL: Final = 15  # height of a line's name


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where days and values lie. low and high are the values at the lower and the upper edge."""

    first: int
    last: int
    low: float
    high: float
    height: int

    def x(self, day: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (day - self.first) / max(1, self.last - self.first)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.height - _BOTTOM - (self.height - _BOTTOM - _TOP) * min(max(share, 0.0), 1.0)

    def axes(self, unit: str, language: Language) -> list[str]:
        out = []
        for value in _steps(self.low, self.high):
            out.append(line(_LEFT, self.y(value), _WIDTH - _RIGHT, self.y(value), "grid"))
            out.append(text(_LEFT - 7, self.y(value) + 4, f"{value:g}".replace("-", "−"), "end"))
        out.append(text(_LEFT - 7, 12, unit, "end"))
        days = np.unique(np.linspace(self.first, self.last, _TICKS).round().astype(int)).tolist()
        return out + [text(self.x(day), self.height - 10, day_text(day, language), "middle") for day in days]


def cells_chart(facts: BatteryFacts, language: Language) -> str:
    """The band of nine tenths of the cells, and the cells that stand out; when advice was told is marked."""
    beside = facts.volt * _MV
    low, high = np.nanquantile(beside, 0.05, axis=1), np.nanquantile(beside, 0.95, axis=1)
    lines = facts.lines
    shown = np.concatenate([low, high, beside[:, lines].ravel()])
    shown = shown[~np.isnan(shown)]
    lowest, highest = min(float(shown.min()), -5.0), max(float(shown.max()), 5.0)
    room = 0.04 * (highest - lowest)
    frame = _frame(facts.numbers, lowest - room, highest + room, 300)
    out = frame.axes("mV", language)
    out += [_band(frame, days, low[rows], high[rows]) for days, rows in _runs(facts.numbers)]
    labels = [(frame.y(float(high[-1])), word("band", language), "")]
    for day in sorted({told.day for told in facts.diary.advice if told.cell in lines and told.day >= frame.first}):
        out.append(line(frame.x(day), _TOP - 16, frame.x(day), frame.height - _BOTTOM, "mark"))
        place, anchor = (4, "start") if frame.x(day) < _WIDTH / 2 else (-4, "end")
        told = word("advised", language, date=day_text(day, language))
        out.append(text(frame.x(day) + place, _TOP - 6, told, anchor))
    for number, cell in enumerate(lines):
        out += _cell(frame, facts.numbers, beside[:, cell], f"c{number}")
        known = beside[~np.isnan(beside[:, cell]), cell]
        if len(known):
            label = f"{word('cell', language, number=cell + 1)} {known[-1]:+.0f}".replace("-", "\u2212")
            labels.append((frame.y(float(known[-1])), label, "name"))
    lowest = 0.0
    for at, label, css in sorted(labels):
        lowest = max(at + 4, lowest + _LABEL)  # none upon another
        out.append(text(_WIDTH - _RIGHT + 8, lowest, label, "start", css))
    return svg(_WIDTH, frame.height, out)


def health_chart(facts: BatteryFacts, language: Language) -> str:
    """Each estimate of the capacity in Ah with its interval."""
    told = facts.estimates
    low, high = min(one.low_ah for one in told), max(one.high_ah for one in told)
    room = max(0.25 * (high - low), 0.02 * high)
    days = [one.day for one in told]
    frame = _frame(days, low - room, high + room, 190)
    out = frame.axes("Ah", language)
    for one in told:
        x = frame.x(one.day)
        out.append(line(x, frame.y(one.low_ah), x, frame.y(one.high_ah), "soh"))
        out += [line(x - 5, frame.y(end), x + 5, frame.y(end), "soh") for end in (one.low_ah, one.high_ah)]
        between = word(
            "health_between", language, low=f"{one.low_ah:.1f}", high=f"{one.high_ah:.1f}", segments=one.segments
        )
        label = f"{day_text(one.day, language)}: {one.ah:.1f} Ah; {between}"
        out.append(rect(x - 4, frame.y(one.ah) - 4, 8, 8, "soh", label))
    out.append(text(frame.x(told[-1].day) + 10, frame.y(told[-1].ah) + 4, f"{told[-1].ah:.1f} Ah", "start", "name"))
    return svg(_WIDTH, frame.height, out)


def charges_chart(facts: BatteryFacts, language: Language) -> str:
    """A stem a charge, by kind; a ring marks trouble."""
    charges = facts.diary.charges
    most = round_up(max([1.0, *(charge.energy_kwh for charge in charges)]))
    frame = _frame([charge.day for charge in charges], 0.0, most, 210)
    out = frame.axes("kWh", language)
    wide = min(10.0, max(2.0, 0.7 * (frame.x(1) - frame.x(0))))
    same: dict[int, int] = {}
    for charge in charges:
        x = frame.x(charge.day) + wide * 0.6 * same.setdefault(charge.day, 0)  # several a day stand side by side
        same[charge.day] += 1
        y = frame.y(charge.energy_kwh)
        css = charge.mode if charge.mode in _MODES else "unknown"
        out.append(rect(x - wide / 2, y, wide, frame.height - _BOTTOM - y, css, charge_text(charge, language)))
        if charge.interrupted or charge.faults:
            out.append(f'<circle class="ring" cx="{x:.1f}" cy="{max(y - 8, 8):.1f}" r="4.5"/>')
    for number, mode in enumerate(mode for mode in _MODES if any(charge.mode == mode for charge in charges)):
        y = _TOP + 18 * number
        out.append(rect(_WIDTH - _RIGHT + 10, y, 11, 11, mode, mode))
        out.append(text(_WIDTH - _RIGHT + 27, y + 10, word(f"mode_{mode}", language)))
    return svg(_WIDTH, frame.height, out)


def charge_text(charge: Charge, language: Language) -> str:
    """One charge in words."""
    date, mode = day_text(charge.day, language), word(f"mode_{charge.mode}", language)
    row = word(
        "charge_row",
        language,
        date=date,
        kwh=f"{charge.energy_kwh:.1f}",
        mode=mode,
        kw=f"{charge.power_max_kw:.1f}",
    )
    parts = [row]
    if charge.soc_start is not None and charge.soc_end is not None:
        parts.append(word("charge_soc", language, start=f"{charge.soc_start:.0f}", end=f"{charge.soc_end:.0f}"))
    if charge.interrupted:
        parts.append(word("charge_interrupted", language, count=charge.interrupted))
    parts += [word(f"fault_{fault}", language) for fault in charge.faults]
    return ("，" if language == "zh" else ", ").join(parts)


def _frame(days: Sequence[int], low: float, high: float, height: int) -> _Frame:
    return _Frame(min([*days, max(days) - _SPAN_DAYS]), max(days), low, high, height)


def _steps(low: float, high: float) -> list[float]:
    """Round values from low to high, four to six of them."""
    step = round_up((high - low) / 5)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 9) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _runs(days: Sequence[int]) -> Iterable[tuple[list[int], list[int]]]:
    """Days without a long gap between them, and their rows."""
    rows = np.arange(len(days))
    for part in np.split(rows, np.flatnonzero(np.diff(days) > _GAP_DAYS) + 1):
        yield [days[row] for row in part], part.tolist()


def _band(frame: _Frame, days: Sequence[int], low: Values, high: Values) -> str:
    points = [(frame.x(day), frame.y(value)) for day, value in zip(days, high.tolist(), strict=True)]
    points += [(frame.x(day), frame.y(value)) for day, value in zip(reversed(days), low[::-1].tolist(), strict=True)]
    if len(days) == 1:  # one day alone would have no width
        points = [(x + side, y) for (x, y), side in zip([*points, *reversed(points)], (-2, -2, 2, 2), strict=True)]
    return f'<polygon class="band" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _cell(frame: _Frame, days: Sequence[int], value: Values, css: str) -> list[str]:
    out = []
    known = ~np.isnan(value)
    seen = [day for day, is_known in zip(days, known.tolist(), strict=True) if is_known]
    values = value[known]
    for part, rows in _runs(seen):
        points = [(frame.x(day), frame.y(one)) for day, one in zip(part, values[rows].tolist(), strict=True)]
        out.append(f'<polyline class="line {css}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
        out += [f'<circle class="line {css}" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in points]
    return out
