import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.network import Network
from simulators.network_conditions import CONDITIONS, Conditions, Phase, Schedule
from simulators.pki import Authority


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    network = Network(server.sockets[0].getsockname()[1])
    await network.start()
    yield network
    await network.stop()
    server.close()
    await server.wait_closed()


async def _say(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, text: bytes) -> bytes:
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), 2)


async def test_bytes_pass(network: Network) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    assert await _say(writer, reader, b"hello") == b"hello"
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_a_cut_resets_and_restore_lets_in_again(network: Network) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    await _say(writer, reader, b"hello")
    network.cut()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 2)
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 2)
    writer.close()
    network.restore()
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    assert await _say(writer, reader, b"again") == b"again"
    writer.close()


async def test_a_hung_network_is_silent_and_late(network: Network) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    await _say(writer, reader, b"hello")
    network.hang()
    writer.write(b"late")
    for _ in range(20):
        await asyncio.sleep(0)
    late = asyncio.create_task(reader.readexactly(4))
    await asyncio.wait([late], timeout=0.02)
    assert not late.done()
    network.restore()
    assert await asyncio.wait_for(late, 2) == b"late"
    writer.close()


async def test_what_is_delayed_is_not_held_up(network: Network) -> None:
    loop = asyncio.get_running_loop()
    network.set(Conditions(delay_s=0.1))
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    begun_s = loop.time()
    for number in range(20):
        writer.write(b"%02d" % number)
        await writer.drain()
    assert len(await asyncio.wait_for(reader.readexactly(40), 5)) == 40
    assert loop.time() - begun_s >= 0.2  # there and back
    writer.close()


async def test_a_slow_and_lossy_road_changes_no_byte(network: Network) -> None:
    network.set(Conditions(loss=0.3, retransmit_s=0.001, rate_bps=20e6, jitter_s=0.001))
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    data = bytes(range(256)) * 400
    writer.write(data)
    assert await asyncio.wait_for(reader.readexactly(len(data)), 10) == data
    writer.close()


async def test_stranded_connections_hear_nothing_more_and_new_ones_do(network: Network) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    await _say(writer, reader, b"hello")
    assert network.strand() == 1
    writer.write(b"into the void")
    newer_reader, newer = await asyncio.open_connection("127.0.0.1", network.port)
    assert await _say(newer, newer_reader, b"hello") == b"hello"
    silence = asyncio.create_task(reader.read(1))
    await asyncio.wait([silence], timeout=0.02)
    assert not silence.done()
    silence.cancel()
    writer.close()
    newer.close()


async def test_a_connection_is_reset_in_mid_packet(network: Network) -> None:
    network.set(Conditions(reset_after_bytes=(10, 10)))
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    assert await _say(writer, reader, b"sixsix") == b"sixsix"
    writer.write(b"sixsix")
    with pytest.raises(ConnectionResetError):  # the four that got through may come back first
        await asyncio.wait_for(reader.readexactly(100), 2)
    assert network.resets == 1
    writer.close()


async def test_a_portal_answers_http_to_whatever_comes(network: Network) -> None:
    network.set(Conditions(answers="portal"))
    reader, writer = await asyncio.open_connection("127.0.0.1", network.port)
    writer.write(b"\x16\x03\x01")
    assert (await asyncio.wait_for(reader.read(), 2)).startswith(b"HTTP/1.1 302 Found\r\n")
    writer.close()


async def test_a_stranger_shows_its_own_certificate(network: Network, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="knows no stranger"):
        network.set(Conditions(answers="stranger"))
    other = Authority(tmp_path)
    strange = Network(1, stranger=other.issue_server())
    await strange.start()
    strange.set(Conditions(answers="stranger"))
    context = ssl.create_default_context(cafile=str(other.certificate))
    _, writer = await asyncio.open_connection("127.0.0.1", strange.port, ssl=context)
    assert writer.get_extra_info("peercert")["subject"][0][0] == ("commonName", "broker")
    writer.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", strange.port, ssl=ssl.create_default_context())
    await strange.stop()


async def test_the_resolver_knows_or_knows_not_or_is_silent(network: Network) -> None:
    (address,) = await network.resolve("broker.example", 8883)
    assert address[4] == ("127.0.0.1", network.port)
    network.set(CONDITIONS["no_name"])
    with pytest.raises(socket.gaierror, match="not known"):
        await network.resolve("broker.example", 8883)
    network.set(CONDITIONS["no_resolver"])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(network.resolve("broker.example", 8883), 0.01)


async def test_a_schedule_ends_in_its_last_conditions(network: Network) -> None:
    phases = [
        Phase(for_s=3600, conditions=CONDITIONS["cut"]),
        Phase(for_s=3600, conditions=CONDITIONS["lossy"]),
    ]
    await network.play(Schedule(phases=phases), pace=1e6)
    assert network.conditions == CONDITIONS["lossy"]
