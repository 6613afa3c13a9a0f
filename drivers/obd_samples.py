"""What the car answers as samples: service 01 by our own table, and what of it tells of the ignition."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from agent.core.errors import ProtocolError
from agent.core.signals import Quality, Samples, SignalSpec, SignalWindow
from agent.proto import obd
from agent.proto.elm327 import EcuMessage
from agent.proto.generic_polls import generic_polls
from agent.proto.ignition import SIGNS, Ignition
from agent.proto.schedule import Poll, Request


def signal_specs(table: Sequence[obd.PidSpec], period_s: float, polls: Sequence[Poll] = ()) -> list[SignalSpec]:
    """Signals in the table's order. Stale after three periods of their own poll, and no sooner than 2 s."""
    generic = generic_polls([spec.pid for spec in table], period_s)
    periods = {poll.pid: poll.period_s for poll in (*generic, *polls)}
    return [
        SignalSpec(
            spec.path,
            spec.unit,
            minimum=spec.minimum,
            maximum=spec.maximum,
            stale_after_s=max(2.0, 3 * periods[spec.pid]),
        )
        for spec in table
    ]


def read_pids(
    messages: Sequence[EcuMessage], request: Request, counts: Counter[str]
) -> tuple[dict[int, bytes], int | None]:
    """Data by PID, and the code of a refusal; of several ECUs the lowest identifier (the engine's) is believed."""
    data: dict[int, bytes] = {}
    refusal = None
    for message in sorted(messages, key=lambda m: m.sender):
        try:
            if request.service == obd.CURRENT_DATA:
                data = obd.parse_pids(message.data, request.idents) | data
            elif message.data[:1] == b"\x7f":
                refusal = message.data[-1]
        except obd.NegativeResponse as exc:
            counts["refused"] += 1
            refusal = exc.code
        except ProtocolError:
            counts["bad"] += 1
    return data, refusal


def pid_samples(table: Sequence[obd.PidSpec], data: Mapping[int, bytes], t_ns: int, counts: Counter[str]) -> Samples:
    """Samples at t_ns of the signals in these PIDs; a signal's number is its place in the table."""
    rows: list[tuple[int, float, Quality]] = []
    for number, spec in enumerate(table):
        if spec.pid not in data:
            continue
        if len(data[spec.pid]) < spec.byte_count:
            counts["bad"] += 1
            continue
        value = spec.value(data[spec.pid])
        if not math.isnan(value):  # else the answer itself says that this car does not have it
            plausible = spec.minimum <= value <= spec.maximum
            rows.append((number, value, Quality.VALID if plausible else Quality.IMPLAUSIBLE))
    return Samples(
        np.full(len(rows), t_ns, np.int64),
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.float64),
        np.array([row[2] for row in rows], np.uint8),
    )


def hear_samples(ignition: Ignition, specs: Sequence[SignalSpec], samples: Samples) -> None:
    """Tell the ignition what is valid of the car's own answers, as of the time they bear."""
    for row in np.flatnonzero(samples.quality == Quality.VALID).tolist():
        ignition.observe(specs[samples.signal[row]].path, float(samples.value[row]), int(samples.t_ns[row]))


def hear_window(ignition: Ignition, window: SignalWindow) -> None:
    """Tell the ignition what other sources say of it."""
    for path in SIGNS:
        series = window.new(path)
        if len(series):
            ignition.observe(path, float(series.value[-1]), int(series.t_ns[-1]))
