"""The truths of what goes wrong in pack, tyres, 12 V, cabin, engine, sensors and box.

Where the agent has no event for a fault yet, the kind is the fault's own name: a perfect agent would report it, today's
misses it, and the score says so.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.config import BatteryLimits
from simulators.world.body import COLD_KPA, Body
from simulators.world.charging import interruptions
from simulators.world.diagnosis import news
from simulators.world.grid import CELL_STEP_S, SLOW_STEP_S, STEP_S
from simulators.world.happenings import (
    AirbagFault,
    AlternatorFault,
    BeltOpen,
    Crank,
    DoorOpen,
    Drain,
    Drop,
    LooseMount,
    Rollover,
    Tow,
    TyreLeak,
)
from simulators.world.happenings_pack import (
    Charging,
    ContactResistance,
    CoolantLoss,
    HvilOpen,
    InsulationLoss,
    MicroShort,
    Runaway,
    WaterIngress,
    WeakCell,
)
from simulators.world.happenings_wires import (
    BusEvent,
    BusFlood,
    BusFuzz,
    BusMasquerade,
    BusReplay,
    BusSilence,
    EcuAsleep,
    GnssSpoof,
    SensorFault,
)
from simulators.world.motion import Motion
from simulators.world.pack import Pack
from simulators.world.scenario import CellOverheat, Scenario
from simulators.world.types import Truth

_TYRE_SHARE: Final = 0.75  # FMVSS 138 warns at a quarter below the placard
_FAST_KPA_PER_MIN: Final = 60.0
_WEAK_CRANK_V: Final = 9.6
_FLAT_V: Final = 11.8
_UNSAFE_KMH: Final = 10.0
_INSULATION_KOHM: Final = 100.0
_RUNAWAY_KPS: Final = 1.0
_RUNAWAY_ROWS: Final = round(3.0 / SLOW_STEP_S)
_PERSIST_ROWS: Final = round(1.0 / CELL_STEP_S)
_NMC_V: Final = (4.25, 2.8)
_SHORT_SHOWS_S: Final = 600.0  # until a leak can be told from a cell that has become weak
_PACK_SENSORS: Final = "Vehicle.Private.Powertrain.TractionBattery.Cell"

Details = Mapping[str, float | int | str | bool]
Rows = npt.NDArray[np.bool_]


def tell_faults(scenario: Scenario, motion: Motion, pack: Pack, body: Body, *, ignition_off_s: float) -> list[Truth]:
    """In no particular order."""
    found = [_truth(kind, at_s, details) for kind, at_s, details in _named(scenario, motion)]
    found += [_truth("dtc", at_s, {"code": code, "state": state}) for at_s, code, state in news(body.memory)]
    found += [_truth("charging_fault", at_s, {"fault": fault}) for at_s, fault in interruptions(scenario)]
    found += _insulation(scenario, body)
    found += _tyres(scenario, body)
    found += _low_voltage(scenario, motion, body, ignition_off_s)
    if any(isinstance(event, WeakCell | MicroShort | ContactResistance | CoolantLoss | Runaway | Charging)
           for event in scenario.events):  # fmt: skip  # one question
        found += _pack_alarms(pack)
    return found


def _truth(kind: str, at_s: float, details: Details) -> Truth:
    return Truth(kind, round(at_s * 1e9), details)


def _named(  # noqa: C901, PLR0912  # one case a fault
    scenario: Scenario, motion: Motion
) -> Iterator[tuple[str, float, Details]]:
    """Faults that are true from the moment they happen."""
    for event in scenario.events:
        match event:
            case Rollover():
                yield "rollover", event.at_s, {"turns": event.turns, "side": event.side}
            case Tow():
                yield "tow", event.at_s, {"lift_deg": event.lift_deg}
            case Drop() | LooseMount():
                yield "device_moved", event.at_s, {}
            case SensorFault():
                kind = "pack_sensor_fault" if event.signal.startswith(_PACK_SENSORS) else "sensor_fault"
                yield kind, event.at_s, {"signal": event.signal, "fault": event.fault}
            case GnssSpoof():
                yield "gnss_spoofed", event.at_s, {}
            case BusFlood() | BusFuzz() | BusReplay() | BusSilence() | BusMasquerade() | EcuAsleep():
                yield _of_bus(event)
            case HvilOpen():
                yield "battery_alarm", event.at_s, {"alarm": "hvil"}
            case AirbagFault():
                yield "airbag_fault", event.at_s, {}
            case CoolantLoss():
                yield "coolant_loss", event.at_s, {}
            case CellOverheat() if _overheats_long(scenario, event):
                yield "battery_advice", event.at_s, {"cell": event.cell}
            case WeakCell() | MicroShort() | ContactResistance():
                fault = str(event.__struct_config__.tag)
                yield "battery_advice", event.at_s, {"fault": fault, "cell": event.cell}
            case DoorOpen() | BeltOpen():
                at_s = _moving_s(motion, event.at_s, event.until_s)
                if at_s is not None:
                    what = event.door if isinstance(event, DoorOpen) else event.seat
                    yield str(event.__struct_config__.tag), at_s, {"where": what}
            case _:
                pass


def _of_bus(event: BusEvent) -> tuple[str, float, Details]:
    """The finding is what a perfect agent would call it."""
    attack = str(event.__struct_config__.tag)
    match event:
        case BusFlood():
            finding = "flood"
        case BusFuzz():
            finding = "unknown_identifier"
        case BusReplay():
            finding = "injected" if event.beside else "replay"
        case BusMasquerade():
            finding = "masquerade"
        case BusSilence() if event.message:
            finding = "suspension"
        case _:
            return "bus_lost", event.at_s, {"attack": attack}
    return "bus_anomaly", event.at_s, {"attack": attack, "finding": finding}


def _overheats_long(scenario: Scenario, event: CellOverheat) -> bool:
    """Whether the short behind the heat has shown half its drop of voltage long enough to be called one."""
    half_s = 0.5 * max(event.to_c - scenario.car.pack_c, 0.0) / event.rate_kps
    return scenario.duration_s - event.at_s - half_s >= _SHORT_SHOWS_S


def _moving_s(motion: Motion, from_s: float, until_s: float) -> float | None:
    """When the car first drives within the span."""
    rows = (motion.t_s >= from_s) & (motion.t_s < until_s) & (np.abs(motion.speed) * 3.6 >= _UNSAFE_KMH)
    return float(motion.t_s[np.argmax(rows)]) if rows.any() else None


def _tyres(scenario: Scenario, body: Body) -> list[Truth]:
    found = []
    for event in scenario.events:
        if not isinstance(event, TyreLeak):
            continue
        low = body.tyre_kpa[event.wheel] < _TYRE_SHARE * COLD_KPA
        if low.any():
            fast = event.kpa_per_min >= _FAST_KPA_PER_MIN
            details: Details = {"wheel": event.wheel, "leak": "fast" if fast else "slow"}
            found.append(_truth("tyre_alarm", float(np.argmax(low)) * SLOW_STEP_S, details))
    return found


def _insulation(scenario: Scenario, body: Body) -> list[Truth]:
    """Each fall of the insulation below what protects people."""
    low = body.insulation_kohm < _INSULATION_KOHM
    falls = np.flatnonzero(low & ~np.concatenate([[False], low[:-1]]))
    starts = [event.at_s for event in scenario.events if isinstance(event, InsulationLoss | WaterIngress)]
    found = []
    for row in falls.tolist():
        # On the grid it shows up to a step later than it happened.
        exact = [at_s for at_s in starts if 0 <= row * SLOW_STEP_S - at_s < SLOW_STEP_S]
        at_s = exact[0] if exact else row * SLOW_STEP_S
        kohm = round(float(body.insulation_kohm[row]), 1)
        found.append(_truth("battery_alarm", at_s, {"alarm": "insulation", "kohm": kohm}))
    return found


def _low_voltage(scenario: Scenario, motion: Motion, body: Body, off_s: float) -> list[Truth]:
    found = []
    for event in scenario.events:
        if isinstance(event, Crank) and event.lowest_v < _WEAK_CRANK_V:
            found.append(_truth("low_voltage_alarm", event.at_s, {"alarm": "weak_crank", "lowest_v": event.lowest_v}))
        elif isinstance(event, AlternatorFault) and event.at_s < off_s:
            found.append(_truth("low_voltage_alarm", event.at_s, {"alarm": "not_charging"}))
        if isinstance(event, AlternatorFault | Drain):
            flat = (body.low_v < _FLAT_V) & (motion.t_s >= event.at_s)
            if flat.any():
                found.append(_truth("low_voltage_alarm", float(np.argmax(flat)) * STEP_S, {"alarm": "flat"}))
    return found


def _pack_alarms(pack: Pack) -> list[Truth]:
    """The first time each default limit is broken for a second, and by which cell."""
    limits = BatteryLimits()
    rate = np.diff(pack.cell_c, axis=1, prepend=pack.cell_c[:, :1]) / SLOW_STEP_S
    steady = _lasting(rate >= _RUNAWAY_KPS, _RUNAWAY_ROWS)
    hot = pack.cell_c >= limits.over_temperature_c
    spread_c = pack.cell_c - pack.cell_c.min(axis=0)
    spread_v = pack.cell_v.max(axis=0) - pack.cell_v
    over, under = _NMC_V
    found = []
    charging = np.interp(_times_of(pack.cell_v, CELL_STEP_S), _times_of(pack.current_a, STEP_S), pack.current_a) >= 3
    overcharged = _lasting((pack.cell_v >= over) & charging, _PERSIST_ROWS)
    for alarm, rows, step_s in (
        ("over_temperature", hot, SLOW_STEP_S),
        ("temperature_difference", spread_c >= limits.temperature_spread_c, SLOW_STEP_S),
        ("thermal_runaway", hot & steady, SLOW_STEP_S),
        ("cell_over_voltage", _lasting(pack.cell_v >= over, _PERSIST_ROWS), CELL_STEP_S),
        ("overcharge", overcharged, CELL_STEP_S),
        ("cell_under_voltage", _lasting(pack.cell_v <= under, _PERSIST_ROWS), CELL_STEP_S),
        ("poor_cell_consistency", _lasting(spread_v >= limits.cell_spread_v, _PERSIST_ROWS), CELL_STEP_S),
    ):
        if rows.any():
            first = int(np.argmax(rows.any(axis=0)))
            cell = int(np.argmax(rows[:, first]))
            of_pack = alarm == "overcharge"
            found.append(
                _truth("battery_alarm", first * step_s, {"alarm": alarm} if of_pack else {"alarm": alarm, "cell": cell})
            )
    full = _lasting(((pack.soc_percent >= 100) & (pack.current_a >= 3))[None], round(60.0 / STEP_S))[0]
    if full.any():
        found.append(_truth("battery_alarm", float(np.argmax(full)) * STEP_S - 60.0, {"alarm": "soc_high"}))
    return found


def _times_of(values: npt.NDArray[np.float64], step_s: float) -> npt.NDArray[np.float64]:
    """Seconds of a grid's samples."""
    return np.arange(values.shape[-1], dtype=np.float64) * step_s


def _lasting(rows: Rows, count: int) -> Rows:
    """True where a row has held for this many samples."""
    sums = np.cumsum(np.pad(rows, ((0, 0), (count, 0))), axis=1, dtype=np.int64)
    return np.asarray(sums[:, count:] - sums[:, :-count] >= count)
