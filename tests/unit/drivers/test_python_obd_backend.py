import sys
import threading
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from agent.core import vss
from agent.core.config import Dongle as DongleConfig
from agent.core.errors import SourceLost
from agent.core.signals import Quality
from drivers.python_obd import PythonObdSource
from simulators.clock import ManualClock


def command(mode: int, pid: int) -> Any:
    return SimpleNamespace(mode=mode, pid=pid)


COMMANDS = SimpleNamespace(ELM_VOLTAGE="ATRV")


class Client:
    """Stands in for the library, which is not always installed and takes seconds to connect."""

    answers: ClassVar[dict[int, bytes]] = {
        0x0D: b"\x41\x0d\x48",
        0x0C: b"\x41\x0d\x48",
        0x05: b"",
        0x11: b"\x41\x11\xff",
    }
    connected = True

    def __init__(self, port: str, **_: Any) -> None:
        self.port = port
        self.asked: list[tuple[int, int]] = []
        self.supported_commands = [command(1, pid) for pid in self.answers] + [command(4, 0), command(1, 0)]

    def status(self) -> str:
        return "Car Connected" if self.connected else "Not Connected"

    def query(self, asked: Any) -> Any:
        if asked == "ATRV":
            return SimpleNamespace(value=SimpleNamespace(magnitude=14.1))
        self.asked.append((asked.mode, asked.pid))
        data = self.answers[asked.pid]
        return SimpleNamespace(messages=[SimpleNamespace(data=data)] if data else [])

    def close(self) -> None:
        self.port = ""


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    status = SimpleNamespace(CAR_CONNECTED="Car Connected")
    monkeypatch.setitem(sys.modules, "obd", SimpleNamespace(OBD=Client, OBDStatus=status, commands=COMMANDS))
    return Client


async def test_raw_answers_are_decoded_by_our_table_and_only_live_data_is_asked_for(library: type[Client]) -> None:
    source = PythonObdSource(DongleConfig(port="tcp://127.0.0.1:35000"), ManualClock(start_ns=5))
    await source.open()
    client = source._connection
    samples = await source.read_batch()
    values = {source.specs[n].path: v for n, v in zip(samples.signal, samples.value, strict=True)}
    assert values == {vss.SPEED: 72.0, vss.THROTTLE: 100.0}
    assert set(samples.quality) == {Quality.VALID}
    assert set(samples.t_ns) == {5}
    assert client.port == "socket://127.0.0.1:35000"
    assert client.asked == [(1, 0x0C), (1, 0x0D), (1, 0x05), (1, 0x11)]
    assert source.counters() == {"requests": 4, "replies": 2, "no_data": 1, "bad": 1}
    await source.close()
    assert client.port == ""


async def test_a_car_that_stops_answering_is_lost(library: type[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    source = PythonObdSource(DongleConfig(port="/dev/null"), ManualClock())
    await source.open()
    monkeypatch.setattr(library, "answers", dict.fromkeys(library.answers, b""))
    with pytest.raises(SourceLost, match="no answer from the car"):
        await source.read_batch()
    monkeypatch.setattr(library, "connected", False)
    with pytest.raises(SourceLost, match="python-OBD says: Not Connected"):
        await source.open()


async def test_a_library_that_hangs_is_left_behind(library: type[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(library, "status", lambda _: "Car Connected" if release.wait(30) else "")
    monkeypatch.setattr("drivers.python_obd._CONNECT_S_MAX", 0.01)
    source = PythonObdSource(DongleConfig(port="/dev/null"), ManualClock())
    with pytest.raises(SourceLost, match="hung"):
        await source.open()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "python-obd")
    release.set()
