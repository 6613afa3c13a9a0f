"""Events as a kernel writes them: times of two longs, then type, code and value."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.proto.input_event import EVENT_BYTES, PressParser

VOICE, VOLUME = 582, 115
SYN, KEY, REL = 0, 1, 2


def event(kind: int, code: int, value: int, *, size: int = 24) -> bytes:
    times = struct.pack("=qq", 1_764_000_000, 250_000) if size == 24 else struct.pack("=ii", 1_764_000_000, 250_000)
    return times + struct.pack("=HHi", kind, code, value)


def tap(code: int, *, size: int = 24) -> bytes:
    steps = ((KEY, code, 1), (SYN, 0, 0), (KEY, code, 0), (SYN, 0, 0))
    return b"".join(event(*step, size=size) for step in steps)


def test_this_kernel_has_one_of_the_two_sizes() -> None:
    assert EVENT_BYTES in (16, 24)
    assert PressParser(VOICE).feed(tap(VOICE, size=EVENT_BYTES)) == 1


@pytest.mark.parametrize("size", [16, 24])
def test_presses_of_one_key_are_counted_in_events_of_either_size(size: int) -> None:
    parser = PressParser(VOICE, event_bytes=size)
    assert parser.feed(tap(VOICE, size=size) + tap(VOLUME, size=size) + tap(VOICE, size=size)) == 2
    assert parser.events == 12
    assert PressParser(event_bytes=size).feed(tap(VOICE, size=size) + tap(VOLUME, size=size)) == 2, "any key"


def test_bytes_as_a_c_program_writes_them_on_a_64_bit_machine() -> None:
    """KEY_VOICECOMMAND down at 1764000000.250000."""
    raw = bytes.fromhex("0081246900000000 90d0030000000000 0100 4602 01000000")
    assert PressParser(VOICE, event_bytes=24).feed(raw) == 1


def test_a_held_key_that_repeats_is_one_press() -> None:
    held = event(KEY, VOICE, 1) + event(SYN, 0, 0) + 40 * (event(KEY, VOICE, 2) + event(SYN, 0, 1))
    assert PressParser(VOICE, event_bytes=24).feed(held + event(KEY, VOICE, 0)) == 1


def test_what_moves_is_no_key() -> None:
    assert PressParser(event_bytes=24).feed(event(REL, 1, 1) + event(SYN, 0, 0)) == 0


def test_after_dropped_events_the_rest_up_to_the_next_report_is_left_out() -> None:
    parser = PressParser(VOICE, event_bytes=24)
    assert parser.feed(event(SYN, 3, 0) + event(KEY, VOICE, 1)) == 0
    assert parser.feed(event(KEY, VOICE, 1) + event(SYN, 0, 0) + event(KEY, VOICE, 1)) == 1
    assert parser.dropped == 1


@given(
    st.lists(
        st.one_of(
            st.sampled_from([tap(VOICE), tap(VOLUME), event(SYN, 3, 0), event(SYN, 0, 0)]), st.binary(max_size=50)
        ),
        max_size=20,
    ).map(b"".join),
    st.data(),
)
def test_any_bytes_split_anyhow_give_the_same_presses(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    counts = []
    for chunks in ([stream], parts, [bytes([byte]) for byte in stream]):
        parser = PressParser(VOICE, event_bytes=24)
        counts.append((sum(map(parser.feed, chunks)), parser.events, parser.dropped))
    assert counts[0] == counts[1] == counts[2]
    assert counts[0][1] == len(stream) // 24
