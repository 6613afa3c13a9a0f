"""The part of a claims page that shows a crash record: pulse, delta-v, the seconds around it, the table. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.crash import CrashData, Element
from simulators.claims_svg import Axis, Curve, Values, chart, legend, value_axis
from simulators.claims_words import Language, value_of, word

_G: Final = 9.80665  # m/s^2
_PULSE: Final = Axis(-50, 300, 50, "ms")
_VELOCITY: Final = Axis(0, 250, 50, "ms")
_AROUND: Final = Axis(-20, 5, 5, "s")
_ROLL: Final = Axis(-1, 5, 1, "s")
_ROLL_VALUES: Final = 61
_STEP_MS: Final = 10.0
_APART_MS: Final = 6.0  # two samples at 400 Hz, and a little
_HALF_MS: Final = 1.25
_AT_END: Final = 0.995  # of what the axis showed when the table says that it was at its end
_AXES: Final = ("longitudinal", "lateral", "vertical")
_SIGNALS: Final = (
    ("speed", (vss.SPEED, vss.GNSS_SPEED), "speed_kmh_20s"),
    ("accelerator", (vss.ACCELERATOR_PEDAL, vss.THROTTLE), "accelerator_percent_20s"),
    ("brake", (vss.BRAKE_PEDAL,), ""),
    ("service_brake", (), "service_brake_20s"),
    ("steering", (vss.STEERING_ANGLE,), "steering_deg_20s"),
    ("engine", (vss.ENGINE_SPEED,), "engine_rpm_20s"),
)
"""Word, where the signal is, and the element that holds it where there is none."""
_PERCENT: Final = Axis(0, 100, 50, "")
_FIXED: Final = {"accelerator": _PERCENT, "brake": _PERCENT, "service_brake": Axis(0, 1, 1, "")}
_LEAST: Final = {"speed": 20.0, "steering": 20.0, "engine": 1000.0, "yaw": 20.0}
_TWENTY_S: Final = 201
_YAW: Final = 5


def record_sections(data: CrashData, language: Language) -> Iterator[str]:
    """Charts and the table of one record, as pieces of HTML."""

    def say(key: str, **values: object) -> str:
        return escape(word(key, language, **values))

    yield '<div class="half"><div>' + f"<h3>{say('pulse')}</h3>"
    yield _pulse(data, language)
    turned = _roll(data, language)
    yield f"</div><div><h3>{say('roll_angle' if turned else 'velocity')}</h3>"
    yield turned or _velocity(data, language)
    yield "</div></div>"
    yield f'<h3>{say("before")}</h3><p class="soft">{say("before_note")}</p>'
    panels = list(_signals(data, language))
    yield f'<div class="half">{"".join(panels)}</div>' if panels else f'<p class="soft">{say("no_signals")}</p>'
    yield f"<details><summary>{say('elements')}</summary>{_table(data.elements, language)}</details>"


def _pulse(data: CrashData, language: Language) -> str:
    """Acceleration around T0 in g, with the times at which the sensor was at its end."""
    ms = (data.imu.t_ns - data.t0_ns) / 1e6
    near = (ms >= _PULSE.low) & (ms <= _PULSE.high)
    if not near.any():
        return f'<p class="soft">{escape(word("no_pulse", language))}</p>'
    curves = [
        Curve(word(name, language), ms[near], data.imu.values[near, column] / _G, f"s{column}")
        for column, name in enumerate(_AXES)
    ]
    note = word("clipping", language)
    bands = [(start, end, note) for start, end in _clipped(data)]
    svg = chart(curves, _PULSE, value_axis(curves, "g"), height=260, zero="T0", bands=bands)
    keys = legend(curves, [("band", note)] if bands else [])
    return f"<figure>{svg}{keys}<figcaption>{escape(word('pulse_note', language))}</figcaption></figure>"


def _clipped(data: CrashData) -> list[tuple[float, float]]:
    """From and until in ms after T0, by the sensor's own word; without one, while it stays where the table says so."""
    trace = data.signals.get(vss.IMU_CLIPPED)
    if trace is not None and len(trace.t_ns):
        ms = (trace.t_ns - data.t0_ns) / 1e6
        at_end = np.nan_to_num(trace.values[:, 0]) > 0
        return _runs(ms[at_end & (ms >= _PULSE.low) & (ms <= _PULSE.high)])
    from_ms = _number(data.elements.get("clipped_ms"))
    if from_ms is None:
        return []
    ms = (data.imu.t_ns - data.t0_ns) / 1e6
    size = np.abs(np.nan_to_num(data.imu.values[:, :3]))
    first = int(np.argmin(np.abs(ms - from_ms)))
    axis = int(size[first].argmax())
    near = (ms >= from_ms - _HALF_MS) & (ms <= _PULSE.high)
    return _runs(ms[near & (size[:, axis] >= _AT_END * size[first, axis])])


def _runs(ms: Values) -> list[tuple[float, float]]:
    """Instants that lie close together as one stretch each."""
    pieces = np.split(ms, np.flatnonzero(np.diff(ms) > _APART_MS) + 1)
    return [(float(piece[0]) - _HALF_MS, float(piece[-1]) + _HALF_MS) for piece in pieces if len(piece)]


def _velocity(data: CrashData, language: Language) -> str:
    curves = []
    for number, name in enumerate(("longitudinal", "lateral", "resultant")):
        values = _list(data.elements.get(f"delta_v_{name}_kmh"))
        if np.isfinite(values).any():
            x = np.arange(len(values), dtype=np.float64) * _STEP_MS
            curves.append(Curve(word(f"delta_{name}", language), x, values, ("s0", "s1", "s5")[number]))
    if not curves:
        return f'<p class="soft">{escape(word("no_velocity", language))}</p>'
    from_ms = _number(data.elements.get("clipped_ms"))
    note = word("velocity_note", language)
    bands = []
    if from_ms is not None:
        words = word("velocity_clipped", language, ms=f"{from_ms:.0f}")
        bands = [(from_ms, _VELOCITY.high, words)]
        note = f"{note} {words}"
    svg = chart(curves, _VELOCITY, value_axis(curves, "km/h", least=5.0), height=260, bands=bands)
    return f"<figure>{svg}{legend(curves)}<figcaption>{escape(note)}</figcaption></figure>"


def _roll(data: CrashData, language: Language) -> str:
    """The roll angle of a rollover, which has no delta-v; "" of anything else."""
    values = _list(data.elements.get("roll_deg"))
    if data.elements.get("trigger") != "rollover" or len(values) != _ROLL_VALUES or not np.isfinite(values).any():
        return ""
    curves = [Curve(word("roll_angle", language), np.arange(_ROLL_VALUES) / 10 - 1, values, "s0")]
    return f"<figure>{chart(curves, _ROLL, value_axis(curves, '°', least=90.0), height=260, zero='T0')}</figure>"


def _signals(data: CrashData, language: Language) -> Iterator[str]:
    """A panel for each signal that the car told."""
    for key, paths, element in _SIGNALS:
        found = next((data.signals[path] for path in paths if path in data.signals), None)
        if found is not None and len(found.t_ns):
            x, y = (found.t_ns - data.t0_ns) / 1e9, found.values[:, 0]
        else:
            y = _list(data.elements.get(element))
            if len(y) != _TWENTY_S:
                continue
            x = np.arange(-_TWENTY_S + 1, 1) / 10
        if np.isfinite(y).any():
            yield _panel(key, x, y, language)
    yaw = data.imu.values[:, _YAW]
    if np.isfinite(yaw).any():
        yield _panel("yaw", (data.imu.t_ns - data.t0_ns) / 1e9, yaw, language)


def _panel(key: str, x: Values, y: Values, language: Language) -> str:
    title = word(key, language)
    curve = Curve(title, x, y, "s0")
    inside = Curve(title, x, np.where((x >= _AROUND.low) & (x <= _AROUND.high), y, np.nan), "s0")
    up = _FIXED.get(key) or value_axis([inside], "", least=_LEAST.get(key, 1.0), lines=3)
    return f"<figure><div><b>{escape(title)}</b></div>{chart([curve], _AROUND, up, height=130, zero='T0')}</figure>"


def _table(elements: Mapping[str, Element], language: Language) -> str:
    if not elements:
        return f"<p>{escape(word('elements_none', language))}</p>"
    rows = []
    for name, value in elements.items():
        label = word("e_clipped" if name == "clipped" else name, language)
        shown = _shown(value, language)
        css = ' class="missing"' if value is None else ""
        rows.append(f"<tr><th>{escape(label)}</th><td{css}>{escape(shown)}</td></tr>")
    return f'<table class="facts elements">{"".join(rows)}</table>'


def _shown(value: Element, language: Language) -> str:
    if value is None:
        return word("unavailable", language)
    if isinstance(value, bool):
        return word("yes" if value else "no", language)
    if isinstance(value, list):
        if all(one is None for one in value):
            return word("unavailable", language)
        return ", ".join("–" if one is None else _text(one) for one in value)
    if isinstance(value, str):
        return value_of(value, language)
    return _text(value)


def _text(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def _list(value: Element) -> Values:
    """float64, NaN for none; empty for what is no list."""
    listed: Sequence[float | None] = value if isinstance(value, list) else ()
    return np.array([np.nan if one is None else one for one in listed], np.float64)


def _number(value: Element) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
