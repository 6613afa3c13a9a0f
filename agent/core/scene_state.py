"""What of the scenes' memory outlives an erasure. Pure."""

import msgspec


class _Wishes(msgspec.Struct):
    """Of the saved state (agent/voice/scene_memory.py)."""

    silenced: list[str] = []


def protecting_rest(state: bytes) -> bytes:
    """What stays of a saved state when it is erased, not with everything: what the driver wants to be asked no more."""
    try:
        wishes = msgspec.json.decode(state, type=_Wishes)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return b""
    return msgspec.json.encode(wishes) if wishes.silenced else b""
