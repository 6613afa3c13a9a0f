import re
import string
import tomllib
from pathlib import Path

import numpy as np
import pytest

from agent.cli.battery_facts import BatteryFacts, gather
from agent.cli.battery_page import render_battery
from agent.cli.battery_words import word
from agent.cli.main import main
from agent.core.battery_events import ChargingFaultName
from agent.core.battery_report_events import REPORT_ADVICE
from agent.core.paths import BATTERY
from agent.core.ports import Language
from agent.detect.battery_diary import Advised, Charge, Diary, Estimate
from agent.detect.cell_days import CellDays
from agent.detect.cell_state import dump_days
from drivers.state_file import FileDiaryStore, FilePackStore

LANGUAGES: tuple[Language, ...] = ("zh", "en")
FIRST = 18_000
CELLS = 24
HOSTILE = '"><script src=//x>&'


def pack(days: int, *, weak: int = 5) -> CellDays:
    found = CellDays(CELLS)
    rng = np.random.default_rng(2)
    for day in range(days):
        found.begin(FIRST + day)
        assert found.open is not None
        for _ in range(8):
            charge = 0.3 * rng.standard_normal(CELLS) - 4.0 * (np.arange(CELLS) == weak)
            found.open.add(charge * 0.008, 0.008, 60.0)
        assert found.close(6)
    found.capacities = [90.0, 91.0, 92.0, 91.5]
    return found


def diary(*, mode: str = "dc", faults: list[ChargingFaultName] | None = None) -> Diary:
    book = Diary(start_day=FIRST, last_day=FIRST + 40)
    book.charges = [
        Charge(FIRST + day, mode, 20.0, 50.0, 20.0, 70.0, day % 2, faults or [], "full") for day in range(40)
    ]
    book.estimates = [Estimate(FIRST + 20, 9, 91.0, 90.0, 92.0, 91.0, 90.0, 92.0)]
    book.advice = [Advised(FIRST + 30, 5, "service_soon", "weak_cell")]
    return book


def facts(book: Diary, days: CellDays | None, device: str = "car-1") -> BatteryFacts:
    return gather(device, book, days)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_what_is_known(language: Language) -> None:
    page = render_battery(facts(diary(), pack(40)), language)
    for text in ("car-1", "91.0 %", word("cell", language, number=6), "2019-05-22"):
        assert text in page
    assert word("advice_weak_cell_garage", language, cells="6") in page
    assert page.count("<svg") == 3
    assert page.count('<rect class="dc"') == 41, "a bar a charge, and the legend"
    assert page.count('class="ring"') == 20
    assert not re.search(r"https?:|<script|<link|@import|url\(|nan", page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_what_speaks_against_a_cell(language: Language) -> None:
    days, rng = CellDays(CELLS), np.random.default_rng(4)
    for day in range(20):
        days.begin(FIRST + day)
        assert days.open is not None
        charge = 0.1 * rng.standard_normal(CELLS) - 0.3 * day * (np.arange(CELLS) == 5)
        for _ in range(8):
            days.open.add(charge * 0.008, 0.008, 60.0)
        days.open.add_resistance(4e-4 * (np.arange(CELLS) == 5), 1e-3)
        assert days.close(6)
    book = diary()
    book.last_day = FIRST + 20
    book.advice = [Advised(FIRST + 12, 5, "advice", "micro_short"), Advised(FIRST + 15, 7, "advice", "weak_cell")]
    page = render_battery(facts(book, days), language)
    told = word("cell_micro_short", language), word("level_advice", language)
    assert word("evidence_told", language, date="2019-04-26", fault=told[0], level=told[1]) in page
    assert word("evidence_resistance", language, percent="40") in page.replace("&#x27;", "'")
    rate = re.search(r"(\d+) mA", page)
    assert rate is not None
    assert 10 <= float(rate[1]) <= 13  # 0.3 % a day of 91 Ah
    assert page.count("<h3>") == 1  # cell 8 is among the others again


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_text_stays_text(language: Language) -> None:
    book = diary(mode=HOSTILE)
    book.sensors = [(FIRST + 39, HOSTILE)]
    page = render_battery(facts(book, pack(40), HOSTILE), language)
    assert "<script" not in page
    assert page.count("&lt;script") >= 3


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("book", "days"),
    [
        (Diary(), None),
        (Diary(start_day=3, last_day=5), None),
        (Diary(start_day=FIRST, last_day=FIRST), pack(1)),
        (diary(), None),
        (Diary(), pack(3, weak=200)),
        (Diary(), CellDays(CELLS)),
    ],
)
def test_little_is_no_error(language: Language, book: Diary, days: CellDays | None) -> None:
    page = render_battery(facts(book, days), language)
    assert page.endswith("</html>\n")
    assert "nan" not in page
    assert ("<svg" in page) == bool(book.charges or (days is not None and len(days.numbers)))


def test_days_without_a_date_are_numbered() -> None:
    page = render_battery(facts(Diary(start_day=3, last_day=5), None), "en")
    assert "day 3 to day 5" in page


def test_a_cell_that_had_no_value_for_days_is_no_error() -> None:
    days = pack(5)
    days.values["volt"][1:3, 5] = -32_768
    page = render_battery(facts(diary(), days), "en")
    assert page.count("<polyline") == 1
    assert "nan" not in page


def test_both_languages_say_the_same_things() -> None:
    words = {name: tomllib.loads((BATTERY / f"{name}.toml").read_text(encoding="utf-8")) for name in LANGUAGES}
    assert words["zh"].keys() == words["en"].keys()
    for key, text in words["zh"].items():
        places = [{name for _, name, _, _ in string.Formatter().parse(t) if name} for t in (text, words["en"][key])]
        assert places[0] == places[1], key
    assert {f"advice_{key}" for key in REPORT_ADVICE} <= words["zh"].keys()
    assert not [key for key, text in words["en"].items() if re.search(r"[^\x00-\x7f]", text)]


def test_the_command_writes_a_page_and_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    command = ["battery", "report", "--state", str(tmp_path), "-o", str(page)]
    assert main(command) == 2
    assert "nothing is kept of a battery there" in capsys.readouterr().err
    FilePackStore(tmp_path).save(dump_days(pack(4)))
    FileDiaryStore(tmp_path).save(diary().dump())
    assert main([*command, "--language", "en", "--device", "car-9"]) == 0
    assert "4 days of cells, 40 charges" in capsys.readouterr().out
    assert "car-9" in page.read_text(encoding="utf-8")
    assert main([*command[:-1], str(tmp_path / "no" / "page.html")]) == 2
