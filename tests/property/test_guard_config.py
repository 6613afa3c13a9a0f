"""No config, profile or pushed bundle can widen what reaches the car: whatever they say, only reads come out."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.config import Config
from agent.core.errors import ConfigError
from agent.core.toml import parse_toml
from agent.decode.profile import Profile
from agent.proto.ecus import is_request_id
from agent.proto.guard import Guard, RequestRefused, SilentNow
from agent.proto.schedule import Poll, Schedule

S = 1_000_000_000
READS = {0x01, 0x02, 0x03, 0x07, 0x09, 0x0A, 0x19, 0x22}

numbers = st.one_of(
    st.integers(-1, 0x1FFF_FFFF), st.sampled_from([4, 0x0C, 0x14, 0x2E, 0x31, 0x7DF, 0x7E4, 0x18DA10F1])
)
loose_polls = st.dictionaries(
    st.sampled_from(["pid", "did", "ecu", "period_s", "priority", "service", "data", "raw"]),
    st.one_of(numbers, st.floats(0, 10), st.text(max_size=4)),
    max_size=5,
)
keys = st.sampled_from(
    ["guard", "allow", "services", "rate_per_s", "sleep", "read_only", "transmit", "requests", "listen_only", "dongle"]
)


def as_toml(value: object) -> str:
    return repr(value) if isinstance(value, int | float) else msgspec.json.encode(value).decode()


@settings(deadline=None, max_examples=300)
@given(st.lists(loose_polls, max_size=8), st.integers(1, 6))
def test_whatever_a_profile_asks_for_only_reads_come_out(polls: list[dict[str, Any]], pack_max: int) -> None:
    text = 'name = "x"\n' + "".join(
        "[[polls]]\n" + "".join(f"{key} = {as_toml(value)}\n" for key, value in poll.items()) for poll in polls
    )
    try:
        profile = parse_toml(text, Profile, path=Path("x.toml"))
    except ConfigError:
        return
    check(profile.polls, pack_max)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.builds(Poll, pid=st.integers(0, 255), period_s=st.floats(0.05, 86_400), priority=st.integers(0, 3)),
            st.builds(
                Poll,
                did=st.integers(0, 0xFFFF),
                ecu=st.integers(0x700, 0x7DE),
                reply=st.integers(0x7E0, 0x7FF),
                period_s=st.floats(0.05, 100),
            ),
        ),
        max_size=40,
    ),
    st.integers(1, 6),
)
def test_whatever_a_sound_profile_asks_for_only_reads_come_out_at_the_rate(polls: list[Poll], pack_max: int) -> None:
    check(polls, pack_max)


def check(polls: list[Poll], pack_max: int) -> None:
    schedule, guard, sent = Schedule(polls, pack_max=pack_max, dtc_period_s=1), Guard(), 0
    for step in range(200):
        t_ns = step * S // 100
        guard.ignition.observe_engine(900 if step < 100 else 0, t_ns)
        request = schedule.take(t_ns)
        if request is None:
            continue
        assert request.data[0] in READS
        assert is_request_id(request.ecu)
        with suppress(SilentNow):
            guard.admit(request.data, t_ns)
            sent += 1
            assert t_ns < 2 * S
        schedule.settle(request, (), t_ns=t_ns)
    assert sent <= 32 + 50 * 2


@settings(deadline=None)
@given(st.dictionaries(keys, st.one_of(st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.integers()))))
def test_no_key_of_the_config_speaks_of_the_guard(loose: dict[str, Any]) -> None:
    text = "".join(
        f"{key} = {as_toml(value)}\n".replace("True", "true").replace("False", "false") for key, value in loose.items()
    )
    try:
        config = parse_toml(text, Config, path=Path("outrider.toml"))
    except ConfigError:
        return
    assert set(loose) <= {"listen_only"}
    assert config.dongle is None


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=12))
def test_any_bytes_are_one_of_the_reads_or_refused(request: bytes) -> None:
    guard = Guard()
    guard.ignition.observe_engine(900, 0)
    for admit, line in (
        (guard.admit, request),
        (guard.admit_line, request.hex().encode() + b"\r"),
        (guard.admit_line, request),
    ):
        with suppress(RequestRefused):
            admit(line, 0)
            passed = line if admit == guard.admit else line.strip().upper()
            assert passed[:2] == b"AT" or passed[0] in READS or int(passed[:2], 16) in READS
