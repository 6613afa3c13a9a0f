"""Position, speed and heading from a GNSS receiver that speaks NMEA 0183, on a tty or a pty."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from agent.core import vss
from agent.core.config import Gnss
from agent.core.errors import SourceLost
from agent.core.ports import Clock
from agent.core.signals import Quality, Samples, SignalSpec
from agent.proto.nmea import Fix, NmeaParser
from drivers.byte_line import ByteLine, open_line

_SILENCE_S: Final = 5.0  # receivers speak once a second or more often
_OPEN_TIMEOUT_S: Final = 1.0
_RANGE_ERROR_M: Final = 5.0  # per unit of HDOP: a rule of thumb for a clear sky, not the receiver's own word

SPECS: Final = (
    SignalSpec(vss.LATITUDE, "degrees", minimum=-90, maximum=90, stale_after_s=3.0),
    SignalSpec(vss.LONGITUDE, "degrees", minimum=-180, maximum=180, stale_after_s=3.0),
    SignalSpec(vss.ALTITUDE, "m", minimum=-500, maximum=10_000, stale_after_s=3.0),
    SignalSpec(vss.HEADING, "degrees", minimum=0, maximum=360, stale_after_s=3.0),
    SignalSpec(vss.GNSS_SPEED, "km/h", minimum=0, maximum=500, stale_after_s=3.0),
    SignalSpec(vss.HORIZONTAL_ACCURACY, "m", minimum=0, maximum=10_000, stale_after_s=3.0),
)


class GnssSource:
    """A SampleSource. Values get the time at which their bytes arrived.

    What the receiver marks as no fix has quality SENTINEL (NaN where it gave no number), so that the loss is seen and
    no detector uses it. Silence is measured in real time, as in byte_line. on_utc gets the UTC of valid fixes, in ns.
    """

    specs: Sequence[SignalSpec] = SPECS

    def __init__(self, gnss: Gnss, clock: Clock, *, on_utc: Callable[[int], None] = lambda _: None) -> None:
        self.name = f"gnss:{gnss.port}"
        self._gnss = gnss
        self._clock = clock
        self._on_utc = on_utc
        self._line: ByteLine | None = None
        self._parser = NmeaParser()
        self._fixes = 0
        self._invalid = 0
        self._sentences = 0
        self._bad = 0
        self._dropped = 0

    async def open(self) -> None:
        """Open the port. Raises SourceLost."""
        await self.close()
        self._line = await open_line(self._gnss.port, baudrate=self._gnss.baudrate, timeout_s=_OPEN_TIMEOUT_S)
        self._parser = NmeaParser()

    async def close(self) -> None:
        """Let go of the port; safe to call twice."""
        if self._line is None:
            return
        self._line.close()
        self._dropped += self._line.dropped
        self._sentences += self._parser.sentences
        self._bad += self._parser.bad
        self._parser = NmeaParser()
        self._line = None

    async def read_batch(self) -> Samples:
        """Wait for the next fixes. Raises SourceLost, also after seconds of silence."""
        while True:
            if self._line is None:
                raise SourceLost(f"{self._gnss.port}: not open")
            data = await self._line.read(_SILENCE_S)
            if not data:
                raise SourceLost(f"{self._gnss.port}: silent for {_SILENCE_S} s")
            fixes = self._parser.feed(data)
            self._fixes += len(fixes)
            self._invalid += sum(not fix.valid for fix in fixes)
            for fix in fixes:
                if fix.valid and fix.utc_ns is not None:
                    self._on_utc(fix.utc_ns)
            samples = samples_of(fixes, self._clock.monotonic_ns())
            if len(samples):
                return samples

    def counters(self) -> Mapping[str, int]:
        """Sentences with a good checksum, fixes, those without validity, bad sentences, dropped bytes."""
        return {
            "sentences": self._sentences + self._parser.sentences,
            "fixes": self._fixes,
            "invalid": self._invalid,
            "bad": self._bad + self._parser.bad,
            "dropped": self._dropped + (self._line.dropped if self._line else 0),
        }


def samples_of(fixes: Iterable[Fix], t_ns: int) -> Samples:
    """Fixes as samples of SPECS at t_ns, in the order of SPECS' columns."""
    rows: list[tuple[int, float, int]] = []
    for fix in fixes:
        for number, value in enumerate(_columns(fix)):
            if value is not None:
                rows.append((number, value, _quality(value, SPECS[number], valid=fix.valid)))
    return Samples(
        np.full(len(rows), t_ns, np.int64),
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.float64),
        np.array([row[2] for row in rows], np.uint8),
    )


def _columns(fix: Fix) -> tuple[float | None, ...]:
    """Values in the order of SPECS. A fix that is not valid always has a position, if only NaN: it must be seen."""
    accuracy = None if fix.hdop is None else fix.hdop * _RANGE_ERROR_M
    lost = None if fix.valid else math.nan
    latitude = lost if fix.latitude is None else fix.latitude
    longitude = lost if fix.longitude is None else fix.longitude
    return latitude, longitude, fix.altitude_m, fix.heading_deg, fix.speed_kmh, accuracy


def _quality(value: float, spec: SignalSpec, *, valid: bool) -> Quality:
    if not valid:
        return Quality.SENTINEL
    return Quality.VALID if spec.minimum <= value <= spec.maximum else Quality.IMPLAUSIBLE
