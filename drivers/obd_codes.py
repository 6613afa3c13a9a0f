"""Trouble codes as a diagnostics port tells them: when a round of asking is whole, and who wants to hear of it."""

from dataclasses import replace
from typing import Final

from agent.core.trouble import CodeListener, CodeReading
from agent.proto import obd
from drivers.obd_facts import VehicleFacts

CODE_SERVICES: Final = (obd.STORED_DTCS, obd.PENDING_DTCS, obd.PERMANENT_DTCS)
"""The services that list codes."""


def with_codes(facts: VehicleFacts, service: int, codes: tuple[str, ...]) -> VehicleFacts:
    """The facts with what one of these services listed."""
    match service:
        case obd.STORED_DTCS:
            return replace(facts, stored_dtcs=codes)
        case obd.PENDING_DTCS:
            return replace(facts, pending_dtcs=codes)
        case _:
            return replace(facts, permanent_dtcs=codes)


class CodeBook:
    """What was asked since the last telling, and what was told then."""

    def __init__(self, source: str) -> None:
        self.listeners: list[CodeListener] = []
        self._source = source
        self._asked: set[int] = set()
        self._told: tuple[object, ...] = ((), (), ())
        self._count: int | None = None

    def is_other_count(self, status: bytes) -> bool:
        """Whether the lamp or the number of confirmed codes is another than in the last answer to PID 01."""
        before, self._count = self._count, status[0] if status else None
        return before is not None and before != self._count

    def is_round(self, service: int) -> bool:
        """Note what was asked; whether all three lists have been since the last telling."""
        if service not in CODE_SERVICES:
            return False
        self._asked.add(service)
        return len(self._asked) == len(CODE_SERVICES)

    def differs(self, facts: VehicleFacts) -> bool:
        """Whether the codes are others than were told last."""
        return _lists(facts) != self._told

    def tell(self, facts: VehicleFacts, t_ns: int) -> bool:
        """Hand a reading to the listeners; whether it differs from the one before."""
        self._asked.clear()
        changed, self._told = self.differs(facts), _lists(facts)
        reading = CodeReading(
            source=self._source,
            t_ns=t_ns,
            stored=facts.stored_dtcs,
            pending=facts.pending_dtcs,
            permanent=facts.permanent_dtcs,
            frozen=facts.freeze_frame_dtc or "",
            frame=facts.freeze_frame,
        )
        for listener in self.listeners:
            listener(reading)
        return changed


def _lists(facts: VehicleFacts) -> tuple[object, ...]:
    """An empty list and no answer are the same here: neither is news."""
    return (facts.stored_dtcs or (), facts.pending_dtcs or (), facts.permanent_dtcs or ())
