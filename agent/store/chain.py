"""The hash chain, checked as a third party would: from envelopes alone, offline.

Without keys this shows that envelopes fit each other; that the device made them is what `check` (signatures) adds.
"""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from agent.core.cose import item_end
from agent.core.errors import InputError, ProtocolError, SealError
from agent.core.records import GENESIS, Header, Position, digest_of, parse_envelope

Fault = Literal["deleted", "inserted", "reordered", "altered"]


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
    """records that were checked before the first finding; restarts are boots that begin a new chain."""

    records: int
    boots: int
    restarts: int
    finding: Finding | None


def verify_chain(envelopes: Sequence[bytes], *, check: Callable[[bytes], object] = lambda _: None) -> ChainReport:
    """Walk envelopes in their order. check may open and verify each one, raising SealError where that fails.

    The first envelope may be any record: what came before it is not judged. The end cannot be judged either:
    only a receipt or a later record shows that something followed.
    """
    links: list[_Link] = []
    for index, envelope in enumerate(envelopes):
        try:
            header, _ = parse_envelope(envelope)
            check(envelope)
        except SealError as exc:
            return _report(links, Finding("altered", index, None, str(exc)))
        links.append(_Link(header, digest_of(envelope)))
    seen: set[Position] = set()
    for index in range(1, len(links)):
        seen.add(links[index - 1].position)
        finding = _judge(links, index, seen)
        if finding is not None:
            return _report(links[:index], finding)
    return _report(links, None)


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

    @property
    def position(self) -> Position:
        return self.header.position

    def follows(self, other: "_Link") -> bool:
        return self.header.previous == other.digest


def _report(links: Sequence[_Link], finding: Finding | None) -> ChainReport:
    restarts = sum(link.header.previous == GENESIS for link in links)
    return ChainReport(len(links), len({link.position.boot for link in links}), restarts, finding)


def _judge(links: Sequence[_Link], index: int, seen: AbstractSet[Position]) -> Finding | None:
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
        return _judge_boot(links, index, expected)
    if here.position != expected:
        missing = expected if here.position.boot == boot else Position(here.position.boot, 1)
        return _missing(links, index, missing)
    if here.follows(before):
        return None
    return _altered(links, index)


def _judge_boot(links: Sequence[_Link], index: int, expected: Position) -> Finding | None:
    """The first record of a boot follows the last one of the boot before, or begins a new chain."""
    before, here = links[index - 1], links[index]
    if here.follows(before) or here.header.previous == GENESIS:
        return None
    if any(here.follows(link) for link in links):
        return Finding("reordered", index, here.position, "another record should stand before it")
    return _missing(links, index, expected)


def _missing(links: Sequence[_Link], index: int, position: Position) -> Finding:
    if any(link.position == position for link in links[index + 1 :]):
        return Finding("reordered", index, links[index].position, "records that belong before it stand behind it")
    return Finding("deleted", index, position, "the next record there is one further on")


def _altered(links: Sequence[_Link], index: int) -> Finding:
    """The hash does not match: the record before was altered, or this one. Its successor knows which."""
    culprit = index - 1 if _is_built_on(links, index) else index
    return Finding("altered", culprit, links[culprit].position, "the hash of the record before does not match")


def _is_built_on(links: Sequence[_Link], index: int) -> bool:
    return index + 1 < len(links) and links[index + 1].follows(links[index])
