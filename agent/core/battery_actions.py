"""What to do about an alarm, and where: as words for a push, beside what is spoken in the car."""

from collections.abc import Mapping
from typing import Final, Literal

AlarmAction = Literal[
    "none",
    "mention_at_service",
    "charge_soon",
    "other_charger",
    "book_partner_garage",
    "drive_to_partner_garage",
    "stop_and_tow",
    "stop_charging",
    "leave_the_car",
]
"""other_charger: this one fails. stop_and_tow: where it is safe, and no further. leave_the_car: at once."""

_BY_LEVEL: Final[Mapping[int, AlarmAction]] = {
    1: "mention_at_service",
    2: "book_partner_garage",
    3: "stop_and_tow",
    4: "leave_the_car",
}
_OF_CHARGE: Final = frozenset({"cell_over_voltage", "pack_over_voltage", "overcharge", "soc_high"})
_LOW: Final = frozenset({"soc_low", "cell_under_voltage", "pack_under_voltage"})
_HOT: Final = frozenset({"over_temperature", "thermal_runaway"})
_LOW_VOLTAGE: Final[Mapping[str, AlarmAction]] = {
    "weak_crank": "book_partner_garage",
    "not_charging": "drive_to_partner_garage",
    "low": "charge_soon",
    "flat": "charge_soon",
    "over_voltage": "drive_to_partner_garage",
}
_CHARGING: Final[Mapping[str, AlarmAction]] = {
    "charger": "other_charger",
    "grid": "other_charger",
    "plug": "book_partner_garage",
    "slow": "none",
}


def alarm_action(alarm: str, level: int) -> AlarmAction:
    """Of a BatteryAlarm that stands: by its level, but for what the driver can end himself."""
    if alarm in _HOT and level >= 3:
        return "leave_the_car"
    if alarm in _OF_CHARGE and level < 4:
        return "stop_charging"
    if alarm in _LOW and level < 3:
        return "charge_soon"
    return _BY_LEVEL.get(level, "leave_the_car" if level > 4 else "none")


def low_voltage_action(alarm: str) -> AlarmAction:
    """Of a LowVoltageAlarm that stands; charge_soon means the 12 V battery."""
    return _LOW_VOLTAGE.get(alarm, "none")


def charging_action(fault: str) -> AlarmAction:
    """Of a ChargingFault."""
    return _CHARGING.get(fault, "none")
