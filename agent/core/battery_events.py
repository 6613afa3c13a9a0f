"""What the agent tells of the traction battery's cells, its charging, its sensors and of the 12 V battery."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

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

    level: 1 does not affect driving, 2 limits performance, 3 stop now, 4 thermal event. ALARM_BITS has the bits.
    """

    priority: ClassVar[Priority] = Priority.SAFETY
    purpose: ClassVar[Purpose] = "safety"
    leaves: ClassVar[Leaves] = {"safety": "alarm level value limit unit cell cleared"}

    alarm: AlarmName
    level: int
    value: float
    limit: float
    unit: str
    cell: int | None = None
    cleared: bool = False


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
    full or less. flat: below what starts a car. over_voltage: it is charged with too much. value and limit in V.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {"service": "alarm value limit cleared"}

    alarm: Literal["weak_crank", "not_charging", "low", "flat", "over_voltage"]
    value: float
    limit: float
    cleared: bool = False


class ChargingFault(Event, frozen=True, kw_only=True, tag="charging_fault"):
    """Charging was broken off or begun in the wrong way, and by what, as far as the car can tell.

    charger: it broke off or reports a fault; grid: its voltage is out of bounds; plug: current flows though no cable is
    in; slow: far less power than this session had, and neither full, hot nor cold.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {"service": "fault power_kw grid_v"}

    fault: ChargingFaultName
    power_kw: float
    grid_v: float | None = None


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


class BatteryHealth(Event, frozen=True, kw_only=True, tag="battery_health"):
    """What is known of the pack's health, once a month of use: an estimate with its interval, never a bare number.

    capacity_ah is of one cell string, from charge in over state of charge gained, with the 90 % interval of the median
    over the segments. soh_percent: against the capacity when new, None where config does not tell that. spread_percent:
    one standard deviation of the cells' charge at rest; weakest: the cell that lacks most, and how much, in percent.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {
        "service": """
        segments capacity_ah capacity_low_ah capacity_high_ah soh_percent soh_low_percent soh_high_percent
        spread_percent weakest weakest_lacks_percent
        """,
    }

    segments: int
    capacity_ah: float
    capacity_low_ah: float
    capacity_high_ah: float
    soh_percent: float | None
    soh_low_percent: float | None
    soh_high_percent: float | None
    spread_percent: float | None
    weakest: int | None
    weakest_lacks_percent: float | None


REPORT_ADVICE: Final = (
    "leave_the_car",
    "weak_cell_garage",
    "weak_cell_service",
    "sensor_check",
    "alarm_check",
    "charger_check",
    "capacity_low",
    "nothing",
)
"""What a BatteryReport may advise, the gravest first: keys of firmware_config/battery/{zh,en}.toml."""


class BatteryReport(Event, frozen=True, kw_only=True, tag="battery_report"):
    """The traction battery's month: days of the calendar up to the first use after them, whatever starts lie between.

    capacity and SOH as the newest BatteryHealth told them, with its 90 % interval, None where there was none yet.
    Sessions and energy by the mode that ChargeSession tells. interrupted: sessions with a pause; charging_faults:
    sessions with a fault. spread_v: one standard deviation of the cells at rest; weakest: the cell that lacks most
    charge, weakest_v what it has beside the median cell at rest, weakest_trend how that went, in percent of charge a
    month (negative: worse). cells: those with open advice, level its highest. sensors: paths whose values lie. alarms:
    how many of level 1, 2, 3, 4. advice: of REPORT_ADVICE.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {
        "service": """
        days capacity_ah capacity_low_ah capacity_high_ah soh_percent soh_low_percent soh_high_percent sessions_ac
        sessions_dc sessions_unknown energy_ac_kwh energy_dc_kwh energy_unknown_kwh interrupted charging_faults spread_v
        weakest weakest_v weakest_trend cells level sensors alarms advice
        """,
    }

    days: int
    capacity_ah: float | None
    capacity_low_ah: float | None
    capacity_high_ah: float | None
    soh_percent: float | None
    soh_low_percent: float | None
    soh_high_percent: float | None
    sessions_ac: int
    sessions_dc: int
    sessions_unknown: int
    energy_ac_kwh: float
    energy_dc_kwh: float
    energy_unknown_kwh: float
    interrupted: int
    charging_faults: int
    spread_v: float | None
    weakest: int | None
    weakest_v: float | None
    weakest_trend: float | None
    cells: list[int]
    level: AdviceLevel | None
    sensors: list[str]
    alarms: list[int]
    advice: list[str]
