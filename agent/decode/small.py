"""The small-batch path: a few frames in plain Python, where NumPy's cost per call would dominate.

Gives bit for bit what the gather in decode.py gives (property test).
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.core.frames import EXTENDED, EXTENDED_KEY, REFUSED, FrameBatch
from agent.core.signals import Quality, Samples
from agent.decode.layout import Field, Node
from agent.decode.profile import Condition

_FLOATS: Final = {16: struct.Struct("<e"), 32: struct.Struct("<f"), 64: struct.Struct("<d")}
_NONE: Final[frozenset[Condition]] = frozenset()
_VALID, _SENTINEL, _IMPLAUSIBLE = int(Quality.VALID), int(Quality.SENTINEL), int(Quality.IMPLAUSIBLE)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch gave.

    samples in the order of the frames. decoded: frames that gave at least one sample. bad: REFUSED ones
    (remote, error and own frames), and frames too short for what the table wants of them; the values that do fit into
    a short frame are given, so it can count as both. unknown: frames of which the table wants nothing.
    """

    samples: Samples
    decoded: int
    unknown: int
    bad: int


@dataclass(frozen=True, slots=True)
class _Value:
    """A field with its arithmetic laid out. The shift counts from the end of the payload when big endian."""

    number: int
    big_endian: bool
    shift: int
    mask: int
    sign: int
    decode: Callable[[bytes], tuple[float]] | None
    size: int
    scale: float
    offset: float
    need: int
    low: float
    high: float
    sentinels: frozenset[int]
    gates: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A node, laid out."""

    values: tuple[_Value, ...]
    gates: tuple[tuple[Condition, _Value], ...]
    selector: _Value | None
    cases: dict[int, int]
    default: int


class SmallDecoder:
    """Decodes frame by frame; lays out a node when it first meets it."""

    def __init__(self, nodes: Sequence[Node], roots: Mapping[int, int]) -> None:
        self._nodes = nodes
        self._roots = roots
        self._plans: dict[int, _Plan] = {}
        self._size = max((field.last_byte + 1 for node in nodes for field in _all_fields(node)), default=1)

    def decode(self, batch: FrameBatch) -> Decoded:
        """Samples and counts of a batch, for any batch size."""
        times: list[int] = []
        numbers: list[int] = []
        values: list[float] = []
        qualities: list[int] = []
        decoded = unknown = bad = 0
        size = self._size
        payloads = batch.data[:, :size].tobytes()
        columns = zip(
            batch.t_ns.tolist(), batch.can_id.tolist(), batch.flags.tolist(), batch.length.tolist(), strict=True
        )
        for index, (t_ns, can_id, flags, length) in enumerate(columns):
            if flags & REFUSED:
                bad += 1
                continue
            root = self._roots.get(can_id | EXTENDED_KEY if flags & EXTENDED else can_id)
            if root is None:
                unknown += 1
                continue
            payload = payloads[index * size : index * size + size]
            little, big = int.from_bytes(payload, "little"), int.from_bytes(payload, "big")
            plan, short = self._select(root, little, big, length)
            before = len(values)
            failed = _failed_gates(plan, little, big, length) if plan.gates else _NONE
            for value in plan.values:
                if value.need > length:
                    short = True
                    continue
                bits = _bits(value, little, big)
                physical = _physical(value, bits)
                numbers.append(value.number)
                values.append(physical)
                qualities.append(_quality(value, bits, physical, failed))
            gave = len(values) - before
            times += [t_ns] * gave
            decoded += gave > 0
            bad += short
            unknown += not gave and not short
        samples = Samples(
            np.array(times, np.int64),
            np.array(numbers, np.int32),
            np.array(values, np.float64),
            np.array(qualities, np.uint8),
        )
        return Decoded(samples, decoded, unknown, bad)

    def _select(self, root: int, little: int, big: int, length: int) -> tuple[_Plan, bool]:
        """Follow the multiplexers; True where the frame is too short for one of them."""
        plan, short = self._plan(root), False
        while plan.selector is not None:
            if plan.selector.need > length:
                short, node = True, plan.default
            else:
                node = plan.cases.get(_bits(plan.selector, little, big), plan.default)
            plan = self._plan(node)
        return plan, short

    def _plan(self, number: int) -> _Plan:
        if number not in self._plans:
            self._plans[number] = _lay_out(self._nodes[number], self._size * 8)
        return self._plans[number]


def _all_fields(node: Node) -> list[Field]:
    gates = [field for field, _ in node.gates]
    return [*node.fields, *gates] if node.selector is None else [*node.fields, *gates, node.selector]


def _lay_out(node: Node, bits: int) -> _Plan:
    return _Plan(
        tuple(_value(field, bits) for field in node.fields),
        tuple((condition, _value(field, bits)) for field, condition in node.gates),
        None if node.selector is None else _value(node.selector, bits),
        dict(node.cases),
        node.default,
    )


def _value(field: Field, bits: int) -> _Value:
    mask = (1 << field.length) - 1
    sentinels = (value & mask for value in field.sentinels)
    return _Value(
        number=field.number,
        big_endian=field.big_endian,
        shift=bits - field.first_bit - field.length if field.big_endian else field.first_bit,
        mask=mask,
        sign=1 << field.length - 1 if field.signed else 0,
        decode=_FLOATS[field.length].unpack if field.is_float else None,
        size=field.length // 8,
        scale=field.scale,
        offset=field.offset,
        need=field.last_byte + 1,
        low=-math.inf if field.minimum is None else field.minimum,
        high=math.inf if field.maximum is None else field.maximum,
        sentinels=frozenset(sentinels),
        gates=field.gates,
    )


def _bits(value: _Value, little: int, big: int) -> int:
    return (big if value.big_endian else little) >> value.shift & value.mask


def _physical(value: _Value, bits: int) -> float:
    if value.decode is not None:
        return value.decode(bits.to_bytes(value.size, "little"))[0] * value.scale + value.offset
    raw = (bits ^ value.sign) - value.sign
    return float(raw) * value.scale + value.offset


def _quality(value: _Value, bits: int, physical: float, failed: frozenset[Condition]) -> int:
    if bits in value.sentinels or not failed.isdisjoint(value.gates):
        return _SENTINEL
    if value.low <= physical <= value.high and math.isfinite(physical):
        return _VALID
    return _IMPLAUSIBLE


def _failed_gates(plan: _Plan, little: int, big: int, length: int) -> frozenset[Condition]:
    """Gates of a frame that do not hold; one whose bits the frame is too short for does not either."""
    return frozenset(
        condition
        for condition, value in plan.gates
        if value.need > length or not condition.holds(_physical(value, _bits(value, little, big)))
    )
