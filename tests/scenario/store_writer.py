"""A child that records without end until it is killed: prints each count once it is durable.

Arguments: the directory with the store and the insurer's key, and a seed for the mix of events.
"""

import asyncio
import random
import sys
from pathlib import Path

from agent.store.recorder import Recorder
from drivers.clock import SystemClock
from tests.unit.store.kit import KEYS, braking, make_config, thermal


async def main(directory: Path, seed: int) -> None:
    uniform = random.Random(seed).random  # noqa: S311  # only the mix of events depends on it
    config = make_config(directory, batch_wait_ms=2, batch_max=20)

    def tell(_: object) -> None:
        sys.stdout.write(f"{recorder.outbox.boot} {recorder.sealed}\n")
        sys.stdout.flush()

    recorder = await Recorder.open(config, KEYS.device, SystemClock(), on_durable=tell)
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        while True:
            for _ in range(int(uniform() * 8)):
                recorder.put(thermal() if uniform() < 0.1 else braking())
            await asyncio.sleep(uniform() * 0.003)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
