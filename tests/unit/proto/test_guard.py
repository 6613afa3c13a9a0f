import inspect
from itertools import pairwise

import pytest

from agent.proto.guard import (
    BURST,
    DOZE_NS,
    RATE_PER_S,
    START_NS,
    START_REQUESTS,
    Guard,
    RequestRefused,
    SilentNow,
    check_command,
    check_request,
)

S = 1_000_000_000
READ = b"\x01\x0c"


def awake(t_ns: int = 0) -> Guard:
    guard = Guard()
    guard.ignition.observe_engine(900, t_ns)
    return guard


def test_every_single_byte_and_every_service_with_parameters() -> None:
    passed = set()
    for service in range(256):
        for length in range(8):
            for filling in (0x00, 0x02, 0x0C, 0xFF):
                request = bytes([service]) + bytes([filling]) * length
                try:
                    check_request(request)
                except RequestRefused:
                    continue
                passed.add(service)
    assert passed == {0x01, 0x02, 0x03, 0x07, 0x09, 0x0A, 0x19, 0x22}


@pytest.mark.parametrize(
    "good",
    ["010c", "010c0d0f101112", "020c00", "03", "07", "0a", "0902", "190209", "1906d12800ff", "220101", "22f190f18c"],
)
def test_reads_pass(good: str) -> None:
    assert check_request(bytes.fromhex(good)).hex() == good


@pytest.mark.parametrize(
    "bad",
    ["", "04", "05", "06", "08", "1001", "1003", "1101", "14ffffff", "2701", "2803", "2ef19000", "2f0101", "3101ff00",
     "34", "35", "36", "37", "3e00", "3e80", "85", "8502", "01", "010c0d0f10111213", "0300", "198209", "1905", "22",
     "2201", "22010203", "0904aa", "020c"],
)  # fmt: skip
def test_what_writes_clears_controls_or_is_misshapen_never_passes(bad: str) -> None:
    guard = awake()
    with pytest.raises(RequestRefused):
        guard.admit(bytes.fromhex(bad), 0)
    if bad:
        with pytest.raises(RequestRefused):
            guard.admit_line(bad.encode() + b"\r", 0)
    assert guard.counters()["admitted"] == 0


@pytest.mark.parametrize(
    "setting",
    ["ATI", "ATZ", "ATE0", "ATSP0", "ATDPN", "ATRV", "ATIGN", "ATSH7E4", "ATSHDA10F1", "ATSHDB33F1", "ATCRA7EC",
     "ATFCSH7E4", "ATFCSD300000", "ATFCSM1", "ATCP18", "ATST96", "ATAT1", "ATAL", "ATCAF1", "ATH1", "ATTP6",
     "ATFCSH17FC007B", "ATFCSH18DA10F1", "ATCP17", "ATSPA6", "ATCEA"],
)  # fmt: skip
def test_settings_that_keep_the_bus_silent(setting: str) -> None:
    assert check_command(setting) == setting


@pytest.mark.parametrize(
    "command",
    ["", "ATRTR", "ATFI", "ATSI", "ATSW05", "ATWM0111223344", "ATPP0CSV23", "ATMA", "ATSH100", "ATSH7", "ATSH0000100",
     "ATSH0CF00400", "ATFCSH123", "ATCP0C", "ATBRD23", "ATSS", "STPX", "X", "ATE0ATMA", "ATE0\r04",
     "ATCAF0", "ATCEA01", "ATSPA", "ATSPB", "ATTPC", "ATSPAB", "ATSH18DA10F1", "ATSH0007E4", "ATFCSHDA10F1"],
)  # fmt: skip
def test_commands_that_might_transmit_are_refused(command: str) -> None:
    with pytest.raises(RequestRefused):
        Guard().admit_line(command.encode() + b"\r", 0)


@pytest.mark.parametrize(
    "line", [b"010c\r\r", b"\r010c\r", b"\r", b"010c", b"01\t0c\r", b"010c\r\n", b"ATRV", b"010c\r010d\r"]
)
def test_what_is_not_one_line_is_refused(line: bytes) -> None:
    guard = awake()
    with pytest.raises(RequestRefused):
        guard.admit_line(line, 0)
    assert (guard.counters()["admitted"], guard.counters()["refused"]) == (0, 1)
    assert guard.admit_line(b"01 0c 0D2\r", 0) == b"01 0c 0D2\r"


def test_nothing_is_sent_once_the_lease_has_run_out() -> None:
    guard = awake(10 * S)
    assert guard.admit(READ, 10 * S + 899_000_000) == READ
    with pytest.raises(SilentNow, match="sleeps") as silent:
        guard.admit(READ, 11 * S)
    assert silent.value.until_ns is None
    assert guard.admit_line(b"ATRV\r", 11 * S) == b"ATRV\r"
    assert guard.counters() == {"admitted": 1, "refused": 0, "asleep": 1, "slowed": 0, "wake_loops": 0}


def test_the_rate() -> None:
    guard, sent, waits = Guard(), [], []
    for millisecond in range(5000):
        t_ns = millisecond * 1_000_000
        guard.ignition.observe_engine(900, t_ns)
        for _ in range(3):
            try:
                guard.admit(READ, t_ns)
            except SilentNow as silent:
                waits.append((silent.until_ns or 0) - t_ns)
                break
            sent.append(t_ns)
    assert 0 < min(waits) <= max(waits) <= S // RATE_PER_S + 1
    assert len(sent) <= BURST + 5 * RATE_PER_S
    assert len(sent) > 4.9 * RATE_PER_S


def test_before_anything_is_known_a_few_requests_may_ask_once() -> None:
    guard = Guard()
    for _ in range(START_REQUESTS):
        guard.admit(READ, S)
    with pytest.raises(SilentNow):
        guard.admit(READ, S)
    late = Guard()
    late.admit(READ, S)
    with pytest.raises(SilentNow):
        late.admit(READ, 2 * S + START_NS)
    for measures in (True, False):
        late.reconnect(3 * S + START_NS, measures=measures)
        assert not late.may_ask(3 * S + START_NS)


def test_a_replugged_adapter_that_cannot_measure_may_ask_once_more_soon_after_a_sign() -> None:
    guard = awake()
    assert not guard.may_ask(5 * S)
    guard.reconnect(5 * S, measures=True)
    assert not guard.may_ask(5 * S)
    guard.reconnect(5 * S, measures=False)
    for _ in range(START_REQUESTS):
        guard.admit(READ, 5 * S)
    guard.reconnect(6 * S, measures=False)
    assert not guard.may_ask(6 * S)
    guard = awake()
    guard.reconnect(120 * S, measures=False)
    assert not guard.may_ask(120 * S)


def test_nothing_can_be_handed_in_that_would_widen_it() -> None:
    assert list(inspect.signature(Guard).parameters) == []


def test_a_car_that_dozes_is_asked_once_in_two_seconds() -> None:
    guard, sent = Guard(), []
    for tenth in range(1300):
        t_ns = tenth * S // 10
        guard.ignition.observe_voltage(12.4 if tenth < 100 else 14.0, t_ns)
        if tenth >= 100 and guard.ready_ns(t_ns) <= t_ns and not guard.holds_back(t_ns):
            guard.admit(READ, t_ns)
            sent.append(tenth)
    late = [tenth for tenth in sent if tenth > 160]
    assert len(sent) - len(late) > 40
    assert all(later - earlier >= DOZE_NS * 10 // S for earlier, later in pairwise(late))
    assert 50 < len(late) < 60


def test_asleep_counts_how_often_the_car_was_found_asleep() -> None:
    guard = awake()
    for second in range(30):
        if second % 10 == 0:
            guard.ignition.observe_engine(900, second * S)
        assert guard.holds_back(second * S) == (second % 10 != 0)
    assert guard.counters()["asleep"] == 3
    with pytest.raises(SilentNow):
        guard.admit(READ, 30 * S)
    assert guard.counters()["asleep"] == 3


def test_a_header_of_29_bits_goes_with_its_priority_only() -> None:
    guard = awake()
    for line in (b"ATSHDA10F1\r", b"ATCP17\r", b"ATSHFC007B\r"):
        guard.admit_line(line, 0)
    guard.admit_line(b"221E3B\r", 0)
    for bad in (b"ATSHDA10F1\r", b"ATSHDB33F1\r", b"ATSHFE007B\r", b"ATSH17FE007B\r", b"ATSH18FC007B\r"):
        with pytest.raises(RequestRefused):
            guard.admit_line(bad, 0)
    guard.admit_line(b"ATCP18\r", 0)
    with pytest.raises(RequestRefused, match="does not go with"):
        guard.admit_line(b"221E3B\r", 0)
    with pytest.raises(RequestRefused, match="goes with priority 17"):
        guard.admit_line(b"ATSHFC007B\r", 0)
    guard.admit_line(b"ATSHDB33F1\r", 0)
    guard.admit_line(b"010C\r", 0)
    guard.admit_line(b"ATCP17\r", 0)
    guard.admit_line(b"ATZ\r", 0)
    guard.admit_line(b"010C\r", 0)
    assert guard.counters()["refused"] == 7
