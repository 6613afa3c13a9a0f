"""The diagnostics port over python-OBD: the optional backend `outrider[obd]`, where our own dialogue fails.

The library is GPL-2.0 and blocks, so it is imported only when chosen, and works in threads. It asks for one PID at a
time, can take minutes to notice a mute adapter, and cuts the characters 0, 1, 2, x off the ends of a VIN: its VIN is
not taken over.
"""

import asyncio
import importlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from types import ModuleType
from typing import Any, Final, TypeVar

from agent.core.config import Dongle
from agent.core.errors import InputError, SourceLost
from agent.core.paths import OBD_PIDS
from agent.core.ports import Clock
from agent.core.signals import Samples, SignalSpec, SignalWindow
from agent.core.toml import load_toml
from agent.proto import obd as j1979
from agent.proto.guard import Guard, SilentNow
from drivers.obd_samples import hear_samples, hear_window, pid_samples, signal_specs

T = TypeVar("T")

_CONNECT_S_MAX: Final = 60.0
_ROUND_S_MAX: Final = 30.0
_LOOK_PERIOD_S: Final = 1.0
_RENEW_NS: Final = 300_000_000
_IGNITION_PIDS: Final = (0x0C, 0x0D)


class PythonObdSource:
    """A SampleSource with the same signals as Elm327Source, one round of all supported PIDs per batch.

    Raw bytes are taken from the library and decoded by our own table, so both backends give the same values.
    """

    def __init__(self, dongle: Dongle, clock: Clock, *, table: j1979.PidTable | None = None) -> None:
        self.name = f"obd:{dongle.port}"
        self._dongle = dongle
        self._clock = clock
        table = table or load_toml(OBD_PIDS, j1979.PidTable)
        self._table = [spec for spec in table.pids if spec.service == j1979.CURRENT_DATA]
        self.specs: Sequence[SignalSpec] = signal_specs(self._table, dongle.period_s)
        self.guard = Guard()
        self._connection: Any = None
        self._next_round_ns = 0
        self._counts: Counter[str] = Counter(requests=0, replies=0, no_data=0, bad=0)

    async def open(self) -> None:
        """Connect. Raises SourceLost where adapter or car are away, InputError where the library is not installed."""
        await self.close()
        library = _import_library()
        await self._wait_for_guard()
        with self._clock.hold():
            self._connection = await self._run(_CONNECT_S_MAX, self._connect, library)
        self._next_round_ns = self._clock.monotonic_ns()

    async def close(self) -> None:
        """Let go of the adapter; safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SourceLost):
                await self._run(self._dongle.deadline_s + 1, connection.close)

    async def read_batch(self) -> Samples:
        """Wait for the next round. Raises SourceLost."""
        if self._connection is None:
            raise SourceLost(f"{self._dongle.port}: not open")
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._next_round_ns:
            await self._clock.sleep((self._next_round_ns - now_ns) / 1e9)
        await self._wait_for_guard()
        self._next_round_ns = max(self._next_round_ns, now_ns) + round(self._dongle.period_s * 1e9)
        with self._clock.hold():
            data = await self._run(_ROUND_S_MAX, self._query_all, self._connection)
        if not data:
            raise SourceLost(f"{self._dongle.port}: no answer from the car")
        return pid_samples(self._table, data, self._clock.monotonic_ns(), self._counts)

    def observe(self, window: SignalWindow) -> None:
        """Hear what other sources say of the ignition."""
        hear_window(self.guard.ignition, window)

    def counters(self) -> Mapping[str, int]:
        """Requests, replies, no_data and bad."""
        return dict(self._counts)

    async def _wait_for_guard(self) -> None:
        """Wait while the car sleeps; the adapter itself may be asked for the voltage.

        The library's own search for the bus, on connecting, goes out with the first request that may.
        """
        while self.guard.holds_back(self._clock.monotonic_ns()):
            await self._clock.sleep(_LOOK_PERIOD_S)
            if self._connection is not None:
                with self._clock.hold():
                    await self._run(_ROUND_S_MAX, self._measure, self._connection)

    def _measure(self, connection: Any) -> None:
        """Read the supply (AT RV): nothing of it reaches the bus."""
        t_ns = self._clock.monotonic_ns()
        response = connection.query(_import_library().commands.ELM_VOLTAGE)
        if response.value is not None:
            self.guard.ignition.observe_adapter([f"{response.value.magnitude:.1f}V"], t_ns)

    async def _run(self, timeout_s: float, work: Callable[..., T], *arguments: Any) -> T:
        """Run in a thread. Raises SourceLost where it takes too long; that thread dies with the process at the latest.

        Not an executor's thread: those are joined at exit, and one that hangs would hold up the stop.
        """
        future: Future[T] = Future()
        Thread(target=_fulfil, args=(future, work, arguments), name="python-obd", daemon=True).start()
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError as exc:
            raise SourceLost(f"{self._dongle.port}: python-OBD hung for {timeout_s} s") from exc

    def _connect(self, library: ModuleType) -> Any:
        port = self._dongle.port
        url = port.replace("tcp://", "socket://", 1)
        connection = library.OBD(url, baudrate=self._dongle.baudrate, fast=False, timeout=self._dongle.deadline_s)
        if connection.status() != library.OBDStatus.CAR_CONNECTED:
            status = connection.status()
            connection.close()
            raise SourceLost(f"{port}: python-OBD says: {status}")
        return connection

    def _query_all(self, connection: Any) -> dict[int, bytes]:
        wanted = {spec.pid for spec in self._table}
        commands = [c for c in connection.supported_commands if c.mode == j1979.CURRENT_DATA and c.pid in wanted]
        data: dict[int, bytes] = {}
        for command in sorted(commands, key=lambda c: (int(c.pid) not in _IGNITION_PIDS, int(c.pid))):
            lease_ns = self.guard.ignition.on_until_ns
            if lease_ns is None or self._clock.monotonic_ns() >= lease_ns - _RENEW_NS:
                self._measure(connection)
            t_ns = self._clock.monotonic_ns()
            try:
                self.guard.admit(bytes([j1979.CURRENT_DATA, int(command.pid)]), t_ns)
            except SilentNow:
                break  # the rest of the round is left out
            self._counts["requests"] += 1
            response = connection.query(command)
            if not response.messages:
                self._counts["no_data"] += 1
                continue
            body = bytes(response.messages[0].data)
            if len(body) < 3 or body[0] != 0x41 or body[1] != command.pid:
                self._counts["bad"] += 1
                continue
            self._counts["replies"] += 1
            data[int(command.pid)] = body[2:]
            samples = pid_samples(self._table, {int(command.pid): body[2:]}, t_ns, Counter())
            hear_samples(self.guard.ignition, self.specs, samples)
        return data


def _fulfil(future: "Future[T]", work: Callable[..., T], arguments: tuple[Any, ...]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work(*arguments)
    except BaseException as exc:  # noqa: BLE001  whatever it is goes on in whoever waits for the future
        future.set_exception(exc)
    else:
        future.set_result(result)


def _import_library() -> ModuleType:
    try:
        return importlib.import_module("obd")
    except ImportError as exc:
        raise InputError('backend "python-obd" needs the package obd: pip install "outrider[obd]"') from exc
