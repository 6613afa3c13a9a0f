"""DBC files of the field that cantools refuses, with faults that do not touch what a frame means.

Lines keep their numbers, so that what is said of a line holds for the file.
"""

import re
from typing import Final

_MESSAGE: Final = re.compile(r"^\s*BO_\s+(\d+)\s+(\w+)")
_SIGNAL: Final = re.compile(r"^\s*SG_\s+(\w+)")
_CHOICES: Final = re.compile(r"^\s*VAL_\s+(\d+)\s+(\w+)")
_EXTENDED: Final = 0x8000_0000
_STANDARD_MAX: Final = 0x7FF
_EXTENDED_MAX: Final = 0x1FFF_FFFF
_INDEPENDENT: Final = 0xC000_0000  # where tools keep signals without a message


def repair(text: str) -> tuple[str, list[str]]:
    """Return the text without its harmless faults, and one warning for each, with its line."""
    lines = text.split("\n")
    warnings: list[str] = []
    _shorten_identifiers(lines, warnings)
    _drop_unused_choices(lines, warnings)
    _add_sections(lines, warnings)
    return "\n".join(lines), warnings


def _shorten_identifiers(lines: list[str], warnings: list[str]) -> None:
    """A number above 11 bits without the mark of a 29-bit one can only be that; above 29 bits it is no frame at all."""
    dropping = False
    for number, line in enumerate(lines):
        found = _MESSAGE.match(line)
        if found is None:
            dropping = dropping and _SIGNAL.match(line) is not None
            if dropping:
                lines[number] = ""
            continue
        identifier, name = int(found[1]), found[2]
        bare = identifier & ~_EXTENDED
        dropping = identifier != _INDEPENDENT and bare > _EXTENDED_MAX
        if dropping:
            warnings.append(f"line {number + 1}: message {name}: identifier {identifier:X} is above 29 bits: left out")
            lines[number] = ""
        elif _STANDARD_MAX < identifier <= _EXTENDED_MAX:
            warnings.append(
                f"line {number + 1}: message {name}: identifier {identifier:X} is above 11 bits: read as 29"
            )
            lines[number] = line.replace(found[1], str(identifier | _EXTENDED), 1)


def _drop_unused_choices(lines: list[str], warnings: list[str]) -> None:
    """VAL_ lines of messages or signals that the file does not have."""
    known: set[tuple[int, str]] = set()
    identifier = -1
    for line in lines:
        if found := _MESSAGE.match(line):
            identifier = int(found[1])
        elif found := _SIGNAL.match(line):
            known.add((identifier, found[1]))
    for number, line in enumerate(lines):
        choices = _CHOICES.match(line)
        if choices is None:
            continue
        key = int(choices[1]), choices[2]
        marked = key[0] | _EXTENDED, key[1]
        if key not in known and marked in known:
            lines[number] = line.replace(choices[1], str(marked[0]), 1)
        elif key not in known and line.rstrip().endswith(";"):
            warnings.append(
                f"line {number + 1}: VAL_ of {choices[2]}, which message {choices[1]} does not have: left out"
            )
            lines[number] = ""


def _add_sections(lines: list[str], warnings: list[str]) -> None:
    """BS_ and BU_ belong before the first message, empty where nobody is named."""
    first = next((number for number, line in enumerate(lines) if _MESSAGE.match(line)), None)
    if first is None:
        return
    head = lines[:first]
    missing = [name for name in ("BS_", "BU_") if not any(re.match(rf"^\s*{name}\s*:", line) for line in head)]
    if missing:
        warnings.append(f"line {first + 1}: no {' and no '.join(missing)} section before the first message")
        lines[first] = " ".join(f"{name}:" for name in missing) + " " + lines[first].lstrip()
