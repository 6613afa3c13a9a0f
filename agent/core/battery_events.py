"""What the agent tells of the traction battery's cells, its charging, its sensors and of the 12 V battery."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from agent.core.battery_actions import AlarmAction
from agent.core.event_base import Event, Leaves, Priority, Purpose

AdviceLevel = Literal["advice", "service_soon", "stop_now"]
CellFault = Literal["weak_cell", "contact_resistance", "micro_short", "pack_changed"]
Feature = Literal["rest_voltage", "resistance", "self_discharge", "pattern"]
Action = Literal["mention_at_service", "book_service", "leave_the_car", "none"]
ChargingFaultName = Literal["charger", "grid", "plug", "slow"]

AlarmName = Literal[
    "over_temperature",
    "temperature_difference",
    "cell_over_voltage",
    "cell_under_voltage",
    "poor_cell_consistency",
    "thermal_runaway",
    "pack_over_voltage",
    "pack_under_voltage",
    "soc_low",
    "soc_high",
    "soc_jump",
    "pack_mismatch",
    "insulation",
    "dcdc_temperature",
    "brake_system",
    "dcdc_status",
    "motor_controller_temperature",
    "hvil",
    "motor_temperature",
    "overcharge",
    "motor_over_speed",
    "motor_over_current",
    "supercapacitor_temperature",
    "supercapacitor_voltage",
    "hydrogen_leak",
    "hydrogen_pressure",
    "hydrogen_temperature",
    "fuel_cell_temperature",
    "contactor",
]

ALARM_BITS: Final[Mapping[AlarmName, int]] = {
    "temperature_difference": 0,
    "over_temperature": 1,
    "pack_over_voltage": 2,
    "pack_under_voltage": 3,
    "soc_low": 4,
    "cell_over_voltage": 5,
    "cell_under_voltage": 6,
    "soc_high": 7,
    "soc_jump": 8,
    "pack_mismatch": 9,
    "poor_cell_consistency": 10,
    "insulation": 11,
    "dcdc_temperature": 12,
    "brake_system": 13,
    "dcdc_status": 14,
    "motor_controller_temperature": 15,
    "hvil": 16,
    "motor_temperature": 17,
    "overcharge": 18,
    "motor_over_speed": 19,
    "motor_over_current": 20,
    "supercapacitor_temperature": 21,
    "supercapacitor_voltage": 22,
    "thermal_runaway": 23,
    "hydrogen_leak": 24,
    "hydrogen_pressure": 25,
    "hydrogen_temperature": 26,
    "fuel_cell_temperature": 27,
}
"""Bits of the general alarm flags of GB/T 32960.3: 0 to 18 of 2016, 19 to 27 of 2025. `contactor` is ours."""


class BatteryAlarm(Event, frozen=True, kw_only=True, tag="battery_alarm"):
    """A limit of the electric drive is broken, or holds again (`cleared`). Names follow GB/T 32960.3 alarms.

    level: 1 does not affect driving, 2 limits performance, 3 stop now, 4 thermal event. ALARM_BITS has the bits. action
    is what to do and where, none once it is over.
    """

    priority: ClassVar[Priority] = Priority.SAFETY
    purpose: ClassVar[Purpose] = "safety"
    leaves: ClassVar[Leaves] = {"safety": "alarm level value limit unit cell cleared action"}

    alarm: AlarmName
    level: int
    value: float
    limit: float
    unit: str
    cell: int | None = None
    cleared: bool = False
    action: AlarmAction = "none"


class BatteryAdvice(Event, frozen=True, kw_only=True, tag="battery_advice"):
    """A cell behaves unlike the others, long before a limit is broken: which one, in what, since when, how sure.

    cell counts from 0; None speaks of the pack (`pack_changed`: the cells are others than before, and are learnt anew).
    value is the cell's feature and spread one standard deviation of the other cells', both in `unit`: its rest voltage
    against the median cell in V, its resistance beyond the median cell's in Ohm, its leak in A or percent an hour (over
    days rather too little: balancing takes from the others, and hides a part). low and high: the 90 % interval of
    value, None where there is none. confidence, 0 to 1, joins what the rules (None: they say nothing) and the model
    (None: it did not speak) say. since_days: how long ago it began, as far as is known. action is what to do; levels:
    advice (nothing hurries; all that a model may give alone), service_soon (within days), stop_now. entropy_sigmas and
    correlation_sigmas are evidence beside it: how the cell's entropy and its correlation with the median cell stand
    among the pack's, None where the days of use do not tell.
    """

    priority: ClassVar[Priority] = Priority.SAFETY
    purpose: ClassVar[Purpose] = "safety"
    leaves: ClassVar[Leaves] = {
        "safety": (
            "level fault cell feature value low high spread unit since_days confidence action "
            "entropy_sigmas correlation_sigmas confidence_rules confidence_model"
        )
    }

    level: AdviceLevel
    fault: CellFault
    cell: int | None
    feature: Feature
    value: float
    spread: float
    unit: str
    since_days: float
    confidence: float
    action: Action
    low: float | None = None
    high: float | None = None
    entropy_sigmas: float | None = None
    correlation_sigmas: float | None = None
    confidence_rules: float | None = None
    confidence_model: float | None = None


class PackSensorFault(Event, frozen=True, kw_only=True, tag="pack_sensor_fault"):
    """A sensor of the pack lies, and what it says is not believed: no cell can do what it shows.

    signal is its VSS path; value what it shows and expected what the rest of the pack says it should, in `unit`.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "diagnostics"
    leaves: ClassVar[Leaves] = {"diagnostics": "signal fault value expected unit"}

    signal: str
    fault: Literal["stuck", "offset", "drift"]
    value: float
    expected: float
    unit: str


class LowVoltageAlarm(Event, frozen=True, kw_only=True, tag="low_voltage_alarm"):
    """The 12 V (or 24 V) battery or what charges it; or that it is over (`cleared`). t_ns is when it began.

    weak_crank: the starter pulled it too low. not_charging: it supplies the running car alone. low: at rest a quarter
    full or less. flat: below what starts a car. over_voltage: it is charged with too much. value and limit in V. action
    is what to do and where, none once it is over.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {"service": "alarm value limit cleared action"}

    alarm: Literal["weak_crank", "not_charging", "low", "flat", "over_voltage"]
    value: float
    limit: float
    cleared: bool = False
    action: AlarmAction = "none"


class ChargingFault(Event, frozen=True, kw_only=True, tag="charging_fault"):
    """Charging was broken off or begun in the wrong way, and by what, as far as the car can tell.

    charger: it broke off or reports a fault; grid: its voltage is out of bounds; plug: current flows though no cable is
    in; slow: far less power than this session had, and neither full, hot nor cold.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {"service": "fault power_kw grid_v action"}

    fault: ChargingFaultName
    power_kw: float
    grid_v: float | None = None
    action: AlarmAction = "none"


class ChargeSession(Event, frozen=True, kw_only=True, tag="charge_session"):
    """One charge, told when it is over: from the cable, or the first current, to its end, which is t_ns.

    mode: ac or dc as far as the power tells. energy_kwh and charge_ah went into the pack; soc in percent, None where it
    is not known. tapered: the power fell towards the end. interrupted: pauses after which it went on. ended: full,
    unplugged, stopped (current ended, cable in), or data_ended. faults: each ChargingFault told of it, once.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {
        "service": """
        started_ns mode energy_kwh charge_ah power_max_kw soc_start soc_end temperature_max_c tapered interrupted ended
        faults
        """,
    }

    started_ns: int
    mode: Literal["ac", "dc", "unknown"]
    energy_kwh: float
    charge_ah: float
    power_max_kw: float
    soc_start: float | None
    soc_end: float | None
    temperature_max_c: float | None
    tapered: bool
    interrupted: int
    ended: Literal["full", "unplugged", "stopped", "data_ended"]
    faults: list[ChargingFaultName] = []  # noqa: RUF012  # msgspec copies an empty list for each
