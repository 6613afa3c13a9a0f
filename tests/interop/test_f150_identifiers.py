"""Raw UDS replies of real Ford F-150s (OBDb/Ford-F-150 @090509f, CC BY-SA 4.0): 22 xxxx of every ECU.

Their signal set says where in the data a signal lies; the expected values are theirs too.
"""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import ProtocolError
from agent.proto import uds
from agent.proto.isotp import Reassembler
from agent.proto.obd import PidSpec

pytestmark = pytest.mark.interop

CASE = re.compile(r"- expected_values:\n((?:    \S+: .*\n)*)  response: (?:\|-\n((?:    .*\n?)+)|'?([0-9A-F ]+)'?)")
COMMAND = re.compile(r"(\w+)\.(?:\w+\.)?22([0-9A-F]{4})")


def cases(folder: Path) -> Iterator[tuple[str, int, dict[str, str], str]]:
    """ECU, data identifier, expected values by name, reply lines."""
    with tarfile.open(folder / "tests.tar.gz") as archive:
        for member in archive:
            command = COMMAND.match(Path(member.name).stem)
            file = archive.extractfile(member) if "/commands/" in member.name else None
            if command is None or file is None:
                continue
            for values, several, one in CASE.findall(file.read().decode()):
                expected = dict(line.strip().split(": ", 1) for line in values.splitlines())
                yield command[1], int(command[2], 16), expected, several or one


def read(lines: str, did: int) -> bytes:
    """The identifier's data, from whichever ECU answers the question."""
    reassembler, request, found = Reassembler(), uds.encode_read_dids([did]), b""
    for line in lines.splitlines():
        digits = re.sub(r"[^0-9A-F]", "", line)
        if not digits:
            continue
        head = 3 if len(digits) % 2 else 8  # 11 or 29 bits of identifier
        with suppress(ProtocolError):  # frames of a message that began before, bodies of other ECUs
            message = reassembler.feed(int(digits[:head], 16), bytes.fromhex(digits[head:]), 0).message
            answer = None if message is None else uds.parse_answer(message, request)
            if isinstance(answer, uds.Positive):
                found = uds.parse_dids(answer, [did], {})[did]
    return found


def agrees(layout: dict[str, Any], data: bytes, expected: str) -> bool:
    """Whether the data say what they expect; theirs are clamped to the signal set's range and rounded."""
    spec = PidSpec(
        pid=0,
        path="Vehicle.X",
        bit_start=layout.get("bix", 0),
        bit_length=layout["len"],
        signed=layout.get("sign", False),
        scale=layout.get("mul", 1) / layout.get("div", 1),
        offset=layout.get("add", 0),
    )
    if len(data) < spec.byte_count:
        return False
    value = spec.value(data)
    if "map" in layout:
        word = layout["map"].get(str(int(value)))
        return word is not None and word["value"] == expected.strip("'\"")
    clamped = min(max(value, layout.get("min", 0)), layout.get("max", value))
    return any(each == pytest.approx(float(expected), abs=2e-5, rel=2e-5) for each in (value, clamped))


def test_values_are_what_the_signal_set_says(shared_data: Path) -> None:
    folder = shared_data / "obd_responses_f150"
    layouts = {
        (command["hdr"], next(iter(command["cmd"].values())), signal["id"]): signal["fmt"]
        for command in json.loads((folder / "signalset_default.json").read_text())["commands"]
        for signal in command["signals"]
    }
    compared: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for ecu, did, expected, lines in cases(folder):
        data = read(lines, did)
        for name, value in expected.items():
            compared[name] += 1
            if not agrees(layouts[ecu, f"{did:04X}", name], data, value):
                missed[name] += 1
    # The one miss is a gear sent as 28, which the signal set has no word for; they expect 4 all the same.
    assert missed == {"F150_GEAR": 1}
    assert (len(compared), sum(compared.values())) == (116, 5758)
