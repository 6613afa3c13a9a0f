"""Tells a GB/T 32960.3 platform how the car is: live where there is a connection, reissued where there was none.

Once a second the newest values become a message. Every period_s one is sent; from an alarm of level 3 on all of them
for 30 s, and those of the 30 s before as reissued data. What cannot be sent, or was sent when the line broke, waits in
a spool for as many days as the edition asks.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from agent.core.backoff import backoff_waits
from agent.core.config import Platform, Vehicle
from agent.core.errors import LinkDown, StoreError
from agent.core.ports import Clock
from agent.proto.gbt32960 import TIME_ZONE, Command, Edition, Frame, Realtime, encode_message, parse_message
from agent.proto.gbt32960.session import REST_S, Identity, LoginRefused, Session
from agent.proto.gbt32960.snapshot import Flag, Terms, snapshot

_LOG: Final = logging.getLogger(__name__)
_AROUND_S: Final = 30  # of an alarm, before and after
_ALARM_LEVEL: Final = 3
_DAYS: Final = {Edition.V2016: 3, Edition.V2025: 7}
_WAITING_MAX: Final = 256  # messages in memory
_REISSUED_MAX: Final = 16  # at a time: live data goes between them
_LIVE_S: Final = 5.0  # what is older is no realtime data any more
_CONNECT_S: Final = 15.0
_LOOK_S: Final = 1.0  # between looks at what is due again
_READ_SIZE: Final = 4096


class Spool(Protocol):
    """What is needed of agent.store.spool."""

    async def add(self, messages: Sequence[tuple[int, bytes]]) -> None:
        """Keep messages with their times in UTC seconds."""
        ...

    async def oldest(self, count_max: int, *, since_s: int) -> list[tuple[int, bytes]]:
        """The first ones with their ids."""
        ...

    async def forget(self, ids: Sequence[int]) -> None:
        """They are where they belong."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message on its way. spooled: its id in the spool, 0 where it is not there."""

    time_s: int
    message: Realtime
    reissue: bool
    spooled: int = 0


class PlatformLink:
    """One platform. values gives the newest valid signals by VSS path; flags the general alarms that hold."""

    def __init__(
        self,
        config: Platform,
        vehicle: Vehicle,
        spool: Spool,
        clock: Clock,
        *,
        values: Callable[[], Mapping[str, float]],
        flags: Callable[[], Sequence[Flag]],
        uniform: Callable[[], float],
        allowed: Callable[[], bool] = lambda: True,
        place_allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        """allowed: whether the driver agrees to be told of now; place_allowed: to where he is as well."""
        edition = Edition(config.edition)
        self._config = config
        self._identity = Identity(edition, vehicle.vin, config.iccid, tuple(config.packs))
        self._terms = Terms(edition, mode_of(vehicle), config.position)
        self._nowhere = Terms(edition, mode_of(vehicle), position=False)
        self._allowed = allowed
        self._place_allowed = place_allowed
        self._kept_s = (config.days or _DAYS[edition]) * 86_400
        self._spool = spool
        self._clock = clock
        self._values = values
        self._flags = flags
        self._uniform = uniform
        self._recent: deque[_Waiting] = deque(maxlen=_AROUND_S)  # told to nobody yet
        self._waiting: deque[_Waiting] = deque()
        self._on_way: dict[int, _Waiting] = {}
        self._numbers = 0
        self._next_s = 0.0
        self._alarm_until_s = 0.0
        self._alarmed = False
        self._spool_empty = False
        self._news = asyncio.Event()
        self._counts = dict.fromkeys(("sent", "reissued", "settled", "refused", "undated", "spooled", "logins"), 0)

    def counters(self) -> Mapping[str, int]:
        """Everything counted so far."""
        return self._counts

    async def run(self) -> None:
        """Until cancelled; then what waits goes to the spool."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._sample(), name="platform-sample")
                tasks.create_task(self._keep_connected(), name="platform-connection")
        finally:
            await self._put_away()

    def drop(self) -> None:
        """Forget what waits in memory: nobody agrees to it any more."""
        self._recent.clear()
        self._waiting.clear()
        self._news.set()

    async def _sample(self) -> None:
        while True:
            await self._clock.sleep(1.0)
            self._take(self._clock.monotonic_ns() / 1e9)
            if len(self._waiting) > _WAITING_MAX:
                with self._clock.hold():
                    await self._put_away()

    def _take(self, now_s: float) -> None:
        """One second: make its messages, and choose what goes."""
        if not self._allowed():
            self.drop()
            return
        values, flags = self._values(), self._flags()
        if not values:
            return  # the car sleeps
        if not self._clock.synced:
            self._counts["undated"] += 1
            return
        time_s = self._clock.wall_ns() // 10**9
        terms = self._terms if self._place_allowed() else self._nowhere
        messages = snapshot(values, flags, time=datetime.fromtimestamp(time_s, UTC), terms=terms)
        alarmed = any(flag.level >= _ALARM_LEVEL for flag in flags)
        if alarmed and not self._alarmed:
            self._alarm_until_s = now_s + _AROUND_S
            self._waiting.extend(self._recent)
            self._recent.clear()
        self._alarmed = alarmed
        if now_s >= self._next_s or now_s <= self._alarm_until_s:
            self._next_s = now_s + self._config.period_s
            self._waiting.extend(_Waiting(time_s, message, reissue=False) for message in messages)
        else:
            self._recent.extend(_Waiting(time_s, message, reissue=True) for message in messages)
        self._news.set()

    async def _keep_connected(self) -> None:
        waits = self._make_waits()
        while True:
            if not self._allowed():
                await asyncio.sleep(_LOOK_S)
                continue
            try:
                await self._connect_once()
                waits = self._make_waits()
            except LoginRefused as exc:
                _LOG.warning("platform: %s; again in %.0f min", exc, REST_S / 60)
                await asyncio.sleep(REST_S)
            except LinkDown as exc:
                _LOG.info("platform: %s", exc)
                await asyncio.sleep(next(waits))

    async def _connect_once(self) -> None:
        """One connection from login to its end. Raises LinkDown."""
        reader, writer = await self._open()
        session = Session(self._identity, answer_s=self._config.answer_s)
        try:
            self._spool_empty = False
            writer.write(session.login(self._now(), _serial(self._now()), self._loop_s()))
            self._counts["logins"] += 1
            await self._converse(reader, writer, session)
        except (OSError, TimeoutError) as exc:
            raise LinkDown(f"{self._config.host}: {exc or 'takes no more'}") from exc
        finally:
            with suppress(OSError):
                if session.online:
                    writer.write(session.logout(self._now()))
            writer.close()
            self._counts["refused"] += session.refused
            self._waiting.extendleft(
                _Waiting(one.time_s, one.message, reissue=True, spooled=one.spooled)
                for key in reversed(session.unsettled())
                if (one := self._on_way.pop(key)).spooled == 0 and self._allowed()
            )
            self._on_way.clear()
            await self._put_away()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session) -> None:
        """Until the platform hangs up, or the driver agrees no longer. Raises LinkDown."""
        reading = asyncio.ensure_future(reader.read(_READ_SIZE))
        try:
            while self._allowed():
                waking = asyncio.ensure_future(self._news.wait())
                await asyncio.wait((reading, waking), timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                self._news.clear()
                if reading.done():
                    if not reading.result():
                        raise LinkDown(f"{self._config.host}: the platform closed the connection")
                    session.feed(reading.result(), self._loop_s())
                    reading = asyncio.ensure_future(reader.read(_READ_SIZE))
                for frame in session.poll(self._loop_s()):
                    writer.write(frame)
                await self._settle(session)
                if session.online:
                    await self._send(writer, session)
                async with asyncio.timeout(_CONNECT_S):
                    await writer.drain()
        finally:
            reading.cancel()

    async def _send(self, writer: asyncio.StreamWriter, session: Session) -> None:
        """Live data first, then some of what waits in the spool."""
        if not self._waiting and not self._on_way and not self._spool_empty:
            since_s = self._clock.wall_ns() // 10**9 - self._kept_s if self._clock.synced else 0
            rows = await self._spool.oldest(_REISSUED_MAX, since_s=since_s)
            self._spool_empty = not rows
            self._waiting.extend(self._unpack(number, data) for number, data in rows)
        while self._waiting and session.has_room:
            one = self._waiting.popleft()
            late = one.reissue or self._clock.wall_ns() / 1e9 - one.time_s > _LIVE_S
            self._numbers += 1
            self._on_way[self._numbers] = one
            writer.write(session.send(self._numbers, one.message, reissue=late, t_s=self._loop_s()))
            self._counts["reissued" if late else "sent"] += 1

    async def _settle(self, session: Session) -> None:
        done = [self._on_way.pop(key) for key in session.settled()]
        self._counts["settled"] += len(done)
        spooled = [one.spooled for one in done if one.spooled]
        if spooled:
            await self._spool.forget(spooled)

    async def _put_away(self) -> None:
        """What waits in memory to the disk; there is no hurry, and a disk that refuses loses no more than this."""
        fresh = [(one.time_s, encode_message(one.message)) for one in self._waiting if not one.spooled]
        self._waiting.clear()
        if not fresh:
            return
        self._spool_empty = False
        try:
            await self._spool.add(fresh)
            self._counts["spooled"] += len(fresh)
        except StoreError as exc:
            _LOG.warning("platform: %d messages are lost: %s", len(fresh), exc)

    def _unpack(self, number: int, data: bytes) -> _Waiting:
        message = parse_message(Frame(self._identity.edition, Command.REISSUE, self._identity.vin, data))
        if not isinstance(message, Realtime):
            raise TypeError("the spool holds what was put there: realtime data")
        return _Waiting(int(message.time.timestamp()), message, reissue=True, spooled=number)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        config = self._config
        try:
            context = ssl.create_default_context(cafile=config.ca) if config.ca else None
            async with asyncio.timeout(_CONNECT_S):
                return await asyncio.open_connection(config.host, config.port, ssl=context)
        except (OSError, TimeoutError) as exc:
            raise LinkDown(f"{config.host}:{config.port}: {exc or 'no connection'}") from exc

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_ns() / 1e9, UTC)

    def _loop_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _make_waits(self) -> Iterator[float]:
        return backoff_waits(self._uniform, longest_s=60.0)


def mode_of(vehicle: Vehicle) -> int | None:
    """How the platform calls the drive: 1 electric, 2 hybrid, 3 fuel; None where config does not tell."""
    if not vehicle.propulsion:
        return None
    electric = "electric" in vehicle.propulsion
    return (1 if len(vehicle.propulsion) == 1 else 2) if electric else 3


def _serial(time: datetime) -> int:
    """Which login of the day: any number that grows will do, and the time of day needs no memory (1 to 43200)."""
    local = time.astimezone(TIME_ZONE)
    return 1 + (local.hour * 3600 + local.minute * 60 + local.second) // 2
