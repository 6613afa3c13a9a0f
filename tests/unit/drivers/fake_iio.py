"""A sysfs tree of IIO devices in a folder, with a FIFO as the character device."""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

AXES = ("x", "y", "z")
ACCEL_SCALES = "0.000598205 0.001196411 0.002392822 0.004785645"
GYRO_SCALES = "0.000133231 0.000266462 0.000532113 0.001064225"


@dataclass
class FakeDevice:
    """One iio:deviceN. kinds: which it measures; every attribute takes what is written, as files do."""

    root: Path
    number: int = 0
    name: str = "bmi160"
    kinds: tuple[str, ...] = ("accel", "anglvel")
    type: str = "le:s16/16>>0"
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.root / f"sys/bus/iio/devices/iio:device{self.number}"
        self.node = self.root / f"dev/iio:device{self.number}"
        self.node.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / "scan_elements").mkdir(parents=True)
        self.put("name", self.name)
        self.put("current_timestamp_clock", "realtime")
        self.put("sampling_frequency", "100")
        self.put("sampling_frequency_available", "25 50 100 200 400 800 1600")
        self.put("buffer/enable", "0")
        self.put("buffer/length", "2")
        self.put("buffer/watermark", "1")
        index = 0
        for kind in self.kinds:
            scales = ACCEL_SCALES if kind == "accel" else GYRO_SCALES
            self.put(f"in_{kind}_scale", scales.split()[0])
            self.put(f"in_{kind}_scale_available", scales)
            for axis in AXES:
                self.element(f"{kind}_{axis}", index, self.type)
                index += 1
        self.element("timestamp", index, "le:s64/64>>0")
        for name, value in self.extra.items():
            self.put(name, value)
        os.mkfifo(self.node)
        self.writer = -1

    def put(self, name: str, value: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(value + "\n")

    def get(self, name: str) -> str:
        return (self.folder / name).read_text().strip()

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    def element(self, name: str, index: int, kind: str) -> None:
        self.put(f"scan_elements/in_{name}_en", "0")
        self.put(f"scan_elements/in_{name}_index", str(index))
        self.put(f"scan_elements/in_{name}_type", kind)

    def trigger(self, number: int, name: str, rate: str | None = None) -> None:
        folder = self.folder.parent / f"trigger{number}"
        folder.mkdir()
        (folder / "name").write_text(name + "\n")
        if rate is not None:
            (folder / "sampling_frequency").write_text(rate + "\n")

    def start(self) -> None:
        """The kernel's end of the device: to be called once a reader is there."""
        self.writer = os.open(self.node, os.O_WRONLY | os.O_NONBLOCK)

    def push(self, t_ns: int, *words: int) -> None:
        """One scan of little-endian 16 bit words, padded to the 64 bit timestamp."""
        body = struct.pack(f"<{len(words)}h", *words)
        os.write(self.writer, body.ljust(-(-len(body) // 8) * 8, b"\0") + struct.pack("<q", t_ns))

    def raw(self, data: bytes) -> None:
        os.write(self.writer, data)

    def stop(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1
