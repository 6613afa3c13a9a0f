"""OBDb's files as specs of ours: signal sets (JSON), test cases (YAML of one shape). Share-alike, so test data only."""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.proto.elm327_lines import EcuMessage, is_data, parse_with_headers, split_lines
from agent.proto.isotp import Reassembler
from agent.proto.obd import PidSpec

# "unit" changes no number. What else the format knows (nullmin, nullmax, ...) this signal set does not use.
_FORMAT: Final = frozenset({"bix", "len", "sign", "mul", "div", "add", "min", "max", "map", "unit"})
_CASE: Final = re.compile(
    r"- expected_values:\n((?:    \S+: .*\n)*)  response: (?:\|-\n((?:    .*\n?)+)|'?([0-9A-F ]+)'?)"
)
_OBD_SENDER: Final = re.compile(r"7E[89A-F]|18DAF1")
_FRAME: Final = re.compile(r"(7[0-9A-F]{2})((?:[0-9A-F]{2}){1,8})")  # diagnostics, not the echo of a command


@dataclass(frozen=True, slots=True)
class Signal:
    """Where a signal lies in the answer to a data identifier. names: what its raw values are called, where they are."""

    command: str  # header and request: 7E0.2203E8
    answers_from: int | None  # the one ECU that answers; None where the request goes to all
    did: int
    bits: PidSpec
    names: Mapping[int, str]

    def at_limit(self, value: float) -> float:
        """The value drawn to the limits, as OBDb does; ours never are: beyond its limits a value is not believed."""
        return min(max(value, self.bits.minimum), self.bits.maximum)


@dataclass(frozen=True, slots=True)
class Case:
    """One captured reply, and what it should be read as."""

    file: str
    command: str  # header and request, without the ECU that answers
    expected: Mapping[str, str]
    response: str

    @property
    def lines(self) -> list[str]:
        """Up to the adapter's next prompt: some captures go on with the next command and its answer."""
        return list(filter(is_data, split_lines(self.response.partition(">")[0].encode())))


def read_signal_set(path: Path) -> dict[str, Signal]:
    """Signals by name. Raises ValueError on a format we would read wrongly."""
    signals: dict[str, Signal] = {}
    for command in json.loads(path.read_text())["commands"]:
        [(service, did)] = command["cmd"].items()
        answers_from = int(command["rax"], 16) if "rax" in command else None
        for signal in command["signals"]:
            name, fmt = signal["id"], signal["fmt"]
            if service != "22" or not fmt.keys() <= _FORMAT or name in signals:
                raise ValueError(f"{name}: service {service}, format {sorted(fmt)}, or given twice")
            names = {int(raw): entry["value"] for raw, entry in fmt.get("map", {}).items()}
            bits = _bits(name, int(did, 16), fmt)
            signals[name] = Signal(f"{command['hdr']}.{service}{did}", answers_from, int(did, 16), bits, names)
    return signals


def read_cases(archive: Path) -> Iterator[Case]:
    """Every case of every model year. Raises ValueError where a file does not have the one shape we read."""
    with tarfile.open(archive) as files:
        for member in files:
            file = files.extractfile(member) if "/commands/" in member.name else None
            if file is None:
                continue
            text = file.read().decode()
            found = _CASE.findall(text)
            named = re.match(r"command_id: '?([0-9A-F.]+)", text)
            if named is None or len(found) != text.count("response:"):
                raise ValueError(f"{member.name}: not a file of test cases")
            header, *_, request = named[1].split(".")
            for values, several, one in found:
                expected = dict(line.strip().split(": ", 1) for line in values.splitlines())
                plain = {key: value.strip("'") for key, value in expected.items()}
                yield Case(member.name.partition("test_cases/")[2], f"{header}.{request}", plain, several or one)


def read_messages(lines: list[str]) -> list[EcuMessage]:
    """Whole messages of ECUs that an OBD-II request reaches, then of those it does not."""
    obd = [line for line in lines if _OBD_SENDER.match(line)]
    messages = list(parse_with_headers(obd).messages)
    reassembler = Reassembler()
    for line in lines:
        if line not in obd and (frame := _FRAME.fullmatch(line.replace(" ", ""))):
            sender = int(frame[1], 16)
            message = reassembler.feed(sender, bytes.fromhex(frame[2]), 0).message
            messages += [] if message is None else [EcuMessage(sender, message)]
    return messages


def _bits(name: str, did: int, fmt: Mapping[str, Any]) -> PidSpec:
    return PidSpec(
        name=name,
        pid=did & 0xFF,
        path="Vehicle.Private.OBDb",
        bit_start=fmt.get("bix", 0),
        bit_length=fmt["len"],
        signed=fmt.get("sign", False),
        scale=fmt.get("mul", 1) / fmt.get("div", 1),
        offset=fmt.get("add", 0),
        minimum=fmt.get("min", 0),
        maximum=fmt.get("max", float("inf")),
    )
