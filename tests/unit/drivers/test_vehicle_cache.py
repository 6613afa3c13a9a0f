from pathlib import Path

import pytest

from drivers.vehicle_cache import VEHICLES_MAX, FileVehicleCache


def test_it_remembers_the_last_vehicles_and_never_their_vins(tmp_path: Path) -> None:
    cache = FileVehicleCache(tmp_path)
    vins = [f"LRDTESTCAR{number:07}" for number in range(VEHICLES_MAX + 3)]
    for number, vin in enumerate(vins):
        assert cache.load(vin) is None
        cache.save(vin, frozenset({0x0C, number}))
    assert cache.load(vins[0]) is None
    again = FileVehicleCache(tmp_path)
    assert again.load(vins[-1]) == frozenset({0x0C, VEHICLES_MAX + 2})
    assert again.load(vins[3]) == frozenset({0x0C, 3})
    text = again.file.load().decode("ascii")
    assert "LRDTEST" not in text
    assert text.count("[") == VEHICLES_MAX


@pytest.mark.parametrize("text", ["", "[]", '{"a": "b"}', "{", "\0" * 100_000])
def test_a_spoilt_file_counts_as_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "vehicles.json").write_text(text, encoding="ascii")
    cache = FileVehicleCache(tmp_path)
    assert cache.load("LRDTESTCAR0000007") is None
    cache.save("LRDTESTCAR0000007", frozenset({1}))
    assert cache.load("LRDTESTCAR0000007") == frozenset({1})


def test_a_directory_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    cache = FileVehicleCache(tmp_path / "missing")
    cache.save("LRDTESTCAR0000007", frozenset({1}))
    assert cache.load("LRDTESTCAR0000007") is None
