"""The csv of python-can: `timestamp,arbitration_id,extended,remote,error,dlc,data`, with data in base64."""

import binascii
import re
from typing import Final

from agent.core.frames import ERROR_FRAME, EXTENDED, REMOTE
from simulators.replay.rows import Row, make_row, parse_decimal_ns
from simulators.replay.text_formats import believe_epoch

_LINE: Final = re.compile(
    r"(\d{1,12})\.(\d{1,20}),0x([0-9a-f]{1,8}),([01]),([01]),([01]),(\d{1,2}),([A-Za-z0-9+/]{0,88}={0,2})", re.ASCII
)


class PythonCan:
    """Knows neither bus nor direction nor CAN FD."""

    def parse(self, line: str) -> Row | None:
        """See LineParser."""
        match = _LINE.fullmatch(line)
        if match is None:
            if line.startswith("timestamp,arbitration_id,"):
                return None
            raise ValueError("not a line of python-can's csv")
        whole, fraction, digits, extended, remote, error, _, text = match.groups()
        flags = EXTENDED * (extended == "1") | REMOTE * (remote == "1") | ERROR_FRAME * (error == "1")
        data = binascii.a2b_base64(text, strict_mode=True)
        return make_row(parse_decimal_ns(whole, fraction), int(digits, 16), data, flags=flags)

    def wall_ns(self, t_ns: int) -> int | None:
        """See LineParser."""
        return believe_epoch(t_ns)
