"""The box's own page in the demo: says where it is, and with which code a browser is let in."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from agent.core.page_code import PageCode, code_path

_LOOK_S: Final = 0.05


async def tell_page(directory: str, say: Callable[[str], None]) -> None:
    """Wait until the agent has left its code, and say it: until then there is no page."""
    path = code_path(directory)
    while not path.exists():  # noqa: ASYNC110 - a file, of an agent that lives in real time
        await asyncio.sleep(_LOOK_S)
    shown = msgspec.json.decode(path.read_bytes(), type=PageCode)
    say(f"the box's own page: {shown.address}, code {shown.code}")
