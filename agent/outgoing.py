"""What leaves the car, wired: the disk first, then the insurer's uplink and the national platform."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from agent.core.best_time import BestTime
from agent.core.config import Config
from agent.core.errors import StoreError
from agent.core.ports import Clock, Hardware, Notice
from agent.core.records import SealedRecord
from agent.link.uplink import Uplink
from agent.pipeline import Pipeline
from agent.platform import NationalPlatform
from agent.privacy_room import PrivacyRoom
from agent.store.recorder import Recorder
from agent.uplinks import make_uplink

_LOG: Final = logging.getLogger(__name__)


class Outgoing:
    """recorder: what is on the disk is an event; uplink and platform: None where config names none."""

    recorder: Recorder

    def __init__(self, config: Config, hardware: Hardware, clock: Clock, *, uniform: Callable[[], float]) -> None:
        self._config = config
        self._hardware = hardware
        self._clock = clock
        self._uniform = uniform
        self.uplink: Uplink | None = None
        self.platform: NationalPlatform | None = None

    async def open(
        self,
        *,
        pipeline: Pipeline,
        privacy: PrivacyRoom,
        time: BestTime,
        receipt_key: bytes,
        on_bundle: Callable[[bytes], None],
        on_desk: Callable[[bytes], None],
    ) -> None:
        """Open the store and make what sends. Raises InputError or StoreError."""
        config, keystore = self._config, self._hardware.keystore
        self.platform = await NationalPlatform.open(
            config,
            keystore,
            self._clock,
            values=pipeline.latest,
            uniform=self._uniform,
            agreed=privacy.consents.agreed,
        )
        self.recorder = await Recorder.open(
            config, keystore, self._clock, on_durable=self._on_durable, uniform=self._uniform
        )
        if config.link.host:
            self.uplink = make_uplink(
                config,
                self._hardware,
                self._clock,
                outbox=self.recorder.outbox,
                best_time=time,
                receipt_key=receipt_key,
                on_bundle=on_bundle,
                on_desk=on_desk,
                on_erased=privacy.on_erased,
                withheld=privacy.withholds,
                uniform=self._uniform,
            )

    async def bring_in(self, timeout_s: float) -> int:
        """Everything to the disk, then what there is time for to the insurer; returns how many records wait."""
        try:
            await self.recorder.flush()
        except StoreError as exc:  # draining makes room, and the recorder tries once more when it is closed
            _LOG.error("not everything is on the disk yet: %s", exc)  # expected, no traceback
        if self.uplink is None:
            return await self.recorder.outbox.pending()
        return await self.uplink.drain(timeout_s)

    def _on_durable(self, records: Sequence[SealedRecord]) -> None:
        for record in records:
            if record.is_notice:
                text = f"record {record.sequence} is on the disk"
                self._hardware.notify(Notice("stored", self._clock.monotonic_ns(), text))
        if self.uplink:
            self.uplink.wake()
