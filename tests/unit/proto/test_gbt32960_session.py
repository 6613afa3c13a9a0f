from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.proto import gbt32960 as gbt
from agent.proto.gbt32960 import Command, Edition, Frame
from agent.proto.gbt32960.session import Identity, LoginRefused, Session

VIN = "LTESTVIN000000001"
NOW = datetime(2026, 9, 17, 4, 30, tzinfo=UTC)
WHO = Identity(Edition.V2016, VIN, "89860000000000000001")


def data(second: int) -> gbt.Realtime:
    return gbt.Realtime(NOW + timedelta(seconds=second), (gbt.Custom(0x80, bytes([second])),))


def answer(sent: bytes, response: int = 1, *, time_only: bool = True) -> bytes:
    frame = gbt.parse_frame(sent)
    body = frame.data[:6] if time_only else frame.data
    return gbt.encode_frame(Frame(frame.edition, frame.command, frame.vin, body, response=response))


def online(*, identity: Identity = WHO) -> Session:
    session = Session(identity)
    session.feed(answer(session.login(NOW, 1, 0.0)), 0.1)
    assert session.online
    return session


def test_the_login_is_the_editions() -> None:
    frame = gbt.parse_frame(Session(WHO).login(NOW, 31, 0.0))
    assert gbt.parse_message(frame) == gbt.Login2016(NOW, 31, WHO.iccid, 0, ("",))
    newer = Identity(Edition.V2025, VIN, WHO.iccid, ("0TESTPACK000000000000001",))
    frame = gbt.parse_frame(Session(newer).login(NOW, 12, 0.0))
    assert gbt.parse_message(frame) == gbt.Login2025(NOW, 12, WHO.iccid, (newer.packs,))


def test_three_logins_without_an_answer_are_enough() -> None:
    session = Session(WHO)
    first = session.login(NOW, 1, 0.0)
    assert session.poll(9.9) == []
    assert session.poll(10.0) == [first]
    assert session.poll(15.0) == []
    assert session.poll(20.0) == [first]
    with pytest.raises(LoginRefused, match="3 logins failed: no answer"):
        session.poll(30.0)


def test_a_refused_login_is_tried_again_and_the_reason_told() -> None:
    session = Session(WHO)
    login = session.login(NOW, 1, 0.0)
    session.feed(answer(login, 2), 1.0)
    assert session.poll(1.0) == [login]
    session.feed(answer(login, 4), 2.0)
    assert session.poll(2.0) == [login]
    with pytest.raises(LoginRefused, match="VIN unknown"):
        session.feed(answer(login, 4), 3.0)


@pytest.mark.parametrize("time_only", [True, False])
def test_an_answer_settles_what_it_answers(*, time_only: bool) -> None:
    session = online()
    sent = [session.send(key, data(key), reissue=False, t_s=1.0) for key in (1, 2, 3)]
    session.feed(answer(sent[1], time_only=time_only), 2.0)
    assert session.settled() == [2]
    assert session.unsettled() == [1, 3]


def test_what_is_refused_goes_again_once_a_minute_three_times() -> None:
    session = online()
    sent = session.send(1, data(1), reissue=True, t_s=0.0)
    assert gbt.parse_frame(sent).command == Command.REISSUE
    for turn in range(3):
        session.feed(answer(sent, 2), turn * 60.0)
        assert sent not in session.poll(turn * 60.0 + 59)
        assert session.poll(turn * 60.0 + 60) == [sent]
    session.feed(answer(sent, 2), 180.0)
    session.poll(240.0)
    assert (session.settled(), session.refused, session.unsettled()) == ([1], 1, [])


def test_a_platform_that_answers_no_data_is_believed_to_have_it() -> None:
    session = online()
    session.send(1, data(1), reissue=False, t_s=0.0)
    session.poll(10.0)
    assert (session.settled(), session.refused) == ([1], 0)


def test_one_that_answers_is_asked_again() -> None:
    session = online()
    sent = [session.send(key, data(key), reissue=False, t_s=0.0) for key in (1, 2)]
    session.feed(answer(sent[0]), 1.0)
    assert session.poll(10.0) == [sent[1]]


def test_a_heartbeat_when_nothing_else_goes_and_a_goodbye() -> None:
    session = online()
    assert session.poll(29.0) == []
    (beat,) = session.poll(30.0)
    assert gbt.parse_frame(beat).command == Command.HEARTBEAT
    assert gbt.parse_message(gbt.parse_frame(session.logout(NOW))) == gbt.Logout(NOW, 1)
    assert not session.has_room


def test_the_window_is_bounded() -> None:
    session = online()
    keys = 0
    while session.has_room:
        keys += 1
        session.send(keys, data(keys % 50), reissue=False, t_s=0.0)
    assert keys == 64


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_anything_may_come_from_a_platform(pieces: list[bytes]) -> None:
    session = online()
    sent = session.send(1, data(1), reissue=False, t_s=0.0)
    for piece in pieces:
        session.feed(piece, 1.0)
    session.feed(answer(sent), 2.0)
    assert set(session.settled()) | set(session.unsettled()) == {1}
