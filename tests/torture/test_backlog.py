"""The small version of `python -m tests.torture backlog`."""

from pathlib import Path

from tests.torture import backlog


async def test_a_crash_is_first_on_the_wire_whatever_waits(tmp_path: Path) -> None:
    result = await backlog.run(tmp_path, records=20_000)
    assert result.place == 1
    assert result.memory_after_mb < result.memory_before_mb + 30
