"""One scenario on top of another, and the schema that editors check files with."""

from pathlib import Path
from typing import get_args

import pytest

from agent.core.errors import ConfigError
from simulators.world import load_scenario
from simulators.world.scenario import Event, HarshBrake
from simulators.world.schema import SCHEMA, scenario_schema, schema_text


def write(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n{text}')
    return str(path)


def test_what_a_file_does_not_say_its_base_says(tmp_path: Path) -> None:
    mine = load_scenario(
        write(
            tmp_path,
            "mine",
            'base = "commute"\nduration_s = 70\n[car]\nair_c = -3\n[[also]]\nkind = "kerb"\nat_s = 9\n',
        )
    )
    base = load_scenario("commute")
    assert (mine.name, mine.duration_s, mine.car.air_c) == ("mine", 70, -3)
    assert (mine.car.pack_c, mine.legs, mine.demo, mine.description) == (
        base.car.pack_c,
        base.legs,
        base.demo,
        base.description,
    )
    kinds = [str(event.__struct_config__.tag) for event in mine.events]
    assert kinds == ["kerb", "pothole", "cell_overheat", "harsh_brake", "collision"]


def test_a_list_replaces_the_list_of_the_base(tmp_path: Path) -> None:
    text = 'base = "commute"\n[[events]]\nkind = "harsh_brake"\nat_s = 30\n'
    assert load_scenario(write(tmp_path, "mine", text)).events == [HarshBrake(at_s=30)]


def test_a_base_may_lie_beside_the_file_and_have_a_base_itself(tmp_path: Path) -> None:
    write(tmp_path, "first", 'base = "healthy"\n[car]\nair_c = 1\n')
    second = load_scenario(write(tmp_path, "second", 'base = "first.toml"\n[car]\npack_c = 2\n'))
    assert (second.car.air_c, second.car.pack_c, second.legs) == (1, 2, load_scenario("healthy").legs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "helthy"\n', r"mine\.toml.*base: unknown scenario 'helthy'; did you mean healthy\?"),
        ('base = "mine.toml"\n', r"mine\.toml.*base: mine\.toml has this file for a base itself"),
        ('base = "nowhere.toml"\n', r"nowhere\.toml: cannot be read"),
        ('base = "healthy"\n[car]\nmas_kg = 3\n', r"mine\.toml:4: unknown key car\.mas_kg"),
        ('base = "healthy"\n[[also]]\nkind = "kerb"\nat_s = 95\n', r"mine\.toml.*also: at_s 95 lies beyond"),
        ('base = "healthy"\n[[also]]\nkind = "kerb"\nat_s = 5\npek = 9\n', r"mine\.toml:\d+: unknown key also\.\S*pek"),
        ('base = "healthy"\n[car]\nmass_kg = "heavy"\n', r"mine\.toml:4: car\.mass_kg: Expected `float`, got `str`"),
        ('base = "healthy"\n[weather]\nroad = "muddy"\n', r"mine\.toml:4: weather\.road: .*muddy"),
        ('base = "healthy"\n[[past_cycles]]\nfailed = ["X0301"]\n', r"mine\.toml:4: past_cycles\S*failed"),
        ("duration_s = 10\n", "description"),
    ],
)  # fmt: skip  # one case a line
def test_a_bad_heir_is_one_line_that_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_scenario(write(tmp_path, "mine", text))
    assert "\n" not in str(caught.value)


def test_the_schema_in_the_repository_is_the_one_of_the_code() -> None:
    """Write it anew: `python -m simulators.world.schema`."""
    assert SCHEMA.read_text(encoding="utf-8") == schema_text()


def test_the_schema_knows_every_kind_and_key() -> None:
    definitions = scenario_schema()["$defs"]
    assert {str(kind.__struct_config__.tag) for kind in get_args(Event)} <= {
        definition["properties"]["kind"]["enum"][0]
        for definition in definitions.values()
        if "kind" in definition.get("properties", {}) and "at_s" in definition["properties"]
    }
    assert definitions["Scenario"]["additionalProperties"] is False
    assert definitions["Car"]["properties"]["mass_kg"]["minimum"] == 500
