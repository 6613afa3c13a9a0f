import os
import tty
from collections.abc import Iterator

import numpy as np
import pytest

from agent.core import vss
from agent.core.config import Gnss
from agent.core.errors import SourceLost
from agent.core.signals import Quality
from agent.proto.nmea import Fix, encode_sentence
from drivers.gnss_serial import SPECS, GnssSource, samples_of
from simulators.clock import ManualClock

RMC = "GNRMC,093802.00,A,5213.1439,N,02100.6511,E,010.0,226.0,160305,004.2,E,D"
GGA = "GPGGA,093802.00,5213.1439,N,02100.6511,E,2,10,0.9,137.2,M,36.2,M,,"


class Receiver:
    """A pty whose far end we write to."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)

    def say(self, data: bytes) -> None:
        os.write(self.master, data)

    def unplug(self) -> None:
        for fd in (self.master, self.slave):
            os.close(fd)
        self.master = -1


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    if made.master >= 0:
        made.unplug()


async def test_position_speed_heading_altitude_and_accuracy(receiver: Receiver) -> None:
    source = GnssSource(Gnss(port=receiver.port), ManualClock(start_ns=7))
    await source.open()
    receiver.say(b"\xb5b\x01\x07" + encode_sentence(RMC) + encode_sentence(GGA))
    samples = await source.read_batch()
    assert set(samples.t_ns) == {7}
    assert set(samples.quality) == {Quality.VALID}
    values = {SPECS[n].path: v for n, v in zip(samples.signal, samples.value, strict=True)}
    assert values == pytest.approx(
        {
            vss.LATITUDE: 52.219065,
            vss.LONGITUDE: 21.010851667,
            vss.GNSS_SPEED: 18.52,
            vss.HEADING: 226.0,
            vss.ALTITUDE: 137.2,
            vss.HORIZONTAL_ACCURACY: 4.5,
        }
    )
    await source.close()
    await source.close()
    assert source.counters() == {"sentences": 2, "fixes": 2, "invalid": 0, "bad": 0, "dropped": 0}


def test_a_fix_that_is_none_is_a_sentinel_even_without_numbers() -> None:
    samples = samples_of([Fix(valid=False), Fix(valid=False, latitude=1.0, longitude=2.0, speed_kmh=3.0)], 0)
    assert set(samples.quality) == {Quality.SENTINEL}
    assert list(samples.signal) == [0, 1, 0, 1, 4]
    assert np.isnan(samples.value[:2]).all()


def test_an_impossible_value_is_implausible() -> None:
    assert list(samples_of([Fix(valid=True, speed_kmh=900.0)], 0).quality) == [Quality.IMPLAUSIBLE]


async def test_an_unplugged_receiver_is_lost(receiver: Receiver) -> None:
    source = GnssSource(Gnss(port=receiver.port), ManualClock())
    await source.open()
    receiver.unplug()
    with pytest.raises(SourceLost):
        await source.read_batch()
    await source.close()
    with pytest.raises(SourceLost):
        await source.open()
    with pytest.raises(SourceLost, match="not open"):
        await source.read_batch()


async def test_a_silent_receiver_is_lost(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.gnss_serial._SILENCE_S", 0.01)
    source = GnssSource(Gnss(port=receiver.port), ManualClock())
    await source.open()
    with pytest.raises(SourceLost, match="silent"):
        await source.read_batch()
    await source.close()
