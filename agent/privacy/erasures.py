"""Erasures that the owner has asked for: what became of them here and at the insurer's, kept until he has the proof."""

import logging
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from agent.core.best_time import Now
from agent.core.erasure import ErasureReceipt, Selection
from agent.core.errors import StoreError
from agent.core.events import Purpose
from agent.core.ports import StateStore
from agent.core.privacy_events import By, ErasureRequested
from agent.core.records import Position

_LOG: Final = logging.getLogger(__name__)
_DAY_NS: Final = 86_400 * 10**9
DEADLINE_NS: Final = 14 * _DAY_NS
"""Ten working days, public holidays aside."""
_GIVEN_UP_NS: Final = 90 * _DAY_NS
_KEPT_MAX: Final = 100


class Erasure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request, of a boot and the records up to a sequence in it; None: not known yet.

    done_here: nothing of it is left on this box. receipt: the insurer's, as it came.
    """

    request: str
    boot: int
    purposes: list[Purpose]
    from_ns: int | None
    until_ns: int | None
    asked_ns: int | None
    deadline_ns: int | None
    by: By
    sequence: int | None = None
    done_here: bool = False
    records_here: int = 0
    receipt: bytes = b""
    receipt_ns: int | None = None
    records_there: int | None = None

    @property
    def selection(self) -> Selection:
        """What is to go."""
        return Selection(frozenset(self.purposes) or None, self.from_ns, self.until_ns)

    def is_overdue(self, now: Now) -> bool:
        """Whether the insurer has not signed in time."""
        return not self.receipt and self.deadline_ns is not None and bool(now.passed(self.deadline_ns))

    def is_asked_again(self, now: Now) -> bool:
        """Whether the insurer may still sign; one who has not for so long does not know how."""
        return not self.receipt and not (self.deadline_ns and now.passed(self.deadline_ns + _GIVEN_UP_NS))

    def event(self, t_ns: int) -> ErasureRequested:
        """What asks for it elsewhere."""
        return ErasureRequested(
            t_ns=t_ns,
            request=self.request,
            boot=self.boot,
            of_purposes=self.purposes,
            from_ns=self.from_ns,
            until_ns=self.until_ns,
            asked_ns=self.asked_ns,
            deadline_ns=self.deadline_ns,
            by=self.by,
        )


class _Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: Literal[1] = 1
    erasures: Annotated[list[Erasure], Meta(max_length=_KEPT_MAX)]


class Erasures:
    """The list, oldest first.

    Where there are too many, those with a receipt are let go first, then those that are done here; none that is not.
    """

    def __init__(self, store: StateStore | None) -> None:
        """store: raises StoreError; None keeps nothing."""
        self._store = store
        self._erasures = self._load()

    def all(self) -> Sequence[Erasure]:
        """Oldest first."""
        return tuple(self._erasures.values())

    def undone(self) -> Sequence[Erasure]:
        """What is still to be done on this box."""
        return [each for each in self._erasures.values() if not each.done_here]

    def overdue(self, now: Now) -> Sequence[Erasure]:
        """What the insurer should have signed for by now."""
        return [each for each in self._erasures.values() if each.is_overdue(now)]

    def add(self, selection: Selection, *, request: str, boot: int, by: By, now: Now) -> Erasure:
        """A new request, on the disk before anything is done. Raises StoreError."""
        erasure = Erasure(
            request=request,
            boot=boot,
            purposes=sorted(selection.purposes or ()),
            from_ns=selection.from_ns,
            until_ns=selection.until_ns,
            asked_ns=now.wall_ns,
            deadline_ns=None if now.wall_ns is None else now.wall_ns + DEADLINE_NS,
            by=by,
        )
        self._put(erasure)
        return erasure

    def draw_line(self, request: str, last: Position, dropped: int) -> Erasure:
        """It is about no record behind that one; so many went before they became one. Raises StoreError."""
        erasure = self._erasures[request]
        sequence = last.sequence if erasure.sequence is None else erasure.sequence
        self._put(msgspec.structs.replace(erasure, sequence=sequence, records_here=erasure.records_here + dropped))
        return self._erasures[request]

    def finish(self, request: str, records: int) -> int:
        """Nothing of it is left here; how many went in all. Raises StoreError."""
        erasure = self._erasures[request]
        self._put(msgspec.structs.replace(erasure, done_here=True, records_here=erasure.records_here + records))
        return self._erasures[request].records_here

    def take(self, receipt: ErasureReceipt, blob: bytes) -> Erasure | None:
        """Keep a receipt that was verified; None where it is for no request of this box. Raises StoreError."""
        erasure = self._erasures.get(receipt.request)
        if erasure is None:
            return None
        signed = msgspec.structs.replace(
            erasure, receipt=blob, receipt_ns=receipt.erased_ns, records_there=receipt.records
        )
        self._put(signed)
        return signed

    def _put(self, erasure: Erasure) -> None:
        erasures = {**self._erasures, erasure.request: erasure}
        while len(erasures) > _KEPT_MAX:
            done = [name for name, each in erasures.items() if each.done_here]
            if not done:
                raise StoreError(f"{_KEPT_MAX} erasures are still to be done on this box")
            del erasures[next((name for name in done if erasures[name].receipt), done[0])]
        if self._store is not None:
            self._store.save(msgspec.json.encode(_Kept(erasures=list(erasures.values()))))
        self._erasures = erasures

    def _load(self) -> dict[str, Erasure]:
        if self._store is None:
            return {}
        try:
            data = self._store.load()
            kept = msgspec.json.decode(data, type=_Kept).erasures if data else []
        except (StoreError, msgspec.DecodeError) as exc:
            _LOG.error("the erasures asked for cannot be read: %s", exc)  # expected
            return {}
        return {each.request: each for each in kept}
