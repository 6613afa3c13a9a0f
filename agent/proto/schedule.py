"""What to ask the car next: every wish has a rate and a priority. Pure; time is an argument.

Requests of live data are packed, up to six PIDs, learnt for each ECU. What is overdue by most periods goes first,
weighed by its priority, so a slow bus thins everything out in proportion and starves nothing. An ECU that takes long
to answer is left alone for as long again, and one that refuses is backed off from.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta

from agent.core.config import Section
from agent.proto import obd
from agent.proto.cut import harms_when_cut
from agent.proto.ecus import FUNCTIONAL, EcuId, is_functional, is_reply_to, is_request_id, reply_of
from agent.proto.uds import READ_DATA

_WEIGHTS: Final = (16.0, 4.0, 1.0, 0.25)  # of priorities 0 to 3
_MISSES_MAX: Final = 3  # in a row, asked alone, before something is asked no more
_EMPTY_MAX: Final = 2  # times in a row without any answer before a pack is suspected
_SLOW_NS: Final = 100_000_000
_BUSY_NS: Final = 100_000_000
_BUSY_NS_MAX: Final = 5_000_000_000
_LATER_NS: Final = 60_000_000_000
_LATER_NS_MAX: Final = 3_600_000_000_000
_BUSY: Final = frozenset({0x21, 0x78})  # busy, repeat; or the answer announced did not come in time
_LATER: Final = frozenset({0x22, 0x7E, 0x7F})  # not in this session or state of the car


class Poll(Section, frozen=True, kw_only=True):
    """A wish of a vehicle profile: a PID of service 01 or a DID of service 22, how often, and how much it matters.

    ecu is the request's identifier: 7DF asks all, 7E4 one. reply is what that ECU answers with; it must be told where
    no rule does (see ecus.reply_of), as for 744. priority 0 matters most.
    """

    pid: obd.Byte | None = None
    did: Annotated[int, Meta(ge=0, le=0xFFFF)] | None = None
    ecu: EcuId = FUNCTIONAL
    reply: EcuId | None = None
    period_s: Annotated[float, Meta(ge=0.05, le=86_400)] = 1.0
    priority: Annotated[int, Meta(ge=0, le=3)] = 1

    def __post_init__(self) -> None:
        if (self.pid is None) == (self.did is None):
            raise ValueError("a poll has either a pid or a did")
        if self.did is not None and is_functional(self.ecu):
            raise ValueError(f"DID {self.did:04X}: needs the ecu to ask, such as 0x7E4")
        if not is_request_id(self.ecu):
            raise ValueError(f"ecu {self.ecu:X} is no diagnostic identifier: 700-7FF, 18DAxxF1 or 17FC00xx")
        if self.answered_by is None and not is_functional(self.ecu):
            raise ValueError(f"ecu {self.ecu:X}: needs the reply it answers with, such as 0x{self.ecu + 8:X}")
        if self.reply is not None and not is_reply_to(self.reply, self.ecu):
            raise ValueError(f"ecu {self.ecu:X} cannot answer with {self.reply:X}")

    @property
    def answered_by(self) -> int | None:
        """What the ECU answers with; None where any of them may."""
        return reply_of(self.ecu) if self.reply is None else self.reply


@dataclass(frozen=True, slots=True)
class Request:
    """One request: data goes to ecu; idents are the PIDs (service 01) or the one DID in it, else empty.

    reply: what the ECU answers with; None where any of them may.
    """

    ecu: int
    data: bytes
    idents: tuple[int, ...] = ()
    reply: int | None = None

    @property
    def service(self) -> int:
        """First byte."""
        return self.data[0]


@dataclass(slots=True)
class _Wish:
    ecu: int
    reply: int | None
    service: int
    ident: int
    period_ns: int
    weight: float
    due_ns: int
    misses: int = 0
    later_ns: int = 0  # last wait after a refusal

    def urgency(self, t_ns: int) -> float:
        return ((t_ns - self.due_ns) / self.period_ns + 1) * self.weight


@dataclass(slots=True)
class _Ecu:
    pack_max: int
    quiet_until_ns: int = 0
    busy_ns: int = 0
    round_trip_ns: float = 0.0
    suspects: set[int] = field(default_factory=set)  # PIDs to ask alone
    empty: dict[tuple[int, ...], int] = field(default_factory=dict)  # packs that got no answer, how often in a row


class Schedule:
    """Hands out requests as they fall due (`take`), and learns from how they went (`settle`)."""

    def __init__(
        self, polls: Sequence[Poll], *, start_ns: int = 0, pack_max: int = obd.PIDS_PER_REQUEST, dtc_period_s: float = 0
    ) -> None:
        self.dropped: list[int] = []
        self.counts: Counter[str] = Counter(busy=0, later=0)
        self._pack_max = pack_max
        self._ecus: dict[int, _Ecu] = {}
        self._wishes: dict[tuple[int, int, int], _Wish] = {}
        for poll in polls:
            service, ident = (obd.CURRENT_DATA, poll.pid) if poll.did is None else (READ_DATA, poll.did)
            if ident is not None:
                self._add(poll, service, ident, start_ns)
        if dtc_period_s:
            first_ns = start_ns + round(dtc_period_s * 1e9)  # they were read on connecting
            for service in (obd.STORED_DTCS, obd.PENDING_DTCS, obd.PERMANENT_DTCS):
                self._add(Poll(pid=0, period_s=dtc_period_s, priority=3), service, 0, first_ns)

    @property
    def pids(self) -> frozenset[int]:
        """PIDs of service 01 still asked for."""
        return frozenset(ident for _, service, ident in self._wishes if service == obd.CURRENT_DATA)

    @property
    def empty(self) -> bool:
        """Whether no live value is left to ask for."""
        return not any(service in {obd.CURRENT_DATA, READ_DATA} for _, service, _ in self._wishes)

    def pack_max(self, ecu: int = FUNCTIONAL) -> int:
        """PIDs in one request, as far as is known."""
        return self._ecu(ecu).pack_max

    def next_ns(self) -> int | None:
        """When take has something again; None where nothing is wished for."""
        return min((max(w.due_ns, self._ecu(w.ecu).quiet_until_ns) for w in self._wishes.values()), default=None)

    def take(self, t_ns: int) -> Request | None:
        """The most urgent request that is due; the wishes in it are due again one period later."""
        due = [w for w in self._wishes.values() if w.due_ns <= t_ns and self._ecu(w.ecu).quiet_until_ns <= t_ns]
        if not due:
            return None
        due.sort(key=lambda wish: wish.urgency(t_ns), reverse=True)
        chosen = self._choose(due)
        for wish in chosen:
            wish.due_ns = max(wish.due_ns + wish.period_ns, t_ns)
            if wish.due_ns == t_ns:  # a whole period behind: what was missed is not made up for
                wish.due_ns = t_ns + wish.period_ns
        first = chosen[0]
        idents = tuple(wish.ident for wish in chosen)
        match first.service:
            case obd.CURRENT_DATA:
                return Request(first.ecu, bytes([first.service, *idents]), idents, first.reply)
            case 0x22:
                data = bytes([READ_DATA]) + first.ident.to_bytes(2, "big")
                return Request(first.ecu, data, idents, first.reply)
        return Request(first.ecu, bytes([first.service]))

    def settle(
        self,
        request: Request,
        answered: Collection[int],
        *,
        t_ns: int,
        round_trip_ns: int = 0,
        refusal: int | None = None,
    ) -> None:
        """Learn from one request: which idents were answered, or the code of the refusal where none was."""
        ecu = self._ecu(request.ecu)
        ecu.round_trip_ns += (round_trip_ns - ecu.round_trip_ns) / 4 if ecu.round_trip_ns else round_trip_ns
        if ecu.round_trip_ns > _SLOW_NS:
            ecu.quiet_until_ns = t_ns + round(ecu.round_trip_ns)
        if refusal is not None and not answered and self._back_off(request, ecu, refusal, t_ns):
            return
        ecu.busy_ns = 0
        missing = [ident for ident in request.idents if ident not in answered]
        if len(request.idents) == 1:
            self._settle_alone(request, ecu, answered=not missing)
        elif request.idents:
            self._settle_pack(request, ecu, missing)

    def hurry_codes(self, t_ns: int) -> None:
        """Ask for trouble codes at t_ns, if not sooner: there is reason to think that they changed."""
        for (_, service, _), wish in self._wishes.items():
            if service in {obd.STORED_DTCS, obd.PENDING_DTCS, obd.PERMANENT_DTCS}:
                wish.due_ns = min(wish.due_ns, t_ns)

    def _add(self, poll: Poll, service: int, ident: int, due_ns: int) -> None:
        period_ns, weight = round(poll.period_s * 1e9), _WEIGHTS[poll.priority]
        wish = _Wish(poll.ecu, poll.answered_by, service, ident, period_ns, weight, due_ns)
        self._wishes[poll.ecu, service, ident] = wish

    def _ecu(self, number: int) -> _Ecu:
        if number not in self._ecus:
            self._ecus[number] = _Ecu(self._pack_max)
        return self._ecus[number]

    def _choose(self, due: Sequence[_Wish]) -> list[_Wish]:
        """The most urgent wish, and those that fit into its request."""
        first = due[0]
        ecu = self._ecu(first.ecu)
        if not self._packs(first, ecu):
            return [first]
        chosen = [first]
        for wish in due[1:]:
            if len(chosen) < ecu.pack_max and wish.ecu == first.ecu and self._packs(wish, ecu):
                chosen = _insert(chosen, wish)
        return chosen

    @staticmethod
    def _packs(wish: _Wish, ecu: _Ecu) -> bool:
        if wish.service != obd.CURRENT_DATA or wish.ident in ecu.suspects:
            return False
        return bool(obd.data_lengths(wish.ident))  # else the combined answer could not be cut

    def _back_off(self, request: Request, ecu: _Ecu, refusal: int, t_ns: int) -> bool:
        """Whether the refusal only says not now."""
        wishes = self._wishes_of(request)
        if refusal in _BUSY:
            self.counts["busy"] += 1
            ecu.busy_ns = min(_BUSY_NS_MAX, 2 * ecu.busy_ns or _BUSY_NS)
            ecu.quiet_until_ns = max(ecu.quiet_until_ns, t_ns + ecu.busy_ns)
            for wish in wishes:
                wish.due_ns = t_ns + ecu.busy_ns
            return True
        if refusal in _LATER:
            self.counts["later"] += 1
            for wish in wishes:
                wish.later_ns = min(_LATER_NS_MAX, 2 * wish.later_ns or _LATER_NS)
                wish.due_ns = t_ns + max(wish.period_ns, wish.later_ns)
            return True
        return False

    def _wishes_of(self, request: Request) -> list[_Wish]:
        keys = ((request.ecu, request.service, ident) for ident in request.idents or (0,))
        return [self._wishes[key] for key in keys if key in self._wishes]

    def _settle_pack(self, request: Request, ecu: _Ecu, missing: Sequence[int]) -> None:
        """A PID missing from a packed answer is asked alone: if it answers then, packing is to blame."""
        pack = request.idents
        empty = ecu.empty.pop(pack, 0) + 1 if len(missing) == len(pack) else 0
        if 0 < empty < _EMPTY_MAX:
            if len(ecu.empty) > 64:
                ecu.empty.clear()
            ecu.empty[pack] = empty
            self._hurry(request, missing)
        elif missing:
            ecu.suspects.update(missing)
            self._hurry(request, missing)

    def _hurry(self, request: Request, missing: Sequence[int]) -> None:
        """Ask again half a period earlier than the wish says: something is to be learnt."""
        for wish in self._wishes_of(request):
            if wish.ident in missing:
                wish.due_ns -= wish.period_ns // 2

    def _settle_alone(self, request: Request, ecu: _Ecu, *, answered: bool) -> None:
        ident = request.idents[0]
        for wish in self._wishes_of(request):
            wish.misses = 0 if answered else wish.misses + 1
            if answered:
                wish.later_ns = 0
            elif wish.misses >= _MISSES_MAX:
                ecu.suspects.discard(ident)
                self.dropped.append(ident)
                del self._wishes[wish.ecu, wish.service, wish.ident]
        if answered and ident in ecu.suspects:
            ecu.suspects.clear()
            ecu.empty.clear()
            ecu.pack_max = max(1, ecu.pack_max // 2)


def _insert(pack: list[_Wish], wish: _Wish) -> list[_Wish]:
    """The pack with one more, as far back as it can stand without an end of the request that writes; else unchanged."""
    for place in range(len(pack), -1, -1):
        longer = [*pack[:place], wish, *pack[place:]]
        if not harms_when_cut(bytes([wish.service, *(one.ident for one in longer)])):
            return longer
    return pack
