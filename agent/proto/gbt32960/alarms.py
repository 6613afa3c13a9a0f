"""The general alarm flags of GB/T 32960.3 (2016 table 18, 2025 table 24) by name, each with its level where known."""

from dataclasses import dataclass
from typing import Final

from agent.proto.gbt32960 import edition2016, edition2025

THERMAL_EVENT_BIT: Final = 23
THERMAL_EVENT_LEVEL: Final = 4  # the one level the 2025 edition fixes

NAMES_2016: Final = (
    "temperature difference", "battery over-temperature", "REESS over-voltage", "REESS under-voltage", "SOC low",
    "cell over-voltage", "cell under-voltage", "SOC too high", "SOC jump", "REESS mismatch", "poor cell consistency",
    "insulation", "DC-DC temperature", "brake system", "DC-DC status", "motor controller temperature", "HVIL status",
    "motor temperature", "REESS overcharge",
)  # fmt: skip
NAMES_2025: Final = (
    *NAMES_2016, "motor over-speed", "motor over-current", "supercapacitor over-temperature",
    "supercapacitor over-voltage", "REESS thermal event", "hydrogen leak", "hydrogen pressure", "hydrogen temperature",
    "fuel-cell stack over-temperature",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm:
    """One flag that is set. level: None where the frame gives none for it (always so in 2016)."""

    bit: int
    name: str
    level: int | None


def active_alarms(body: edition2016.Alarms | edition2025.Alarms) -> list[Alarm]:
    """Return the flags that are set, lowest bit first. Reserved bits are named so."""
    is_2025 = isinstance(body, edition2025.Alarms)
    names = NAMES_2025 if is_2025 else NAMES_2016
    levels = {} if not isinstance(body, edition2025.Alarms) else {
        item.bit.raw: item.level.raw for item in body.flag_levels if item.level.value is not None
    }  # fmt: skip
    if is_2025:
        levels[THERMAL_EVENT_BIT] = THERMAL_EVENT_LEVEL
    return [
        Alarm(bit, names[bit] if bit < len(names) else f"reserved {bit}", levels.get(bit))
        for bit in range(32)
        if body.flags >> bit & 1
    ]
