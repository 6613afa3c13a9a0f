from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.proto.isotp import SIZE_MAX, Address, Reassembler, Segmenter, encode_flow_control, encode_frames

FRAMES = st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=16), st.integers(0, 2_000_000_000)), max_size=60)


@settings(deadline=None)
@given(FRAMES)
def test_any_frames_give_messages_or_a_protocol_error_within_the_memory_bound(
    frames: list[tuple[int, bytes, int]],
) -> None:
    reassembler = Reassembler(size_max=200, senders_max=3)
    t_ns = 0
    for sender, data, step_ns in frames:
        t_ns += step_ns
        with suppress(ProtocolError):
            message = reassembler.feed(sender, data, t_ns).message
            assert message is None or 1 <= len(message) <= 200
        assert len(reassembler) <= 3
        assert sum(len(p.data) for p in reassembler._partials.values()) <= 3 * (200 + 64)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=4), st.data())
def test_what_is_sent_arrives_however_the_senders_interleave(messages: list[bytes], data: st.DataObject) -> None:
    reassembler = Reassembler()
    queues = {sender: encode_frames(message) for sender, message in enumerate(messages)}
    arrived = {}
    while queues:
        sender = data.draw(st.sampled_from(sorted(queues)))
        message = reassembler.feed(sender, queues[sender].pop(0), 0).message
        if message is not None:
            arrived[sender] = message
        if not queues[sender]:
            del queues[sender]
    assert arrived == dict(enumerate(messages))


@settings(deadline=None)
@given(
    st.binary(min_size=1, max_size=SIZE_MAX),
    st.integers(0, 255),
    st.sampled_from([0, 1, 127]),
    st.sampled_from([0, 0xAA, None]),
)
def test_both_ends_together_carry_any_message(
    message: bytes, block_size: int, st_min_ms: int, padding: int | None
) -> None:
    segmenter, reassembler = Segmenter(message, padding=padding), Reassembler(block_size=block_size)
    result, t_ns = None, 0
    while result is None:
        t_ns = segmenter.next_ns if segmenter.next_ns is not None else t_ns
        for frame in segmenter.take(t_ns):
            received = reassembler.feed(1, frame, t_ns)
            result = received.message
            if received.flow_control is not None:
                segmenter.feed(encode_flow_control(block_size=block_size, st_min_ms=st_min_ms), t_ns)
    assert result == message
    assert segmenter.done


@settings(deadline=None)
@given(st.binary(min_size=8, max_size=100), st.lists(st.binary(max_size=8), max_size=20))
def test_any_flow_control_is_taken_or_a_protocol_error(message: bytes, answers: list[bytes]) -> None:
    segmenter = Segmenter(message)
    sent = segmenter.take(0)
    with suppress(ProtocolError):
        for answer in answers:
            segmenter.feed(answer, 0)
            sent += segmenter.take(0)
    assert sent == encode_frames(message)[: len(sent)]


@settings(deadline=None)
@given(
    st.binary(min_size=1, max_size=600),
    st.sampled_from([8, 12, 16, 20, 24, 32, 48, 64]),
    st.sampled_from([None, Address.mixed(0x99), Address.extended(ours=0xF1, theirs=0x10)]),
    st.sampled_from([0, None]),
)
def test_every_addressing_and_frame_size_carries_any_message(
    message: bytes, frame_size: int, address: Address | None, padding: int | None
) -> None:
    back = None if address is None else Address(address.sent, address.received)
    reassembler = Reassembler(address=back)
    segmenter = Segmenter(message, frame_size=frame_size, address=address, padding=padding)
    result = None
    while result is None:
        for frame in segmenter.take(0):
            assert len(frame) <= frame_size
            received = reassembler.feed(1, frame, 0)
            result = received.message
            if received.flow_control is not None:
                segmenter.feed(received.flow_control, 0)
    assert result == message
    assert segmenter.done


@settings(deadline=None)
@given(frames=st.lists(st.binary(max_size=70), max_size=30), mixed=st.booleans())
def test_any_frames_under_any_addressing_keep_the_bounds(frames: list[bytes], *, mixed: bool) -> None:
    reassembler = Reassembler(size_max=300, senders_max=2, address=Address.mixed(0) if mixed else None)
    for number, data in enumerate(frames):
        with suppress(ProtocolError):
            reassembler.feed(number % 3, data, 0)
        assert len(reassembler) <= 2
        assert sum(len(partial.data) for partial in reassembler._partials.values()) <= 2 * (300 + 64)
