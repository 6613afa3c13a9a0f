"""What goes next, with an outbox in memory and time as a number."""

from collections.abc import Sequence

from agent.core.events import Priority
from agent.core.records import Position, Range, SealedRecord
from agent.link.backlog import Backlog


class _Outbox:
    """Records 1 to count of one boot, none of them received."""

    def __init__(self, count: int) -> None:
        self._records = [SealedRecord("car1", 1, n, Priority.SERVICE, b"sealed") for n in range(1, count + 1)]

    async def peek(self, after: Position | None, count_max: int) -> list[SealedRecord]:
        return [record for record in self._records if after is None or record.position > after][:count_max]

    async def forget(self, ranges: Sequence[Range]) -> int:
        raise NotImplementedError

    async def pending(self) -> int:
        return len(self._records)


async def _send(backlog: Backlog, now_s: float) -> int | None:
    record = await backlog.next(now_s)
    if record is None:
        return None
    backlog.sent(now_s)
    return record.position.sequence


async def test_a_turn_that_comes_while_others_are_sent_is_not_overlooked() -> None:
    backlog = Backlog(_Outbox(2), window=8, answer_s=1.0)
    assert [await _send(backlog, now_s) for now_s in (0.0, 0.1, 0.5)] == [1, 2, None]
    assert backlog.next_s(0.5) == 1.0
    backlog.changed()
    assert await _send(backlog, 1.05) == 1  # the other one's turn comes at 1.1, while this one is sent
    assert await _send(backlog, 1.2) is None
    assert backlog.next_s(1.2) == 1.1
    backlog.changed()
    assert await _send(backlog, 1.2) == 2
