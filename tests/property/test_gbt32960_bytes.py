from contextlib import suppress
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.proto import gbt32960 as gbt
from agent.proto.gbt32960 import Edition, Frame, Quality, edition2016, edition2025
from agent.proto.gbt32960.frame import FRAME_MAX

TIME = b"\x1a\x09\x11\x0c\x1e\x00"
vins = st.text(st.characters(min_codepoint=0, max_codepoint=255), min_size=17, max_size=17)
frames = st.builds(
    Frame, st.sampled_from(Edition), st.integers(0, 255), vins, st.binary(max_size=80), st.integers(0, 255),
    st.sampled_from([1, 2, 3, 4, 5, 0xFE, 0xFF]),
)  # fmt: skip
types = st.sampled_from([*edition2016.BODIES, *edition2025.BODIES, 0x80, 0xFE, 0xFF, 0x40])
# Small counts and full bodies now and then: noise alone seldom gets past the first count.
bodies = st.lists(
    st.tuples(types, st.binary(max_size=4), st.integers(0, 40)).map(lambda b: bytes([b[0]]) + b[1] + bytes([1]) * b[2]),
    max_size=4,
).map(b"".join)


@given(
    edition=st.sampled_from(Edition),
    command=st.sampled_from([1, 2, 3, 4, 7]),
    data=bodies | st.binary(max_size=80),
    timed=st.booleans(),
)
def test_any_data_is_read_or_a_protocol_error_and_written_back_alike(
    edition: Edition, command: int, data: bytes, *, timed: bool
) -> None:
    frame = Frame(edition, command, "L" * 17, TIME * timed + data)
    with suppress(ProtocolError):
        message = gbt.parse_message(frame)
        assert gbt.encode_message(message) == frame.data


@given(frames)
def test_frames_go_round(frame: Frame) -> None:
    assert gbt.parse_frame(gbt.encode_frame(frame)) == frame


@given(frames, st.integers(0, 10**6), st.integers(1, 255))
def test_any_changed_byte_is_noticed(frame: Frame, at: int, change: int) -> None:
    broken = bytearray(gbt.encode_frame(frame))
    broken[at % len(broken)] ^= change
    with suppress(ProtocolError):
        told = gbt.parse_frame(bytes(broken))
        assert told.edition is not frame.edition  # the start bytes alone are outside the checksum


@given(st.lists(frames | st.binary(max_size=30), max_size=6), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_any_split_of_a_stream_gives_the_same_frames(parts: list[Frame | bytes], steps: list[int]) -> None:
    stream = b"".join(part if isinstance(part, bytes) else gbt.encode_frame(part) for part in parts)
    whole, pieces = gbt.FrameSplitter(), gbt.FrameSplitter()
    expected = whole.feed(stream)
    found, at, turn = [], 0, 0
    while at < len(stream):
        step = steps[turn % len(steps)]
        found += pieces.feed(stream[at : at + step])
        at, turn = at + step, turn + 1
        assert len(pieces) <= FRAME_MAX
    assert found == expected
    assert (pieces.skipped, pieces.bad, len(pieces)) == (whole.skipped, whole.bad, len(whole))
    assert whole.skipped + len(whole) + sum(len(gbt.encode_frame(frame)) for frame in expected) == len(stream)


@given(st.lists(frames, max_size=5))
def test_frames_back_to_back_are_all_found(listed: list[Frame]) -> None:
    assert gbt.FrameSplitter().feed(b"".join(map(gbt.encode_frame, listed))) == listed


@given(st.binary(min_size=20, max_size=20))
def test_no_marker_ever_becomes_a_number(body: bytes) -> None:
    message = gbt.parse_message(Frame(Edition.V2016, gbt.Command.REALTIME, "L" * 17, TIME + b"\x01" + body))
    assert isinstance(message, gbt.Realtime)
    [vehicle] = message.bodies
    assert isinstance(vehicle, edition2016.Vehicle)
    for reading, size in ((vehicle.speed_kmh, 2), (vehicle.odometer_km, 4), (vehicle.soc_percent, 1)):
        assert (reading.value is None) == (reading.quality is not Quality.VALID)
        assert reading.quality is not Quality.VALID or reading.raw < (1 << 8 * size) - 2


@given(st.datetimes(datetime(2000, 1, 2), datetime(2254, 12, 30)), st.integers(0, 65_535))  # noqa: DTZ001  # zone below
def test_times_go_round(time: datetime, serial: int) -> None:
    logout = gbt.Logout(time.replace(microsecond=0, tzinfo=gbt.TIME_ZONE), serial)
    frame = Frame(Edition.V2025, gbt.Command.LOGOUT, "L" * 17, gbt.encode_message(logout))
    told = gbt.parse_message(frame)
    assert told == logout
    assert isinstance(told, gbt.Logout)
    assert told.time.utcoffset() == timedelta(hours=8)
