from pathlib import Path

import pytest

from agent.core import vss
from agent.core.errors import ConfigError, InputError
from agent.core.paths import VEHICLES
from agent.core.signals import SignalCatalog
from agent.decode.profile import Mapping, Profile, load_profile, parse_gate
from agent.decode.table import build_table

DBC = 'VERSION ""\n\nNS_ :\n\nBS_:\n\nBU_: ECU\n\nBO_ 256 A: 8 ECU\n SG_ S : 0|8@1+ (1,0) [0|0] "V" ECU\n'


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "car.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("file", sorted(VEHICLES.glob("*.toml")), ids=lambda file: file.stem)
def test_shipped_profiles_load_under_their_name(file: Path) -> None:
    assert load_profile(file.stem).name == file.stem


def test_generic_decodes_obd_by_itself() -> None:
    catalog = SignalCatalog()
    build_table(load_profile("generic"), [], catalog)
    assert catalog.index(vss.SPEED) is not None


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r'no vehicle profile "batmobile"; known: .*canedge.*generic'):
        load_profile("batmobile")


GOOD = '[[signals]]\nmessage = "A"\nsignal = "S"\npath = "V"\n'


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('name = "x"\nodb = true\n', 2, "unknown key odb"),
        (f'name = "x"\n{GOOD}factor = 0\n', 2, "factor"),
        (f'name = "x"\n{GOOD}\n{GOOD.replace("V", "W")}minimum = 5\nmaximum = 5\n', 7, "W: minimum 5"),
        (f'name = "x"\n{GOOD}\n{GOOD.replace("V", "W")}maximum = "5"\n', 11, "maximum"),
        (f'name = "x"\n{GOOD}gates = ["Valid = 1"]\n', 6, "gates"),
        (f'name = "x"\n{GOOD}gain = 2\n', 6, "gain"),
        (f'name = "x"\n{GOOD}\n{GOOD}', 10, "signals.1.path: V is mapped twice"),
        ('name = "x"\n[[signals]]\nmessage = "A"\npath = "V"\n', 2, "signal"),
        ('name = "x"\nobd = yes\n', 2, "not TOML"),
    ],
)
def test_bad_profiles_name_key_file_and_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile(written(tmp_path, text))
    assert reason in str(caught.value)
    assert str(tmp_path / "car.toml") in str(caught.value)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "passing", "failing"),
    [
        ("A == 1", 1.0, 1.5),
        ("A != 0", 1.0, 0.0),
        ("A<=1.0", 1.0, 1.1),
        ("A >= -2e1", -20.0, -20.5),
        ("A < 3", 2.9, 3.0),
        ("A > 3", 3.1, 3.0),
    ],
)
def test_gates(text: str, passing: float, failing: float) -> None:
    gate = parse_gate(text)
    assert gate.signal == "A"
    assert gate.holds(passing)
    assert not gate.holds(failing)
    assert not gate.holds(float("nan"))


def test_what_the_dbc_lacks_is_named(tmp_path: Path) -> None:
    dbc = tmp_path / "car.dbc"
    dbc.write_text(DBC, encoding="ascii")

    def build(*paths: Path, **mapping: object) -> None:
        known = {"message": "A", "signal": "S", "path": "V", **mapping}
        build_table(Profile(name="x", signals=[Mapping(**known)]), paths, SignalCatalog())  # type: ignore[arg-type] # plain data

    build(dbc)
    with pytest.raises(InputError, match=r"car\.dbc: message A has no signal T \(mapped to V\)"):
        build(dbc, signal="T")
    with pytest.raises(InputError, match=r"message B, which stands in no DBC: .*car\.dbc"):
        build(dbc, message="B")
    with pytest.raises(InputError, match=r"message A, which stands in no DBC: none was given \(--dbc FILE\)"):
        build()
    with pytest.raises(InputError, match=r"message A has no signal OK \(a gate of V\)"):
        build(dbc, gates=["OK == 1"])


def test_unusable_dbc(tmp_path: Path) -> None:
    broken = tmp_path / "broken.dbc"
    broken.write_text("BO_ nonsense", encoding="ascii")
    profile = Profile(name="x")
    with pytest.raises(InputError, match=r"broken\.dbc:1: not a usable DBC"):
        build_table(profile, [broken], SignalCatalog())
    with pytest.raises(InputError, match=r"absent\.dbc: cannot be read"):
        build_table(profile, [tmp_path / "absent.dbc"], SignalCatalog())


def test_one_identifier_is_decoded_by_one_message(tmp_path: Path) -> None:
    first, second = tmp_path / "first.dbc", tmp_path / "second.dbc"
    first.write_text(DBC, encoding="ascii")
    second.write_text(DBC.replace("A:", "B:"), encoding="ascii")
    with pytest.raises(InputError, match=r"second\.dbc: message B: identifier 100 is decoded twice"):
        build_table(Profile(name="x"), [first, second], SignalCatalog())
    first.write_text(DBC.replace("256", str(0x7E8)), encoding="ascii")
    with pytest.raises(InputError, match=r"first\.dbc: message A: identifier 7E8 is decoded twice"):
        build_table(Profile(name="x", obd=True), [first], SignalCatalog())


def test_units_come_from_the_dbc_unless_converted(tmp_path: Path) -> None:
    dbc = tmp_path / "car.dbc"
    dbc.write_text(DBC, encoding="ascii")
    catalog = SignalCatalog()
    mappings = [
        Mapping(message="A", signal="S", path="P"),
        Mapping(message="A", signal="S", path="Q", factor=1000, unit="mV", stale_after_s=9),
    ]
    build_table(Profile(name="x", signals=mappings), [dbc], catalog)
    assert [(spec.path, spec.unit, spec.stale_after_s) for spec in catalog.specs] == [("P", "V", 2.0), ("Q", "mV", 9.0)]
