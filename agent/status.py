"""Tells once a second how the box is: to whoever watches, to `outrider status`, and to the service manager."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent import __version__
from agent.core.config import Config
from agent.core.errors import StoreError
from agent.core.ports import Clock, Hardware, Notice
from agent.health.stats import status_path, write_status
from agent.link.renewal import Renewal
from agent.link.uplink import Uplink
from agent.pipeline import Pipeline
from agent.platform import NationalPlatform
from agent.privacy.egress import EgressFilter
from agent.privacy_room import PrivacyRoom
from agent.store.recorder import Recorder
from agent.voice.conversation import Conversation

_LOG: Final = logging.getLogger(__name__)
_PERIOD_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is looked at. events: how many of each kind there were; renewal: None where the link has no certificate.

    desk: counts the insurer's desk's messages.
    """

    pipeline: Pipeline
    recorder: Recorder
    conversation: Conversation
    egress: EgressFilter
    uplink: Uplink | None
    events: Mapping[str, int]
    renewal: Renewal | None = None
    platform: NationalPlatform | None = None
    privacy: PrivacyRoom | None = None
    desk: Callable[[], Mapping[str, int]] = dict


class Status:
    """Looks at the parts; changes nothing. config is the running one."""

    def __init__(self, config: Config, hardware: Hardware, clock: Clock, parts: Parts) -> None:
        self.config = config
        self._hardware = hardware
        self._clock = clock
        self._parts = parts
        self._path = status_path(config.store.directory)
        self.newest: Mapping[str, Any] = {}  # as last collected

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(_PERIOD_S)
            t_ns = self._clock.monotonic_ns()
            values = self._parts.pipeline.latest()
            self._hardware.notify(Notice(topic="signals", t_ns=t_ns, text="", values=values))
            try:
                waiting = await self._parts.recorder.outbox.pending()
                self.newest = self._collect(t_ns, waiting)
                write_status(self._path, self.newest)
            except StoreError as exc:  # a full or failing disk: the recorder says so, and tries again
                _LOG.debug("no status: %s", exc)
            # Alive means that the loop turns and the outbox's thread answers, not that a timer fired.
            self._hardware.service("alive")

    def sources(self) -> dict[str, dict[str, int]]:
        """Counters of every source, by its name."""
        hardware = self._hardware
        sources = (*hardware.frames, *hardware.samples, *hardware.buttons)
        return {source.name: dict(source.counters()) for source in sources}

    def _collect(self, t_ns: int, waiting: int) -> dict[str, Any]:
        pipeline, recorder, uplink = self._parts.pipeline, self._parts.recorder, self._parts.uplink
        counts = pipeline.counts
        return {
            "device": self.config.device.id,
            "agent_version": __version__,
            "config_version": self.config.version,
            "t_ns": t_ns,
            "clock_synced": self._clock.synced,
            "frames": counts.frames,
            "decoded": counts.decoded,
            "unknown": counts.unknown,
            "bad": counts.bad,
            "samples": counts.samples,
            "quality": dict(counts.quality),
            "failed": counts.failed,
            "failed_checks": pipeline.failed_checks(),
            "signals": pipeline.quality(t_ns),
            "events": dict(self._parts.events),
            "withheld": dict(self._parts.egress.withheld),
            "privacy": self._parts.privacy.summary() if self._parts.privacy else {},
            "store": {"sealed": recorder.sealed, "dropped": recorder.dropped, "shed": sum(recorder.shed.values())},
            "voice": {**self._parts.conversation.counters(), **self._parts.conversation.troubles()},
            "desk": dict(self._parts.desk()),
            "sources": self.sources(),
            "link": {**uplink.counters(), "trouble": uplink.trouble} if uplink else {},
            "platform": dict(self._parts.platform.counters()) if self._parts.platform else {},
            "certificate": self._parts.renewal.look()[1] if self._parts.renewal else "",
            "waiting": waiting,
        }
