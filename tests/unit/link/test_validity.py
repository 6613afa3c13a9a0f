"""A box whose clock is wrong connects, and still refuses what ended before the newest signed time."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.core.best_time import EARLIEST_NS, Now
from agent.core.config import Link
from agent.core.errors import LinkDown
from agent.link import validity
from agent.link.mqtt import connect
from agent.link.renewal import DAY_NS
from agent.link.validity import choose_check, date_text
from simulators.access import RULES
from simulators.broker import Broker
from simulators.pki import VALID, Authority, Identity

UNKNOWN = Now(floor_ns=EARLIEST_NS)
REAL_NS = int(datetime.now(UTC).timestamp()) * 10**9
YEARS_NS = 3_650 * DAY_NS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


async def try_to_connect(authority: Authority, server: Identity, now: Now | None) -> None:
    broker = Broker(authority=authority.certificate, identity=server, rules=RULES)
    await broker.start()
    identity = authority.issue_client("car1")
    link = Link(
        host="127.0.0.1",
        port=broker.port,
        ca=str(authority.certificate),
        certificate=str(identity.certificate),
        key=str(identity.key),
        ack_timeout_s=2.0,
    )
    try:
        async with connect(link, client_id="car1", now=None if now is None else lambda: now):
            pass
    finally:
        await broker.stop()


@pytest.mark.parametrize("wall_ns", [0, REAL_NS - YEARS_NS, REAL_NS + YEARS_NS])
def test_a_system_clock_apart_from_the_best_time_is_left_out(wall_ns: int) -> None:
    for now in (UNKNOWN, Now(floor_ns=EARLIEST_NS, wall_ns=REAL_NS)):
        context = ssl.create_default_context()
        choose_check(context, now, system_ns=lambda: wall_ns)
        assert context.verify_flags & 0x200000
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


def test_a_system_clock_that_is_right_judges_as_ever() -> None:
    for now in (None, Now(floor_ns=EARLIEST_NS, wall_ns=REAL_NS)):
        context = ssl.create_default_context()
        choose_check(context, now, system_ns=lambda: REAL_NS + 10**9)
        assert not context.verify_flags & 0x200000


async def test_a_box_that_does_not_know_the_time_connects(authority: Authority) -> None:
    await try_to_connect(authority, authority.issue_server(), UNKNOWN)


async def test_what_openssl_holds_for_ended_is_taken_where_nobody_can_tell(authority: Authority) -> None:
    expired = authority.issue_server(expired=True)  # ended yesterday: to OpenSSL's clock, which may be in 2036
    with pytest.raises(LinkDown, match="has expired, or the clock is wrong"):
        await try_to_connect(authority, expired, None)
    await try_to_connect(authority, expired, UNKNOWN)


async def test_what_ended_before_a_signed_time_is_refused(authority: Authority) -> None:
    server = authority.issue_server()
    later = Now(floor_ns=REAL_NS + (VALID.days + 1) * DAY_NS)
    why = r"127\.0\.0\.1:\d+: the broker's certificate has expired: CN=broker ended 20\d\d-\d\d-\d\d, and it is 20"
    with pytest.raises(LinkDown, match=why):
        await try_to_connect(authority, server, later)
    await try_to_connect(authority, server, Now(floor_ns=REAL_NS + (VALID.days - 2) * DAY_NS))


async def test_an_authority_that_ended_is_refused_too(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    chains: list[list[bytes]] = []
    seen = validity._chain

    def spy(sock: ssl.SSLSocket) -> list[bytes]:
        chains.append(seen(sock))
        return chains[-1]

    monkeypatch.setattr(validity, "_chain", spy)
    await try_to_connect(authority, authority.issue_server(), UNKNOWN)
    authority_der = ssl.PEM_cert_to_DER_cert(authority.certificate.read_text())
    assert [len(chain) for chain in chains] == [2]
    assert chains[0][1] == authority_der
    with pytest.raises(OSError, match="CN=Outrider simulator CA ended"):
        validity.check_ends([authority_der], Now(floor_ns=REAL_NS + (VALID.days + 1) * DAY_NS))


async def test_strangers_and_other_names_are_refused_without_a_clock(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "theirs").issue_server()
    for server in (stranger, authority.issue_server(["other.example"])):
        with pytest.raises(LinkDown, match="is not trusted"):
            await try_to_connect(authority, server, UNKNOWN)


async def test_a_renewed_certificate_is_used_by_the_next_connection(authority: Authority) -> None:
    broker = Broker(authority=authority.certificate, identity=authority.issue_server(), rules=RULES)
    await broker.start()
    old, new = authority.issue_client("car1", expired=True), authority.issue_client("car1")
    link = Link(
        host="127.0.0.1",
        port=broker.port,
        ca=str(authority.certificate),
        certificate=str(old.certificate),
        key=str(old.key),
        ack_timeout_s=2.0,
    )
    with pytest.raises(LinkDown, match="before CONNACK"):
        async with connect(link, client_id="car1"):
            pass
    old.key.write_bytes(new.key.read_bytes())
    old.certificate.write_bytes(new.certificate.read_bytes())
    async with connect(msgspec.structs.replace(link), client_id="car1"):
        pass
    await broker.stop()


def test_a_date_beyond_the_calendar_is_no_error() -> None:
    assert (date_text(0), date_text(2**63 * 10**3)) == ("1970-01-01", "far away")
