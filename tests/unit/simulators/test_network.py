import asyncio
from collections.abc import AsyncIterator

import pytest

from simulators.network import Network


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
