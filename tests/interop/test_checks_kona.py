"""Counters and checksums of a real Hyundai Kona EV, with its public DBC (which cantools refuses as it is)."""

from pathlib import Path

import pytest

from agent.core.frames import FrameBatch, concatenate
from agent.decode.checks import FrameChecker
from agent.decode.dbc import find_check, load_dbc
from agent.decode.profile import MessageCheck
from simulators.replay.recording import open_recording

pytestmark = pytest.mark.interop
FILE = "kona_ev_can/230112-7-2019-pcan-ccan-power-off-on-ready-off.csv"


def frames(path: Path) -> FrameBatch:
    return concatenate(list(open_recording(path)))


@pytest.mark.parametrize(
    ("message", "algorithm"), [("VCU_109", "nibble_sum"), ("SCU_10C", "nibble_sum"), ("Steering", "nibble_xor")]
)
def test_real_frames_pass_and_changed_ones_fail(shared_data: Path, message: str, algorithm: str) -> None:
    dbc = shared_data / "kona_ev_can" / "dbc" / "pcan.dbc"
    wanted = MessageCheck(message=message, checksum="Checksum", algorithm=algorithm)
    check = find_check({dbc: load_dbc(dbc)}, wanted)
    batch = frames(shared_data / FILE)
    mine = batch[batch.keys() == check.key]
    assert len(mine) > 50
    checker = FrameChecker([check])
    assert len(checker.filter(mine)) >= 0.99 * len(mine), checker.counts
    spoilt = mine.data.copy()
    spoilt[:, 0] ^= 0x01
    changed = FrameBatch(mine.t_ns, mine.bus, mine.can_id, mine.flags, mine.length, spoilt)
    assert len(FrameChecker([check]).filter(changed)) <= 0.01 * len(mine)
