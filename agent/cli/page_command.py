"""`outrider page`: where the local page is, and the code that pairs a browser with it."""

from pathlib import Path

import msgspec

from agent.core.config import load_config
from agent.core.errors import InputError
from agent.core.page_code import PageCode, code_path


def show_page(config_path: Path) -> int:
    """Print address and code. Raises InputError where no agent serves a page."""
    config = load_config(config_path)
    if not config.web.enabled:
        raise InputError(f"{config_path}: web.enabled is false: there is no page")
    path = code_path(config.store.directory)
    try:
        shown = msgspec.json.decode(path.read_bytes(), type=PageCode)
    except (OSError, msgspec.DecodeError) as exc:
        raise InputError(f"{path}: is the agent running, and may you read there? ({exc})") from exc
    print(f"{shown.address}  {shown.code[:4]} {shown.code[4:]}")
    return 0
