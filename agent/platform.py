"""The box towards a GB/T 32960.3 platform: whether anything may be told, and which general alarms hold."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from agent.core.battery_events import ALARM_BITS, AlarmName
from agent.core.config import Config
from agent.core.erasure import Selection
from agent.core.errors import ConfigError
from agent.core.events import BatteryAlarm, Event
from agent.core.ports import Clock, Keystore
from agent.link.platform import PlatformLink
from agent.privacy.agreed import Agreed
from agent.proto.gbt32960.snapshot import Flag
from agent.store.spool import Spool

NS: Final = 10**9
_SPOOL_ROWS: Final = 100_000  # of some 400 bytes; seven days at one in 10 s are 60,480


class AlarmBoard:
    """The alarms that hold, of each name the gravest."""

    def __init__(self) -> None:
        self._levels: dict[tuple[AlarmName, int | None], int] = {}

    def on_event(self, event: Event) -> None:
        """Take an alarm, or its end."""
        if not isinstance(event, BatteryAlarm) or event.alarm not in ALARM_BITS:
            return
        key = event.alarm, event.cell
        if event.cleared:
            self._levels = {known: level for known, level in self._levels.items() if known[0] != event.alarm}
        else:
            self._levels[key] = event.level

    def flags(self) -> list[Flag]:
        """One a bit, in their order."""
        gravest: dict[int, int] = {}
        for (alarm, _), level in self._levels.items():
            bit = ALARM_BITS[alarm]
            gravest[bit] = max(level, gravest.get(bit, 0))
        return [Flag(bit, level) for bit, level in sorted(gravest.items())]


class NationalPlatform:
    """What the app starts and stops. Nothing is told while the driver does not agree to `safety`."""

    def __init__(self, link: PlatformLink, spool: Spool, board: AlarmBoard) -> None:
        self._link = link
        self._spool = spool
        self.on_event = board.on_event

    @classmethod
    async def open(
        cls,
        config: Config,
        keystore: Keystore,
        clock: Clock,
        *,
        values: Callable[[], Mapping[str, float]],
        uniform: Callable[[], float],
        agreed: Callable[[], Agreed],
    ) -> "NationalPlatform | None":
        """None where config names no platform. agreed: to what the driver agrees now.

        Raises ConfigError or StoreError.
        """
        if not config.platform.host:
            return None
        _check(config)
        spool = await Spool.open(Path(config.store.directory), keystore, rows_max=_SPOOL_ROWS)
        board = AlarmBoard()
        link = PlatformLink(
            config.platform,
            config.vehicle,
            spool,
            clock,
            values=values,
            flags=board.flags,
            uniform=uniform,
            allowed=lambda: agreed().allows("safety"),
            place_allowed=lambda: agreed().precision(frozenset({"safety"})) == "exact",
        )
        return cls(link, spool, board)

    async def forget(self, selection: Selection) -> None:
        """What waits for the platform, in memory and on the disk, of the time that is selected. Raises StoreError."""
        self._link.drop()
        from_s = None if selection.from_ns is None else selection.from_ns // NS
        until_s = None if selection.until_ns is None else -(-selection.until_ns // NS)
        await self._spool.erase(from_s=from_s, until_s=until_s)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._link.run()
        finally:
            await self._spool.close()

    def counters(self) -> Mapping[str, int]:
        """Everything counted so far."""
        return dict(self._link.counters()) | {"spool_dropped": self._spool.dropped}


def _check(config: Config) -> None:
    if not config.vehicle.vin:
        raise ConfigError("vehicle.vin: a platform (platform.host) knows a car by its VIN alone")
    if config.platform.ca and not Path(config.platform.ca).is_file():
        raise ConfigError(f"platform.ca: {config.platform.ca} is no file")
