"""Whatever comes, recvmmsg and recvmsg give the same."""

import socket
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drivers.socketcan_frames import parse_frames
from drivers.socketcan_receive import CONTROL_WORDS, Receiver, parse_ancillary, parse_control
from drivers.socketcan_socket import enable_reports

_QUEUE = 8  # net.unix.max_dgram_qlen may be as low as 10

datagrams = st.one_of(st.binary(min_size=16, max_size=16), st.binary(min_size=72, max_size=72), st.binary(max_size=80))
stamps = st.tuples(st.integers(0, 1 << 33), st.integers(0, 999_999_999))
drop_counts = st.none() | st.integers(0, (1 << 32) - 1)


@given(st.lists(st.lists(datagrams, max_size=_QUEUE), max_size=4), st.integers(1, _QUEUE))
def test_both_paths_give_the_same_columns(drains: list[list[bytes]], rows: int) -> None:
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    try:
        for _, far in pairs:
            enable_reports(far)
        many, single = (Receiver(far, rows) for _, far in pairs)
        single.refused = "by the test"
        for queued in drains:
            for datagram in queued:
                for near, _ in pairs:
                    near.send(datagram)
            _assert_same_drains(many, single, len(queued))
        assert not many.refused
    finally:
        for pair in pairs:
            for end in pair:
                end.close()


def _assert_same_drains(many: Receiver, single: Receiver, count: int) -> None:
    while True:
        left, right = many.receive(), single.receive()
        assert left.size.tolist() == right.size.tolist()
        assert left.flags.tolist() == right.flags.tolist()
        assert ((left.wall_ns > 0) == (right.wall_ns > 0)).all()
        assert (left.drops, left.full, left.error) == (right.drops, right.full, right.error)
        t_ns = np.arange(len(left.frames), dtype=np.int64)
        ours, theirs = (parse_frames(received, t_ns, np.zeros(_QUEUE, np.uint8))[0] for received in (left, right))
        for column in ("t_ns", "can_id", "flags", "length", "data"):
            assert (getattr(ours, column) == getattr(theirs, column)).all()
        count -= len(left.frames)
        if not left.full:
            assert count == 0
            return


@given(
    st.lists(st.tuples(stamps, drop_counts), min_size=1, max_size=20)
    | st.lists(st.tuples(st.none(), drop_counts), min_size=1, max_size=20)
)
def test_both_readers_of_control_messages_agree(
    rows: list[tuple[tuple[int, int] | None, int | None]],
) -> None:
    buffers, expected = [], []
    for stamp, drops in rows:
        messages = [] if stamp is None else [(socket.SOL_SOCKET, 35, struct.pack("=qq", *stamp))]
        messages += [] if drops is None else [(socket.SOL_SOCKET, 40, struct.pack("=I", drops))]
        packed = b"".join(_control_message(*message) for message in messages)
        buffers.append(packed.ljust(64, b"\xa5"))  # what the kernel did not write is left over
        expected.append(parse_ancillary(messages))
    control = np.frombuffer(b"".join(buffers), np.int64).reshape(-1, CONTROL_WORDS)
    wall_ns, drops = parse_control(control, len(packed))
    assert wall_ns.tolist() == [stamp for stamp, _ in expected]
    assert drops == expected[-1][1], "the newest count"


def _control_message(level: int, kind: int, data: bytes) -> bytes:
    """Struct cmsghdr and its data, padded to a multiple of 8."""
    message = struct.pack("=QII", 16 + len(data), level, kind) + data
    return message.ljust(-(-len(message) // 8) * 8, b"\0")
