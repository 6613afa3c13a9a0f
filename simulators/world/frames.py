"""The drive's signals as CAN frames of firmware_config/dbc/outrider_sim.dbc."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import cantools
import numpy as np
import numpy.typing as npt
from cantools.database.can import Database, Message

from agent.core import vss
from agent.core.errors import InputError
from agent.core.frames import EXTENDED, FrameBatch, concatenate
from agent.core.paths import DBC
from simulators.world.attacks import attack
from simulators.world.body import (
    AIRBAG_LAMP,
    AIRBAGS,
    BELTS,
    CONTACTOR_NEGATIVE,
    CONTACTOR_POSITIVE,
    DOORS,
    ENGINE_LOAD,
    HVIL,
    TRIM_LONG,
    TRIM_SHORT,
    TYRES,
)
from simulators.world.charging import CABLE, CHARGE_POWER, CHARGER_STATE, GRID_VOLTAGE, IS_CHARGING
from simulators.world.diagnosis import DTC_COUNT, MIL
from simulators.world.grid import Floats, stream, to_ns
from simulators.world.happening import require
from simulators.world.happenings import RESTART_S, Restart, Reversing
from simulators.world.happenings_wires import BusMasquerade
from simulators.world.packing import Bytes, pack
from simulators.world.scenario import CELL_COUNT, Collision, ignition_off_s
from simulators.world.simulation import BALANCING, STATE_OF_HEALTH
from simulators.world.types import Drive

_OF_THE_PACK: Final = ("BMS", "OBC")  # nodes that a car without a traction battery has not
_JITTER_S: Final = 0.0001
_NO_VALUE_S: Final = 0.6  # the battery's controller has measured nothing yet
_BRAKE_BAR_PER_PERCENT: Final = 1.3


def _camel(words: str) -> str:
    return "".join(word.title() for word in words.split("_"))


_PATHS: Final[Mapping[str, str]] = {
    "SteeringAngle": vss.STEERING_ANGLE,
    "EngineSpeed": vss.ENGINE_SPEED,
    "ThrottlePosition": vss.THROTTLE,
    "AcceleratorPedal": vss.ACCELERATOR_PEDAL,
    "MassAirFlow": vss.MASS_AIR_FLOW,
    "VehicleSpeed": vss.SPEED,
    "BrakePedal": vss.BRAKE_PEDAL,
    "YawRate": vss.YAW_RATE,
    "LateralAcceleration": vss.ACCELERATION_LATERAL,
    "LongitudinalAcceleration": vss.ACCELERATION_LONGITUDINAL,
    "PackVoltage": vss.PACK_VOLTAGE,
    "StateOfCharge": vss.STATE_OF_CHARGE,
    "CellVoltageMax": vss.CELL_VOLTAGE_MAX,
    "CellVoltageMin": vss.CELL_VOLTAGE_MIN,
    "CellTemperatureMax": vss.PACK_TEMPERATURE_MAX,
    "CellTemperatureMin": vss.PACK_TEMPERATURE_MIN,
    "CoolantTemperature": vss.COOLANT_TEMPERATURE,
    "OutsideTemperature": vss.AIR_TEMPERATURE,
    "Odometer": vss.TRAVELED_DISTANCE,
    "LowVoltage": vss.LOW_VOLTAGE,
    "AirbagDriver": AIRBAGS["driver"],
    "AirbagPassenger": AIRBAGS["passenger"],
    "AirbagLamp": AIRBAG_LAMP,
    "BeltDriver": BELTS["driver"],
    "BeltPassenger": BELTS["passenger"],
    "FuelTrimShort": TRIM_SHORT,
    "FuelTrimLong": TRIM_LONG,
    "EngineLoad": ENGINE_LOAD,
    "MalfunctionLamp": MIL,
    "ConfirmedCodes": DTC_COUNT,
    "InsulationResistance": vss.INSULATION_RESISTANCE,
    "HvilClosed": HVIL,
    "ContactorPositive": CONTACTOR_POSITIVE,
    "ContactorNegative": CONTACTOR_NEGATIVE,
    "BalancingCells": BALANCING,
    "StateOfHealth": STATE_OF_HEALTH,
    "ChargerState": CHARGER_STATE,
    "CablePlugged": CABLE,
    "Charging": IS_CHARGING,
    "ChargePower": CHARGE_POWER,
    "GridVoltage": GRID_VOLTAGE,
    **{f"Door{_camel(door)}": path for door, path in DOORS.items()},
    **{f"Pressure{_camel(wheel)}": f"{path}.Pressure" for wheel, path in TYRES.items()},
    **{f"Temperature{_camel(wheel)}": f"{path}.Temperature" for wheel, path in TYRES.items()},
    **{f"CellVoltage{cell:02d}": vss.cell_voltage(cell) for cell in range(CELL_COUNT)},
    **{f"CellTemperature{cell:02d}": vss.cell_temperature(cell) for cell in range(CELL_COUNT)},
}


@cache
def load_database() -> Database:
    """The simulated car's DBC. Raises InputError where the file is no CAN database."""
    path = DBC / "outrider_sim.dbc"
    database = cantools.database.load_file(path)
    if not isinstance(database, Database):
        raise InputError(f"{path}: no CAN database")
    return database


def encode_drive(drive: Drive) -> FrameBatch:
    """Every frame of the drive in the order of time, until the bus falls asleep."""
    rng = stream(drive.seed, "frames")
    engine_only = drive.scenario.car.kind == "ice"
    messages = [m for m in load_database().messages if not (engine_only and m.senders[0] in _OF_THE_PACK)]
    _check_masks(drive, messages)
    frames = concatenate([_encode(message, drive, rng) for message in messages])
    in_order = frames[np.argsort(frames.t_ns, kind="stable")]
    nodes: dict[str, list[int]] = {}
    for message in messages:
        nodes.setdefault(message.senders[0], []).append(message.frame_id)
    return attack(drive, in_order, {message.name: message.frame_id for message in messages}, nodes)


def _encode(message: Message, drive: Drive, rng: np.random.Generator) -> FrameBatch:
    """All frames of one message: periodic with a little jitter, each sampling the signals at its own instant."""
    t_s = np.arange(_attribute(message, "GenMsgStartDelayTime"), drive.sleep_ns / 1e9, (message.cycle_time or 0) / 1000)
    t_s = np.maximum(t_s + np.clip(rng.standard_normal(len(t_s)), -3, 3) * _JITTER_S, 0)
    count = len(t_s)
    if message.is_multiplexed():
        data = _pack_groups(message, drive, t_s)
    else:
        values = {signal.name: _value(signal.name, drive, t_s) for signal in message.signals}
        data = pack(message.signals, _masked(message, drive, t_s, values), count)
    if message.name == "STEERING":
        head = (message.frame_id & 0xFF) + (message.frame_id >> 8) + message.length
        data[:, 7] = (data[:, :7].sum(axis=1) + head) & 0xFF
    return FrameBatch(
        t_ns=to_ns(t_s),
        bus=np.zeros(count, np.uint8),
        can_id=np.full(count, message.frame_id, np.uint32),
        flags=np.full(count, EXTENDED if message.is_extended_frame else 0, np.uint8),
        length=np.full(count, message.length, np.uint8),
        data=data,
    )


def _check_masks(drive: Drive, messages: Sequence[Message]) -> None:
    """Raise InputError where a masquerade names a message or a signal that the bus has not."""
    for event in drive.scenario.events:
        if isinstance(event, BusMasquerade):
            signals = {m.name: [signal.name for signal in m.signals] for m in messages if not m.is_multiplexed()}
            require(drive.scenario.name, event, "message", signals)
            require(drive.scenario.name, event, "signal", signals[event.message])


def _masked(message: Message, drive: Drive, t_s: Floats, values: Mapping[str, Floats]) -> Mapping[str, Floats]:
    """The values as a masquerading node says them."""
    out = dict(values)
    for event in drive.scenario.events:
        if isinstance(event, BusMasquerade) and event.message == message.name:
            inside = (t_s >= event.at_s) & (t_s < event.until_s)
            out[event.signal] = np.where(inside, event.value, out[event.signal])
    return out


def _attribute(message: Message, name: str) -> float:
    """A time attribute of the DBC in seconds, 0 where it is not given."""
    attribute = message.dbc.attributes.get(name) if message.dbc else None
    return float(attribute.value) / 1000 if attribute else 0.0


def _pack_groups(message: Message, drive: Drive, t_s: Floats) -> Bytes:
    """A multiplexed message: its frames take turns through the groups."""
    (selector,) = [signal for signal in message.signals if signal.is_multiplexer]
    members = [signal for signal in message.signals if not signal.is_multiplexer]
    groups = sorted({group for signal in members for group in signal.multiplexer_ids or ()})
    data = np.zeros((len(t_s), 64), np.uint8)
    for turn, group in enumerate(groups):
        mine = t_s[turn :: len(groups)]
        signals = [selector, *(signal for signal in members if group in (signal.multiplexer_ids or ()))]
        values = {signal.name: _value(signal.name, drive, mine) for signal in signals[1:]}
        data[turn :: len(groups)] = pack(
            signals, {**values, selector.name: np.full(len(mine), float(group))}, len(mine)
        )
    return data


def _value(name: str, drive: Drive, t_s: Floats) -> Floats:
    """Physical values of a bus signal at these instants, NaN where its controller has none."""
    if name in _PATHS:
        values = _at(_PATHS[name], drive, t_s)
        return np.where(t_s < _NO_VALUE_S, np.nan, values) if name.startswith("Cell") else values
    if name.endswith("Counter"):
        return np.arange(len(t_s), dtype=np.float64) % 16
    return _derived(name, drive, t_s)


def _derived(name: str, drive: Drive, t_s: Floats) -> Floats:
    """What the bus says beyond the world's own signals."""
    events = drive.scenario.events
    off_s = ignition_off_s(drive.scenario)
    crash_s = min((event.at_s for event in events if isinstance(event, Collision)), default=np.inf)
    nothing = np.zeros(len(t_s))
    derived: dict[str, Floats] = {
        "PackCurrent": -_at(vss.PACK_CURRENT, drive, t_s),  # the bus counts discharging as positive
        "SteeringRate": 10 * (_at(vss.STEERING_ANGLE, drive, t_s + 0.05) - _at(vss.STEERING_ANGLE, drive, t_s - 0.05)),
        "BrakePressure": _at(vss.BRAKE_PEDAL, drive, t_s) * _BRAKE_BAR_PER_PERCENT,
        "BrakeLamp": np.where(_at(vss.BRAKE_PEDAL, drive, t_s) > 1, 1.0, 0.0),
        "IgnitionOn": np.where((t_s < off_s) & ~_restarting(drive, t_s), 1.0, 0.0),
        "Gear": np.where(t_s < off_s, np.where(_reversing(drive, t_s), 1.0, 3.0), 0.0),
        "ContactorsClosed": np.where(t_s < min(off_s, crash_s), 1.0, 0.0),
        "SpeedValid": nothing + 1,
        "DcdcTemperature": _at(vss.PACK_TEMPERATURE_MIN, drive, t_s) + 9,
        "WheelSlip": nothing,  # not modelled
        "SteeringChecksum": nothing,  # filled in once the rest is packed
    }
    if name not in derived:
        raise InputError(f"outrider_sim.dbc: nothing in the world gives {name}")
    return derived[name]


def _reversing(drive: Drive, t_s: Floats) -> npt.NDArray[np.bool_]:
    back = np.zeros(len(t_s), np.bool_)
    for event in drive.scenario.events:
        if isinstance(event, Reversing):
            back |= (t_s >= event.at_s) & (t_s < event.until_s)
    return back


def _restarting(drive: Drive, t_s: Floats) -> npt.NDArray[np.bool_]:
    """Instants of the second in which the driver has switched off, to switch on again."""
    off = np.zeros(len(t_s), np.bool_)
    for event in drive.scenario.events:
        if isinstance(event, Restart):
            off |= (t_s >= event.at_s) & (t_s < event.at_s + RESTART_S)
    return off


def _at(path: str, drive: Drive, t_s: Floats) -> Floats:
    times_ns, values = drive.signals[path]
    return np.interp(t_s * 1e9, times_ns.astype(np.float64), values)
