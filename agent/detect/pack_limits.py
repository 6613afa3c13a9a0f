"""Limits of single cells and probes: by config, else by chemistry. Pure."""

from dataclasses import dataclass
from typing import Final

from agent.core.battery_events import AlarmName
from agent.core.config import BatteryLimits

# Voltage (over, under) by chemistry: docs/sources.md 4, common knowledge in the field and configurable.
_VOLTAGES: Final = {"lfp": (3.65, 2.5), "nmc": (4.25, 2.8)}


@dataclass(frozen=True, slots=True)
class Limit:
    """One alarm: broken at `at`, over when back at `release`, worse from `severe` on; sign -1: lower is worse."""

    alarm: AlarmName
    at: float
    release: float
    severe: float
    levels: tuple[int, int]
    unit: str
    sign: int = 1

    def broken(self, value: float) -> bool:
        """Whether value is at or beyond the limit."""
        return self.sign * value >= self.sign * self.at

    def released(self, value: float) -> bool:
        """Whether value is back for good."""
        return self.sign * value <= self.sign * self.release

    def level(self, value: float) -> int:
        """Level as in GB/T 32960.3; which value has which level is the maker's choice, and ours here."""
        return self.levels[self.sign * value >= self.sign * self.severe]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one configuration."""

    over_voltage: Limit
    under_voltage: Limit
    over_temperature: Limit
    voltage_spread: Limit
    temperature_spread: Limit
    runaway: Limit

    @classmethod
    def from_config(cls, config: BatteryLimits) -> "Limits":
        """Fill in the chemistry's defaults."""
        over, under = cell_voltages(config)
        hot, cool = config.over_temperature_c, min(config.over_temperature_release_c, config.over_temperature_c)
        spread_v, spread_c = config.cell_spread_v, config.temperature_spread_c
        return cls(
            Limit("cell_over_voltage", over, over - 0.05, over + 0.1, (2, 3), "V"),
            Limit("cell_under_voltage", under, under + 0.1, under - 0.3, (2, 3), "V", sign=-1),
            Limit("over_temperature", hot, cool, hot + 10, (2, 3), "Celsius"),
            Limit("poor_cell_consistency", spread_v, 0.8 * spread_v, 2 * spread_v, (1, 2), "V"),
            Limit("temperature_difference", spread_c, 0.8 * spread_c, 2 * spread_c, (1, 2), "Celsius"),
            Limit("thermal_runaway", hot, cool, hot, (4, 4), "Celsius"),
        )


def cell_voltages(config: BatteryLimits) -> tuple[float, float]:
    """Over- and under-voltage of a cell in V: what config tells, else the chemistry's."""
    over, under = _VOLTAGES[config.chemistry]
    return config.cell_over_voltage_v or over, config.cell_under_voltage_v or under
