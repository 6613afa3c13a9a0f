"""Whatever comes, recvmmsg and recvmsg give the same."""

import socket

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drivers.socketcan_frames import FrameParser
from drivers.socketcan_receive import FRAME_BYTES, Receiver
from drivers.socketcan_socket import enable_stamps

_QUEUE = 8  # net.unix.max_dgram_qlen may be as low as 10

datagrams = st.one_of(st.binary(min_size=16, max_size=16), st.binary(min_size=72, max_size=72), st.binary(max_size=80))


@given(st.lists(st.lists(datagrams, max_size=_QUEUE), max_size=4), st.integers(1, _QUEUE))
def test_both_paths_give_the_same_columns(drains: list[list[bytes]], rows: int) -> None:
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    try:
        for _, far in pairs:
            enable_stamps(far)
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
        rows = left.count
        assert rows == right.count
        assert left.size[:rows].tolist() == right.size[:rows].tolist()
        assert left.flags[:rows].tolist() == right.flags[:rows].tolist()
        assert (left.seconds[:rows] > 0).all()
        assert (right.seconds[:rows] > 0).all()
        assert (left.plain, left.full, left.error) == (right.plain, right.full, right.error)
        assert left.plain == (left.size[:rows] == FRAME_BYTES).all()
        t_ns = np.arange(rows, dtype=np.int64)
        ours, theirs = (FrameParser(0, _QUEUE).parse(received, t_ns) for received in (left, right))
        for column in ("t_ns", "bus", "can_id", "flags", "length", "data"):
            assert (getattr(ours, column) == getattr(theirs, column)).all()
        count -= rows
        if not left.full:
            assert count == 0
            return
