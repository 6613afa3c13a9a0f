from pathlib import Path

import pytest

from agent.core.config import Config, load_config, overlay_config, parse_config
from agent.core.errors import ConfigError

GOOD = """
version = 3
profile = "simcar"

[device]
id = "box-1"
groups = ["taxi"]

[[buses]]
interface = "virtual"
channel = "car"

[detect.driving]
braking_mps2 = 3.9
"""


def test_reads_every_level() -> None:
    config = parse_config(GOOD)
    assert config.device.groups == ["taxi"]
    assert config.buses[0].channel == "car"
    assert config.detect.driving.braking_mps2 == 3.9
    assert config.detect.trip == Config().detect.trip


@pytest.mark.parametrize(
    ("old", "new", "key", "line"),
    [
        ("braking_mps2 = 3.9", "braking_mps2 = 390.0", "detect.driving.braking_mps2", 14),
        ("braking_mps2 = 3.9", "breaking_mps2 = 3.9", "detect.driving.breaking_mps2", 14),
        ('id = "box-1"', 'id = "a box"', "device.id", 6),
        ('interface = "virtual"', "interface = 5", "buses", 10),
        ("version = 3", 'version = "three"', "version", 2),
    ],
)
def test_refusal_names_key_and_line(old: str, new: str, key: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD.replace(old, new), name="box.toml")
    assert key in str(caught.value)
    assert str(caught.value).startswith(f"box.toml:{line}: ")


def test_broken_toml_names_the_line() -> None:
    with pytest.raises(ConfigError, match=r"^box\.toml:2: not TOML"):
        parse_config("version = 1\nprofile = = 2\n", name="box.toml")


def test_missing_and_binary_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read"):
        load_config(tmp_path / "gone.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bad\.toml: is not UTF-8"):
        load_config(tmp_path / "bad.toml")


def test_overlay_changes_what_it_names_and_keeps_the_rest() -> None:
    base = parse_config(GOOD)
    laid = overlay_config(base, "[detect.driving]\ncornering_mps2 = 6.0\n", tables=frozenset({"detect"}), name="b")
    assert laid.detect.driving.cornering_mps2 == 6.0
    assert laid.detect.driving.braking_mps2 == 3.9
    assert laid.device == base.device


def test_overlay_refuses_other_tables() -> None:
    with pytest.raises(ConfigError, match="device: may not be pushed"):
        overlay_config(Config(), '[device]\nid = "x"\n', tables=frozenset({"detect"}), name="b")


def test_a_mounting_that_is_no_rotation_is_named_with_its_line() -> None:
    told = "[imu]\nmount = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]"
    imu = parse_config(told).imu
    assert imu is not None
    assert imu.mount == ((0, 1, 0), (-1, 0, 0), (0, 0, 1))
    for wrong in ("[[1, 0, 0], [0, -1, 0], [0, 0, 1]]", "[[2, 0, 0], [0, 2, 0], [0, 0, 1]]"):
        with pytest.raises(ConfigError, match="right-handed") as raised:
            parse_config(f"[imu]\nmount = {wrong}", name="car.toml")
        assert str(raised.value).startswith("car.toml:")


@pytest.mark.parametrize("line", ["range_g = 1", "rate_hz = 50", "window_ms = 1", "range = 16"])
def test_an_imu_out_of_bounds_is_refused(line: str) -> None:
    with pytest.raises(ConfigError, match=line.split(maxsplit=1)[0]):
        parse_config(f"[imu]\n{line}")


PARTNER = '[[partners]]\nname = "A"\noffers = ["tyres"]\nlatitude = 31.2\nlongitude = 121.4\nphone = "{phone}"\n'


@pytest.mark.parametrize("phone", ["", "110", "95518", "021 5555 0100", "(021) 5555-0100", "+86 (21) 5555 0100"])
def test_telephone_numbers_as_people_write_them(phone: str) -> None:
    (partner,) = parse_config(PARTNER.format(phone=phone)).partners
    assert partner.phone == phone


@pytest.mark.parametrize("phone", ["ask Wang", "0100 ", "()", "+", "-5", "1", "5555 0100 or 5555 0101", "1" * 25])
def test_what_nobody_can_dial_is_refused(phone: str) -> None:
    with pytest.raises(ConfigError, match="phone"):
        parse_config(PARTNER.format(phone=phone))
