"""What is asked of the kernel for a listening CAN_RAW socket."""

import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from agent.core.config import Bus
from drivers.socketcan_socket import enlarge_buffer, has_hardware, is_up, open_socket, pack_filters, read_drops

SOL_CAN_RAW = 101


class Recorder:
    """A socket that takes note of what it is asked for."""

    def __init__(self, *, pending: int = 0) -> None:
        self.options: dict[tuple[int, int], int | bytes] = {}
        self.pending = pending
        self.bound: tuple[str, ...] = ()
        self.closed = False

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        assert not self.bound, "an option set late would let a frame slip by"
        self.options[level, option] = value

    def getsockopt(self, level: int, option: int) -> int:
        assert level == socket.SOL_SOCKET
        if option == socket.SO_ERROR:
            assert self.bound
            return self.pending
        return 2 * int(self.options.get((level, 33), 0))

    def bind(self, address: tuple[str, ...]) -> None:
        self.bound = address

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()

    def make(family: int, kind: int, protocol: int) -> Recorder:
        assert (family, kind, protocol) == (29, socket.SOCK_RAW, 1)
        return recorder

    monkeypatch.setattr(socket, "AF_CAN", 29, raising=False)
    monkeypatch.setattr(socket, "CAN_RAW", 1, raising=False)
    monkeypatch.setattr(socket, "socket", make)
    return recorder


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        yield udp


def test_a_listening_socket(recorder: Recorder) -> None:
    open_socket(Bus(channel="can7"))
    assert recorder.bound == ("can7",)
    assert recorder.options == {
        (SOL_CAN_RAW, 2): 0x1FFF_FFFF,  # every class of error
        (SOL_CAN_RAW, 3): 0,  # nothing to loop back, as nothing is sent
        (SOL_CAN_RAW, 4): 0,
        (socket.SOL_SOCKET, 35): 1,
        (socket.SOL_SOCKET, 33): 4 << 20,
    }
    assert not recorder.closed


def test_fd_and_filters_are_set_where_asked_for(recorder: Recorder) -> None:
    open_socket(Bus(fd=True), [0x9234_5678, 0x7DF])
    assert recorder.options[SOL_CAN_RAW, 5] == 1
    assert recorder.options[SOL_CAN_RAW, 1] == struct.pack("=4I", 0x7DF, 0xC000_07FF, 0x9234_5678, 0xDFFF_FFFF)


def test_a_profile_that_needs_no_frame_gets_none(recorder: Recorder) -> None:
    open_socket(Bus(), ())
    assert recorder.options[SOL_CAN_RAW, 1] == b""


def test_more_identifiers_than_the_kernel_takes_are_not_filtered(recorder: Recorder) -> None:
    open_socket(Bus(), range(513))
    assert (SOL_CAN_RAW, 1) not in recorder.options


def test_an_interface_that_is_down_is_not_open(recorder: Recorder) -> None:
    recorder.pending = errno.ENETDOWN
    with pytest.raises(OSError, match="down") as caught:
        open_socket(Bus())
    assert caught.value.errno == errno.ENETDOWN
    assert recorder.closed


def test_a_small_buffer_is_told(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder, "getsockopt", lambda _, option: 0 if option == socket.SO_ERROR else 425_984)
    open_socket(Bus(channel="can7"))
    assert [record.getMessage() for record in caplog.records] == [
        "can7: 212992 bytes of receive buffer is all net.core.rmem_max allows"
    ]


def test_a_kernel_without_can_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_CAN", raising=False)
    with pytest.raises(OSError, match="not supported") as caught:
        open_socket(Bus())
    assert caught.value.errno == errno.EAFNOSUPPORT


def test_a_filter_matches_one_identifier_in_one_format() -> None:
    def passes(packed: bytes, kernel_id: int) -> bool:
        return any(kernel_id & mask == key & mask for key, mask in struct.iter_unpack("=II", packed))

    standard, extended = pack_filters([0x123]), pack_filters([0x8000_0123])
    assert passes(standard, 0x123)
    assert not passes(standard, 0x124)
    assert not passes(standard, 0x8000_0123)
    assert not passes(standard, 0x4000_0123), "a remote frame carries nothing"
    assert passes(extended, 0x8000_0123)
    assert not passes(extended, 0x123)
    assert not passes(extended, 0x8001_0123)


def test_the_buffer_grows_as_far_as_allowed(udp: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    default = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    assert enlarge_buffer(udp) >= default
    granted = []

    class Unprivileged:
        def setsockopt(self, _level: int, option: int, value: int) -> None:
            if option == 33:
                raise PermissionError(errno.EPERM, "")
            granted.append((option, value))

        def getsockopt(self, _level: int, _option: int) -> int:
            return 425_984

    assert enlarge_buffer(Unprivileged()) == 212_992  # type: ignore[arg-type]  # a socket where it matters
    assert granted == [(socket.SO_RCVBUF, 4 << 20)]


def test_drops_can_be_asked_for_at_any_time(udp: socket.socket) -> None:
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the kernel's minimum
    assert read_drops(udp) == 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(100):
            sender.sendto(bytes(16), udp.getsockname())
    received = 0
    udp.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    try:
        while udp.recv(16):
            received += 1
    except BlockingIOError:
        pass
    assert received < 100
    assert read_drops(udp) == 100 - received


def test_a_kernel_that_cannot_say_what_it_dropped(udp: socket.socket) -> None:
    udp.close()
    assert read_drops(udp) is None


def test_an_interface_is_up_or_gone(udp: socket.socket) -> None:
    assert is_up(udp, "lo")
    with pytest.raises(OSError, match="No such device"):
        is_up(udp, "no-such-can")


def test_nothing_is_behind_a_virtual_interface() -> None:
    assert not has_hardware("lo")
    assert not has_hardware("no-such-can")
