"""What the insurer does with records: open, verify, store once, and sign for them. No network in here."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal

import msgspec

from agent.core.errors import SealError
from agent.core.events import AnyEvent, ErasureRequested
from agent.core.records import Header, Position, Range, Told, digest_of, parse_envelope
from agent.link.wire import receipt_topic
from agent.store.unseal import open_parsed
from fleet.receiver.erasures import Erasures
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.receipts import contiguous_ranges, sign_receipts
from fleet.receiver.store import TAKEN, Letter, Place, Row, RowRefused, Store

_RECEIPTED_TIMES: Final = 2  # one may be lost with a connection; after that the device sends again and is answered
_UNANSWERED_MAX: Final = 100_000
_GAP_MAX: Final = 64  # places between two that are owed: other workers may have stored them
_REASON_MAX: Final = 300
# Beyond these sums of them leave 64 bits, and a database that adds them answers nobody any more.
_T_MAX_NS: Final = 2**60  # 36 years after the car's clock began
_WALL_MAX_NS: Final = 2**62  # 2116

Parsed = tuple[Header, bytes] | SealError
"""An envelope's header and what it seals, or why it is none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an envelope. device is what it claims to be from, "" where even that cannot be read."""

    status: Literal["accepted", "duplicate", "dead"]
    device: str = ""
    position: Position | None = None
    told: Told | None = None
    reason: str = ""

    @property
    def event(self) -> AnyEvent | None:
        """The event of an accepted record."""
        return None if self.told is None else self.told.event


@dataclass(slots=True)
class _Owed:
    digest: bytes
    times: int = 0  # how often receipted


class Intake:
    """The receiver's core; one per worker. It remembers nothing but whom it owes a receipt."""

    def __init__(self, keys: ReceiverKeys, store: Store, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.store = store
        self._keys = keys
        self._now_ns = now_ns
        self._owed: dict[str, dict[Position, _Owed]] = {}
        self._erasures = Erasures(store)

    def take(self, envelopes: Sequence[bytes]) -> list[Outcome]:
        """Accept records, recognise duplicates, bury the rest with the reason. Raises StoreError.

        All is on the disk when this returns: the broker may be told.
        """
        parsed = [_parse(envelope) for envelope in envelopes]
        known = self.store.digests({_place(part[0]) for part in parsed if not isinstance(part, SealError)})
        outcomes: list[Outcome] = []
        rows: list[Row] = []
        letters: list[Letter] = []
        for envelope, part in zip(envelopes, parsed, strict=True):
            digest = digest_of(envelope)
            outcome = self._judge(part, digest, known)
            outcomes.append(outcome)
            if outcome.told is not None and not isinstance(part, SealError):
                row = Row(part[0], outcome.told, envelope, digest)
                known[row.place] = digest
                rows.append(row)
            elif outcome.status == "dead":
                letters.append(Letter(outcome.device, envelope, outcome.reason))
        refused: dict[Place, str] = {}
        taken: set[Place] = set()
        if rows or letters:
            try:
                taken = self.store.put(rows, letters, received_ns=self._now_ns())
            except RowRefused:
                taken, refused = self._put_singly(rows, letters)
        if taken or refused:
            outcomes = self._settle(envelopes, outcomes, taken, refused)
        outcomes = self._follow_owners(outcomes)
        for envelope, outcome in zip(envelopes, outcomes, strict=True):
            self._owe(outcome, envelope)
        return outcomes

    def receipts(self, devices: Iterable[str]) -> list[tuple[str, bytes]]:
        """Topic and payload of the receipts for what came since the last but one call.

        Ranges name what is stored, whether or not the chain is complete yet: a record that overtook others is safe.
        Sending them is repeatable; a receipt that got lost is made again when the device sends again.
        """
        owed = {device: self._owed[device] for device in devices if device in self._owed}
        filled = self.store.digests({place for device, places in owed.items() for place in _gaps(device, places)})
        receipts: list[tuple[str, bytes]] = []
        for device, places in owed.items():
            stored = filled | {Place(device, *place): debt.digest for place, debt in places.items()}
            # Apart: a range that ended in a record answered before would be refused whole by a car that forgot it.
            fresh = sorted(place for place, debt in places.items() if debt.times == 0)
            again = sorted(place for place, debt in places.items() if debt.times > 0)
            ranges = _ranges(device, fresh, stored) + _ranges(device, again, stored)
            blobs = sign_receipts(self._keys, device, ranges, now_ns=self._now_ns())
            receipts += [(receipt_topic(device), blob) for blob in blobs]
            left = {p: _Owed(debt.digest, debt.times + 1) for p, debt in places.items()}
            self._owed[device] = {place: debt for place, debt in left.items() if debt.times < _RECEIPTED_TIMES}
            if not self._owed[device]:
                del self._owed[device]
        return receipts + self._erasures.receipts(devices, self._keys)

    def _follow_owners(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Erase what is asked for; of records that go as they come nobody hears what was in them."""
        came = [(each.device, each.position, each) for each in outcomes if each.position and each.status != "dead"]
        stored = {Place(device, *position) for device, position, each in came if each.told is not None}
        asked = {
            Place(device, *position)
            for device, position, each in came
            if each.status == "duplicate" or isinstance(each.event, ErasureRequested)
        }
        if not stored and not asked:
            return list(outcomes)
        gone = self._erasures.follow(stored, asked, now_ns=self._now_ns())
        return [
            replace(each, told=None) if each.position and Place(each.device, *each.position) in gone else each
            for each in outcomes
        ]

    def _judge(self, parsed: Parsed, digest: bytes, known: Mapping[Place, bytes]) -> Outcome:
        if isinstance(parsed, SealError):
            return Outcome("dead", reason=_shorten(str(parsed)))
        header, cose = parsed
        stored = known.get(_place(header))
        if stored == digest:
            return Outcome("duplicate", header.device, header.position)
        try:
            told = self._open(header, cose)
        except SealError as exc:
            return Outcome("dead", header.device, header.position, reason=_shorten(str(exc)))
        if stored is not None:
            # An SD card may have been replaced or restored. Without a receipt the car keeps its record.
            return Outcome("dead", header.device, header.position, reason=TAKEN)
        return Outcome("accepted", header.device, header.position, told)

    def _put_singly(self, rows: Sequence[Row], letters: Sequence[Letter]) -> tuple[set[Place], dict[Place, str]]:
        """One of them is such that the database takes none: which one, and why. Nothing of it may stop the others."""
        now_ns = self._now_ns()
        taken: set[Place] = set()
        refused: dict[Place, str] = {}
        for row in rows:
            try:
                taken |= self.store.put([row], [], received_ns=now_ns)
            except RowRefused as exc:
                refused[row.place] = _shorten(f"the database takes it not: {exc}")
        self.store.put([], letters, received_ns=now_ns)
        return taken, refused

    def _settle(
        self, envelopes: Sequence[bytes], outcomes: list[Outcome], taken: set[Place], refused: Mapping[Place, str]
    ) -> list[Outcome]:
        """Another worker stored something at these places between our question and our writing.

        Duplicates within the batch are judged again as well: what they are copies of may not have been stored.
        """
        stored = self.store.digests(taken)
        letters: list[Letter] = []
        settled: list[Outcome] = []
        for envelope, outcome in zip(envelopes, outcomes, strict=True):
            place = Place(outcome.device, *(outcome.position or (0, 0)))
            if outcome.status == "dead" or (place not in taken and place not in refused):
                settled.append(outcome)
            elif stored.get(place) == digest_of(envelope):
                settled.append(replace(outcome, status="duplicate", told=None))
            else:
                reason = refused.get(place, TAKEN)
                settled.append(replace(outcome, status="dead", told=None, reason=reason))
                letters.append(Letter(outcome.device, envelope, reason))
        if letters:
            self.store.put([], letters, received_ns=self._now_ns())
        return settled

    def _open(self, header: Header, cose: bytes) -> Told:
        device_key = self._keys.device_key(header.device)
        if device_key is None:
            raise SealError("the device is not registered")
        try:
            told = open_parsed(header, cose, self._keys.decryption_keys, device_key)
        except SealError:
            if not self._keys.refresh():
                raise
            told = open_parsed(header, cose, self._keys.decryption_keys, device_key)
        _check(told)
        return told

    def _owe(self, outcome: Outcome, envelope: bytes) -> None:
        if outcome.status == "dead" or outcome.position is None:
            return
        places = self._owed.setdefault(outcome.device, {})
        if len(places) < _UNANSWERED_MAX:
            places[outcome.position] = _Owed(digest_of(envelope))


def _parse(envelope: bytes) -> Parsed:
    try:
        return parse_envelope(envelope)
    except SealError as exc:
        return exc


def _check(told: Told) -> None:
    """Raise SealError for what a device may sign but no database can hold."""
    if abs(told.event.t_ns) > _T_MAX_NS or abs(told.wall_ns or 0) > _WALL_MAX_NS:
        raise SealError("a time that no clock shows")
    if any("\0" in text for text in (told.agent, *_texts(told.event))):
        raise SealError("a text holds a zero byte")


def _texts(event: AnyEvent) -> Iterator[str]:
    for value in msgspec.structs.astuple(event):
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (part for part in value if isinstance(part, str))


def _shorten(reason: str) -> str:
    """On one line, for a log that nobody else may write lines into: a reason may quote what a stranger sent."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in reason[:_REASON_MAX])


def _place(header: Header) -> Place:
    return Place(header.device, header.boot, header.sequence)


def _between(before: Position, after: Position) -> Iterator[int]:
    """Sequences between two places of a boot, where there are few: another worker may have stored them."""
    if before.boot == after.boot and after.sequence - before.sequence <= _GAP_MAX:
        yield from range(before.sequence + 1, after.sequence)


def _gaps(device: str, places: Iterable[Position]) -> Iterator[Place]:
    for before, after in pairwise(sorted(places)):
        yield from (Place(device, before.boot, sequence) for sequence in _between(before, after))


def _ranges(device: str, owed: Sequence[Position], stored: Mapping[Place, bytes]) -> list[Range]:
    """Ranges that begin and end in a place that is owed, wholly stored."""
    places = {place: stored[Place(device, *place)] for place in owed}
    for before, after in pairwise(owed):
        between = {Position(before.boot, n): stored.get(Place(device, before.boot, n)) for n in _between(before, after)}
        if all(between.values()):
            places.update((place, digest) for place, digest in between.items() if digest is not None)
    return contiguous_ranges(sorted(places.items()))
