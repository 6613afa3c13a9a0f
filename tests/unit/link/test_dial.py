"""What stands between the car and its broker has names of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.core.config import Link
from agent.core.errors import LinkDown
from agent.link.dial import dial
from agent.link.mqtt import connect
from simulators.network import Network
from simulators.network_conditions import CONDITIONS, Conditions
from simulators.pki import Authority, Identity


@asynccontextmanager
async def _road(directory: Path, conditions: Conditions, stranger: Identity | None = None) -> AsyncIterator[Network]:
    network = Network(1, stranger=stranger)
    await network.start()
    network.set(conditions)
    yield network
    await network.stop()


def _link(authority: Authority, port: int = 8883) -> Link:
    identity = authority.issue_client("car1")
    return Link(
        host="localhost",
        port=port,
        ca=str(authority.certificate),
        certificate=str(identity.certificate),
        key=str(identity.key),
        ack_timeout_s=0.5,
    )


async def _why(link: Link, network: Network) -> str:
    with pytest.raises(LinkDown) as caught:
        async with connect(link, client_id="car1", resolve=network.resolve):
            pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ("no_name", "localhost:8883: name not found: Name or service not known"),
        ("no_resolver", "localhost:8883: no answer from the resolver within 0.5 s"),
        ("hung", "localhost:8883: no answer within 0.5 s"),
        (
            "portal",
            "localhost:8883: a captive portal answers: HTTP/1.1 302 Found, sends us to http://portal.example/login",
        ),
    ],
)
async def test_resolver_and_captive_portal_are_told_apart(conditions: str, why: str, tmp_path: Path) -> None:
    async with _road(tmp_path, CONDITIONS[conditions]) as network:
        assert await _why(_link(Authority(tmp_path)), network) == why


async def test_strangers_and_expired_certificates_are_told_apart(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    conditions = CONDITIONS["stranger"]
    async with _road(tmp_path, conditions, Authority(tmp_path / "theirs").issue_server()) as network:
        assert "certificate is not trusted: " in await _why(_link(authority), network)
    async with _road(tmp_path, conditions, authority.issue_server(expired=True)) as network:
        assert "certificate has expired, or the clock is wrong" in await _why(_link(authority), network)
    async with _road(tmp_path, conditions, authority.issue_server(["other.example"])) as network:
        assert "certificate is not trusted: Hostname mismatch" in await _why(_link(authority), network)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-dropbear\r\n", "whoever answers speaks no TLS"),
        (b"HTTP/1.1 511 \x1b[31mNo\r\nX: y", "a captive portal answers: HTTP/1.1 511$"),
    ],
)
async def test_other_services_are_no_broker_and_write_no_control_characters(
    answer: bytes, why: str, tmp_path: Path
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = _link(Authority(tmp_path), server.sockets[0].getsockname()[1])
    with pytest.raises(LinkDown, match=why):
        await dial(link, timeout_s=2)
    server.close()
