from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.proto import j1939
from agent.proto.j1939 import GLOBAL, Identifier, Transport
from agent.proto.j1939_dm import Diagnosis, Fault, Flash, Lamp, LampState, encode_diagnosis, parse_diagnosis
from agent.proto.j1939_extended import EXTENDED_MAX, SESSIONS_MAX, encode_extended

SECOND = 1_000_000_000
addresses = st.integers(0, 3) | st.just(GLOBAL)
transports = [
    j1939.PGN_CONNECTION, j1939.PGN_DATA, j1939.PGN_EXTENDED_CONNECTION, j1939.PGN_EXTENDED_DATA,
]  # fmt: skip
pgns = st.sampled_from(transports) | st.integers(0, (1 << 18) - 1)
kinds = st.sampled_from([16, 17, 19, 20, 21, 22, 23, 32, 255]) | st.integers(0, 255)
announcements = st.builds(
    lambda kind, size, rest: bytes([kind]) + size.to_bytes(2, "little") + bytes([-(-size // 7) % 256]) + rest,
    kinds,
    st.integers(0, 2000),
    st.binary(min_size=4, max_size=4),
)
extended = st.builds(
    lambda kind, number: bytes([kind]) + number.to_bytes(4, "little") + bytes(3),
    st.sampled_from([20, 22]),
    st.integers(0, 4000) | st.integers(0, (1 << 32) - 1),
)
payloads = announcements | extended | st.binary(max_size=9)
frames = st.tuples(pgns, addresses, addresses, payloads, st.integers(0, SECOND))
lamps = st.builds(Lamp, st.sampled_from(LampState), st.sampled_from(Flash))
faults = st.builds(
    Fault, st.integers(1, (1 << 19) - 2), st.integers(0, 31), st.none() | st.integers(0, 126), st.booleans()
)


@given(st.lists(frames, max_size=60))
def test_any_frames_give_messages_or_a_protocol_error_within_the_memory_bound(
    stream: list[tuple[int, int, int, bytes, int]],
) -> None:
    transport = Transport(sessions_max=3)
    t_ns = 0
    for pgn, source, destination, data, step_ns in stream:
        t_ns += step_ns
        can_id = (6 << 26 | pgn << 8 | source) & ~0xFF00 if pgn >> 8 & 0xFF < 240 else 6 << 26 | pgn << 8 | source
        can_id |= destination << 8 if pgn >> 8 & 0xFF < 240 else 0
        with suppress(ProtocolError):
            message = transport.feed(can_id, data, t_ns)
            assert message is None or len(message.data) <= EXTENDED_MAX
        assert len(transport) <= 3
        assert len(transport.extended) <= SESSIONS_MAX
        assert all(len(session.data) <= EXTENDED_MAX for session in transport.extended._sessions.values())
        assert sum(len(session.data) for session in transport._sessions.values()) <= 3 * j1939.MESSAGE_MAX


@given(st.integers(0, (1 << 29) - 1))
def test_identifiers_go_round(can_id: int) -> None:
    assert j1939.encode_identifier(j1939.parse_identifier(can_id)) == can_id


@given(st.lists(st.binary(min_size=9, max_size=j1939.MESSAGE_MAX), min_size=1, max_size=3), st.data())
def test_broadcasts_arrive_however_they_interleave(messages: list[bytes], data: st.DataObject) -> None:
    transport = Transport()
    queues = {
        source: [
            (j1939.PGN_CONNECTION, j1939.encode_broadcast(0xFECA, message)),
            *((j1939.PGN_DATA, packet) for packet in j1939.encode_packets(message)),
        ]
        for source, message in enumerate(messages)
    }
    arrived = {}
    while queues:
        source = data.draw(st.sampled_from(sorted(queues)))
        for _ in range(min(len(queues[source]), 40)):
            pgn, payload = queues[source].pop(0)
            message = transport.feed(j1939.encode_identifier(Identifier(7, pgn, source, GLOBAL)), payload, 0)
            if message is not None:
                arrived[message.source] = message.data
        if not queues[source]:
            del queues[source]
    assert arrived == dict(enumerate(messages))


@given(st.binary(min_size=9, max_size=300), st.data())
def test_a_dialogue_arrives_in_whatever_order_its_packets_come(message: bytes, data: st.DataObject) -> None:
    transport = Transport()
    to, back = Identifier(7, j1939.PGN_CONNECTION, 0, 0xF9), Identifier(7, j1939.PGN_CONNECTION, 0xF9, 0)
    transport.feed(j1939.encode_identifier(to), j1939.encode_request_to_send(0xEF00, message), 0)
    packets = j1939.encode_packets(message)
    order = data.draw(st.permutations(packets))
    again = data.draw(st.lists(st.sampled_from(packets), max_size=5))
    found = []
    for packet in [*order[:-1], *again, order[-1]]:
        transport.feed(j1939.encode_identifier(back), j1939.encode_clear_to_send(0xEF00, packets=1, first=packet[0]), 0)
        told = transport.feed(j1939.encode_identifier(to._replace(pgn=j1939.PGN_DATA)), packet, 0)
        found += [] if told is None else [told.data]
    assert found[:1] == [message]


@given(st.integers(1786, 6000), st.integers(1, 255), st.integers(0, 255), st.data())
def test_an_extended_message_arrives_in_whatever_order_each_batch_comes(
    size: int, packets: int, filling: int, data: st.DataObject
) -> None:
    message = bytes((filling + place) % 256 for place in range(size))
    transport = Transport()
    control = j1939.encode_identifier(Identifier(7, j1939.PGN_EXTENDED_CONNECTION, 0, 0xF9))
    packet = j1939.encode_identifier(Identifier(7, j1939.PGN_EXTENDED_DATA, 0, 0xF9))
    batches: list[list[bytes]] = []
    arrived = []
    for is_control, frame in encode_extended(0xEF00, message, packets=packets):
        if is_control:
            batches.append([frame])
        else:
            batches[-1].append(frame)
    for first, *rest in batches:
        transport.feed(control, first, 0)
        turn = data.draw(st.integers(0, max(0, len(rest) - 1))) if len(batches) < 60 else 0
        for frame in rest[turn:] + rest[:turn]:
            told = transport.feed(packet, frame, 0)
            arrived += [] if told is None else [told]
    assert [(told.pgn, told.data) for told in arrived] == [(0xEF00, message)]
    assert len(transport.extended) == 0


@given(st.binary(max_size=40))
def test_any_bytes_are_a_diagnosis_or_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        diagnosis = parse_diagnosis(data)
        assert len(diagnosis.faults) <= (len(data) - 2) // 4
        assert parse_diagnosis(encode_diagnosis(diagnosis)) == diagnosis


@given(st.builds(Diagnosis, lamps, lamps, lamps, lamps, st.lists(faults, max_size=20).map(tuple)))
def test_a_diagnosis_goes_round(diagnosis: Diagnosis) -> None:
    assert parse_diagnosis(encode_diagnosis(diagnosis)) == diagnosis
