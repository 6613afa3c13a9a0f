"""The MF4 writer against our reader and python-can's, with every kind of frame."""

from pathlib import Path

import can
import numpy as np
import pytest

from agent.core.frames import BIT_RATE_SWITCH, ERROR_FRAME, ERROR_STATE, EXTENDED, FD, OWN, REMOTE, FrameBatch
from agent.core.frames import concatenate as join
from simulators.replay import open_recording
from simulators.replay.mf4_writer import write_mf4

START_NS = 1_790_000_000_000_000_000
LENGTHS = [*range(9), 12, 16, 20, 24, 32, 48, 64]


def make_frames(seed: int, *, count: int = 300, fd: bool = True, special: bool = True) -> FrameBatch:
    """Random frames in order of time, as a bus could carry them."""
    rng = np.random.default_rng(seed)
    flags = rng.choice([0, EXTENDED], count) | rng.choice([0, OWN], count)
    if fd:
        flags |= rng.choice([0, FD, FD | BIT_RATE_SWITCH, FD | ERROR_STATE], count)
    if special:
        kind = rng.choice([0, 0, 0, REMOTE, ERROR_FRAME], count)
        flags = np.where(kind != 0, (flags & (EXTENDED | OWN)) | kind, flags)
    plain = (flags & (REMOTE | ERROR_FRAME)) == 0
    length = np.where(plain, rng.choice(LENGTHS, count), 0)
    length = np.where((flags & FD) != 0, length, np.minimum(length, 8))
    data = rng.integers(0, 256, (count, 64), np.uint8)
    data[np.arange(64) >= length[:, None]] = 0
    can_id = np.where((flags & EXTENDED) != 0, rng.integers(0, 1 << 29, count), rng.integers(0, 1 << 11, count))
    return FrameBatch(
        np.sort(rng.choice(10**12, count, replace=False)),
        rng.integers(0, 4, count).astype(np.uint8),
        can_id.astype(np.uint32),
        flags.astype(np.uint8),
        length.astype(np.uint8),
        data,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("fd", "special"), [(False, False), (True, False), (True, True)])
def test_our_reader_gives_back_what_was_written(tmp_path: Path, seed: int, *, fd: bool, special: bool) -> None:
    frames = make_frames(seed, fd=fd, special=special)
    write_mf4(tmp_path / "a.mf4", frames, start_ns=START_NS)
    recording = open_recording(tmp_path / "a.mf4")
    assert recording.start_wall_ns == START_NS + int(frames.t_ns[0])
    batch = join(list(recording))
    np.testing.assert_array_equal(batch.t_ns, frames.t_ns - frames.t_ns[0])
    for column in ("bus", "can_id", "flags", "length", "data"):
        np.testing.assert_array_equal(getattr(batch, column), getattr(frames, column), err_msg=column)
    assert recording.bad_lines == 0


def test_python_can_reads_every_kind(tmp_path: Path) -> None:
    pytest.importorskip("asammdf", reason="python-can reads MF4 with asammdf")
    frames = make_frames(5)
    write_mf4(tmp_path / "a.mf4", frames, start_ns=START_NS)
    with can.LogReader(tmp_path / "a.mf4") as reader:
        messages = list(reader)
    assert len(messages) == len(frames)
    error = (frames.flags & ERROR_FRAME) != 0
    assert [message.is_error_frame for message in messages] == error.tolist()
    for row, message in enumerate(messages):
        flags = int(frames.flags[row])
        assert message.timestamp == pytest.approx(START_NS / 1e9 + frames.t_ns[row] / 1e9, abs=1e-6)
        if not error[row]:
            assert message.arbitration_id == frames.can_id[row]
            assert message.is_extended_id == bool(flags & EXTENDED)
            assert message.is_remote_frame == bool(flags & REMOTE)
            assert message.is_rx != bool(flags & OWN)
            assert (message.is_fd, message.bitrate_switch) == (bool(flags & FD), bool(flags & BIT_RATE_SWITCH))
            assert bytes(message.data) == frames.data[row, : frames.length[row]].tobytes()


def test_a_drive_without_frames_is_a_file_without_frames(tmp_path: Path) -> None:
    write_mf4(tmp_path / "a.mf4", make_frames(1)[:0], start_ns=START_NS)
    assert list(open_recording(tmp_path / "a.mf4")) == []
