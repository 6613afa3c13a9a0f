import asyncio

import pytest

from agent.mailbox import Mailbox


async def test_full_box_drops_the_oldest_and_counts() -> None:
    box: Mailbox[int] = Mailbox(2)
    for item in range(5):
        box.put(item)
    assert box.take_all() == [3, 4]
    assert box.dropped == 3


async def test_reader_waits_and_stops_after_close() -> None:
    box: Mailbox[int] = Mailbox(4)

    async def read() -> list[int]:
        return [item async for item in box]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    box.put(1)
    await asyncio.sleep(0)
    box.put(2)
    box.close()
    assert await reading == [1, 2]
    box.put(3)
    assert box.dropped == 1


def test_a_box_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        Mailbox(0)
