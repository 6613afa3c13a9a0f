"""Acceleration and turning rates from the box's own chip, by Linux IIO: buffered, stamped by the kernel, polled."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.core import vss
from agent.core.config import Imu
from agent.core.errors import SourceLost
from agent.core.ports import Clock, Mount
from agent.core.signals import Samples, SignalSpec, SignalWindow, interleave
from drivers.iio_buffer import Buffer
from drivers.iio_setup import AXES, Wish, set_up
from drivers.iio_sysfs import Attributes, find_device

_GRAVITY: Final = 9.80665
_TURNING_RAD: Final = np.deg2rad(1000.0)  # wanted of the gyroscope; a car that rolls over turns at less
_SILENCE_S: Final = 1.0  # 400 samples a second: longer than any buffer keeps quiet
_TOLD_NS: Final = 1_000_000_000
_TURNS, _HEADING, _CLIPPED = 3, 6, 7  # places in specs

Times = npt.NDArray[np.int64]


class ImuSource:
    """A SampleSource of accelerations in m/s^2 and turning rates in degrees/s, in vehicle axes.

    Forward +, right +, up + as specific force: a standing car reads 0, 0, +9.81. Roll right side down +, pitch nose
    down +, yaw to the left +. The chip's axes are turned by `mount`. A sample at the end of its chip's range stays
    valid, because that is what a crash looks like, and is told by vss.IMU_CLIPPED at the same instant: turned, no axis
    need be at any end. How well forward is known is told once a second by vss.IMU_HEADING_ERROR. root: where sys and
    dev lie. Silence is measured in real time, as in byte_line.
    """

    def __init__(
        self, imu: Imu, clock: Clock, mount: Mount, *, root: Path = Path("/"), silence_s: float = _SILENCE_S
    ) -> None:
        self.name = "imu"
        full = 2 * imu.range_g * _GRAVITY  # turned, one axis may bear the share of three
        self.specs: Sequence[SignalSpec] = (
            SignalSpec(vss.ACCELERATION_LONGITUDINAL, "m/s^2", -full, full, 0.5),
            SignalSpec(vss.ACCELERATION_LATERAL, "m/s^2", -full, full, 0.5),
            SignalSpec(vss.ACCELERATION_VERTICAL, "m/s^2", -full, full, 0.5),
            SignalSpec(vss.ROLL_RATE, "degrees/s", -4000, 4000, 0.5),
            SignalSpec(vss.PITCH_RATE, "degrees/s", -4000, 4000, 0.5),
            SignalSpec(vss.YAW_RATE, "degrees/s", -4000, 4000, 0.5),
            SignalSpec(vss.IMU_HEADING_ERROR, "degrees", 0, 180, 5.0),
            SignalSpec(vss.IMU_CLIPPED, "", 0, 3, 0.5),
        )
        self._imu = imu
        self._clock = clock
        self._mount = mount
        self._root = root
        self._silence_s = silence_s
        self._open: list[tuple[Attributes, tuple[str, ...], Buffer]] = []
        self._told_ns = 0
        self._clipped = self._scans = self._lost = self._mistimed = 0

    async def open(self) -> None:
        """Set the devices up and start to capture. Raises SourceLost naming what is missing or refused."""
        await self.close()
        self._told_ns = 0
        for device, kinds in self._find():
            wish = Wish(
                ranges={kind: _TURNING_RAD if kind == "anglvel" else self._imu.range_g * _GRAVITY for kind in kinds},
                optional=frozenset({"anglvel"}),
                rate_hz=self._imu.rate_hz,
                window_ms=self._imu.window_ms,
                trigger=self._imu.trigger,
            )
            setup = await asyncio.to_thread(set_up, device, wish, self._root)  # a chip may take 100 ms to wake up
            self._open.append((device, kinds, Buffer(self._root / "dev" / device.folder.name, setup)))

    async def close(self) -> None:
        """Stop to capture; safe to call twice."""
        opened, self._open = self._open, []
        for device, _, buffer in opened:
            buffer.unwatch(asyncio.get_running_loop())
            buffer.close()
            self._scans += buffer.scans
            self._lost += buffer.lost
            self._mistimed += buffer.mistimed
            _stop(device)

    async def read_batch(self) -> Samples:
        """Wait for the next samples. Raises SourceLost, also after a second of silence."""
        while True:
            if not self._open:
                raise SourceLost("imu: not open")
            await self._wait()
            parts = [part for _, kinds, buffer in self._open for part in self._take(kinds, buffer)]
            if parts:
                return _join(parts)

    def observe(self, window: SignalWindow) -> None:
        """See the car's speed, by which the mounting is learnt."""
        self._mount.observe(window)

    def counters(self) -> Mapping[str, int]:
        """Scans, those lost by the gaps between stamps, mistimed and clipped ones, and how far forward may be off."""
        buffers = [buffer for _, _, buffer in self._open]
        return {
            "scans": self._scans + sum(buffer.scans for buffer in buffers),
            "lost": self._lost + sum(buffer.lost for buffer in buffers),
            "mistimed": self._mistimed + sum(buffer.mistimed for buffer in buffers),
            "clipped": self._clipped,
            "heading_error_deg": round(self._mount.heading_error_deg),
        }

    def _find(self) -> list[tuple[Attributes, tuple[str, ...]]]:
        """Which devices, and what each is asked for. A box without a gyroscope is used without."""
        device = find_device(self._root, self._imu.device, "accel_x")
        if self._imu.gyroscope:
            return [(device, ("accel",)), (find_device(self._root, self._imu.gyroscope, "anglvel_x"), ("anglvel",))]
        if device.has("scan_elements/in_anglvel_x_en"):
            return [(device, ("accel", "anglvel"))]
        beside = device.read("name").replace("accel", "gyro")  # as the two halves of one chip are called
        try:
            return [(device, ("accel",)), (find_device(self._root, beside, "anglvel_x"), ("anglvel",))]
        except SourceLost:
            return [(device, ("accel",))]

    async def _wait(self) -> None:
        """Return when a buffer has reached its watermark. Raises SourceLost."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        for _, _, buffer in self._open:
            buffer.watch(loop, wake)
        try:
            async with asyncio.timeout(self._silence_s):
                await woken
        except TimeoutError:
            raise SourceLost(f"imu: silent for {self._silence_s:g} s") from None
        finally:
            for _, _, buffer in self._open:
                buffer.unwatch(loop)

    def _take(self, kinds: tuple[str, ...], buffer: Buffer) -> list[Samples]:
        """What one device has, as samples of `specs`."""
        scans = buffer.read(self._clock.monotonic_ns())
        if scans is None:
            return []
        parts = []
        for place, kind in enumerate(kinds):
            columns = slice(3 * place, 3 * place + len(AXES))
            rows = scans.values[:, columns]
            if kind == "anglvel":
                parts.append(interleave(scans.t_ns, self._mount.rotations(scans.t_ns, np.rad2deg(rows)), first=_TURNS))
                continue
            turned = self._mount.accelerations(scans.t_ns, rows)
            parts.append(interleave(scans.t_ns, turned * (1.0, -1.0, 1.0)))  # from ISO 8855's left to right
            parts += self._tell(scans.t_ns, scans.clipped[:, columns].sum(axis=1))
        return parts

    def _tell(self, t_ns: Times, clipped: npt.NDArray[np.intp]) -> list[Samples]:
        """Clipping where there is any, and, once a second, how well forward is known."""
        parts = []
        rows = clipped.nonzero()[0]
        if len(rows):
            self._clipped += len(rows)
            parts.append(interleave(t_ns[rows], clipped[rows].astype(np.float64)[:, None], first=_CLIPPED))
        if t_ns[-1] - self._told_ns >= _TOLD_NS:
            self._told_ns = int(t_ns[-1])
            parts.append(interleave(t_ns[-1:], np.array([[self._mount.heading_error_deg]]), first=_HEADING))
        return parts


def _stop(device: Attributes) -> None:
    """Spare the chip's current; a device that is gone, or may not be written to, needs nothing."""
    try:
        device.set("buffer/enable", "0")
    except SourceLost:
        return


def _join(parts: Sequence[Samples]) -> Samples:
    if len(parts) == 1:
        return parts[0]
    return Samples(
        np.concatenate([part.t_ns for part in parts]),
        np.concatenate([part.signal for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.quality for part in parts]),
    )
