"""The events that name a cell, with what to do. Pure."""

from collections.abc import Mapping
from typing import Final

from agent.core.battery_events import Action, AdviceLevel, BatteryAdvice, CellFault, Feature
from agent.core.events import Event

LEVELS: Final[tuple[AdviceLevel, ...]] = ("advice", "service_soon", "stop_now")
_ACTIONS: Final[Mapping[AdviceLevel, Action]] = {
    "advice": "mention_at_service",
    "service_soon": "book_service",
    "stop_now": "leave_the_car",
}


def advise(
    t_ns: int,
    *,
    level: AdviceLevel,
    fault: CellFault,
    cell: int | None,
    feature: Feature,
    value: float,
    spread: float,
    unit: str,
    since_days: float,
    confidence: float,
    low: float | None = None,
    high: float | None = None,
) -> BatteryAdvice:
    """The event, rounded, with what to do."""
    return BatteryAdvice(
        t_ns=t_ns,
        level=level,
        fault=fault,
        cell=cell,
        feature=feature,
        value=round(value, 6),
        spread=round(spread, 6),
        unit=unit,
        since_days=since_days,
        confidence=confidence,
        confidence_rules=confidence,
        low=None if low is None else round(low, 6),
        high=None if high is None else round(high, 6),
        action="none" if cell is None else _ACTIONS[level],
    )


def pack_changed(t_ns: int) -> Event:
    """The cells are others than before, and are learnt anew."""
    return advise(
        t_ns,
        level="advice",
        fault="pack_changed",
        cell=None,
        feature="pattern",
        value=0.0,
        spread=0.0,
        unit="",
        since_days=0.0,
        confidence=0.5,
    )
