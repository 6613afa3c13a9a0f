"""Properties of a PUBLISH as paho sends them, put together once, and the ear for what paho says."""

import logging
from functools import lru_cache
from typing import Final

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

ALIAS: Final = 1
_LOG: Final = logging.getLogger(__name__)
_CONTENT_TYPE: Final = "application/cose"


class Quiet(logging.Logger):
    """Takes what paho and aiomqtt log: the last error is the reason of the LinkDown to come, no report of its own."""

    def __init__(self) -> None:
        super().__init__(f"{__name__}.paho", logging.WARNING)
        self.last_error = ""

    def handle(self, record: logging.LogRecord) -> None:
        """Keep errors, pass everything on for debugging."""
        if record.levelno >= logging.ERROR:
            self.last_error = record.getMessage()
        _LOG.debug("%s", record.getMessage())


class _Packed(Properties):
    """Properties of a PUBLISH as bytes, made once: paho would put them together anew for every message."""

    _bytes: bytes

    def __init__(self, properties: Properties) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        object.__setattr__(self, "_bytes", properties.pack())  # type: ignore[no-untyped-call]  # same

    def pack(self) -> bytes:
        return self._bytes


@lru_cache(maxsize=64)
def publish_properties(expiry_s: int | None, *, aliased: bool) -> Properties:
    """Content type, expiry and topic alias."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
    properties.ContentType = _CONTENT_TYPE
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if aliased:
        properties.TopicAlias = ALIAS
    return _Packed(properties)
