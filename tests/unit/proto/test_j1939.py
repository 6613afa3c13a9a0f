import pytest

from agent.core.errors import ProtocolError
from agent.proto import j1939
from agent.proto.j1939 import GLOBAL, Identifier, Message, Transport
from agent.proto.j1939_dm import Diagnosis, Fault, Flash, Lamp, LampState, encode_diagnosis, parse_diagnosis
from agent.proto.j1939_extended import (
    EXTENDED_MAX,
    SESSIONS_MAX,
    encode_extended,
    encode_extended_offset,
    encode_extended_request,
)

SECOND = 1_000_000_000
DATA = bytes(range(30))
PGN = 0xFECA


def identifier(pgn: int, source: int, destination: int = GLOBAL) -> int:
    return j1939.encode_identifier(Identifier(7, pgn, source, destination))


def feed_all(transport: Transport, frames: list[tuple[int, bytes]]) -> list[Message]:
    results = (transport.feed(can_id, data, 0) for can_id, data in frames)
    return [message for message in results if message is not None]


def broadcast(source: int, data: bytes = DATA, pgn: int = PGN) -> list[tuple[int, bytes]]:
    announcement = (identifier(j1939.PGN_CONNECTION, source), j1939.encode_broadcast(pgn, data))
    return [announcement] + [(identifier(j1939.PGN_DATA, source), packet) for packet in j1939.encode_packets(data)]


def control(source: int, destination: int, data: bytes) -> tuple[int, bytes]:
    return identifier(j1939.PGN_CONNECTION, source, destination), data


def packets(source: int, destination: int, data: bytes = DATA) -> list[tuple[int, bytes]]:
    return [(identifier(j1939.PGN_DATA, source, destination), packet) for packet in j1939.encode_packets(data)]


@pytest.mark.parametrize(
    ("can_id", "expected"),
    [
        (0x0CF00400, Identifier(3, 0xF004, 0, GLOBAL)),  # EEC1
        (0x18FEF100, Identifier(6, 0xFEF1, 0, GLOBAL)),  # CCVS
        (0x1CECFF3D, Identifier(7, 0xEC00, 0x3D, GLOBAL)),  # BAM
        (0x18EA00F9, Identifier(6, 0xEA00, 0xF9, 0)),  # request to the engine
        (0x19FEF100, Identifier(6, 0x1FEF1, 0, GLOBAL)),  # data page 1
    ],
)
def test_identifiers(can_id: int, expected: Identifier) -> None:
    assert j1939.parse_identifier(can_id) == expected
    assert j1939.encode_identifier(expected) == can_id


def test_identifiers_that_there_are_not() -> None:
    with pytest.raises(ProtocolError):
        j1939.parse_identifier(1 << 29)
    for wrong in (Identifier(8, 0, 0, 0), Identifier(6, 0xEA01, 0, 0), Identifier(6, 0xFEF1, 0, 3)):
        with pytest.raises(ValueError, match=r"fit|address|everybody"):
            j1939.encode_identifier(wrong)


def test_a_short_message_is_itself() -> None:
    assert Transport().feed(0x18FEF100, bytes(8), 5) == Message(5, 0xFEF1, 0, GLOBAL, bytes(8))


def test_broadcasts_of_several_sources_interleave() -> None:
    transport = Transport()
    mixed = [frame for pair in zip(broadcast(1), broadcast(2, DATA[::-1]), strict=True) for frame in pair]
    assert feed_all(transport, mixed) == [Message(0, PGN, 1, GLOBAL, DATA), Message(0, PGN, 2, GLOBAL, DATA[::-1])]
    assert len(transport) == 0


def test_a_gap_in_a_broadcast_drops_it() -> None:
    transport = Transport()
    frames = broadcast(1)
    del frames[2]
    with pytest.raises(ProtocolError, match=r"packet 3 of 5 .*expected 2"):
        feed_all(transport, frames)
    assert feed_all(transport, frames[3:]) == []
    assert transport.ignored == len(frames[3:])


def test_a_dialogue_is_overheard_with_its_repetitions() -> None:
    transport = Transport()
    five = packets(0, 0xF9)
    frames = [
        control(0, 0xF9, j1939.encode_request_to_send(PGN, DATA)),
        control(0xF9, 0, j1939.encode_clear_to_send(PGN, packets=3, first=1)),
        *five[:3],
        control(0xF9, 0, j1939.encode_clear_to_send(PGN, packets=0, first=0xFF)),  # wait
        control(0xF9, 0, j1939.encode_clear_to_send(PGN, packets=3, first=2)),  # again from 2
        *five[1:],
        control(0xF9, 0, j1939.encode_end(PGN, DATA)),
    ]
    assert feed_all(transport, frames) == [Message(0, PGN, 0, 0xF9, DATA)]
    assert (transport.aborted, transport.ignored, len(transport)) == (0, 0, 0)


def test_both_directions_at_once_do_not_mix() -> None:
    transport = Transport()
    frames = [
        control(0, 0xF9, j1939.encode_request_to_send(PGN, DATA)),
        control(0xF9, 0, j1939.encode_request_to_send(0xEF00, DATA[::-1])),
    ]
    frames += [frame for pair in zip(packets(0, 0xF9), packets(0xF9, 0, DATA[::-1]), strict=True) for frame in pair]
    assert [(m.source, m.data) for m in feed_all(transport, frames)] == [(0, DATA), (0xF9, DATA[::-1])]


@pytest.mark.parametrize(("source", "destination"), [(0, 0xF9), (0xF9, 0)])
def test_either_side_may_abort(source: int, destination: int) -> None:
    transport = Transport()
    feed_all(transport, [control(0, 0xF9, j1939.encode_request_to_send(PGN, DATA)), *packets(0, 0xF9)[:2]])
    feed_all(transport, [control(source, destination, j1939.encode_abort(PGN, 3))])
    assert (len(transport), transport.aborted) == (0, 1)


def test_what_waits_too_long_expires() -> None:
    transport = Transport(timeout_s=1.25)
    frames = broadcast(1)
    transport.feed(*frames[0], 0)
    transport.feed(*frames[1], SECOND)
    assert transport.feed(*frames[2], SECOND * 3) is None
    assert (transport.expired, transport.ignored) == (1, 1)


def test_memory_is_bounded() -> None:
    transport = Transport(sessions_max=3)
    for source in range(10):
        transport.feed(*broadcast(source, bytes(j1939.MESSAGE_MAX))[0], source)
    assert (len(transport), transport.aborted) == (3, 7)


@pytest.mark.parametrize(
    "data",
    ["", "20", "20 1e00 05 ff cafe", "20 0800 02 ff cafe00", "20 1e00 04 ff cafe00", "20 fa06 ff ff cafe00",
     "10 1e00 05 ff cafe00", "55 1e00 05 ff cafe00"],
)  # fmt: skip
def test_broken_announcements(data: str) -> None:
    with pytest.raises(ProtocolError):
        Transport().feed(identifier(j1939.PGN_CONNECTION, 1), bytes.fromhex(data), 0)


def test_a_short_packet_is_broken() -> None:
    transport = Transport()
    transport.feed(*broadcast(1)[0], 0)
    with pytest.raises(ProtocolError):
        transport.feed(identifier(j1939.PGN_DATA, 1), b"\x01\x02", 0)
    assert len(transport) == 0


def test_dm1_of_one_frame() -> None:
    on, off = Lamp(LampState.ON), Lamp()
    diagnosis = parse_diagnosis(bytes.fromhex("04 ff be 00 04 85 ff ff"))
    assert diagnosis == Diagnosis(off, off, on, off, (Fault(190, 4, 5, certain=False),))
    assert diagnosis.warning.is_on
    assert parse_diagnosis(bytes.fromhex("04 ff be 00 04 05 ff ff")).faults == (Fault(190, 4, 5),)


def test_dm1_says_that_there_is_no_fault() -> None:
    for data in ("00 ff 00 00 00 00 ff ff", "00 ff ff ff ff ff ff ff", "00 ff 00 00 00 00"):
        assert parse_diagnosis(bytes.fromhex(data)).faults == ()


def test_dm1_with_large_spns_and_flashing_lamps() -> None:
    fast = Lamp(LampState.ON, Flash.FAST)
    diagnosis = Diagnosis(fast, Lamp(), Lamp(), fast, (Fault(520_192, 31, None), Fault(524_287, 0, 126)))
    assert encode_diagnosis(diagnosis)[2:6].hex() == "00f0ff7f"
    assert parse_diagnosis(encode_diagnosis(diagnosis)) == diagnosis


@pytest.mark.parametrize("data", ["", "00ff000000", "00ff0000000000", "00ff00000000aaaa", "00ff" + "00" * 9])
def test_broken_dm1(data: str) -> None:
    with pytest.raises(ProtocolError):
        parse_diagnosis(bytes.fromhex(data))


@pytest.mark.parametrize("fault", [Fault(0, 0, 0), Fault(1 << 19, 0), Fault(1, 32), Fault(1, 1, 128)])
def test_faults_that_cannot_be_told(fault: Fault) -> None:
    with pytest.raises(ValueError, match=r"fit|no fault"):
        encode_diagnosis(Diagnosis(faults=(fault,)))


def extended(
    transport: Transport, kind: int, data: bytes, *, source: int = 0, to: int = 0xF9, t_ns: int = 0
) -> Message | None:
    return transport.feed(j1939.encode_identifier(Identifier(7, kind, source, to)), data, t_ns)


def test_an_extended_message_of_which_a_packet_is_asked_for_again() -> None:
    message, transport = bytes(range(256)) * 8, Transport()
    control, data = j1939.PGN_EXTENDED_CONNECTION, j1939.PGN_EXTENDED_DATA
    frames = encode_extended(0xEF00, message, packets=100)
    lost = frames.pop(50)
    for is_control, frame in frames:
        assert extended(transport, control if is_control else data, frame) is None
    grant = bytes([21, 1, 49, 0, 0]) + (0xEF00).to_bytes(3, "little")
    assert extended(transport, control, grant, source=0xF9, to=0) is None
    assert extended(transport, control, encode_extended_offset(0xEF00, packets=1, offset=48)) is None
    assert extended(transport, data, b"\x01" + lost[1][1:], t_ns=7) == Message(7, 0xEF00, 0, 0xF9, message)
    assert extended(transport, data, b"\x01" + bytes(7)) is None
    assert transport.extended.ignored == 1


def test_extended_messages_are_bounded_end_by_themselves_and_tell_of_nonsense() -> None:
    transport = Transport(timeout_s=1.0)
    control, data = j1939.PGN_EXTENDED_CONNECTION, j1939.PGN_EXTENDED_DATA
    begin = encode_extended_request(0xEF00, bytes(2000))
    for size in (1785, EXTENDED_MAX + 1, 117_440_505, (1 << 32) - 1):
        with pytest.raises(ProtocolError, match=f"{size} bytes announced to F9, not taken"):
            extended(transport, control, b"\x14" + size.to_bytes(4, "little") + bytes(3))
    with pytest.raises(ProtocolError, match="to FF"):
        extended(transport, control, begin, to=GLOBAL)
    with pytest.raises(ProtocolError, match="unknown extended connection frame 16"):
        extended(transport, control, b"\x10" + begin[1:])
    for source in range(SESSIONS_MAX + 1):
        extended(transport, control, begin, source=source, t_ns=source)
    assert (len(transport.extended), transport.extended.aborted) == (SESSIONS_MAX, 1)
    with pytest.raises(ProtocolError, match="lie beyond the end"):
        extended(transport, control, encode_extended_offset(0xEF00, packets=2, offset=285), source=1)
    with pytest.raises(ProtocolError, match="extended packet 1 of 0"):
        extended(transport, data, b"\x01" + bytes(7), source=2)
    extended(transport, control, bytes([255, 3, 255, 255, 255]) + (0xEF00).to_bytes(3, "little"), source=0xF9, to=3)
    assert len(transport.extended) == 1
    transport.feed(0x18FEF100, bytes(8), 2_000_000_000)
    assert (len(transport.extended), transport.extended.expired) == (0, 1)
    with pytest.raises(ValueError, match="does not go by the extended transport"):
        encode_extended_request(0xEF00, bytes(1785))
