"""What a request turns into where a piece of it is lost on the line to the adapter.

That line has no checksum: of 0104 (engine load) the end, 04, is a command to clear the trouble codes. Adapters that
were asleep, or interrupted, lose the first characters; overrun ones lose some in the middle: 0142 (voltage) is 042
then, a 04 that waits for two answers. So packs are put together such that none turns into what writes, whichever piece
is lost; and what cannot be packed, as 0904, is not asked over a line that has lost something lately.
"""

from typing import Final

_SERVICE_AND_SUB_FUNCTION: Final = {0x10: range(1, 5), 0x11: range(1, 6), 0x85: range(1, 3)}
_NO_ANSWER: Final = 0x80  # a bit of every sub-function


def harms_when_cut(request: bytes) -> bool:
    """Whether a read, as it is typed in hex, writes, clears or controls once some characters in a row are lost.

    With the first two it remains a read, whatever else is lost. Of an odd number of digits the adapter takes the last
    one for the number of answers to wait for.
    """
    text = request.hex()
    ends = [text[place:] for place in range(1, len(text) - 1)]
    ends += [text[0] + text[place:] for place in range(2, len(text))]
    return any(_writes(bytes.fromhex(end[: len(end) // 2 * 2])) for end in ends)


def _writes(message: bytes) -> bool:
    """Whether an ECU could take it for a command: the service, with as many and such parameters as it has."""
    service, size = message[0], len(message)
    sub_function = message[1] & ~_NO_ANSWER if size > 1 else 0
    match service:
        case 0x04:
            return size == 1
        case 0x08:
            return sub_function == 1
        case 0x10 | 0x11 | 0x85:
            return size == 2 and sub_function in _SERVICE_AND_SUB_FUNCTION[service]
        case 0x14:
            return message[1:2] == b"\xff"
        case 0x28:
            return size in {2, 3} and sub_function <= 3
        case 0x2E:
            return size >= 4
        case 0x2F:
            return size >= 4 and message[3] <= 3
        case 0x31:
            return size >= 4 and 1 <= sub_function <= 3
    return False
