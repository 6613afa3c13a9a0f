"""What cars' owners want to be gone: found among what is stored, also what comes later, blanked, and signed for.

A request is kept with the other events, so every worker knows of it. What it is about may come after it (a broker
delivers again, another worker was slower): so after each batch the requests of its devices are looked at once more.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, get_args

import msgspec

from agent.core.declared import grounds_of, purposes_of
from agent.core.erasure import RIGHTS, ErasureReceipt, Selection
from agent.core.events import AnyEvent, ErasureRequested, Event, Purpose
from agent.link.wire import erasure_topic
from agent.link.wire_erasure import encode_erasure_receipt
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import Place, Store

_TIMES: Final = 2  # one may be lost with a connection; the car asks again at its next start


@dataclass(frozen=True, slots=True)
class Order:
    """An owner's request, and where it stands: first, and wherever it was asked again.

    It is about what stands before the first, and of boots up to the one in which he asked.
    """

    place: Place
    request: str
    selection: Selection
    boot: int
    asked: frozenset[Place]

    def concerns(self, place: Place) -> bool:
        """Whether a record may be meant."""
        return place.device == self.place.device and place.boot <= self.boot and place < self.place


@dataclass(frozen=True, slots=True)
class _Owed:
    receipt: ErasureReceipt
    times: int = 0


class Erasures:
    """Carries requests out; remembers nothing but whom it owes a receipt."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owed: dict[str, dict[str, _Owed]] = {}

    def follow(self, stored: Collection[Place], asked: Collection[Place], *, now_ns: int) -> set[Place]:
        """Do what owners ask of the records that were just stored, and of all others where they just asked.

        stored: places of new records; asked: places among which requests are, that came just now or came again. Returns
        the places of new records that are gone again. Raises StoreError.
        """
        gone: set[Place] = set()
        for order in self._orders({place.device for place in (*stored, *asked)}):
            asks = not order.asked.isdisjoint(asked)
            if not asks and not any(order.concerns(place) for place in stored):
                continue
            gone |= self._carry_out(order)
            if asks:
                count = self._store.erased(order.place)
                receipt = ErasureReceipt(order.request, count, now_ns)
                self._owed.setdefault(order.place.device, {})[order.request] = _Owed(receipt)
        return gone & set(stored)

    def receipts(self, devices: Iterable[str], keys: ReceiverKeys) -> list[tuple[str, bytes]]:
        """Topic and payload of the receipts that are owed; each comes once more at the next call."""
        receipts: list[tuple[str, bytes]] = []
        for device in devices:
            owed = self._owed.pop(device, {})
            receipts += [
                (erasure_topic(device), encode_erasure_receipt(device, debt.receipt, sign=keys.sign_receipt))
                for debt in owed.values()
            ]
            left = {name: replace(debt, times=debt.times + 1) for name, debt in owed.items() if debt.times + 1 < _TIMES}
            if left:
                self._owed[device] = left
        return receipts

    def _orders(self, devices: Collection[str]) -> Sequence[Order]:
        orders: dict[tuple[str, str], Order] = {}
        for place, event in self._store.erasure_requests(devices):
            asked = msgspec.convert(event, ErasureRequested)
            name = place.device, asked.request
            if (known := orders.get(name)) is not None:
                orders[name] = replace(known, asked=known.asked | {place})
                continue
            selection = Selection(frozenset(asked.of_purposes) or None, asked.from_ns, asked.until_ns)
            orders[name] = Order(place, asked.request, selection, asked.boot, frozenset({place}))
        return list(orders.values())

    def _carry_out(self, order: Order) -> set[Place]:
        selection = order.selection
        found = [
            Place(order.place.device, *position)
            for position, event, utc_ns in self._store.unerased(order.place, _kinds_of(selection.purposes))
            if position.boot <= order.boot and selection.covers(_purposes(event), utc_ns)
        ]
        if found:
            self._store.blank(found)
        return set(found)


@lru_cache(maxsize=64)
def _kinds_of(purposes: frozenset[str] | None) -> Sequence[str]:
    """Kinds of events that may hold data of these purposes, None for all; never those that tell of an owner's will."""
    kinds: Sequence[type[Event]] = get_args(AnyEvent)
    return [
        str(kind.__struct_config__.tag)
        for kind in kinds
        if kind.purpose != RIGHTS and (purposes is None or purposes & _all_grounds(kind))
    ]


def _all_grounds(kind: type[Event]) -> frozenset[str]:
    grounds = {kind.purpose, *(ground for each in grounds_of(kind).values() for ground in each)}
    return frozenset("ubi_score" if ground == "ubi_detail" else ground for ground in grounds)


def _purposes(event: dict[str, Any]) -> frozenset[str]:
    """Whose data a stored event holds: of one that this software cannot read, anybody's."""
    try:
        return frozenset(purposes_of(msgspec.convert(event, AnyEvent)))
    except msgspec.ValidationError:
        return frozenset(get_args(Purpose))
