"""The demo's operator: pushes config changes to the car, and waits until it has taken or refused them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from agent.core.errors import InputError
from agent.core.events import ConfigApplied, ConfigRejected
from agent.core.ports import Clock, Notice
from fleet.bundle import make_manifest
from fleet.push import push
from simulators.cloud import Cloud
from simulators.world.scenario import ConfigPush

_PUSH_TIMEOUT_S: Final = 15.0
_BUNDLE_VALID_NS: Final = 3_600 * 10**9


class DemoOperator:
    """Hears the car's notices. device: whom the changes are for; say: tells of each push."""

    def __init__(self, say: Callable[[str], None], cloud: Cloud, clock: Clock, *, device: str) -> None:
        self._say = say
        self._cloud = cloud
        self._clock = clock
        self._device = device
        self._pushed = 0
        self._answered = asyncio.Event()

    def notice(self, notice: Notice) -> None:
        """See whether the car has taken a change."""
        if notice.topic == "event" and isinstance(notice.event, ConfigApplied | ConfigRejected):
            self._answered.set()

    def pusher(self, change: ConfigPush) -> Callable[[], Awaitable[None]]:
        """What pushes the change; raises InputError where the car does not answer."""

        async def push_config() -> None:
            """Car time stands still meanwhile, so the config is taken at the same instant in every run."""
            self._pushed += 1
            manifest = make_manifest(
                to_toml(change.change),
                bundle=f"demo-{self._pushed}",
                version=self._pushed,
                expires_ns=self._clock.wall_ns() + _BUNDLE_VALID_NS,
                vehicles=[self._device],
                groups=[],
            )
            self._say(f"the operator pushes {manifest.config.strip()}")
            self._answered.clear()
            await push(self._cloud.operator_link(), manifest, self._cloud.operator_key)
            try:
                async with asyncio.timeout(_PUSH_TIMEOUT_S):
                    await self._answered.wait()
            except TimeoutError as exc:
                raise InputError(f"the car did not answer a config push within {_PUSH_TIMEOUT_S:g} s") from exc

        return push_config


def to_toml(change: dict[str, Any], prefix: str = "") -> str:
    """Dotted TOML lines of nested tables of numbers, texts and flags."""
    lines = []
    for key, value in change.items():
        if isinstance(value, dict):
            lines.append(to_toml(value, f"{prefix}{key}."))
        else:
            lines.append(f"{prefix}{key} = {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(lines)
