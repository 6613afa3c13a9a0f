"""docs/privacy.md tells the truth: what each purpose sends is what the events declare.

`python -m tests.unit.privacy.test_privacy_document` writes those parts of it anew.
"""

import re
from pathlib import Path
from typing import get_args

from agent.core.declared import grounds_of
from agent.core.events import AnyEvent, Event, Ground

PATH = Path(__file__).resolve().parents[3] / "docs" / "privacy.md"
DOCUMENT = PATH.read_text(encoding="utf-8")
GROUNDS: tuple[Ground, ...] = get_args(Ground)


def section(ground: Ground) -> str:
    """What leaves on a ground: a line an event, with its fields but the time."""
    kinds: tuple[type[Event], ...] = get_args(AnyEvent)
    lines = []
    for kind in kinds:
        fields = [name for name, grounds in grounds_of(kind).items() if ground in grounds and name != "t_ns"]
        if fields or ground in grounds_of(kind)["t_ns"]:
            told = ", ".join(fields) or "that it happened, and when"
            lines.append(f"- `{kind.__struct_config__.tag}`: {told}")
    return f"### `{ground}`\n\n" + "\n".join(lines) + "\n"


def test_what_each_purpose_sends_is_what_is_declared() -> None:
    for ground in GROUNDS:
        assert section(ground) in DOCUMENT, f"docs/privacy.md must say:\n{section(ground)}"


def write() -> None:
    document = DOCUMENT
    for ground in GROUNDS:
        lines = re.compile(rf"### `{ground}`\n\n(- .*\n)*")
        document = lines.sub(lambda _, ground=ground: section(ground), document, count=1)  # type: ignore[misc]  # mypy does not infer it
    PATH.write_text(document, encoding="utf-8")


if __name__ == "__main__":
    write()
