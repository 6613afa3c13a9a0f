"""Raw replies of real Ford F-150s in an ELM327's own notation (OBDb/Ford-F-150 @090509f, CC BY-SA 4.0).

Their expected values were worked out by others: those of the manufacturer's data identifiers from the signal set that
lies beside them, those of the standard PIDs from the same published tables as ours.
"""

import math
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from agent.core.errors import ProtocolError
from agent.core.paths import OBD_PIDS
from agent.core.toml import load_toml
from agent.proto import obd, uds
from agent.proto.elm327_lines import parse_with_headers
from tests.interop.figures import Figures
from tests.interop.obdb import Case, Signal, read_cases, read_messages, read_signal_set

pytestmark = pytest.mark.interop

DATA_SET = "obd_responses_f150"
DIGIT = 5.1e-6  # half of their last digit
BAR = 0.995

# Which of their values a PID's bits are, where it has several: name, what one of theirs is in ours, "fitted" in theirs.
NAMES = {
    (0x01, 0): ("MIL", 1, ""), (0x01, 1): ("DTC_CNT", 1, ""),
    (0x06, 0): ("SHRTFT1", 1, ""), (0x08, 0): ("SHRTFT2", 1, ""),
    (0x07, 0): ("LONGFT1", 1, ""), (0x09, 0): ("LONGFT2", 1, ""),
    (0x15, 0): ("O2S12", 1, ""), (0x15, 8): ("SHRTFT11", 1, ""),
    (0x19, 0): ("O2S22", 1, ""), (0x19, 8): ("SHRTFT22", 1, ""),
    (0x34, 0): ("LAMBDA11_CURRENT", 1, ""), (0x34, 16): ("O2S11_CURRENT", 1, ""),
    (0x54, 0): ("EVAP_VP_WIDE", 1000, ""),  # Pa and kPa
    (0x68, 8): ("IAT_11", 1, "IAT_11_SUP"), (0x68, 16): ("IAT_12", 1, "IAT_12_SUP"),
    (0x68, 24): ("IAT_13", 1, "IAT_13_SUP"), (0x68, 32): ("IAT_21", 1, "IAT_21_SUP"),
    (0x68, 40): ("IAT_22", 1, "IAT_22_SUP"), (0x68, 48): ("IAT_23", 1, "IAT_23_SUP"),
    (0x69, 8): ("EGR_A_CMD", 1, "EGR_A_CMD_SUP"), (0x69, 16): ("EGR_A_ACT", 1, "EGR_A_ACT_SUP"),
    (0x69, 24): ("EGR_A_ERR", 1, "EGR_A_ERR_SUP"), (0x69, 32): ("EGR_B_CMD", 1, "EGR_B_CMD_SUP"),
    (0x69, 40): ("EGR_B_ACT", 1, "EGR_B_ACT_SUP"), (0x69, 48): ("EGR_B_ERR", 1, "EGR_B_ERR_SUP"),
    (0x6C, 8): ("TAC_A_CMD", 1, "CTAC_A_SUP"), (0x6C, 16): ("TP_A_REL", 1, "RTP_A_SUP"),
    (0x6C, 24): ("TAC_B_CMD", 1, "CTAC_B_SUP"), (0x6C, 32): ("TP_B_REL", 1, "RTP_B_SUP"),
    (0x72, 8): ("WG_A_CMD", 1, "WG_A_CMD_SUP"), (0x72, 16): ("WG_A_ACT", 1, "WG_A_ACT_SUP"),
    (0x72, 24): ("WG_B_CMD", 1, "WG_B_CMD_SUP"), (0x72, 32): ("WG_B_ACT", 1, "WG_B_ACT_SUP"),
    (0x9A, 16): ("HEV_BATT_V", 1, "HEV_BATT_V_SUP"), (0x9A, 32): ("HEV_BATT_A", 1, "HEV_BATT_A_SUP"),
    (0x9D, 0): ("FUEL_RATE_ALT", 1, ""), (0x9D, 16): ("VFUEL_RATE", 1, ""),
    (0xA6, 0): ("ODO", 1000, ""),  # VSS wants m, they give km
}  # fmt: skip

LIMITS = {"LAMBDA11_CURRENT": 1.99}  # theirs, where they draw values to a limit below what the bits can say

_TRIM = "raw FF is 'not used': beyond our limits; they take 128 off where the tables say 100"
EXPLAINED = {"SHRTFT11": _TRIM, "SHRTFT22": _TRIM}


@lru_cache
def all_cases(folder: Path) -> tuple[Case, ...]:
    return tuple(read_cases(folder / "tests.tar.gz"))


@pytest.fixture
def cases(shared_data: Path) -> tuple[Case, ...]:
    return all_cases(shared_data / DATA_SET)


@pytest.fixture
def signals(shared_data: Path) -> dict[str, Signal]:
    return read_signal_set(shared_data / DATA_SET / "signalset_default.json")


def test_every_reply_of_the_powertrain_is_read_whole(cases: tuple[Case, ...], figures: Figures) -> None:
    count, spoilt = 0, []
    for case in cases:
        lines = [line for line in case.lines if re.match(r"7E[89A-F]", line)]
        if lines:
            parsed = parse_with_headers(lines)
            count += 1
            spoilt += [(case.file, lines)] if parsed.bad or not parsed.messages else []
    figures(
        DATA_SET, "replies of the powertrain, all lines read", f"{count - len(spoilt)} of {count}", "all but explained"
    )
    reasons = []
    for file, lines in spoilt:
        strays = sum(line.startswith("7E82") for line in lines) if not any(line[3] == "1" for line in lines) else 0
        reasons.append(
            f"{strays} frames of a message begun before" if strays else f"cut off in the capture: {lines[-1]}"
        )
        figures(DATA_SET, f"- spoilt: {file}", reasons[-1])
    assert count > 6500
    assert reasons == ["18 frames of a message begun before", "cut off in the capture: 7E8044110"]


def answers(case: Case, signal: Signal) -> list[float]:
    """What each answer to this question says, in the order of the lines."""
    values = []
    request = uds.encode_read_dids([signal.did])
    for message in read_messages(case.lines):
        if signal.answers_from not in {None, message.sender}:
            continue
        try:
            answer = uds.parse_answer(message.data, request)
            if isinstance(answer, uds.Positive):
                data = uds.parse_dids(answer, [signal.did], {})[signal.did]
                values += [signal.bits.value(data)] if len(data) >= signal.bits.byte_count else []
        except ProtocolError:
            continue  # the answer to another question among the lines
    return values


def verdict(signal: Signal, values: list[float], expected: str) -> str:
    """How our reading compares with theirs; where several ECUs answer one question, they believe the last line."""
    if not values:
        return "missed: no answer"
    if signal.names:
        return "equal" if signal.names.get(int(values[-1])) == expected else "missed: another name"
    theirs = float(expected)
    if math.isclose(values[-1], theirs, abs_tol=DIGIT, rel_tol=0):
        return "equal"
    drawn = signal.at_limit(values[-1])
    if drawn != values[-1] and math.isclose(drawn, theirs, abs_tol=DIGIT, rel_tol=0):
        return "beyond its limits"
    several = any(math.isclose(value, theirs, abs_tol=DIGIT, rel_tol=0) for value in values)
    return "missed: another line has it" if several else "missed: another value"


def test_the_signal_sets_values_are_what_others_made_of_them(
    cases: tuple[Case, ...], signals: dict[str, Signal], figures: Figures
) -> None:
    verdicts, several, missed = Counter[str](), 0, []
    for case in cases:
        for name, expected in case.expected.items():
            signal = signals.get(name)
            if signal is None or signal.command != case.command:
                continue
            values = answers(case, signal)
            several += len(values) > 1
            found = verdict(signal, values, expected)
            verdicts[found] += 1
            if found.startswith("missed"):
                missed.append((f"{case.file} {name}", f"{found}: {values} for {expected}", case.lines))
    good = verdicts["equal"] + verdicts["beyond its limits"]
    share = f"{good} of {verdicts.total()} ({100 * good / verdicts.total():.2f} %)"
    figures(DATA_SET, "expected values of the signal set, read alike", share, f">= {100 * BAR} %")
    figures(DATA_SET, "- equal to their last digit", verdicts["equal"])
    figures(DATA_SET, "- beyond its limits: theirs is the limit, ours is not believed", verdicts["beyond its limits"])
    figures(DATA_SET, "- with several answers, the last one expected", several)
    for place, why, _ in missed:
        figures(DATA_SET, f"- missed: {place}", "", why)
    assert verdicts.total() > 5700
    assert good >= BAR * verdicts.total(), missed


def test_live_data_is_what_others_made_of_it(cases: tuple[Case, ...], figures: Figures) -> None:
    table: dict[int, list[obd.PidSpec]] = {}
    for spec in load_toml(OBD_PIDS, obd.PidTable).pids:
        table.setdefault(spec.pid, []).append(spec)
    compared, absent, missed = Counter[int](), 0, []
    for case in cases:
        match = re.search(r"\.01([0-9A-F]{2})$", case.command)
        pid = int(match[1], 16) if match else -1
        for spec in table.get(pid, []):
            single = next(iter(case.expected)) if len(case.expected) == 1 else ""
            name, factor, fitted = NAMES.get((pid, spec.bit_start), (single, 1, ""))
            value = live_value(case, spec)
            if fitted and case.expected[fitted] == "0":
                absent += math.isnan(value)
                missed += [] if math.isnan(value) else [(case.file, name, f"{value}, not fitted")]
                continue
            compared[pid] += 1
            drawn = min(value, LIMITS.get(name, math.inf)) / factor
            # One of theirs is scaled by 2 / 65535 where we have 2 / 65536.
            if not math.isclose(drawn, float(case.expected[name]), abs_tol=4 * DIGIT, rel_tol=2e-5):
                assert name not in EXPLAINED or value > spec.maximum
                missed.append((case.file, name, f"{value} for {case.expected[name]}"))
    total = compared.total() + absent
    share = f"{total - len(missed)} of {total}"
    figures(DATA_SET, f"values of {len(compared)} standard PIDs, read alike", share, "all but explained")
    figures(DATA_SET, "- of sensors this car does not have, and not read", absent)
    standard = sum(len(case.expected) for case in cases if re.search(r"\.01..$", case.command))
    figures(DATA_SET, "- no signals of ours: readiness bits, 'fitted' flags, states", standard - total)
    for file, name, values in missed:
        figures(DATA_SET, f"- missed: {file} {name}", values, EXPLAINED.get(name, "unexplained"))
    assert {name for _, name, _ in missed} <= EXPLAINED.keys(), missed
    assert len(compared) >= 30
    assert compared.total() > 500


def live_value(case: Case, spec: obd.PidSpec) -> float:
    request = obd.encode_request(obd.CURRENT_DATA, [spec.pid])
    [*_, answer] = [m.data for m in read_messages(case.lines) if obd.is_answer(m.data, request)]
    return spec.value(obd.parse_pids(answer, [spec.pid])[spec.pid])
