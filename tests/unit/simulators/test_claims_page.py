"""The claims page: its facts, its drawings, and what hostile text does to it (nothing)."""

import re
import shutil
import subprocess
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.core.desk import DeskNote
from agent.core.events import AnyEvent, BatteryAlarm, ChargingFault, EmergencyData, Rollover
from agent.core.paths import SCENES
from fleet.desk.claims import ClaimsDesk
from fleet.desk.reading import read_tickets
from fleet.desk.store import Sent
from fleet.desk.ticket import SOLUTION_NS, DeskTicket
from simulators.claims_case import Case, load_cases
from simulators.claims_page import render_case, render_index
from simulators.claims_svg import Axis, Curve, chart, clock_of, thin, value_axis
from simulators.claims_talk import Talk, talk_section
from simulators.claims_words import LANGUAGES, Language, load_words
from tests.unit.simulators.claims_kit import T0_NS, HeldStore, S, answer, collision, emergency, record

HOSTILE = "<script>alert(1)</script>\"'&<img src=http://evil.example/x onerror=x>"


def cases(*events: AnyEvent, silent: bool = False, device: str = "car1", chain: str = "verified") -> list[Case]:
    store, desk = HeldStore(events, device=device, chain=chain), ClaimsDesk()
    read_tickets(store.arrivals(), desk)
    if silent:
        desk.look(10**19)
    return load_cases(store, desk.tickets, with_records=True)  # type: ignore[arg-type]  # the same


def page(*events: AnyEvent, language: Language = "en", **how: bool) -> str:
    (case,) = cases(*events, **how)  # type: ignore[arg-type]  # silent alone
    return render_case(case, language)


class Tags(HTMLParser):
    """Collects tags and attributes, and fails on what closes nothing."""

    VOID = frozenset({"meta", "br", "line", "rect", "circle", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(html)
    assert not parser.open
    return parser.seen


def test_a_crash_is_told_in_one_sentence_in_either_language() -> None:
    events: list[AnyEvent] = [collision(), *record(), answer("help", "我的腿很疼")]
    assert "Frontal collision at 49 km/h: delta-v 35 km/h. The driver asks for help." in page(*events)
    assert "正面碰撞，碰撞前车速 49 km/h，速度变化量（Δv）35 km/h。驾驶员请求救助。" in page(*events, language="zh")


@pytest.mark.parametrize(
    "fact",
    [
        "first notice received 1.5 s after T0",
        "Urgency: now",
        "<b>severe</b>",
        "<b>35 km/h</b>",
        "rules 95 %, model 99 %",
        "−34 / +6 km/h",
        "17.5 g",
        "<th>Occupants</th><td>2</td>",
        "not agreed to, or not known",
        "Record 1</b>: complete",
        "EDR-like, not a certified recorder",
        '<th>Ignition cycles at the crash</th><td class="missing">not available</td>',
        "<th>Locked by</th><td>air bag</td>",
        "All 6 records of this ticket are signed by the box and verified in its chain",
        "“my leg hurts”",
        "机动车损失保险</b> (own damage)",
        "A hint, never a decision on cover.",
    ],
)
def test_a_page_says_what_a_handler_asks(fact: str) -> None:
    assert fact in page(collision(), *record(), answer("help", "my leg hurts"))


def test_the_arrow_comes_from_where_the_force_came() -> None:
    html = page(collision(pdof_deg=268.0, crash_mode="side_left"))
    assert 'transform="rotate(268.0)"' in html
    assert "Force from 9 o&#x27;clock (268° from ahead, clockwise)" in html
    assert re.search(r'class="hour on">9<', html)
    unknown = page(collision(pdof_deg=None, crash_mode=None))
    assert "rotate(" not in unknown
    assert "The direction is not known" in unknown


@pytest.mark.parametrize(("degrees", "hour"), [(0, 12), (14, 12), (16, 1), (90, 3), (180, 6), (350, 12), (344, 11)])
def test_the_clock(degrees: float, hour: int) -> None:
    assert clock_of(degrees) == hour


def test_a_sensor_at_its_end_makes_lower_bounds_and_is_drawn() -> None:
    html = page(collision(clipped=True, limits_of_data=["clipped"]), *record(range_g=8.0))
    assert "delta-v at least 35 km/h" in html
    assert "at least 17.5 g" in html
    assert "sensor at its end" in html
    bands = [attrs for tag, attrs in tags(html) if tag == "rect" and attrs["class"] == "band"]
    assert len(bands) == 2  # one in the pulse, one in the delta-v
    assert "at least" not in page(collision(), *record())
    assert not [attrs for tag, attrs in tags(page(collision(), *record())) if tag == "rect"]


def test_the_position_is_shown_as_far_as_it_was_told() -> None:
    exact = page(collision(latitude=31.23041, longitude=121.4737, position_accuracy_m=5.0))
    assert "31.23041, 121.47370, within 5 m" in exact
    html = page(collision(latitude=31.23041, longitude=121.4737, position_accuracy_m=1000.0))
    assert "31.23, 121.47, within 1000 m" in html


def test_a_false_alarm_and_a_doubtful_crash_are_marked_and_concern_no_cover() -> None:
    doubtful = page(collision(confidence=0.4, severity="minor"))
    assert "Perhaps no accident: confidence 40 %." in doubtful
    assert "call back first" in doubtful
    denied = page(collision(severity="minor"), answer("false_alarm"))
    assert "The driver says that it was a false alarm." in denied
    assert "closed: false alarm, says the driver" in denied
    assert "None known for this." in denied
    assert "Nothing: the ticket is closed." in denied


def test_a_rollover_has_no_direction_but_its_turns() -> None:
    html = page(Rollover(t_ns=T0_NS, roll_deg=-191.0, quarter_turns=2, resting_deg=-180.0, speed_before_kmh=66.0))
    assert "The car turned over: at least 2 quarter turns." in html
    assert "−191°" in html
    assert 'transform="rotate(-180)"' in html
    unknown = page(Rollover(t_ns=T0_NS, quarter_turns=1))
    assert "A rollover has no single direction of force." in unknown


def test_the_record_of_a_rollover_shows_its_roll_angle() -> None:
    elements = {"trigger": "rollover", "roll_deg": [3.0 * step for step in range(61)]}
    table = msgspec.structs.replace(record()[1], elements=msgspec.json.encode(elements).decode())
    html = page(Rollover(t_ns=T0_NS), record()[0], table)
    assert "Roll angle, right side down +" in html
    assert "Change of speed" not in html


def test_impacts_of_one_crash_are_listed() -> None:
    second = collision(t_ns=T0_NS + 14 * S // 10, multi_event=2, since_first_s=1.4, crash_mode="rear", delta_v_kmh=15.0)
    html = page(collision(), second)
    assert "2 impacts in 1.4 s." in html
    assert "1.40 s" in html


def test_a_box_that_fell_silent_says_so_and_shows_what_there_is() -> None:
    html = page(record()[0], silent=True)
    assert "began to record a crash and fell silent" in html
    assert "please call the driver at once" in html
    assert "Record 1</b>: cut off: the box fell silent" in html
    assert "<polyline" in html
    assert "The table has not come yet." in html
    assert "first notice" not in html.lower()


def test_a_notice_without_its_record_is_a_page_all_the_same() -> None:
    assert "No crash record of it has come yet." in page(collision())
    assert "Record 1</b>: still coming; fragments missing: 1" in page(collision(), record()[0], record()[2])


def test_the_minimum_set_of_data_is_decoded_and_tells_the_powertrain() -> None:
    html = page(collision(), emergency())
    assert "ECALLEXAMPLE02013" in html
    assert "petrol" in html
    assert "机动车损失保险" in html
    assert "新能源" not in html
    broken = page(collision(), EmergencyData(t_ns=T0_NS, msd=b"\x02\xff"))
    assert "Could not be read" in broken


def test_a_chain_that_does_not_fit_is_said() -> None:
    (case,) = cases(collision(), chain="broken")
    assert "0 of 1 records of this ticket are verified in the chain, 0 wait for an earlier one, 1 do not fit" in (
        render_case(case, "en")
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_text_stays_text_and_nothing_is_loaded(language: Language) -> None:
    (case,) = cases(collision(), *record(), answer(HOSTILE, HOSTILE), device=HOSTILE)
    for html in (render_case(case, language), render_index([case], language)):
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        for tag, attrs in tags(html):
            assert tag not in {"script", "link", "img", "iframe", "object", "form", "base"}
            assert not [name for name in attrs if name.startswith("on")]
            assert all(
                re.fullmatch(r"(ticket-1|index)\.(zh|en)\.html", attrs["href"] or "") for _ in attrs if "href" in attrs
            )
        assert "url(" not in html
        assert "@import" not in html


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    zh, en = load_words("zh"), load_words("en")
    assert zh.keys() == en.keys()
    places = {key: (set(re.findall(r"{\w+}", zh[key])), set(re.findall(r"{\w+}", en[key]))) for key in zh}
    assert {key: both for key, both in places.items() if both[0] != both[1]} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_shows_a_key_without_words(language: Language) -> None:
    known = load_words(language)
    (case,) = cases(collision(), *record(), emergency(), answer("fine"))
    assert case.records[1].elements.keys() - {"clipped"} <= known.keys()
    assert {case.ticket.answer, "collision_1", "call_back_1", "battery_3", "brake_noise_1"} <= known.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_a_driver_may_be_asked_and_answer_has_words(language: Language) -> None:
    files = [tomllib.loads(path.read_text(encoding="utf-8")) for path in SCENES.glob("*.toml")]
    shipped = {name: question for file in files for name, question in file.get("questions", {}).items()}
    asked = {f"v_question_{name}" for name in shipped if name != "brake_noise"}
    said = {f"v_{intent}" for question in shipped.values() for intent in question.get("answers", {})}
    assert asked | said | {"v_none", "v_unclear"} <= load_words(language).keys()


def test_a_battery_has_a_page_too() -> None:
    mild = BatteryAlarm(t_ns=0, alarm="over_temperature", level=1, value=50.0, limit=45.0, unit="Celsius")
    alarm = BatteryAlarm(t_ns=1, alarm="thermal_runaway", level=4, value=99.0, limit=60.0, unit="Celsius")
    html = page(mild, alarm)
    assert "battery alarm: thermal runaway, level 4." in html
    assert "新能源汽车损失保险" in html


def test_a_bad_charge_has_a_page_with_what_the_box_saw_and_the_driver_said() -> None:
    fault = ChargingFault(t_ns=S, fault="grid", power_kw=7.0, grid_v=160.0)
    said = msgspec.structs.replace(
        answer("charger_fault"), question="charge_faulty", about="charge_session", t_ns=9 * S
    )
    where = msgspec.structs.replace(said, question="charge_where", intent="home", t_ns=10 * S)
    html = page(fault, said, where)
    assert "while charging: grid fault." in html
    for cover in ("附加外部电网故障损失险", "附加自用充电桩损失保险"):
        assert cover in html
    assert "At home or elsewhere?" in html
    later = msgspec.structs.replace(said, t_ns=2 * 86_400 * S)
    assert len(cases(fault, later)[0].entries) == 1, "another day's charge"


def test_an_unreadable_row_is_named_and_the_rest_shown() -> None:
    store, desk = HeldStore([collision(), *record()]), ClaimsDesk()
    store._rows[2]["event"]["columns"] = "!!"
    read_tickets(store.arrivals(), desk)
    (case,) = load_cases(store, desk.tickets, with_records=True)  # type: ignore[arg-type]  # the same
    html = render_case(case, "en")
    assert "boot 1, sequence 3" in html


def test_curves_keep_their_peaks_and_their_gaps() -> None:
    x = np.arange(100_000.0)
    y = np.zeros(100_000)
    y[55_555] = 9.0
    y[70_000:72_000] = np.nan
    kept_x, kept_y = thin(x, y)
    assert len(kept_x) <= 480
    assert np.nanmax(kept_y) == 9.0
    assert np.isnan(kept_y).any()
    drawn = chart([Curve("a", x, y, "s0")], Axis(0, 1e5, 2e4, "s"), Axis(0, 10, 5, "g"))
    assert drawn.count("<polyline") == 2


def test_an_axis_holds_its_curves_and_zero() -> None:
    axis = value_axis([Curve("a", np.arange(3.0), np.array([-17.4, 3.0, np.nan]), "s0")], "g")
    assert axis.low <= -17.4
    assert axis.high >= 3.0
    assert 0.0 in axis.ticks()
    assert value_axis([], "g").ticks()


def test_a_browser_draws_it(tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    file = tmp_path / "page.html"
    file.write_text(page(collision(), *record(), answer("help"), language="zh"), encoding="utf-8")
    shown = subprocess.run(
        [browser, "--headless", "--no-sandbox", f"--user-data-dir={tmp_path}/profile", "--dump-dom", file.as_uri()],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout.decode()
    assert "正面碰撞" in shown
    assert shown.count("<polyline") >= 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_shows_what_was_said_to_the_driver_and_what_is_due(language: Language) -> None:
    ticket = DeskTicket(
        number=1, device="car1", boot=1, about_ns=T0_NS, sequence=1, kind="collision", severity=3, state="answered",
        opened_ns=0, clock_ns=0, answered_ns=5, reopened=2, call_back=1,
    )  # fmt: skip
    note = DeskNote(
        id="a", device="car1", created_ns=0, expires_ns=S, what="surveyor", ticket=1, zh="查勘员<九点>到。",
        en="At <nine>.",
    )  # fmt: skip
    talk = Talk(ticket, [Sent(note), Sent(note, sends=2), Sent(note, sends=1, taken_ns=S)])
    html = talk_section(talk, language, now_ns=SOLUTION_NS)
    assert html.count("&lt;九点&gt;" if language == "zh" else "&lt;nine&gt;") == 3
    for key in ("talk_surveyor", "talk_waits", "talk_overdue", "talk_call"):
        assert load_words(language)[key] in html
    assert "1970-01-04 00:00:00 UTC" in html, "72 hours"
    closed = replace(ticket, state="closed", outcome="helped")
    assert load_words(language)["helped"] in talk_section(Talk(closed, []), language, now_ns=0)
    assert talk_section(None, language, now_ns=0) == ""


def test_a_drivers_own_words_have_a_page_with_their_topic_and_nothing_of_a_crash() -> None:
    said = msgspec.structs.replace(
        answer("bad"), question="service", about="partner_visit", topic="brake_noise", transcript="they <still> squeal",
        t_ns=9 * S,
    )  # fmt: skip
    (case,) = cases(said)
    assert (case.ticket.kind, len(case.entries)) == ("feedback", 1)
    html = page(said)
    assert "about brake noise, in the driver&#x27;s words: “they &lt;still&gt; squeal”" in html
    assert "A case handler answers within a day." in html
