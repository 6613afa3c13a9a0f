"""The demo's face: a timeline that scrolls, and below it how the car is now. Plain lines where there is no terminal."""

from collections import deque
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.core import vss
from agent.core.events import (
    AgentStarted,
    AgentStopped,
    Anomaly,
    BatteryAdvice,
    BatteryAlarm,
    BatteryHealth,
    BatteryReport,
    ChargeSession,
    ChargingFault,
    Collision,
    ConfigApplied,
    ConfigRejected,
    CrashRecord,
    DeskMessage,
    DeviceShock,
    Diagnosis,
    EmergencyData,
    EngineAdvice,
    Event,
    Feedback,
    HarshDriving,
    LowVoltageAlarm,
    ModelChanged,
    PackSensorFault,
    Priority,
    RoadImpact,
    Rollover,
    SourceChanged,
    TicketReopened,
    TripEnded,
    TripStarted,
    TroubleCodes,
    VoiceClip,
)
from agent.core.ports import Notice

_STYLES: Final = {
    Priority.CRASH: ("bold white on red", "!!"),
    Priority.SAFETY: ("bold red", "! "),
    Priority.SERVICE: ("yellow", "* "),
    Priority.TELEMETRY: ("cyan", "- "),
}
_TOPICS: Final = {
    "said": ("bold green", "says"),
    "asked": ("bold green", "asks"),
    "heard": ("bold magenta", "hears"),
    "sync": ("blue", "link"),
    "desk": ("bold blue", "desk"),
    "driver": ("magenta", "driver"),
    "source": ("blue", "source"),
    "config": ("blue", "config"),
    "summary": ("bold", "demo"),
}
_GAUGES: Final = (
    ("speed", vss.SPEED, "km/h", 0),
    ("engine", vss.ENGINE_SPEED, "rpm", 0),
    ("charge", vss.STATE_OF_CHARGE, "%", 0),
    ("hottest cell", vss.PACK_TEMPERATURE_MAX, "°C", 1),
    ("pack", vss.PACK_VOLTAGE, "V", 1),
)
_BARS: Final = " ▁▂▃▄▅▆▇█"
_HISTORY_S: Final = 60
_SPEED_FULL_KMH: Final = 80.0
_SPEED_BAR_KMH: Final = _SPEED_FULL_KMH / (len(_BARS) - 1)


class Timeline:
    """Takes notices, shows them. Use as a context manager around the drive."""

    def __init__(self, console: Console, *, start_ns: int, typing: bool = False) -> None:
        """typing: a person answers at this terminal, so the panel keeps away while he does."""
        self._console = console
        self._start_ns = start_ns
        self._values: dict[str, float] = {}
        self._speeds: deque[float] = deque(maxlen=_HISTORY_S)
        self._link = "starting"
        self._typing = typing
        self._live = self._new_live() if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def notice(self, notice: Notice) -> None:
        """Show one notice; signals only move the panel."""
        if notice.topic == "signals":
            self._values.update(notice.values)
            self._speeds.append(notice.values.get(vss.SPEED, 0.0))
            if self._live:
                self._live.update(self._panel())
            return
        if notice.topic == "sync":
            self._link = notice.text
        if notice.topic == "event" and notice.event is not None:
            if not is_worth_a_line(notice.event):
                return
            style, mark = _STYLES[notice.event.priority]
            ended_ns = notice.event.until_ns if isinstance(notice.event, CrashRecord) else notice.t_ns
            self._print(ended_ns, mark, describe(notice.event), style)
        elif notice.topic in _TOPICS:
            style, who = _TOPICS[notice.topic]
            self._print(notice.t_ns, who, notice.text, style)
        if self._live and self._typing and notice.topic in ("asked", "heard"):
            self._live.stop()
            if notice.topic == "heard":
                self._live = self._new_live()
                self._live.start()

    def tell(self, topic: str, t_ns: int, text: str) -> None:
        """Show a line of somebody who is not in the car."""
        style, who = _TOPICS[topic]
        self._print(t_ns, who, text, style)

    def _new_live(self) -> Live:
        """A stopped one remembers its height and would overwrite what was printed since."""
        return Live(console=self._console, refresh_per_second=8, transient=True)

    def _print(self, t_ns: int, who: str, text: str, style: str) -> None:
        seconds = f"{max(0.0, (t_ns - self._start_ns) / 1e9):6.1f} s"
        if self._live is None:
            line = Text.assemble((seconds, "dim"), (f"  {who:<7}", "dim"), (text, style))
            self._console.print(line, soft_wrap=True)
            return
        row = Table.grid(padding=(0, 1))
        row.add_column(width=8, style="dim")
        row.add_column(width=6, style="dim")
        row.add_column(style=style)
        row.add_row(seconds, who, text)
        self._live.console.print(row)

    def _panel(self) -> RenderableType:
        grid = Table.grid(padding=(0, 3))
        grid.add_row(*(self._gauge(*gauge) for gauge in _GAUGES))
        return Panel(Group(grid, self._sparkline()), title=f"the car · link: {self._link}", title_align="left")

    def _gauge(self, label: str, path: str, unit: str, digits: int) -> Text:
        value = self._values.get(path)
        shown = "–" if value is None else f"{value:.{digits}f}"
        return Text.assemble((f"{label} ", "dim"), (f"{shown} {unit}", "bold"))

    def _sparkline(self) -> Text:
        bars = (_BARS[min(len(_BARS) - 1, round(max(0.0, speed) / _SPEED_BAR_KMH))] for speed in self._speeds)
        return Text("".join(bars), style="green")


def is_worth_a_line(event: Event) -> bool:
    """Of the fragments of a crash record only the last is: it says what came of it."""
    return not isinstance(event, CrashRecord) or event.part in ("end", "withdrawn")


def describe(event: Event) -> str:
    """One line a person reads, without the time."""
    match event:
        case Collision():
            where = "standing" if event.stationary else f"at {_number(event.speed_before_kmh)} km/h"
            least = "at least " if event.clipped else ""
            side = event.crash_mode or "side not known"
            what = f"{side.replace('_', ' ')}, {event.severity}"
            return (
                f"COLLISION {where}: delta-v {least}{event.delta_v_kmh:.0f} km/h in {event.duration_ms:.0f} ms, {what}"
            )
        case Rollover():
            return f"ROLLOVER at {_number(event.speed_before_kmh)} km/h: {event.quarter_turns} quarter turns"
        case HarshDriving():
            return f"harsh {event.maneuver}: {event.peak_mps2:.1f} m/s² at {_number(event.speed_kmh)} km/h"
        case DeviceShock():
            what = {"knock": "was knocked", "drop": "fell", "loose": "hangs loose"}[event.what]
            return f"the box {what}: {event.peak_mps2:.0f} m/s², no collision"
        case RoadImpact():
            return f"road impact: {event.peak_mps2:.0f} m/s² at {_number(event.speed_kmh)} km/h, no collision"
        case TripStarted():
            return "trip started"
        case TripEnded():
            return f"trip ended: {event.distance_m:.0f} m in {event.duration_s:.0f} s"
        case Feedback() | VoiceClip() | DeskMessage() | TicketReopened():
            return _describe_talk(event)
        case BatteryAlarm() | BatteryAdvice() | PackSensorFault() | BatteryHealth() | BatteryReport():
            return _describe_battery(event)
        case _:
            return _describe_health(event)


def _describe_talk(event: Feedback | VoiceClip | DeskMessage | TicketReopened) -> str:
    """Lines about what driver and desk have to say to each other."""
    match event:
        case Feedback():
            return f"the driver's answer is on record: {event.intent}"
        case VoiceClip():
            return f"so is its sound, as he agreed: {len(event.sound) / event.rate_hz:.1f} s, {len(event.sound)} bytes"
        case DeskMessage():
            return f"the insurer's desk on ticket {event.ticket}, signed: {event.what.replace('_', ' ')}"
        case TicketReopened():
            return f"ticket {event.ticket} is reopened: the answer did not help"


def _describe_health(event: Event) -> str:
    """Lines about what may be wrong with the car."""
    match event:
        case Anomaly():
            return f"the drive looks unusual: score {event.score:.2f} over {event.threshold:.2f}"
        case TroubleCodes():
            return f"trouble codes: new {', '.join(event.added) or 'none'}, gone {', '.join(event.gone) or 'none'}"
        case Diagnosis():
            likely = event.causes[0].replace("_", " ") if event.causes else "unknown"
            return f"diagnosis of {', '.join(event.codes)}: {likely}; {event.drive.replace('_', ' ')}"
        case EngineAdvice():
            return f"engine, {event.fault.replace('_', ' ')}: {event.value:g} {event.unit} (limit {event.expected:g})"
        case _:
            return _describe_self(event)


def _describe_charge(event: Event) -> str:
    match event:
        case ChargeSession():
            return f"charged {event.energy_kwh:.1f} kWh ({event.mode}), {event.ended.replace('_', ' ')}"
        case ChargingFault():
            return f"charging fault: {event.fault}"
        case LowVoltageAlarm():
            state = "is over" if event.cleared else f"{event.value:.4g} V (limit {event.limit:.4g})"
            return f"12 V battery, {event.alarm.replace('_', ' ')}: {state}"
        case _:
            return event.kind.replace("_", " ")


def _describe_battery(event: BatteryAlarm | BatteryAdvice | PackSensorFault | BatteryHealth | BatteryReport) -> str:
    match event:
        case BatteryAlarm():
            cell = "" if event.cell is None else f" in cell {event.cell + 1}"
            name = event.alarm.replace("_", " ")
            unit = event.unit.replace("Celsius", "°C")
            state = "is over" if event.cleared else f"{event.value:.4g} {unit} (limit {event.limit:.4g})"
            return f"battery level {event.level}, {name}{cell}: {state}"
        case BatteryAdvice():
            cell = "the pack" if event.cell is None else f"cell {event.cell + 1}"
            alone = event.confidence_rules is None and event.confidence_model is not None
            by = ", by the model alone" if alone else ""
            return f"{cell}: {event.fault.replace('_', ' ')}, {event.level.replace('_', ' ')}{by}"
        case BatteryHealth():
            low, high = event.capacity_low_ah, event.capacity_high_ah
            return f"the pack takes {event.capacity_ah:.0f} Ah, {low:.0f} to {high:.0f}"
        case BatteryReport():
            count = event.sessions_ac + event.sessions_dc + event.sessions_unknown
            return f"the battery's {event.days} days: {count} charges, {', '.join(event.advice).replace('_', ' ')}"
        case PackSensorFault():
            name = event.signal.rpartition("TractionBattery.")[2]
            return f"sensor {name} is {event.fault}: {event.value:.4g} where {event.expected:.4g} is due"


def _describe_self(event: Event) -> str:
    """Lines about the box rather than the car."""
    match event:
        case CrashRecord():
            came = "is complete" if event.complete else "was no crash" if event.part == "withdrawn" else "is incomplete"
            return f"crash record {event.record} {came}: {event.fragment + 1} fragments"
        case ConfigApplied():
            return f"signed config {event.bundle} version {event.config_version} is running"
        case ConfigRejected():
            return f"config {event.bundle} refused: {event.reason}"
        case AgentStarted():
            return f"agent {event.agent_version} is up, profile {event.profile}"
        case AgentStopped():
            return f"agent stops: {event.reason}"
        case SourceChanged():
            return f"{event.source} {event.state} {event.detail}".rstrip()
        case ModelChanged():
            return f"model {event.model} {event.state} {event.reason}".rstrip()
        case EmergencyData():
            return f"minimum set of data for a desk: {len(event.msd)} bytes"
        case _:
            return _describe_charge(event)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"
