"""The served wires as another program meets them."""

import asyncio
import json
import os
import socket
from pathlib import Path

import can
import pytest
from can.interfaces.virtual import VirtualBus

from agent.core.errors import AgentError, InputError
from agent.core.keys import parse_ed25519, public_pem
from drivers.keystore import FileKeystore
from simulators import __main__ as simulators_main
from simulators.ecu import Faults
from simulators.network_conditions import CONDITIONS
from simulators.serve import main
from simulators.serve_bus import DiagnosticEcu, serve_ecus, serve_j1939
from simulators.serve_cloud import CloudOptions, load_schedule, serve_cloud
from simulators.serve_ports import Outlet
from simulators.serve_wires import Wire, bus_of, tcp_port_of, wire

_VALUES = {"Vehicle.Speed": 50.0, "Vehicle.Powertrain.CombustionEngine.Speed": 2000.0}


def _ecu() -> DiagnosticEcu:
    return DiagnosticEcu(lambda: _VALUES, faults=Faults(stored=("P0301",), pending=("P0171", "P0301")))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("can", "udp_multicast"),
        ("gnss", "pty"),
        ("gnss=tcp:10110", "tcp:10110"),
        ("cloud", "tcp:8883"),
        ("ecus=socketcan:vcan1", "socketcan:vcan1"),
    ],
)
def test_a_wire_is_a_name_and_a_place(text: str, where: str) -> None:
    assert wire(text) == Wire(text.partition("=")[0], where)


def test_places_are_taken_apart() -> None:
    assert bus_of(wire("can")) == ("udp_multicast", "239.74.163.2")
    assert bus_of(wire("j1939=socketcan:vcan3")) == ("socketcan", "vcan3")
    assert (tcp_port_of(wire("imu")), tcp_port_of(wire("imu=tcp:7"))) == (None, 7)


@pytest.mark.parametrize(
    "text", ["radio", "can=virtual", "gnss=tcp", "gnss=tcp:x", "gnss=tcp:70000", "imu=udp:1", "cloud=pty"]
)
def test_a_bad_wire_is_named(text: str) -> None:
    with pytest.raises(InputError, match=text.partition("=")[0]):
        wire(text)


@pytest.mark.parametrize("name", ["gnss", "imu", "dongle", "cloud"])
def test_a_port_in_use_is_one_line_with_its_key(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert simulators_main.main(["serve", f"{name}=tcp:{port}", "--scenario", "door_slam"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"simulators serve: {name}=tcp:{port}: ")
    assert "in use" in line


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (["gnss", "gnss=tcp:0"], "named twice"),
        (["gnss", "--pace", "0"], "--pace 0"),
        (["gnss", "--scenario", "nowhere"], "nowhere"),
        (["cloud=tcp:0", "--network", "fog"], "--network fog"),
        (["cloud=tcp:0", "--device", "car1"], "--device car1"),
        (["cloud=tcp:0", "--device", "car1=/no/such"], "/no/such"),
    ],
)
def test_what_cannot_be_served_is_said(argv: list[str], what: str) -> None:
    with pytest.raises(AgentError, match=what):
        main(argv)


def test_a_drive_is_served_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gnss=tcp:0", "imu", "dongle", "--scenario", "door_slam", "--pace", "1000"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["gnss", "imu", "dongle"]


async def test_everybody_on_a_tcp_port_hears_the_same() -> None:
    async with Outlet("gnss", 0) as outlet:
        port = int(outlet.where.rpartition(":")[2])
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        async with asyncio.timeout(2):
            while outlet.clients < 2:  # noqa: ASYNC110 - plain data
                await asyncio.sleep(0)
            outlet.write(b"$GN\r\n")
            for reader, writer in clients:
                assert await reader.readline() == b"$GN\r\n"
                writer.close()


async def test_a_pty_is_read_like_a_receiver_and_may_overflow() -> None:
    async with Outlet("imu", None) as outlet:
        line = os.open(outlet.where, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        outlet.write(b'{"t_ns":1}\n')
        assert json.loads(os.read(line, 100)) == {"t_ns": 1}
        for _ in range(10_000):
            outlet.write(bytes(100))
        os.close(line)
    with pytest.raises(FileNotFoundError):
        os.readlink(outlet.where)  # noqa: PTH115 - no wait that matters


def test_the_ecu_answers_uds_beside_j1979() -> None:
    ecu = _ecu()
    assert ecu.answer(b"\x22\xf1\x90") == b"\x62\xf1\x90LRDTESTCAR0000007"
    assert ecu.answer(b"\x22\xf1\x91") == b"\x7f\x22\x31"
    assert ecu.answer(b"\x3e\x00") == b"\x7e\x00"
    assert ecu.answer(b"\x3e\x80") is None
    assert ecu.answer(b"\x19\x02\x08") == b"\x59\x02\xff\x03\x01\x00\x09"
    assert ecu.answer(b"\x19\x01\xff") == b"\x59\x01\xff\x00\x00\x02"
    assert ecu.answer(b"\x19\x05\xff") == b"\x7f\x19\x12"
    assert ecu.answer(b"\x03") == b"\x43\x01\x03\x01"


async def _served(bus: can.BusABC, serving: "asyncio.Task[None]", wanted: int) -> list[can.Message]:
    heard: list[can.Message] = []
    async with asyncio.timeout(5):
        while len(heard) < wanted:
            if serving.done():
                serving.result()
            message = bus.recv(0)
            if message is not None:
                heard.append(message)
            await asyncio.sleep(0)
    return heard


async def test_ecus_answer_on_a_bus_with_flow_control() -> None:
    ready = asyncio.Event()
    serving = asyncio.create_task(serve_ecus(_ecu(), "virtual", "serve-ecus", on_ready=ready.set))
    await ready.wait()
    with VirtualBus("serve-ecus") as tester:
        tester.send(can.Message(arbitration_id=0x7E0, data=b"\x03\x22\xf1\x90", is_extended_id=False))
        (first,) = await _served(tester, serving, 1)
        assert bytes(first.data[:2]) == b"\x10\x14"
        tester.send(can.Message(arbitration_id=0x7E0, data=b"\x30\x00\x00", is_extended_id=False))
        rest = await _served(tester, serving, 2)
        payload = bytes(first.data[2:]) + b"".join(bytes(frame.data[1:]) for frame in rest)
        assert payload[:20] == b"\x62\xf1\x90LRDTESTCAR0000007"
    serving.cancel()
    await asyncio.wait([serving])


async def test_a_truck_broadcasts_on_a_bus() -> None:
    ready = asyncio.Event()
    with VirtualBus("serve-j1939") as listener:
        serving = asyncio.create_task(serve_j1939(lambda: _VALUES, "virtual", "serve-j1939", on_ready=ready.set))
        frames = await _served(listener, serving, 6)
        assert {frame.arbitration_id for frame in frames} >= {0x0CF00400, 0x18FEF100, 0x18FECA00}
        assert all(frame.is_extended_id for frame in frames)
        serving.cancel()
        await asyncio.wait([serving])


def test_a_road_has_a_name_or_a_file(tmp_path: Path) -> None:
    assert load_schedule("lossy").phases[0].conditions == CONDITIONS["lossy"]
    file = tmp_path / "journey.toml"
    file.write_text("[[phases]]\nfor_s = 60\n[phases.conditions]\nway = 'cut'\n", encoding="utf-8")
    assert load_schedule(str(file)).phases[0].conditions == CONDITIONS["cut"]
    file.write_text("[[phases]]\nfor_s = 60\n[phases.conditions]\nloss = 2\n", encoding="utf-8")
    with pytest.raises(InputError, match="loss"):
        load_schedule(str(file))


async def test_a_cloud_lets_a_named_car_in(tmp_path: Path) -> None:
    keystore = FileKeystore.create(tmp_path / "car1.pem", "car1")
    public = tmp_path / "car1.pub.pem"
    public.write_bytes(public_pem(parse_ed25519(keystore.public_key)))
    said: list[str] = []
    heard = asyncio.Event()

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("claims desk: http://127.0.0.1:"):
            heard.set()

    options = CloudOptions(tmp_path / "cloud", 0, [f"car1={public}"], "open")
    serving = asyncio.create_task(serve_cloud(options, say=say))
    async with asyncio.timeout(10):
        await heard.wait()
    text = (tmp_path / "cloud" / "car1.toml").read_text(encoding="utf-8")
    assert "[link]" in text
    assert f"port = {said[0].rpartition(':')[2]}" in text
    serving.cancel()
    await asyncio.wait([serving])
