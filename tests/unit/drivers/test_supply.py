import asyncio
from pathlib import Path

import pytest

from agent.core import vss
from agent.core.errors import SourceLost
from agent.core.supply import Supply
from drivers.supply import SupplySource
from simulators.clock import ManualClock


def _source(path: Path, clock: ManualClock) -> SupplySource:
    return SupplySource(Supply(path=str(path), volts_per_count=0.01, drop_v=0.2, period_s=1.0), clock)


async def test_counts_become_volts_at_the_battery(tmp_path: Path) -> None:
    path, clock = tmp_path / "in_voltage0_raw", ManualClock()
    path.write_text("1185\n")
    source = _source(path, clock)
    await source.open()
    assert [spec.path for spec in source.specs] == [vss.LOW_VOLTAGE]

    reading = asyncio.create_task(source.read_batch())
    await asyncio.sleep(0)
    await clock.advance_to(1_000_000_000)
    samples = await reading
    assert samples.t_ns.tolist() == [1_000_000_000]
    assert samples.value.tolist() == pytest.approx([12.05])
    assert source.counters() == {"read": 1}
    await source.close()


@pytest.mark.parametrize("text", [None, "", "twelve"])
async def test_what_cannot_be_read_is_lost_and_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "in1_input"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SourceLost, match="in1_input"):
        await _source(path, ManualClock()).open()
