"""Rows filled by recvmmsg and by recvmsg, from a pair of datagram sockets in the place of the kernel's CAN stack."""

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest

from drivers import socketcan_receive
from drivers.socketcan_receive import FRAME, Receiver, parse_ancillary, recvmmsg
from drivers.socketcan_socket import enable_reports

S = 1_000_000_000

Pair = tuple[socket.socket, socket.socket]


def frame(can_id: int, data: bytes = b"") -> bytes:
    return struct.pack("=IB3x8s", can_id, len(data), data)


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    enable_reports(far)
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
    assert got.size.tolist() == [16, 0, 72, 72]
    assert got.frames["id"][0] == 1
    assert got.frames[2].tobytes() == bytes(range(72))
    assert (got.flags & socket.MSG_TRUNC != 0).tolist() == [False, False, False, True]
    assert (np.abs(got.wall_ns - before_ns) < 3600 * S).all(), "stamped by the wall clock"
    assert (got.full, got.error, got.drops) == (False, None, None)


def test_rows_can_be_filled_again(pair: Pair, receiver: Receiver) -> None:
    for round_ in range(3):
        for n in range(5):
            pair[0].send(frame(round_ * 5 + n))
        got = receiver.receive()
        assert got.frames["id"].tolist() == [round_ * 5 + n for n in range(5)]
        assert (got.wall_ns > 0).all(), "the kernel is told anew how much room there is for a stamp"
    assert len(receiver.receive().frames) == 0


def test_no_more_is_taken_than_there_are_rows(pair: Pair, receiver: Receiver) -> None:
    for n in range(9):
        pair[0].send(frame(n))
    got = receiver.receive()
    assert got.full
    assert got.frames["id"].tolist() == list(range(8))
    got = receiver.receive()
    assert not got.full
    assert got.frames["id"].tolist() == [8]


def test_an_error_does_not_hide_what_is_queued(receiver: Receiver, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair[0].send(frame(1))
    codes = [errno.ENETDOWN]
    fill = Receiver._fill

    def fail_once(receiver: Receiver, start: int) -> int:
        if codes:
            raise OSError(codes.pop(), "")
        return fill(receiver, start)

    monkeypatch.setattr(Receiver, "_fill", fail_once)
    got = receiver.receive()
    assert got.frames["id"].tolist() == [1]
    assert got.error is not None
    assert got.error.errno == errno.ENETDOWN
    assert receiver.receive().error is None


def test_the_kernel_s_own_error_is_told_once(receiver: Receiver, pair: Pair) -> None:
    pair[1].close()
    got = receiver.receive()
    assert got.error is not None
    assert got.error.errno == errno.EBADF
    assert len(got.frames) == 0


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_a_refused_recvmmsg_is_not_tried_again(pair: Pair, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    tried = []

    def refuse(_descriptor: int, _headers: int, _count: int) -> int:
        tried.append(code)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socketcan_receive, "recvmmsg", refuse)
    receiver = Receiver(pair[1], 8)
    for n in range(3):
        pair[0].send(frame(n))
        assert receiver.receive().frames["id"].tolist() == [n]
    assert tried == [code]
    assert receiver.refused == os.strerror(code)


def test_a_library_without_recvmmsg_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketcan_receive, "_RECVMMSG", None)
    with pytest.raises(OSError, match="not implemented") as caught:
        recvmmsg(0, 0, 1)
    assert caught.value.errno == errno.ENOSYS


def test_control_messages() -> None:
    stamp = (socket.SOL_SOCKET, 35, struct.pack("=qq", 1_790_000_000, 5))
    drops = (socket.SOL_SOCKET, 40, struct.pack("=I", 17))
    assert parse_ancillary([stamp, drops]) == (1_790_000_000 * S + 5, 17)
    assert parse_ancillary([]) == (0, None)
    assert parse_ancillary([(socket.SOL_SOCKET, 35, b""), (socket.SOL_SOCKET, 40, b""), (1000, 35, bytes(16))]) == (
        0,
        None,
    )


def test_a_row_is_a_struct_canfd_frame() -> None:
    assert FRAME.itemsize == 72
    row = np.frombuffer(struct.pack("=IBB2x64s", 7, 12, 1, bytes(range(64))), FRAME)[0]
    assert (row["id"], row["length"], row["flags"]) == (7, 12, 1)
    assert row["data"].tolist() == list(range(64))
    assert row["word"].tobytes() == bytes(range(8))
