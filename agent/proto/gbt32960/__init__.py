"""GB/T 32960.3, the Chinese remote service protocol for electric vehicles, in both editions, without I/O.

`parse_frame` / `encode_frame` for the frame, `parse_message` / `encode_message` for its data unit, FrameSplitter for a
stream. Only ProtocolError is raised on what comes from outside; a frame is at most 65,556 bytes and is parsed into at
most one Reading per byte. Unknown types and encrypted units are kept as bytes. No conformity is claimed.
"""

from agent.proto.gbt32960 import edition2016, edition2025
from agent.proto.gbt32960.alarms import Alarm, active_alarms
from agent.proto.gbt32960.fields import TIME_ZONE, Quality, Reading, build_struct
from agent.proto.gbt32960.frame import COMMAND, Command, Edition, Frame, FrameSplitter, encode_frame, parse_frame
from agent.proto.gbt32960.messages import (
    Custom,
    Login2016,
    Login2025,
    Logout,
    Message,
    Opaque,
    Realtime,
    Reply,
    Signature,
    Unread,
    encode_message,
    parse_message,
)

__all__ = [
    "COMMAND",
    "TIME_ZONE",
    "Alarm",
    "Command",
    "Custom",
    "Edition",
    "Frame",
    "FrameSplitter",
    "Login2016",
    "Login2025",
    "Logout",
    "Message",
    "Opaque",
    "Quality",
    "Reading",
    "Realtime",
    "Reply",
    "Signature",
    "Unread",
    "active_alarms",
    "build_struct",
    "edition2016",
    "edition2025",
    "encode_frame",
    "encode_message",
    "parse_frame",
    "parse_message",
]
