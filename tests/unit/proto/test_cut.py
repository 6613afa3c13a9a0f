from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.proto import obd
from agent.proto.cut import _writes, harms_when_cut
from agent.proto.schedule import Poll, Schedule

S = 1_000_000_000


@pytest.mark.parametrize(
    "request_hex",
    ["0104", "0904", "010c04", "220104", "22f04c", "011042", "011101", "011003", "012e0c0d05", "01310105f0",
     "012f0c0d00", "221003", "2214ff", "01080105", "0142", "0144", "0114", "010c0d42", "01080114", "010140",
    ],
)  # fmt: skip
def test_requests_that_write_once_a_piece_is_lost(request_hex: str) -> None:
    assert harms_when_cut(bytes.fromhex(request_hex))


@pytest.mark.parametrize(
    "request_hex",
    ["010c", "0110", "0111", "01040c", "010c0d4205110f", "012f4633a6", "0902", "03", "07", "0a", "020400", "0100",
     "0120", "220101", "221e3b", "190209"],
)  # fmt: skip
def test_requests_that_only_read_or_say_nothing_whichever_piece_is_lost(request_hex: str) -> None:
    assert not harms_when_cut(bytes.fromhex(request_hex))


@given(st.sampled_from([0x01, 0x02, 0x09, 0x19, 0x22]), st.binary(max_size=6))
def test_two_characters_that_stay_keep_it_a_read(service: int, parameters: bytes) -> None:
    text = (bytes([service]) + parameters).hex()
    lost = (text[:begin] + text[end:] for begin in range(len(text)) for end in range(begin + 1, len(text) + 1))
    any_piece = any(_writes(bytes.fromhex(left[: len(left) // 2 * 2])) for left in lost if len(left) > 1)
    assert harms_when_cut(bytes.fromhex(text)) == any_piece


@given(st.sets(st.integers(1, 255), min_size=2, max_size=40), st.integers(2, 6))
def test_no_pack_of_the_schedule_does_harm_when_cut(pids: set[int], pack_max: int) -> None:
    schedule = Schedule([Poll(pid=pid, period_s=1.0) for pid in sorted(pids)], pack_max=pack_max)
    asked: set[int] = set()
    while (request := schedule.take(0)) is not None:
        asked |= set(request.idents)
        assert len(request.idents) == 1 or not harms_when_cut(request.data)
    assert asked == pids


def test_engine_load_is_packed_where_it_does_no_harm() -> None:
    fast = (0x04, 0x0C, 0x0D, 0x10, 0x11, 0x5A)
    for others in combinations(fast[1:], 2):
        schedule = Schedule([Poll(pid=pid) for pid in (*others, 0x04)])
        request = schedule.take(0)
        assert request is not None
        assert 0x04 in request.idents[:-1]
    schedule = Schedule([Poll(pid=pid, period_s=0.5) for pid in fast])
    first = schedule.take(0)
    assert first is not None
    assert len(first.idents) >= 5


def test_the_ids_of_calibrations_have_no_other_way_of_being_asked() -> None:
    assert harms_when_cut(obd.encode_request(obd.VEHICLE_INFORMATION, [obd.CALIBRATION_IDS]))
