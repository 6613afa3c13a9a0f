from pathlib import Path
from typing import get_args

import msgspec
import pytest

from agent.core.config import Config
from agent.core.errors import ConfigError, InputError
from simulators.world import load_scenario, scenario_names, simulate
from simulators.world.scenario import Collision, Event, HarshBrake

HEAD = 'name = "x"\ndescription = "y"\nduration_s = 10\n'


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(HEAD + text)
    return str(path)


def test_every_shipped_scenario_loads_under_its_own_name() -> None:
    assert {"commute", "healthy", "pothole", "harsh_brake", "parked_hit", "battery_hot"} <= set(scenario_names())
    for name in scenario_names():
        assert load_scenario(name).name == name


def test_the_commute_tells_what_the_demo_needs() -> None:
    commute = load_scenario("commute")
    assert 60 <= commute.duration_s <= 140
    (crash,) = [event for event in commute.events if isinstance(event, Collision)]
    assert commute.duration_s - crash.at_s > 12  # time for a question and an answer
    assert [answer.about for answer in commute.demo.answers] == ["collision"] * 3 + ["desk_message"]
    for push in commute.demo.config_pushes:
        msgspec.convert(push.change, Config)  # what is pushed is a config
    (cut,) = commute.demo.network_cuts
    assert any(cut.from_s < event.at_s < cut.until_s for event in commute.events if isinstance(event, HarshBrake))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown scenario 'commut'; did you mean commute\?"):
        load_scenario("commut")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[car]\nmas_kg = 3\n", r"mine\.toml:5: unknown key car\.mas_kg"),
        ("[imu]\nrate_hz = 90\n", r"mine\.toml:5: imu\.rate_hz"),
        ('[[events]]\nkind = "pothole"\nat_s = 3\npeek = 2\n', r"mine\.toml:\d+: unknown key events\.\S*peek"),
        ('[[events]]\nkind = "meteor"\nat_s = 3\n', "meteor"),
        ('[[events]]\nkind = "cell_overheat"\nat_s = 3\ncell = 24\n', "cell"),
        ("[[legs]]\nat_s = 5\nspeed_kmh = 10\n[[legs]]\nat_s = 2\nspeed_kmh = 0\n", "legs must stand in the order"),
        ('[[events]]\nkind = "ignition_off"\nat_s = 11\n', "beyond duration_s"),
        ("[[demo.network_cuts]]\nfrom_s = 4\nuntil_s = 4\n", "until_s must lie after from_s"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_scenario(write(tmp_path, text))


def test_a_car_without_a_plan_stands(tmp_path: Path) -> None:
    drive = simulate(load_scenario(write(tmp_path, "")), 1)
    assert float(drive.signals["Vehicle.Speed"][1].max()) == 0
    assert drive.truth == ()


def test_the_scenario_of_the_documentation_is_told_as_it_says(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])
    drive = simulate(load_scenario(str(path)), 7)
    assert [truth.kind for truth in drive.truth] == ["trip_started", "road_impact", "harsh_driving", "trip_ended"]


def test_the_heir_of_the_documentation_has_its_base(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.split("```toml\n")[2].split("```")[0])
    heir = load_scenario(str(path))
    assert (heir.name, heir.weather.road, len(heir.events)) == ("commute_in_snow", "snow", 5)
    assert heir.legs == load_scenario("commute").legs


def test_the_documentation_names_every_kind() -> None:
    text = (Path(__file__).parents[3] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    missing = [kind for kind in (str(e.__struct_config__.tag) for e in get_args(Event)) if f"`{kind}`" not in text]
    assert missing == []
