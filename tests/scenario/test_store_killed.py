"""SIGKILL at any moment: what was called durable is there, and the chain goes on through every start."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agent.core.records import Position
from agent.store.chain import verify_chain
from agent.store.outbox import Outbox
from agent.store.rebuild import Damage
from agent.store.unseal import open_record
from tests.unit.store.kit import KEYS

REPOSITORY = Path(__file__).resolve().parents[2]
KILLS = 4


def write_and_kill(directory: Path, seed: int, lines_max: int) -> Position:
    """Let a child record until it has reported lines_max commits, then kill it; return the last one it reported."""
    command = [sys.executable, "-m", "tests.scenario.store_writer", str(directory), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(lines_max)]
        child.kill()
        lines += child.stdout.readlines()  # commits reported between our last look and the kill
    whole = [line for line in lines if line.endswith("\n")]
    assert len(whole) >= lines_max, "the child ended by itself"
    return Position(*map(int, whole[-1].split()))


@pytest.mark.parametrize("seed", range(10))
async def test_no_committed_record_is_lost_and_the_chain_holds(tmp_path: Path, seed: int) -> None:
    uniform = random.Random(seed).random  # noqa: S311  # when to kill is no secret
    reported = [write_and_kill(tmp_path, seed, 1 + int(uniform() * 25)) for _ in range(KILLS)]
    damages: list[Damage] = []
    outbox = await Outbox.open(tmp_path / "store", device="car-1", size_max_bytes=10**9, on_damage=damages.append)
    records = sorted(await outbox.peek(None, 1_000_000), key=lambda record: record.position)
    assert (outbox.boot, damages) == (KILLS + 1, [])
    assert outbox.head == records[-1].digest
    await outbox.close()

    stored = Counter(record.boot for record in records)
    for boot, sequence in reported:
        assert stored[boot] >= sequence
    assert sorted(stored) == list(range(1, KILLS + 1))
    report = verify_chain(
        [record.payload for record in records],
        check=lambda envelope: open_record(envelope, KEYS.insurer, KEYS.device_public),
    )
    assert (report.finding, report.records, report.restarts) == (None, len(records), 1)
