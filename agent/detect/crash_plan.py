"""When a crash record tells what: the trigger and the table at once, then what was before, newest first."""

from typing import Final, Literal, NamedTuple

from agent.core.crash import IMU_PATHS
from agent.core.signals import SignalWindow
from agent.detect.crash_elements import CURVE_NS, LONGEST_NS, Impact
from agent.detect.crash_samples import between
from agent.detect.pulse import MS
from agent.detect.streams import NS

BEFORE_NS: Final = 15 * NS
AFTER_NS: Final = 15 * NS
SIGNALS_BEFORE_NS: Final = 20 * NS
SIGNALS_AFTER_NS: Final = 5 * NS
LATE_NS: Final = NS
"""A source's newest samples may come so much later than another's; then it is silent."""

_ONSET_NS: Final = 50 * MS  # told before T0 with the trigger
_IMU_PIECE_NS: Final = NS
_SIGNALS_PIECE_NS: Final = 5 * NS
_FAST_HZ: Final = 1600  # above, pieces are shorter, so that none takes long
_EARLIER_NS: Final = 600 * MS  # in which the pieces from before T0 are told, spread over the windows

Part = Literal["trigger", "table", "imu", "signals", "end", "withdrawn"]


class Step(NamedTuple):
    """A part to tell of the samples from from_ns up to until_ns, once it is due; the order is that of due_ns."""

    due_ns: int
    part: Part
    from_ns: int
    until_ns: int


def make_plan(impact: Impact, window: SignalWindow) -> list[Step]:
    """All of a record's steps, by when they are due; how long its pieces are depends on the IMU's rate."""
    t0_ns = impact.t0_ns
    rate_hz = len(between(window, IMU_PATHS[0], t0_ns - NS, t0_ns))
    piece_ns = _IMU_PIECE_NS if rate_hz <= _FAST_HZ else _IMU_PIECE_NS // 4
    known_ns = max(impact.trigger_ns, t0_ns + CURVE_NS)
    onset_ns = t0_ns - _ONSET_NS
    steps = [
        Step(impact.trigger_ns, "trigger", onset_ns, min(impact.trigger_ns, t0_ns + LONGEST_NS) + 1),
        Step(known_ns, "table", onset_ns, t0_ns + CURVE_NS),
    ]
    before = range(t0_ns, t0_ns - BEFORE_NS, -piece_ns)
    for k, until_ns in enumerate(before, 1):
        due_ns = known_ns + k * _EARLIER_NS // len(before)
        steps.append(Step(due_ns, "imu", until_ns - piece_ns, until_ns))
    ends = range(t0_ns + piece_ns, t0_ns + AFTER_NS + 1, piece_ns)
    steps += [Step(max(end_ns, known_ns), "imu", end_ns - piece_ns, end_ns) for end_ns in ends]
    for k, until_ns in enumerate(range(t0_ns, t0_ns - SIGNALS_BEFORE_NS, -_SIGNALS_PIECE_NS), 1):
        due_ns = known_ns + _EARLIER_NS + k * 100 * MS
        steps.append(Step(due_ns, "signals", until_ns - _SIGNALS_PIECE_NS, until_ns))
    after_ns = t0_ns + SIGNALS_AFTER_NS
    steps.append(Step(max(after_ns + LATE_NS, known_ns), "signals", t0_ns, after_ns))
    steps.sort(key=lambda step: step.due_ns)
    return [*steps, Step(max(t0_ns + AFTER_NS, steps[-1].due_ns), "end", t0_ns - BEFORE_NS, t0_ns + AFTER_NS)]
