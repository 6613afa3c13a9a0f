import pytest

from agent.core.errors import ProtocolError
from agent.proto.isotp import (
    SIZE_MAX,
    Address,
    FlowStatus,
    MessageTooLong,
    Reassembler,
    Received,
    Segmenter,
    encode_flow_control,
    encode_frames,
)

SECOND = 1_000_000_000
VIN_FRAMES = ["10140902014c5244", "2154455354434152", "2230303030303037"]


def test_a_single_frame_is_a_message() -> None:
    assert Reassembler().feed(0x7E8, bytes.fromhex("03410d32aaaaaaaa"), 0).message == bytes.fromhex("410d32")


def test_a_first_frame_asks_for_the_rest_and_the_rest_completes_it() -> None:
    reassembler = Reassembler()
    first = reassembler.feed(0x7E8, bytes.fromhex(VIN_FRAMES[0]), 0)
    assert first.flow_control == encode_flow_control()
    assert first.flow_control is not None
    assert len(first.flow_control) == 8
    assert reassembler.feed(0x7E8, bytes.fromhex(VIN_FRAMES[1]), 1).message is None
    assert reassembler.feed(0x7E8, bytes.fromhex(VIN_FRAMES[2]), 2).message == b"\x09\x02\x01LRDTESTCAR0000007"


def test_senders_do_not_mix() -> None:
    reassembler = Reassembler()
    messages = {}
    a, b = bytes(range(20)), bytes(range(100, 130))
    for frames in zip(encode_frames(a), encode_frames(b)[:3], strict=True):
        for sender, frame in zip((1, 2), frames, strict=True):
            messages[sender] = reassembler.feed(sender, frame, 0).message
    messages[2] = [reassembler.feed(2, frame, 0).message for frame in encode_frames(b)[3:]][-1]
    assert messages == {1: a, 2: b}


def test_block_size_asks_again() -> None:
    reassembler = Reassembler(block_size=2)
    answers = [reassembler.feed(1, frame, 0).flow_control is not None for frame in encode_frames(bytes(60))]
    assert answers == [True, False, True, False, True, False, True, False, False]


def test_a_lost_frame_drops_the_message_and_says_so() -> None:
    reassembler = Reassembler()
    frames = encode_frames(bytes(30))
    reassembler.feed(1, frames[0], 0)
    with pytest.raises(ProtocolError, match="consecutive frame 2, expected 1"):
        reassembler.feed(1, frames[2], 0)
    assert len(reassembler) == 0
    assert reassembler.feed(1, frames[3], 0).message is None
    assert reassembler.ignored == 1


def test_what_waits_too_long_expires() -> None:
    reassembler = Reassembler(timeout_s=1.0)
    frames = encode_frames(bytes(10))
    reassembler.feed(1, frames[0], 0)
    assert reassembler.feed(1, frames[1], SECOND + 1).message is None
    assert (reassembler.expired, reassembler.ignored) == (1, 1)


def test_a_new_message_ends_the_old_one() -> None:
    reassembler = Reassembler()
    reassembler.feed(1, encode_frames(bytes(10))[0], 0)
    assert reassembler.feed(1, b"\x01\x3e", 0).message == b"\x3e"
    assert reassembler.aborted == 1
    assert len(reassembler) == 0


def test_memory_is_bounded() -> None:
    reassembler = Reassembler(size_max=100, senders_max=3)
    for sender in range(10):
        reassembler.feed(sender, encode_frames(bytes(100))[0], sender)
    assert len(reassembler) == 3
    assert reassembler.aborted == 7
    with pytest.raises(ProtocolError, match="message of 101 bytes, at most 100"):
        reassembler.feed(99, encode_frames(bytes(101))[0], 0)
    with pytest.raises(ProtocolError, match="at most 100"):
        reassembler.feed(99, bytes.fromhex("1000ffffffff0000"), 0)


def test_can_fd_single_frame() -> None:
    assert Reassembler().feed(1, bytes([0, 10, *range(10), 0xCC]), 0).message == bytes(range(10))


@pytest.mark.parametrize("frame", ["", "00", "08", "0541", "40", "100a", "1003010203040506"])
def test_broken_frames(frame: str) -> None:
    with pytest.raises(ProtocolError):
        Reassembler().feed(0x7E8, bytes.fromhex(frame), 0)


def test_the_segmenter_waits_for_flow_control_and_keeps_the_separation() -> None:
    message = bytes(range(30))
    segmenter = Segmenter(message)
    frames = segmenter.take(0)
    assert len(frames) == 1
    assert segmenter.next_ns is None
    segmenter.feed(encode_flow_control(block_size=3, st_min_ms=10), 100)
    times: list[int] = []
    while segmenter.next_ns is not None:
        t_ns = segmenter.next_ns
        sent = segmenter.take(t_ns)
        times += [t_ns] * len(sent)
        frames += sent
    assert times == [100, 10_000_100, 20_000_100]
    assert not segmenter.done
    segmenter.feed(encode_flow_control(), 30_000_000)
    frames += segmenter.take(30_000_000)
    assert segmenter.done
    assert frames == encode_frames(message)


def test_the_segmenter_gives_up_on_a_silent_receiver() -> None:
    segmenter = Segmenter(bytes(20), timeout_s=1.0)
    segmenter.take(0)
    segmenter.feed(b"\x31\x00\x00", SECOND)  # wait
    segmenter.take(SECOND * 2)
    with pytest.raises(ProtocolError, match="no flow control"):
        segmenter.take(SECOND * 2 + 1)


@pytest.mark.parametrize("flow_control", ["32", "320000", "3f0000"])
def test_refusals_of_the_receiver(flow_control: str) -> None:
    segmenter = Segmenter(bytes(20))
    segmenter.take(0)
    with pytest.raises(ProtocolError):
        segmenter.feed(bytes.fromhex(flow_control), 0)


def test_waits_are_counted() -> None:
    segmenter = Segmenter(bytes(20), waits_max=2)
    segmenter.take(0)
    for _ in range(2):
        segmenter.feed(b"\x31\x00\x00", 0)
    with pytest.raises(ProtocolError, match="too often"):
        segmenter.feed(b"\x31\x00\x00", 0)


def test_what_cannot_be_sent_is_refused() -> None:
    for size in (0, SIZE_MAX + 1):
        with pytest.raises(ValueError, match="cannot be sent"):
            Segmenter(bytes(size))


def test_can_fd_long_messages() -> None:
    message = bytes(range(200))
    frames = encode_frames(message, frame_size=64)
    assert [len(frame) for frame in frames] == [64, 64, 64, 16]  # filled up to a length CAN FD knows
    reassembler = Reassembler()
    assert [reassembler.feed(1, frame, 0).message for frame in frames] == [None, None, None, message]


def test_can_fd_frames_inside_a_message_are_as_long_as_the_first() -> None:
    frames = encode_frames(bytes(200), frame_size=64)
    reassembler = Reassembler()
    reassembler.feed(1, frames[0], 0)
    with pytest.raises(ProtocolError, match="short consecutive"):
        reassembler.feed(1, frames[1][:32], 0)


def test_the_escape_length_carries_more_than_twelve_bits() -> None:
    message = bytes(i % 251 for i in range(10_000))
    frames = encode_frames(message, frame_size=64)
    assert frames[0][:6] == bytes.fromhex("1000 00002710")
    reassembler = Reassembler(size_max=10_000)
    assert [reassembler.feed(1, frame, 0).message for frame in frames][-1] == message
    segmenter = Segmenter(message, frame_size=64, size_max=10_000)
    sent = segmenter.take(0)
    segmenter.feed(encode_flow_control(), 0)
    assert sent + segmenter.take(0) == frames


def test_extended_addressing_has_the_targets_address_in_front() -> None:
    ours = Address.extended(ours=0xF1, theirs=0x10)
    theirs = Address.extended(ours=0x10, theirs=0xF1)
    message = bytes(range(20))
    frames = encode_frames(message, address=theirs)
    assert {frame[0] for frame in frames} == {0xF1}
    assert [frame[1] for frame in frames] == [0x10, 0x21, 0x22, 0x23]
    reassembler = Reassembler(address=ours)
    first, *rest = [reassembler.feed(0x6F1, frame, 0) for frame in frames]
    assert first.flow_control == bytes.fromhex("10 30 00 00 00 00 00 00")
    assert rest[-1].message == message
    segmenter = Segmenter(message, address=theirs)
    assert segmenter.take(0) == frames[:1]
    segmenter.feed(encode_flow_control(), 0)
    assert segmenter.take(0) == []  # addressed to nobody
    segmenter.feed(first.flow_control, 0)
    assert segmenter.take(0) == frames[1:]


def test_mixed_addressing_keeps_other_extensions_out() -> None:
    reassembler = Reassembler(address=Address.mixed(0x99))
    assert reassembler.feed(0x7E8, bytes.fromhex("99 02 41 00"), 0).message == b"\x41\x00"
    assert reassembler.feed(0x7E8, bytes.fromhex("98 02 41 00"), 0) == Received()
    assert reassembler.foreign == 1
    with pytest.raises(ProtocolError):
        reassembler.feed(0x7E8, b"\x99", 0)


def test_what_is_too_long_is_told_to_its_sender() -> None:
    with pytest.raises(MessageTooLong) as caught:
        Reassembler(size_max=100).feed(1, encode_frames(bytes(101))[0], 0)
    segmenter = Segmenter(bytes(101))
    segmenter.take(0)
    with pytest.raises(ProtocolError, match="no room"):
        segmenter.feed(caught.value.flow_control, 0)


def test_wait_puts_the_deadline_off() -> None:
    segmenter = Segmenter(bytes(20), timeout_s=1.0)
    assert segmenter.deadline_ns is None
    segmenter.take(0)
    assert segmenter.deadline_ns == SECOND
    segmenter.feed(encode_flow_control(status=FlowStatus.WAIT), SECOND // 2)
    assert segmenter.deadline_ns == SECOND * 3 // 2
    segmenter.feed(encode_flow_control(), SECOND)
    assert segmenter.deadline_ns is None
    assert len(segmenter.take(SECOND)) == 2


@pytest.mark.parametrize(("ms", "code"), [(0, 0), (127, 0x7F), (0.1, 0xF1), (0.9, 0xF9)])
def test_separation_times_are_told_and_kept(ms: float, code: int) -> None:
    flow_control = Reassembler(st_min_ms=ms).feed(1, encode_frames(bytes(30))[0], 0).flow_control
    assert flow_control is not None
    assert flow_control[2] == code
    segmenter = Segmenter(bytes(30))
    segmenter.take(0)
    segmenter.feed(flow_control, 0)
    segmenter.take(0)
    assert segmenter.next_ns == (None if ms == 0 else round(ms * 1e6))


@pytest.mark.parametrize("ms", [-1, 128, 0.05, 1.5])
def test_separation_times_that_cannot_be_told(ms: float) -> None:
    with pytest.raises(ValueError, match="cannot be told"):
        encode_flow_control(st_min_ms=ms)


def test_frame_sizes_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="no frames of 9"):
        Segmenter(bytes(20), frame_size=9)
