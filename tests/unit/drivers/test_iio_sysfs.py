import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import SourceLost
from drivers.iio_sysfs import Attributes, Layout, find_device, parse_element


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("le:s16/16>>0", struct.pack("<3h", -32768, -1, 32767), [-32768, -1, 32767]),
        ("be:s16/16>>0", struct.pack(">3h", -32768, -1, 32767), [-32768, -1, 32767]),
        ("le:s12/16>>4", struct.pack("<3h", -2048 << 4, -1 << 4, 2047 << 4), [-2048, -1, 2047]),
        ("be:s12/16>>4", struct.pack(">3H", 0x8000, 0xFFFF, 0x7FFF), [-2048, -1, 2047]),
        ("le:u12/16>>4", struct.pack("<2H", 0xFFFF, 0x0010), [4095, 1]),
        ("le:s32/32>>0", struct.pack("<2i", -(2**31), 2**31 - 1), [-(2**31), 2**31 - 1]),
        ("be:s20/32>>12", struct.pack(">2i", -(2**31), 0x1000), [-(2**19), 1]),
        ("le:s8/8>>0", struct.pack("<2b", -128, 127), [-128, 127]),
        ("le:s64/64>>0", struct.pack("<2q", -1, 2**63 - 1), [-1, 2**63 - 1]),
    ],
)
def test_words_of_every_type(kind: str, data: bytes, words: list[int]) -> None:
    layout = Layout([parse_element("accel_x", "0", kind)])
    assert layout.words(layout.view(data), "accel_x").tolist() == words


@pytest.mark.parametrize(
    ("kinds", "offsets", "size"),
    [
        (["le:s16/16>>0"] * 3 + ["le:s64/64>>0"], [0, 2, 4, 8], 16),
        (["le:s16/16>>0"] * 6 + ["le:s64/64>>0"], [0, 2, 4, 6, 8, 10, 16], 24),
        (["le:s8/8>>0", "le:s32/32>>0", "le:s16/16>>0"], [0, 4, 8], 12),
        (["le:s16/16>>0", "le:s16/16>>0"], [0, 2], 4),
        (["le:s32/32X4>>0", "le:s16/16>>0"], [16], 32),
    ],
)
def test_elements_are_aligned_to_their_size_and_the_scan_to_its_largest(
    kinds: list[str], offsets: list[int], size: int
) -> None:
    layout = Layout([parse_element(f"e{place}", str(place), kind) for place, kind in enumerate(kinds)])
    dtype = layout.view(bytes(layout.scan_bytes)).dtype
    assert dtype.fields is not None
    assert [place[1] for place in dtype.fields.values()] == offsets
    assert layout.scan_bytes == size


def test_the_index_orders_the_scan_and_not_the_name() -> None:
    layout = Layout([parse_element("a", "5", "le:s16/16>>0"), parse_element("b", "2", "le:s16/16>>0")])
    scans = layout.view(struct.pack("<2h", 7, 9))
    assert layout.words(scans, "b").tolist() == [7]
    assert layout.words(scans, "a").tolist() == [9]


@given(bits=st.integers(1, 32), shift=st.integers(0, 31), big=st.booleans(), data=st.data())
def test_a_word_comes_back_whatever_lies_around_it(bits: int, shift: int, big: bool, data: st.DataObject) -> None:  # noqa: FBT001  # drawn by name
    if bits + shift > 32:
        shift = 32 - bits
    word = data.draw(st.integers(-(1 << bits - 1), (1 << bits - 1) - 1))
    noise = data.draw(st.integers(0, 2**32 - 1)) & ~(((1 << bits) - 1) << shift)
    stored = ((word & (1 << bits) - 1) << shift) | noise
    layout = Layout([parse_element("x", "0", f"{'be' if big else 'le'}:s{bits}/32>>{shift}")])
    raw = struct.pack(">I" if big else "<I", stored)
    assert layout.words(layout.view(raw), "x").tolist() == [word]


@pytest.mark.parametrize(
    "kind", ["", "s16/16>>0", "le:s16/24>>0", "le:s17/16>>0", "le:s12/16>>5", "me:s16/16>>0", "le:s0/16>>0"]
)
def test_a_type_that_makes_no_sense_is_named(kind: str) -> None:
    with pytest.raises(SourceLost, match="in_accel_x_type"):
        parse_element("accel_x", "0", kind)


def test_an_index_that_is_no_number_is_named() -> None:
    with pytest.raises(SourceLost, match="in_accel_x_index 'first'"):
        parse_element("accel_x", "first", "le:s16/16>>0")


def test_attributes_of_lists_and_ranges(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("0.5 1 2\n")
    (tmp_path / "range").write_text("[1 1 1600]\n")
    (tmp_path / "words").write_text("fast slow\n")
    attributes = Attributes(tmp_path)
    assert attributes.numbers("list") == [0.5, 1, 2]
    assert attributes.numbers("range") == [1, 1600]
    assert attributes.numbers("nothing") == []
    with pytest.raises(SourceLost, match="words is no number: 'fast'"):
        attributes.numbers("words")
    with pytest.raises(SourceLost, match="nothing cannot be read: No such file"):
        attributes.read("nothing")


def test_a_number_counts_as_set_however_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "scale").write_text("0.004785645\n")
    attributes = Attributes(tmp_path)
    attributes.set("scale", "0.0047856")
    assert (tmp_path / "scale").read_text() == "0.004785645\n"  # nothing was written
    attributes.set("scale", "0.1")
    assert attributes.number("scale") == pytest.approx(0.1)


def _device(root: Path, number: int, name: str, channel: str = "accel_x") -> None:
    folder = root / f"sys/bus/iio/devices/iio:device{number}"
    (folder / "scan_elements").mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / f"scan_elements/in_{channel}_en").write_text("0\n")


def test_a_device_is_found_by_name_number_or_path(tmp_path: Path) -> None:
    _device(tmp_path, 0, "adc", "voltage0")
    _device(tmp_path, 1, "bmi160")
    for wanted in ("", "bmi160", "iio:device1", "/dev/iio:device1", "/sys/bus/iio/devices/iio:device1"):
        assert find_device(tmp_path, wanted, "accel_x").folder.name == "iio:device1"
    with pytest.raises(
        SourceLost, match=r"no device 'lsm6' with a buffer of in_accel_x; IIO devices: iio:device0 \(adc"
    ):
        find_device(tmp_path, "lsm6", "accel_x")
    with pytest.raises(SourceLost, match="no device 'adc' with"):
        find_device(tmp_path, "adc", "accel_x")
    _device(tmp_path, 2, "adxl372")
    with pytest.raises(SourceLost, match="several devices have a buffer of in_accel_x"):
        find_device(tmp_path, "", "accel_x")


def test_no_device_at_all(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match="no device with a buffer of in_accel_x; IIO devices: none"):
        find_device(tmp_path, "", "accel_x")


def test_whole_scans_are_seen_without_a_copy() -> None:
    layout = Layout([parse_element("x", "0", "le:s16/16>>0")])
    scans = layout.view(b"\x01\x00\x02\x00")
    assert not scans.flags.owndata
    assert layout.words(scans, "x").dtype == np.int64


def test_the_end_of_a_c_string_is_no_part_of_a_setting(tmp_path: Path) -> None:
    (tmp_path / "current_timestamp_clock").write_bytes(b"boottime\n\0")  # as kernels show it
    device = Attributes(tmp_path)
    assert device.read("current_timestamp_clock") == "boottime"
    assert device.holds("current_timestamp_clock", "boottime")
