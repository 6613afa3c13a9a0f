"""Linux IIO devices as sysfs shows them: which there are, what they can, and how a scan lies in the buffer.

After Documentation/ABI/testing/sysfs-bus-iio. Whatever a device lacks or does not take is a SourceLost that names the
device and the attribute: the rest of the box carries on, and the source is tried again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core.errors import SourceLost

_TYPE: Final = re.compile(r"(be|le):([su])(\d{1,2})/(8|16|32|64)(?:X(\d{1,2}))?>>(\d{1,2})")
_VALUE_MAX: Final = 4096  # one page of sysfs
_CLOSE: Final = 0.005  # drivers print six to nine digits of a scale, and some round a rate

Bytes = npt.NDArray[np.void]


class Attributes:
    """The attribute files of one folder of sysfs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, name: str) -> bool:
        """Whether there is such an attribute."""
        return (self.folder / name).exists()

    def read(self, name: str) -> str:
        """Its text without the line's end. Raises SourceLost."""
        try:
            with (self.folder / name).open("rb") as file:
                text = file.read(_VALUE_MAX).decode("ascii", "replace")
        except OSError as exc:
            raise SourceLost(f"{self.folder.name}: {name} cannot be read: {exc.strerror}") from exc
        return text.rstrip("\0").strip()  # the kernel shows current_timestamp_clock with its C string's end

    def number(self, name: str) -> float:
        """Its value. Raises SourceLost."""
        return self._number(name, self.read(name))

    def numbers(self, name: str) -> list[float]:
        """All values of a list such as scale_available; of a range [min step max] both ends; empty without it."""
        if not self.has(name):
            return []
        text = self.read(name)
        found = [self._number(name, word) for word in text.strip("[]").split()]
        return [found[0], found[-1]] if text.startswith("[") and found else found

    def holds(self, name: str, value: str) -> bool:
        """Whether it reads so already, as text or, nearly, as a number."""
        found = self.read(name)
        try:
            return abs(float(found) - float(value)) <= _CLOSE * abs(float(value))
        except ValueError:
            return found == value

    def write(self, name: str, value: str) -> None:
        """Set it. Raises SourceLost."""
        try:
            (self.folder / name).write_text(value, encoding="ascii")
        except OSError as exc:
            raise SourceLost(f"{self.folder.name}: {name} does not take {value!r}: {exc.strerror}") from exc

    def set(self, name: str, value: str) -> None:
        """Set it unless it is so, and read it back. Raises SourceLost."""
        if self.holds(name, value):
            return
        self.write(name, value)
        if not self.holds(name, value):
            raise SourceLost(f"{self.folder.name}: {name} was set to {value!r} and reads back {self.read(name)!r}")

    def _number(self, name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = nan
        if not isfinite(value):
            raise SourceLost(f"{self.folder.name}: {name} is no number: {text!r}")
        return value


@dataclass(frozen=True, slots=True)
class Element:
    """One channel of a scan: `le:s16/16>>0` and its place."""

    name: str
    index: int
    little: bool
    signed: bool
    bits: int
    storage_bits: int
    shift: int
    repeat: int = 1

    @property
    def size(self) -> int:
        """Bytes in the scan; also what it is aligned to."""
        return self.storage_bits // 8 * self.repeat

    @property
    def whole(self) -> bool:
        """Whether the word fills its storage, so that NumPy can read it as it lies."""
        return self.bits == self.storage_bits and self.shift == 0

    @property
    def format(self) -> str:
        """For NumPy; what is to be shifted and masked is read without a sign first."""
        kind = "i" if self.whole and self.signed else "u"
        return f"{'<' if self.little else '>'}{kind}{self.storage_bits // 8}"

    @property
    def ends(self) -> tuple[int, int]:
        """Smallest and largest word."""
        return (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.signed else (0, (1 << self.bits) - 1)


def parse_element(name: str, index: str, kind: str) -> Element:
    """Parse the text of in_NAME_index and in_NAME_type. Raises SourceLost."""
    found = _TYPE.fullmatch(kind)
    if found is None or not index.isdigit():
        raise SourceLost(f"in_{name}_type {kind!r}, in_{name}_index {index!r}: not a scan element this driver can read")
    end, sign, bits, storage, repeat, shift = found.groups()
    element = Element(
        name, int(index), end == "le", sign == "s", int(bits), int(storage), int(shift), int(repeat or "1")
    )
    if not 1 <= element.bits <= element.storage_bits - element.shift or element.repeat < 1:
        raise SourceLost(f"in_{name}_type {kind!r}: its bits do not fit its storage")
    return element


class Layout:
    """Where the enabled elements lie in a scan: in the order of their index, each aligned to its own size.

    The scan is padded to its largest element, as iio_compute_scan_bytes does it.
    """

    def __init__(self, elements: Sequence[Element]) -> None:
        self.elements = {element.name: element for element in sorted(elements, key=lambda e: e.index)}
        names: list[str] = []
        formats: list[str] = []
        offsets: list[int] = []
        end = 0
        for element in self.elements.values():
            start = -(-end // element.size) * element.size
            end = start + element.size
            if element.repeat == 1:
                names.append(element.name)
                formats.append(element.format)
                offsets.append(start)
        largest = max((element.size for element in elements), default=1)
        self.scan_bytes = -(-end // largest) * largest
        self._dtype = np.dtype(
            {"names": names, "formats": formats, "offsets": offsets, "itemsize": max(self.scan_bytes, 1)}
        )

    def view(self, data: bytes) -> Bytes:
        """Whole scans as a structured array, without a copy."""
        return np.frombuffer(data, self._dtype)

    def words(self, scans: Bytes, name: str) -> npt.NDArray[np.int64]:
        """One channel's words, int64[n]: shifted, masked, and signed as its type says."""
        element = self.elements[name]
        if element.whole:
            return np.asarray(scans[name].astype(np.int64))
        raw = scans[name].astype(np.uint64) >> np.uint64(element.shift)
        words = (raw & np.uint64((1 << element.bits) - 1)).view(np.int64)
        if element.signed:
            sign = np.int64(1 << element.bits - 1)
            words = (words ^ sign) - sign
        return np.asarray(words, np.int64)


def read_elements(attributes: Attributes) -> list[Element]:
    """Every scan element of the device, enabled or not. Raises SourceLost."""
    found = sorted((attributes.folder / "scan_elements").glob("in_*_en"))
    elements = []
    for path in found:
        name = path.name.removeprefix("in_").removesuffix("_en")
        index = attributes.read(f"scan_elements/in_{name}_index")
        elements.append(parse_element(name, index, attributes.read(f"scan_elements/in_{name}_type")))
    return elements


def find_device(root: Path, wanted: str, channel: str) -> Attributes:
    """The device that `wanted` names, or the only one with a buffered `channel`. Raises SourceLost."""
    folders = sorted((root / "sys/bus/iio/devices").glob("iio:device*"))
    able = {folder: _name(folder) for folder in folders if (folder / f"scan_elements/in_{channel}_en").exists()}
    if wanted:
        named = {wanted, Path(wanted).name} if wanted.startswith("/") else {wanted}
        able = {folder: name for folder, name in able.items() if named & {name, folder.name}}
    if len(able) == 1:
        return Attributes(next(iter(able)))
    there = ", ".join(f"{folder.name} ({_name(folder)})" for folder in folders) or "none"
    what = f"no device {wanted!r} with" if wanted else "no device with" if not able else "several devices have"
    raise SourceLost(f"{what} a buffer of in_{channel}; IIO devices: {there}")


def _name(folder: Path) -> str:
    try:
        return (folder / "name").read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return "no name"
