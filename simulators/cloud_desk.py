"""The insurer's desk in the simulated cloud: its tickets, its person, and the way down to the cars."""

import asyncio
from collections.abc import Callable

from agent.core.config import Link
from agent.link import mqtt
from fleet.desk.desk import Desk, OnCase, Tell
from fleet.desk.service import CLIENT, DeskSender, serve_desk
from fleet.desk.store import DeskStore
from fleet.receiver.keys import ReceiverKeys
from fleet.receiver.store import Store
from simulators.desk_person import DeskPerson


class CloudDesk:
    """Over the receiver's store. Either run it, or take turns by hand where time is simulated."""

    def __init__(
        self,
        store: Store,
        keys: ReceiverKeys,
        *,
        now_ns: Callable[[], int],
        tell: Tell = lambda *_: None,
        on_case: OnCase = lambda *_: None,
        seed: int = 7,
        delay_s: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.store = DeskStore(store)
        self.desk = Desk(self.store, now_ns=now_ns, tell=tell, on_case=on_case)
        self.person = DeskPerson(self.store, now_ns=now_ns, seed=seed, delay_s=delay_s)
        self._sender = DeskSender(self.store, keys, now_ns=now_ns)
        self.woken = asyncio.Event()

    async def turn(self, link: Link, *, answers: bool = True) -> int:
        """Deal with what came in, have the person act once, send what is due; returns how many messages went."""
        while await asyncio.to_thread(self.desk.step):
            pass
        if answers:
            await asyncio.to_thread(self.person.act)
        async with mqtt.connect(link, client_id=CLIENT) as session:
            return await self._sender.send_due(session)

    async def run(self, link: Link, stopping: asyncio.Event) -> None:
        """Until stopping is set."""
        await asyncio.to_thread(self.desk.catch_up)
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(self._work())
            await serve_desk(link, self.desk, self._sender, stopping=stopping, woken=self.woken)
            working.cancel()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(1)
            if await asyncio.to_thread(self.person.act):
                self.woken.set()
