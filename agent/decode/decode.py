"""Frames to samples: one gather for the whole batch, whatever the mix of identifiers.

Every frame is given a node (its virtual message), every node a run of rows; the runs are laid end to end and each row's
bits are taken from the frame's 64-bit words, with a fixed number of NumPy calls.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.frames import EXTENDED, EXTENDED_KEY, REFUSED, FrameBatch
from agent.core.signals import Quality, Samples
from agent.decode.columns import DOUBLE, HALF, SINGLE, Block, Bytes, Flags, Floats, Ints, SignalTable, Words
from agent.decode.small import Decoded

__all__ = ["Decoded", "decode_batch"]


def decode_batch(table: SignalTable, batch: FrameBatch) -> Decoded:
    """Decode a batch of any size. Samples are in the order of the frames; see Decoded for what is counted."""
    if len(batch) < table.small_below:
        return table.small.decode(batch)
    if not table.has_float:
        return decode_large(table, batch)
    # A float may hold anything: infinities, NaNs, values that overflow with their scale. Their quality tells.
    with np.errstate(invalid="ignore", over="ignore"):
        return decode_large(table, batch)


def decode_large(table: SignalTable, batch: FrameBatch) -> Decoded:
    """Decode by the gather whatever the batch's size; for decode_batch and tests."""
    node, bad = _find_roots(table, batch)
    if table.has_selectors:
        _follow_selectors(table, batch, node, bad)
    count = table.values.count.take(node)
    frames = _Frames(batch.t_ns, node, count, batch.length, batch.data)
    giving = count.nonzero()[0]
    if len(giving) < len(batch):
        frames = frames.take(giving)
    samples, cut = _decode_frames(table, frames)
    if cut is not None:
        bad[giving[cut]] = True
        giving = giving[frames.count > 0]
    bad_count = int(np.count_nonzero(bad))
    unknown = len(batch) - len(giving) - bad_count
    if bad_count:
        unknown += int(np.count_nonzero(bad[giving]))
    return Decoded(samples, len(giving), unknown, bad_count)


@dataclass(slots=True)
class _Frames:
    """n frames that all give rows: columns of the batch, with their node and the count of rows."""

    t_ns: Ints
    node: Ints
    count: Ints
    length: Bytes
    data: Bytes

    def take(self, places: npt.NDArray[np.intp]) -> "_Frames":
        return _Frames(
            self.t_ns.take(places),
            self.node.take(places),
            self.count.take(places),
            self.length.take(places),
            self.data.take(places, axis=0),
        )


def _find_roots(table: SignalTable, batch: FrameBatch) -> tuple[Ints, Flags]:
    """Node each frame starts from, 0 where the table has none; and which frames are refused, whose node is 0."""
    node = table.standard.take(batch.can_id, mode="clip")
    present = int(np.bitwise_or.reduce(batch.flags)) if len(batch) else 0
    if present & EXTENDED:
        extended = (batch.flags & np.uint8(EXTENDED)).nonzero()[0]
        key = batch.can_id.take(extended) | np.uint32(EXTENDED_KEY)
        place = table.extended_key.searchsorted(key)
        node[extended] = np.where(table.extended_key.take(place) == key, table.extended_root.take(place), 0)
    if not present & REFUSED:
        return node, np.zeros(len(batch), np.bool_)
    bad = (batch.flags & np.uint8(REFUSED)) != 0
    node[bad] = 0
    return node, bad


def _follow_selectors(table: SignalTable, batch: FrameBatch, node: Ints, bad: Flags) -> None:
    """Move each frame on to the node without selector that its multiplexers lead to; in place."""
    selectors = table.selectors
    pending = selectors.mask.take(node).nonzero()[0]
    while len(pending):
        at = node.take(pending)
        window = selectors.window.take(at)
        octets = batch.data[pending[:, None], window[:, None] + np.arange(8)]
        word = np.where(selectors.big_endian.take(at), octets.view(">u8")[:, 0], octets.view("<u8")[:, 0])
        value = (word >> selectors.shift.take(at)) & selectors.mask.take(at)
        key = (at << 32) | value.view(np.int64)
        place = selectors.case_key.searchsorted(key)
        known = selectors.case_key.take(place) == key
        short = selectors.need.take(at) > batch.length.take(pending)
        if short.any():
            bad[pending[short]] = True
            known &= ~short
        at = np.where(known, selectors.case_node.take(place), selectors.default.take(at))
        node[pending] = at
        pending = pending[selectors.mask.take(at) != 0]


def _decode_frames(table: SignalTable, frames: _Frames) -> tuple[Samples, Flags | None]:
    """Samples of all frames, and which frames were too short for some of their values (None: none was).

    frames.count is set to what each frame gave.
    """
    row, bits = _gather(table, table.values, frames)
    failed = _failed_gates(table, frames) if table.has_gates else None
    cut = table.values.need.take(frames.node) > frames.length
    some_cut = bool(cut.any())
    if some_cut:
        frame = np.arange(len(frames.node)).repeat(frames.count)
        fits = table.rows.need.take(row) <= frames.length.take(frame)
        row, bits = row[fits], bits[fits]
        frames.count = np.bincount(frame[fits], minlength=len(frames.node))
    value = _scale(table, row, bits)
    sentinel = None if failed is None else (failed.repeat(frames.count) & table.rows.gates.take(row)) != 0
    quality = _judge(table, row, bits, value, sentinel)
    return Samples(
        frames.t_ns.repeat(frames.count), table.rows.number.take(row), value, quality
    ), cut if some_cut else None


def _gather(table: SignalTable, block: Block, frames: _Frames) -> tuple[Ints, Words]:
    """The rows of this block that the frames give (frames.count each), end to end, and their raw bits."""
    count = frames.count
    end = count.cumsum()
    row = np.arange(end[-1] if len(end) else 0)
    row += (block.first.take(frames.node) - end + count).repeat(count)
    segments = table.segments
    words = np.empty((len(count), len(segments)), np.uint64)
    for place, (offset, big_endian) in enumerate(segments):
        octets = frames.data[:, offset : offset + 8]
        if offset % 8:
            octets = np.ascontiguousarray(octets)
        words[:, place] = octets.view(">u8" if big_endian else "<u8")[:, 0]
    if len(segments) > 1:
        count = block.per_segment.take(frames.node, axis=0).reshape(-1)
    bits = words.reshape(-1).repeat(count)
    if table.has_wide:
        _widen(table, frames, row, bits)
    else:
        bits >>= table.rows.shift.take(row)
    bits &= table.rows.mask.take(row)
    return row, bits


def _widen(table: SignalTable, frames: _Frames, row: Ints, bits: Words) -> None:
    """Shift the words into place, joining those of values that touch nine bytes with their ninth; in place."""
    rows = table.rows
    shift = rows.shift.take(row)
    wide = rows.wide.take(row).nonzero()[0]
    words = bits.take(wide)
    bits >>= shift
    if not len(wide):
        return
    at, shift = row.take(wide), shift.take(wide)
    frame = np.searchsorted(frames.count.cumsum(), wide, side="right")
    ninth = frames.data[frame, rows.window.take(at).astype(np.intp) + 8].astype(np.uint64)
    eight, sixty_four = np.uint64(8), np.uint64(64)
    bits[wide] = np.where(
        rows.big_endian.take(at),
        (words << shift) | (ninth >> (eight - shift)),
        (words >> shift) | (ninth << (sixty_four - shift)),
    )


def _scale(table: SignalTable, row: Ints, bits: Words) -> Floats:
    """Physical values of raw bits."""
    rows = table.rows
    raw = bits.view(np.int64)
    if table.has_sign:
        sign = rows.sign.take(row)
        raw = raw ^ sign
        raw -= sign
    value = raw.astype(np.float64)
    if table.has_unsigned64:
        large = rows.unsigned64.take(row).nonzero()[0]
        value[large] = bits.take(large)
    if table.has_float:
        kind = rows.kind.take(row)
        for number, integer, real in ((HALF, "<u2", "<f2"), (SINGLE, "<u4", "<f4"), (DOUBLE, "<u8", "<f8")):
            places = (kind == number).nonzero()[0]
            if len(places):
                value[places] = bits.take(places).astype(integer).view(real)
    value *= rows.scale.take(row)
    value += rows.offset.take(row)
    return value


def _judge(table: SignalTable, row: Ints, bits: Words, value: Floats, sentinel: Flags | None) -> Bytes:
    """Quality of each value; sentinel marks those whose gates failed."""
    rows = table.rows
    quality = np.zeros(len(row), np.uint8)
    if table.has_range:
        outside = value < rows.low.take(row)
        outside |= value > rows.high.take(row)
        quality[outside] = Quality.IMPLAUSIBLE
    if table.has_float:
        quality[~np.isfinite(value)] = Quality.IMPLAUSIBLE
    if table.has_sentinels:
        raw = bits.view(np.int64)
        given = rows.sentinel_count.take(row)
        for place in range(rows.sentinels.shape[1]):
            quality[(given > place) & (raw == rows.sentinels[:, place].take(row))] = Quality.SENTINEL
    if sentinel is not None:
        quality[sentinel] = Quality.SENTINEL
    return quality


def _failed_gates(table: SignalTable, frames: _Frames) -> Words:
    """Bit mask per frame of the gates that do not hold; one whose bits the frame is too short for does not either."""
    failed = np.zeros(len(frames.node), np.uint64)
    gated = table.conditions.count.take(frames.node).nonzero()[0]
    if not len(gated):
        return failed
    rows = table.rows
    some = frames.take(gated)
    some.count = table.conditions.count.take(some.node)
    row, bits = _gather(table, table.conditions, some)
    value = _scale(table, row, bits)
    low, high = rows.low.take(row), rows.high.take(row)
    holds = np.where(rows.negated.take(row), (value < low) | (value > high), (value >= low) & (value <= high))
    holds &= rows.need.take(row) <= some.length.repeat(some.count)
    missed = np.where(holds, np.uint64(0), rows.bit.take(row))
    failed[gated] = np.bitwise_or.reduceat(missed, some.count.cumsum() - some.count)
    return failed
