"""The hash chain, checked as a third party would: from envelopes alone, offline.

Without keys this shows that envelopes fit each other; that the device made them is what `check` (signatures) adds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final, Literal

from agent.core.cose import item_end
from agent.core.errors import InputError, ProtocolError, SealError
from agent.core.events import ErasureRequested, RecordsErased, RecordsShed
from agent.core.records import GENESIS, Header, Position, Range, Told, digest_of, parse_envelope

Fault = Literal["deleted", "inserted", "reordered", "altered", "back-dated", "truncated"]

_CLOCK_STEP_NS: Final = 60_000_000_000  # a clock that is synchronised may be set, by less than this


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing wrong. index counts envelopes from 0; for a deleted record it is where it should stand."""

    fault: Fault
    index: int
    position: Position | None
    detail: str

    def __str__(self) -> str:
        where = "" if self.position is None else f" (boot {self.position.boot}, sequence {self.position.sequence})"
        return f"record {self.index + 1}{where} {self.fault}: {self.detail}"


@dataclass(frozen=True, slots=True)
class ChainReport:
    """records that were checked before the first finding; restarts are boots that begin a new chain.

    admitted are records that are not there, and of which the device says itself that a full disk let them go, or that
    their owner erased them.
    """

    records: int
    boots: int
    restarts: int
    finding: Finding | None
    admitted: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """What the device says is gone: so many records, not before first and not after last.

    digest: of the last one, where the device says it: what comes next must build on it.
    """

    records: int
    first: Position
    last: Position
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Date:
    """What an opened record says of its time: UTC in ns, and UTC minus its boot's monotonic time."""

    wall_ns: int
    offset_ns: int


def date_of(told: Told) -> Date | None:
    """Date of an opened record, None where its clock was not synchronised."""
    if told.wall_ns is None or told.wall_offset_ns is None:
        return None
    return Date(told.wall_ns, told.wall_offset_ns)


def admissions_of(told: Told) -> list[Admission]:
    """What an opened record says of records that are gone, nothing where it is about something else."""
    event = told.event
    if isinstance(event, RecordsShed):
        first = Position(event.first_boot, event.first_sequence)
        return [Admission(event.records, first, Position(event.last_boot, event.last_sequence))]
    if isinstance(event, RecordsErased):
        rows = zip(event.records, event.boots, event.firsts, event.lasts, event.digests)  # noqa: B905  # the shortest counts
        return [Admission(n, Position(boot, a), Position(boot, z), digest) for n, boot, a, z, digest in rows]
    if isinstance(event, ErasureRequested):  # what was erased for it elsewhere the device cannot know: a hint, no more
        return [Admission(0, Position(1, 1), Position(told.boot, told.sequence))]
    return []


def verify_chain(
    envelopes: Sequence[bytes],
    *,
    check: Callable[[bytes], object] = lambda _: None,
    receipted: Sequence[Range] = (),
    admissions: Sequence[Admission] = (),
) -> ChainReport:
    """Walk envelopes in their order. check may open and verify each one, raising SealError, and return its Date.

    The first envelope may be any record: what came before it is not judged. The end can be judged by receipted only,
    the ranges that the insurer has signed for. admissions may grow while check is called: what the device says of
    records that a full disk let go, signed in later ones; as many as it says may be missing there.
    """
    links: list[_Link] = []
    for index, envelope in enumerate(envelopes):
        try:
            header, _ = parse_envelope(envelope)
            date = check(envelope)
        except SealError as exc:
            opened = _judge_all(links, receipted, admissions)
            return opened if opened.finding else _report(links, Finding("altered", index, None, str(exc)))
        links.append(_Link(header, digest_of(envelope), date if isinstance(date, Date) else None))
    report = _judge_all(links, receipted, admissions)
    if report.finding is None and (finding := _truncated(links, receipted)) is not None:
        return replace(report, finding=finding)
    return report


def _judge_all(links: "Sequence[_Link]", receipted: Sequence[Range], admissions: Sequence[Admission]) -> ChainReport:
    """Up to the first finding."""
    gone = _Gone(admissions)
    seen: set[Position] = set()
    places = {link.position: index for index, link in enumerate(links)}
    signed = {Position(part.boot, part.last): part.digest for part in receipted}
    calendar = _Calendar()
    for index, link in enumerate(links):
        if index:
            seen.add(links[index - 1].position)
        finding = _judge(links, index, seen, places) if index else None
        if finding is not None and finding.fault == "deleted":
            finding = gone.explain(finding, links[index - 1].position, link)
        if finding is None and signed.get(link.position, link.digest) != link.digest:
            finding = Finding("altered", index, link.position, "the insurer has signed for another record here")
        finding = finding or calendar.judge(index, link)
        if finding is not None:
            return replace(_report(links[:index], finding), admitted=gone.records)
    return replace(_report(links, None), admitted=gone.records)


class _Gone:
    """Counts what is missing against what the device has admitted."""

    def __init__(self, admissions: Sequence[Admission]) -> None:
        self.records = 0
        self._admissions = sorted(admissions, key=lambda each: each.first)
        self._left = sum(each.records for each in admissions)

    def explain(self, finding: Finding, before: Position, link: "_Link") -> Finding | None:
        """None where all that is missing between two records was let go.

        How many are missing where a boot ended, nobody can tell, unless what comes next builds on one that is named as
        gone: else that stays a finding, with a hint.
        """
        here = link.position
        end = here if here.boot == before.boot else self._end_of(before.boot, link)
        if end is not None:
            missing = end.sequence - before.sequence - 1
            if missing <= self._left and self._cover(before, end):
                self._left -= missing
                self.records += missing
                return None
        if any(before < each.last and each.first < here for each in self._admissions):
            hint = "the device says that records went, or should go, around here, but not that these did"
            return replace(finding, detail=f"{finding.detail}; {hint}")
        return finding

    def _end_of(self, boot: int, link: "_Link") -> Position | None:
        """The place behind the last record of a boot, where the first one of another names that as gone."""
        if link.position.sequence != 1:
            return None
        ends = (each.last for each in self._admissions if each.digest == link.header.previous)
        return next((Position(boot, last.sequence + 1) for last in ends if last.boot == boot), None)

    def _cover(self, before: Position, here: Position) -> bool:
        """Whether every place between two of a boot lies in what is admitted."""
        reached = before
        for each in self._admissions:
            if each.records and each.first <= Position(reached.boot, reached.sequence + 1):
                reached = max(reached, each.last)
        return Position(reached.boot, reached.sequence + 1) >= here


class _Calendar:
    """Tells a record whose wall time runs against the chain. Within a boot two clocks are compared, not two events."""

    def __init__(self) -> None:
        self._boot = 0
        self._offset_ns: int | None = None
        self._latest_ns: int | None = None  # of the boots before
        self._latest_here_ns: int | None = None

    def judge(self, index: int, link: "_Link") -> Finding | None:
        if link.position.boot != self._boot:
            latest = [ns for ns in (self._latest_ns, self._latest_here_ns) if ns is not None]
            self._boot, self._offset_ns, self._latest_here_ns = link.position.boot, None, None
            self._latest_ns = max(latest, default=None)
        date = link.date
        if date is None:
            return None
        late_ns = 0 if self._offset_ns is None else self._offset_ns - date.offset_ns
        if self._latest_ns is not None:
            late_ns = max(late_ns, self._latest_ns - date.wall_ns)
        if late_ns > _CLOCK_STEP_NS:
            detail = f"its clock says {late_ns / 1e9:.0f} s less than that of records before it"
            return Finding("back-dated", index, link.position, detail)
        self._offset_ns = date.offset_ns
        self._latest_here_ns = max(date.wall_ns, self._latest_here_ns or date.wall_ns)
        return None


def _truncated(links: "Sequence[_Link]", receipted: Sequence[Range]) -> Finding | None:
    """Whether the insurer has signed for records behind the last one."""
    last = links[-1].position if links else Position(0, 0)
    behind = sorted(part for part in receipted if Position(part.boot, part.last) > last)
    if not behind:
        return None
    boot, first = behind[0].boot, behind[0].first
    missing = Position(boot, max(first, last.sequence + 1) if boot == last.boot else first)
    count = sum(part.last - max(part.first, missing.sequence if part.boot == boot else 1) + 1 for part in behind)
    return Finding("truncated", len(links), missing, f"the insurer has signed for {count} more records from there on")


def split_envelopes(data: bytes) -> Iterator[bytes]:
    """Envelopes of a CBOR sequence (RFC 8742), as they were published. Raises InputError with the offset."""
    start = 0
    while start < len(data):
        try:
            end = item_end(data, start)
        except ProtocolError as exc:
            raise InputError(f"byte {start}: {exc}") from exc
        yield data[start:end]
        start = end


@dataclass(frozen=True, slots=True)
class _Link:
    header: Header
    digest: bytes
    date: Date | None

    @property
    def position(self) -> Position:
        return self.header.position

    def follows(self, other: "_Link") -> bool:
        return self.header.previous == other.digest


def _report(links: Sequence[_Link], finding: Finding | None) -> ChainReport:
    restarts = sum(link.header.previous == GENESIS for link in links)
    return ChainReport(len(links), len({link.position.boot for link in links}), restarts, finding)


def _judge(
    links: Sequence[_Link], index: int, seen: AbstractSet[Position], places: Mapping[Position, int]
) -> Finding | None:
    """What is wrong between a record and the one before it, both unobjectionable until here."""
    before, here = links[index - 1], links[index]
    if here.header.device != before.header.device:
        return Finding("inserted", index, here.position, f"of device {here.header.device}")
    if here.position in seen:
        # Two claim one place: the one that its successor does not build on is the stranger.
        stranger = index - 1 if here.position == before.position and _is_built_on(links, index) else index
        return Finding("inserted", stranger, here.position, "its place in the chain is taken")
    if here.position < before.position:
        return Finding("reordered", index, here.position, "it belongs further ahead")
    boot, sequence = before.position
    expected = Position(boot, sequence + 1)
    if here.position.boot > boot and here.position.sequence == 1:
        return _judge_boot(links, index, expected, places)
    if here.position != expected:
        missing = expected if here.position.boot == boot else Position(here.position.boot, 1)
        return _missing(links, index, missing, places)
    if here.follows(before):
        return None
    return _altered(links, index)


def _judge_boot(
    links: Sequence[_Link], index: int, expected: Position, places: Mapping[Position, int]
) -> Finding | None:
    """The first record of a boot follows the last one of the boot before, or begins a new chain."""
    before, here = links[index - 1], links[index]
    if here.follows(before) or here.header.previous == GENESIS:
        return None
    if any(here.follows(link) for link in links):
        return Finding("reordered", index, here.position, "another record should stand before it")
    return _missing(links, index, expected, places)


def _missing(links: Sequence[_Link], index: int, position: Position, places: Mapping[Position, int]) -> Finding:
    if places.get(position, -1) > index:
        return Finding("reordered", index, links[index].position, "records that belong before it stand behind it")
    return Finding("deleted", index, position, "the next record there is one further on")


def _altered(links: Sequence[_Link], index: int) -> Finding:
    """The hash does not match: the record before was altered, or this one. Its successor knows which."""
    culprit = index - 1 if _is_built_on(links, index) else index
    return Finding("altered", culprit, links[culprit].position, "the hash of the record before does not match")


def _is_built_on(links: Sequence[_Link], index: int) -> bool:
    return index + 1 < len(links) and links[index + 1].follows(links[index])
