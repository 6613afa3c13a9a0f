"""Rows filled by recvmmsg and by recvmsg, from a pair of datagram sockets in the place of the kernel's CAN stack."""

import ctypes
import errno
import os
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest

from drivers import socketcan_receive
from drivers.socketcan_receive import FRAME, SO_TIMESTAMPNS, Received, Receiver, parse_ancillary, recvmmsg
from drivers.socketcan_socket import enable_stamps

S = 1_000_000_000

Pair = tuple[socket.socket, socket.socket]


def frame(can_id: int, data: bytes = b"") -> bytes:
    return struct.pack("=IB3x8s", can_id, len(data), data)


def ids(got: Received) -> list[int]:
    found: list[int] = got.id[: got.count].tolist()
    return found


def fail_with(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let the next read of any receiver fail once, by recvmmsg or by recvmsg."""
    codes, fill = [code], Receiver._fill

    def receive_many(descriptor: int, headers: ctypes.c_void_p, count: int) -> int:
        if codes:
            raise OSError(codes.pop(), "")
        return recvmmsg(descriptor, headers, count)

    def receive_one(receiver: Receiver, row: int) -> None:
        if codes:
            raise OSError(codes.pop(), "")
        fill(receiver, row)

    monkeypatch.setattr(socketcan_receive, "recvmmsg", receive_many)
    monkeypatch.setattr(Receiver, "_fill", receive_one)


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    enable_stamps(far)
    with near, far:
        yield near, far


@pytest.fixture(params=["recvmmsg", "recvmsg"])
def receiver(request: pytest.FixtureRequest, pair: Pair) -> Receiver:
    receiver = Receiver(pair[1], 8)
    if request.param == "recvmsg":
        receiver.refused = "by the test"
    return receiver


def test_rows_hold_what_came(pair: Pair, receiver: Receiver) -> None:
    before_ns = time.time_ns()
    for datagram in (frame(1, b"\x01"), b"", bytes(range(72)), b"x" * 100):
        pair[0].send(datagram)
    got = receiver.receive()
    assert got.count == 4
    assert got.size[:4].tolist() == [16, 0, 72, 72]
    assert got.id[0] == 1
    assert got.frames[2].tobytes() == bytes(range(72))
    assert (got.flags[:4] & socket.MSG_TRUNC != 0).tolist() == [False, False, False, True]
    wall_ns = got.seconds[:4] * S + got.nanoseconds[:4]
    assert (np.abs(wall_ns - before_ns) < 3600 * S).all(), "stamped by the wall clock"
    assert (got.full, got.plain, got.error) == (False, False, None)


def test_rows_can_be_filled_again(pair: Pair, receiver: Receiver) -> None:
    for round_ in range(3):
        for n in range(5):
            pair[0].send(frame(round_ * 5 + n))
        got = receiver.receive()
        assert ids(got) == [round_ * 5 + n for n in range(5)]
        assert got.plain
        assert (got.seconds[:5] > 0).all(), "the kernel is told anew how much room there is for a stamp"
    assert receiver.receive().count == 0


@pytest.mark.parametrize("other", [b"", bytes(15), bytes(17), bytes(72), bytes(80)])
def test_one_datagram_of_another_size_is_enough_not_to_be_plain(pair: Pair, receiver: Receiver, other: bytes) -> None:
    for datagrams in ([frame(1), other, frame(2)], [frame(3), frame(4), frame(5)]):
        for datagram in datagrams:
            pair[0].send(datagram)
        got = receiver.receive()
        assert got.count == 3
        assert got.plain == (other not in datagrams)
        assert (got.seconds[:3] > 0).all()


def test_a_datagram_without_a_stamp_has_no_older_one(pair: Pair, receiver: Receiver) -> None:
    pair[0].send(frame(1))
    assert receiver.receive().seconds[0] > 0
    pair[1].setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 0)
    pair[0].send(frame(2))
    got = receiver.receive()
    assert (ids(got), got.seconds[0], got.nanoseconds[0]) == ([2], 0, 0)
    pair[1].setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    pair[0].send(frame(3))
    got = receiver.receive()
    assert ids(got) == [3]
    assert got.seconds[0] > 0


def test_no_more_is_taken_than_there_are_rows(pair: Pair, receiver: Receiver) -> None:
    for n in range(9):
        pair[0].send(frame(n))
    got = receiver.receive()
    assert got.full
    assert ids(got) == list(range(8))
    got = receiver.receive()
    assert not got.full
    assert ids(got) == [8]


@pytest.mark.parametrize("queued", [0, 1, 3])
def test_an_error_does_not_hide_what_is_queued(
    receiver: Receiver, pair: Pair, monkeypatch: pytest.MonkeyPatch, queued: int
) -> None:
    for n in range(queued):
        pair[0].send(frame(n))
    fail_with(monkeypatch, errno.ENETDOWN)
    got = receiver.receive()
    assert ids(got) == list(range(queued))
    assert got.error is not None
    assert got.error.errno == errno.ENETDOWN
    assert receiver.receive().error is None


def test_an_error_between_two_frames_hides_neither(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver(pair[1], 8)
    receiver.refused = "by the test"
    fill, rows = Receiver._fill, []

    def fail_at_the_second(receiver: Receiver, row: int) -> None:
        rows.append(row)
        if len(rows) == 2:
            raise OSError(errno.ENETDOWN, "")
        fill(receiver, row)

    monkeypatch.setattr(Receiver, "_fill", fail_at_the_second)
    for n in range(2):
        pair[0].send(frame(n))
    got = receiver.receive()
    assert ids(got) == [0, 1]
    assert got.error is not None


def test_the_kernel_s_own_error_is_told_once(receiver: Receiver, pair: Pair) -> None:
    pair[1].close()
    got = receiver.receive()
    assert got.error is not None
    assert got.error.errno == errno.EBADF
    assert got.count == 0


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_a_refused_recvmmsg_is_not_tried_again(pair: Pair, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    tried = []

    def refuse(*_: object) -> int:
        tried.append(code)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socketcan_receive, "recvmmsg", refuse)
    receiver = Receiver(pair[1], 8)
    for n in range(3):
        pair[0].send(frame(n))
        assert ids(receiver.receive()) == [n]
    assert tried == [code]
    assert receiver.refused == os.strerror(code)


def test_a_library_without_recvmmsg_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketcan_receive, "_RECVMMSG", None)
    with pytest.raises(OSError, match="not implemented") as caught:
        recvmmsg(0, ctypes.c_void_p(), 1)
    assert caught.value.errno == errno.ENOSYS


def test_control_messages() -> None:
    stamp = (socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("=qq", 1_790_000_000, 5))
    drops = (socket.SOL_SOCKET, 40, struct.pack("=I", 17))
    assert parse_ancillary([drops, stamp]) == (1_790_000_000, 5)
    assert parse_ancillary([]) == (0, 0)
    assert parse_ancillary([(socket.SOL_SOCKET, 35, b""), drops, (1000, 35, bytes(range(16)))]) == (0, 0)


def test_a_row_is_a_struct_canfd_frame() -> None:
    assert FRAME.itemsize == 72
    row = np.frombuffer(struct.pack("=IBB2x64s", 7, 12, 1, bytes(range(64))), FRAME)[0]
    assert (row["id"], row["length"], row["flags"]) == (7, 12, 1)
    assert row["data"].tolist() == list(range(64))
    assert row["word"].tobytes() == bytes(range(8))
