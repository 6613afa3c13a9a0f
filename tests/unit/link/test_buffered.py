import socket

import pytest

from agent.link.buffered import BufferedSocket


def test_small_writes_wait_for_the_flush_and_travel_together() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps what was one write
    ours.settimeout(0)
    buffered = BufferedSocket(ours)
    for _ in range(10):
        assert buffered.send(b"x" * 300) == 300
    theirs.settimeout(0)
    with pytest.raises(BlockingIOError):
        theirs.recv(4096)
    assert buffered.flush()
    assert [len(theirs.recv(4096)) for _ in range(3)] == [1400, 1400, 200]
    theirs.close()
    buffered.close()


def test_a_full_line_takes_no_more_and_loses_nothing() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    buffered = BufferedSocket(ours)
    sent = bytearray()
    for number in range(10_000):
        part = b"%d " % number * 300
        try:
            buffered.send(part)
        except BlockingIOError:
            break
        sent += part
    else:
        pytest.fail("it takes everything")
    theirs.settimeout(0)
    got = bytearray()
    while len(got) < len(sent):
        got += theirs.recv(65_536)
        buffered.flush()
    assert got == sent
    theirs.close()
    buffered.close()
    assert buffered.fileno() == -1


def test_reads_of_any_size_give_the_same_bytes() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    buffered = BufferedSocket(ours)
    theirs.send(b"0123456789")
    assert [buffered.recv(size) for size in (1, 1, 5)] == [b"0", b"1", b"23456"]
    assert buffered.holds_more
    assert buffered.recv(100) == b"789"
    assert not buffered.holds_more
    with pytest.raises(BlockingIOError):
        buffered.recv(1)
    theirs.close()
    assert buffered.recv(1) == b""
    buffered.close()
