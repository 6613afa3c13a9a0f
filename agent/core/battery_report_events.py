"""The traction battery's month: what is known of its health, and all that happened, once every thirty days."""

from typing import ClassVar, Final

from agent.core.battery_events import AdviceLevel
from agent.core.event_base import Event, Leaves, Priority, Purpose


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
    month (negative: worse). leaking: the cell that loses charge beyond all others, leak_percent of its charge a day
    with the 90 % interval, which balancing makes rather too small. resistive: the cell whose resistance has grown, and
    by how much it is beyond the median cell's, in percent of that. cells: those with open advice, level its highest.
    sensors: paths whose values lie. alarms: how many of level 1, 2, 3, 4. advice: of REPORT_ADVICE.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"
    leaves: ClassVar[Leaves] = {
        "service": """
        days capacity_ah capacity_low_ah capacity_high_ah soh_percent soh_low_percent soh_high_percent sessions_ac
        sessions_dc sessions_unknown energy_ac_kwh energy_dc_kwh energy_unknown_kwh interrupted charging_faults spread_v
        weakest weakest_v weakest_trend leaking leak_percent leak_low_percent leak_high_percent resistive
        resistive_percent cells level sensors alarms advice
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
    leaking: int | None
    leak_percent: float | None
    leak_low_percent: float | None
    leak_high_percent: float | None
    resistive: int | None
    resistive_percent: float | None
    cells: list[int]
    level: AdviceLevel | None
    sensors: list[str]
    alarms: list[int]
    advice: list[str]
