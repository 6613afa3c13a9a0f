"""Turns the decision graph of nodes into the columns of a signal table."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from agent.core.frames import DATA_SIZE, EXTENDED_KEY
from agent.decode.columns import DOUBLE, HALF, INTEGER, SINGLE, Block, Rows, Selectors, SignalTable
from agent.decode.layout import Field, Graph, Node
from agent.decode.profile import Condition
from agent.decode.small import SmallDecoder

_KINDS: Final = {16: HALF, 32: SINGLE, 64: DOUBLE}


def compile_graph(graph: Graph) -> SignalTable:
    """Turn the decision graph into columns."""
    windows = _choose_windows(graph)
    compiler = _Compiler(windows)
    nodes = [compiler.sort(node) for node in graph.nodes]
    values = [compiler.add_values(node) for node in nodes]
    conditions = [compiler.add_conditions(node) for node in nodes]
    rows = compiler.rows()
    segments = tuple(compiler.segments) or ((0, False),)
    standard = np.zeros(2049, np.int64)
    extended = sorted(key for key in graph.roots if key & EXTENDED_KEY)
    for key, root in graph.roots.items():
        if not key & EXTENDED_KEY:
            standard[key] = root
    table = SignalTable(
        small=SmallDecoder(nodes, graph.roots),
        small_below=0,
        rows=rows,
        values=_block(values, len(segments)),
        conditions=_block(conditions, len(segments)),
        selectors=_selectors(nodes),
        segments=segments,
        standard=standard,
        extended_key=np.array([*extended, 0xFFFF_FFFF], np.uint32),
        extended_root=np.array([*(graph.roots[key] for key in extended), 0], np.int64),
        has_selectors=any(node.selector is not None for node in nodes),
        has_sign=bool(rows.sign.any()),
        has_float=bool(rows.kind.any()),
        has_unsigned64=bool(rows.unsigned64.any()),
        has_wide=bool(rows.wide.any()),
        has_range=bool(np.isfinite(rows.low).any() or np.isfinite(rows.high).any()),
        has_gates=bool(rows.gates.any()),
        has_sentinels=bool(rows.sentinel_count.any()),
    )
    return replace(table, small_below=_small_below(table, nodes, graph))


def _small_below(table: SignalTable, nodes: Sequence[Node], graph: Graph) -> int:
    """Batch size from which the gather is faster than plain Python.

    Measured on one machine; what counts is the proportion: the gather costs some 22 us, and each feature that the table
    needs some more, whatever the batch; plain Python costs 1.5 us a frame and 0.9 us a value.
    """
    gather_us = 22 + 25 * table.has_selectors + 30 * table.has_gates + 6 * table.has_range + 6 * table.has_float
    largest = [_most_values(nodes, root) for root in set(graph.roots.values())]
    values = sum(largest) / len(largest) if largest else 0
    return max(2, round(gather_us / (1.5 + 0.9 * values)))


def _most_values(nodes: Sequence[Node], root: int) -> int:
    """Most values that a frame starting from this node can give."""
    most, seen, waiting = 0, {root}, [root]
    while waiting:
        node = nodes[waiting.pop()]
        most = max(most, len(node.fields))
        after = set() if node.selector is None else {node.default, *node.cases.values()} - seen
        seen |= after
        waiting += after
    return most


Run = tuple[int, list[int], int]  # first row, rows per segment, bytes needed


class _Compiler:
    """Collects rows; the same set of fields gets its rows once."""

    def __init__(self, windows: dict[Field, int]) -> None:
        self._windows = windows
        self.segments = sorted({(window, field.big_endian) for field, window in windows.items()})
        self._rows: list[tuple[Field, Condition | None, int, int]] = []  # field, gate, its bit, gates it must not meet
        self._place = {segment: place for place, segment in enumerate(self.segments)}
        self._known: dict[object, Run] = {}

    def sort(self, node: Node) -> Node:
        """The node with its fields in the order of the segments: both decoding paths give samples in this order."""
        return replace(node, fields=tuple(sorted(node.fields, key=self._segment)))

    def add_values(self, node: Node) -> Run:
        """Rows of a node's values."""
        bits = {condition: 1 << place for place, (_, condition) in enumerate(node.gates)}
        return self._add(
            [(field, None, 0, sum(bits[gate] for gate in dict.fromkeys(field.gates))) for field in node.fields]
        )

    def add_conditions(self, node: Node) -> Run:
        """Rows of the fields that a node's gates read."""
        return self._add([(field, condition, 1 << place, 0) for place, (field, condition) in enumerate(node.gates)])

    def _add(self, rows: list[tuple[Field, Condition | None, int, int]]) -> Run:
        key = tuple(rows)
        if key not in self._known:
            rows = sorted(rows, key=lambda row: self._segment(row[0]))
            counts = [0] * max(1, len(self.segments))
            for field, *_ in rows:
                counts[self._segment(field)] += 1
            need = max((field.last_byte + 1 for field, *_ in rows), default=0)
            self._known[key] = len(self._rows), counts, need
            self._rows.extend(rows)
        return self._known[key]

    def _segment(self, field: Field) -> int:
        return self._place[self._windows[field], field.big_endian]

    def rows(self) -> Rows:
        """All rows as columns."""
        fields = [field for field, *_ in self._rows]
        window = np.array([self._windows[field] for field in fields], np.uint8)
        most = max((len(field.sentinels) for field in fields), default=0)
        sentinels = np.zeros((len(fields), most), np.int64)
        for row, field in enumerate(fields):
            sentinels[row, : len(field.sentinels)] = [
                _signed(value & (1 << field.length) - 1) for value in field.sentinels
            ]
        limits = [_limits(field, condition) for field, condition, *_ in self._rows]
        return Rows(
            number=np.array([field.number for field in fields], np.int32),
            shift=np.array([_shift(field, self._windows[field]) for field in fields], np.uint64),
            mask=np.array([(1 << field.length) - 1 for field in fields], np.uint64),
            sign=np.array([_signed(1 << field.length - 1) if field.signed else 0 for field in fields], np.int64),
            scale=np.array([field.scale for field in fields], np.float64),
            offset=np.array([field.offset for field in fields], np.float64),
            need=np.array([field.last_byte + 1 for field in fields], np.uint8),
            kind=np.array([_KINDS[field.length] if field.is_float else INTEGER for field in fields], np.uint8),
            unsigned64=np.array([_is_unsigned64(field) for field in fields], np.bool_),
            wide=np.array([field.last_byte - field.first_byte == 8 for field in fields], np.bool_),
            window=window,
            big_endian=np.array([field.big_endian for field in fields], np.bool_),
            length=np.array([field.length for field in fields], np.uint8),
            low=np.array([low for low, _ in limits], np.float64),
            high=np.array([high for _, high in limits], np.float64),
            gates=np.array([gates for *_, gates in self._rows], np.uint64),
            bit=np.array([bit for *_, bit, _ in self._rows], np.uint64),
            negated=np.array([row[1] is not None and row[1].negated for row in self._rows], np.bool_),
            sentinels=sentinels,
            sentinel_count=np.array([len(field.sentinels) for field in fields], np.uint8),
        )


def _choose_windows(graph: Graph) -> dict[Field, int]:
    """A window of 8 bytes for each field: aligned where one holds it, else shared, else its own."""
    fields = {field for node in graph.nodes for field in (*node.fields, *(gate for gate, _ in node.gates))}
    windows: dict[Field, int] = {}
    shared: list[int] = []
    for field in sorted(fields, key=lambda field: (field.first_byte, field.last_byte)):
        first, last = field.first_byte, field.last_byte
        if first // 8 == last // 8:
            windows[field] = first // 8 * 8
            continue
        fitting = [window for window in shared if window <= first and last <= window + 7]
        window = fitting[0] if fitting else min(first, DATA_SIZE - 8)
        shared += [] if fitting else [window]
        windows[field] = window
    return windows


def _block(runs: Sequence[Run], segments: int) -> Block:
    per_segment = np.array([counts for _, counts, _ in runs], np.int64).reshape(len(runs), segments)
    return Block(
        first=np.array([first for first, *_ in runs], np.int64),
        count=per_segment.sum(axis=1),
        per_segment=per_segment,
        need=np.array([need for *_, need in runs], np.uint8),
    )


def _selectors(nodes: Sequence[Node]) -> Selectors:
    fields = [node.selector for node in nodes]
    windows = [0 if field is None else min(field.first_byte, DATA_SIZE - 8) for field in fields]
    pairs = [(field, window) for field, window in zip(fields, windows, strict=True)]
    cases = sorted((number << 32 | value, to) for number, node in enumerate(nodes) for value, to in node.cases.items())
    cases.append((np.iinfo(np.int64).max, 0))
    return Selectors(
        window=np.array(windows, np.int64),
        big_endian=np.array([field is not None and field.big_endian for field in fields], np.bool_),
        shift=np.array([0 if field is None else _shift(field, window) for field, window in pairs], np.uint64),
        mask=np.array([0 if field is None else (1 << field.length) - 1 for field in fields], np.uint64),
        need=np.array([0 if field is None else field.last_byte + 1 for field in fields], np.uint8),
        default=np.array([node.default for node in nodes], np.int64),
        case_key=np.array([key for key, _ in cases], np.int64),
        case_node=np.array([to for _, to in cases], np.int64),
    )


def _shift(field: Field, window: int) -> int:
    """Right shift of the window's word; for a field of nine bytes, how its two parts meet (see decode._widen)."""
    start = field.first_bit - 8 * window
    wide = field.last_byte - field.first_byte == 8
    if not field.big_endian:
        return start
    return start + field.length - 64 if wide else 64 - start - field.length


def _limits(field: Field, condition: Condition | None) -> tuple[float, float]:
    if condition is not None:
        return condition.low, condition.high
    low = -np.inf if field.minimum is None else field.minimum
    return low, np.inf if field.maximum is None else field.maximum


def _is_unsigned64(field: Field) -> bool:
    return field.length == 64 and not field.signed and not field.is_float


def _signed(value: int) -> int:
    """The same 64 bits as a signed integer."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
