"""Linux input events (`struct input_event`, Documentation/input/input.rst): bytes in, presses of one key out."""

import struct
from typing import Final

EVENT_BYTES: Final = struct.calcsize("@llHHi")  # of the kernel that this runs on: 24, or 16 with 32-bit times
_LAYOUTS: Final = {24: struct.Struct("=16xHHi"), 16: struct.Struct("=8xHHi")}  # times are not looked at
_EV_SYN, _EV_KEY = 0, 1
_SYN_REPORT, _SYN_DROPPED = 0, 3
_PRESSED: Final = 1  # 0 is let go, 2 a key that is held and repeats


class PressParser:
    """Counts how often a key went down; None: any key. A key that is held is one press, however it repeats.

    After the kernel had to drop events, what follows up to the next report is no whole state and is left out.
    """

    def __init__(self, key: int | None = None, *, event_bytes: int = EVENT_BYTES) -> None:
        self.events = 0
        self.dropped = 0  # how often the kernel dropped some
        self._key = key
        self._layout = _LAYOUTS[event_bytes]
        self._rest = b""
        self._torn = False

    def feed(self, data: bytes) -> int:
        """Presses in these bytes; an event that is not whole yet waits for its rest."""
        data = self._rest + data
        whole = len(data) - len(data) % self._layout.size
        self._rest = data[whole:]
        self.events += whole // self._layout.size
        return sum(self._is_press(*event) for event in self._layout.iter_unpack(data[:whole]))

    def _is_press(self, kind: int, code: int, value: int) -> bool:
        if kind == _EV_SYN:
            self.dropped += code == _SYN_DROPPED
            self._torn = code == _SYN_DROPPED or (self._torn and code != _SYN_REPORT)
        return kind == _EV_KEY and value == _PRESSED and not self._torn and self._key in (None, code)
