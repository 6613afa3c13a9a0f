"""The page for people: every kind of event, both languages, nothing of a stranger's words taken for HTML."""

import re
import string
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from typing import Literal, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cli.evidence_facts import Facts, Shown, _nearest_offset_ns
from agent.cli.evidence_page import render_page
from agent.cli.evidence_words import word
from agent.core.events import (
    AgentStarted,
    AnyEvent,
    BatteryAlarm,
    Collision,
    CrashRecord,
    DeviceShock,
    EmergencyData,
    Event,
    Feedback,
    Priority,
    RoadImpact,
    Rollover,
)
from agent.core.paths import EVIDENCE
from agent.core.ports import Language
from agent.core.records import Header, Position, Told
from agent.store.evidence import DayRoot
from tests.property.test_wire import events_of
from tests.unit.store.kit import KEYS, thermal

LANGUAGES: tuple[Language, ...] = ("zh", "en")
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Text of a page whose tags are all closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, _: object) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _: object) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style"} & set(self.open):
            self.texts.append(data)


def facts_of(event: Event, *, wall_ns: int | None = 1_790_000_000_000_000_000, offset_ns: int | None = None) -> Facts:
    position = Position(3, 7)
    header = Header(device="car-1", boot=3, sequence=7, priority=event.priority, previous=bytes(32))
    told = Told(
        v=event.version,
        agent="0.1.0",
        boot=3,
        sequence=7,
        wall_ns=wall_ns,
        clock_synced=wall_ns is not None,
        event=msgspec.convert(msgspec.to_builtins(event, builtin_types=(bytes,)), AnyEvent),
    )
    sealed = Shown(
        Header(device="car-1", boot=3, sequence=8, priority=event.priority, previous=bytes(32)), bytes(32), None
    )
    return Facts(
        "car-1", position, (Shown(header, bytes(32), told), sealed), KEYS.device_public, None, wall_offset_ns=offset_ns
    )


def read(page: str) -> str:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert not reader.tags & {"script", "link", "img", "iframe", "a"}
    return "\n".join(reader.texts)


@given(st.one_of(*(events_of(kind) for kind in get_args(AnyEvent))), st.sampled_from(LANGUAGES))
@settings(max_examples=150, deadline=None)
def test_every_event_makes_a_whole_page(event: Event, language: Language) -> None:
    page = render_page(facts_of(event), language, by="insurer", exported_ns=1)
    assert page == render_page(facts_of(event), language, by="insurer", exported_ns=1)
    assert word(event.kind, language) in read(page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_strangers_words_stay_words(language: Language) -> None:
    event = AgentStarted(t_ns=1, agent_version="<script>x()</script>", config_version=1, profile='"&amp;')
    assert "<script>x()</script>" in read(render_page(facts_of(event), language, by="device", exported_ns=1))


def test_a_collision_says_what_a_claims_handler_asks_first() -> None:
    crash = Collision(
        t_ns=1,
        delta_v_kmh=31.46,
        duration_ms=94.0,
        peak_mps2=182.3,
        stationary=False,
        pdof_deg=322.0,
        speed_before_kmh=47.2,
        severity="severe",
        confidence=0.87,
        latitude=31.23042,
        longitude=-0.5,
        position_accuracy_m=5.0,
    )
    text = read(render_page(facts_of(crash), "en", by="insurer", exported_ns=1))
    for said in ("31.5 km/h", "47.2 km/h", "182.3 m/s²", "18.6 g", "from the front left, 322°", "not recorded"):
        assert said in text
    for said in ("severe", "0.87", "31.23042", "−0.50000", "5.0 m"):
        assert said in text
    text = read(render_page(facts_of(crash), "zh", by="insurer", exported_ns=1))
    assert "北京时间 2026-09-21 22:13:20" in text
    assert "左前方" in text


def test_a_date_is_told_as_it_is_known() -> None:
    def page(**known: int | None) -> str:
        return read(render_page(facts_of(thermal(), **known), "en", by="insurer", exported_ns=1))

    assert "unknown: the unit's clock had not been set yet" in page(wall_ns=None)
    derived = page(wall_ns=None, offset_ns=1_790_000_000_000_000_000)
    assert "2026-09-21 14:13:20 UTC (worked out from another record of the same start)" in derived
    assert "-5 ns" in page(wall_ns=-5)


def test_what_is_missing_is_said_and_what_is_there_is_dated() -> None:
    facts = facts_of(thermal())
    text = read(render_page(facts, "en", by="device", exported_ns=1))
    assert "No receipt of the insurer" in text
    assert "No independent time stamp" in text
    day = DayRoot(v=1, day="2026-09-21", until_ns=1_790_035_200 * 10**9, records=4711, root=b"\1" * 32)
    anchored = Facts(
        facts.device, facts.position, facts.records, facts.device_key, None, day=day, stamped_ns=1_790_035_260 * 10**9
    )
    text = read(render_page(anchored, "en", by="insurer", exported_ns=1))
    assert "one of 4711 that arrived on 2026-09-21" in text
    assert "existed at 2026-09-22 00:01:00 UTC" in text


def test_both_languages_say_the_same_things() -> None:
    words = {name: tomllib.loads((EVIDENCE / f"{name}.toml").read_text(encoding="utf-8")) for name in LANGUAGES}
    assert words["zh"].keys() == words["en"].keys()
    for key, text in words["zh"].items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(t) if name} for t in (text, words["en"][key])]
        assert fields[0] == fields[1], key
    assert not [key for key, text in words["en"].items() if re.search(r"[^\x00-\x7f²°]", text)]
    for kind in (Collision, CrashRecord, DeviceShock, EmergencyData, Rollover, BatteryAlarm, Feedback):
        for field in (str(kind.__struct_config__.tag), *kind.__struct_fields__[1:]):
            assert field in words["zh"] or kind is Feedback


def test_an_undated_event_is_dated_by_the_nearest_record_of_its_own_boot() -> None:
    def shown(boot: int, sequence: int, t_ns: int, offset_ns: int | None) -> Shown:
        header = Header(device="car-1", boot=boot, sequence=sequence, priority=Priority.CRASH, previous=bytes(32))
        wall_ns = None if offset_ns is None else t_ns + offset_ns
        event = RoadImpact(t_ns=t_ns, peak_mps2=1.0, speed_kmh=None)
        told = Told(
            v=1,
            agent="0",
            boot=boot,
            sequence=sequence,
            wall_ns=wall_ns,
            clock_synced=wall_ns is not None,
            event=event,
        )
        return Shown(header, bytes(32), told)

    event = shown(2, 2, 50, None)
    records = [shown(1, 1, 50, 1_000), shown(2, 1, 10, 2_000), event, shown(2, 3, 60, 3_000)]
    assert event.told is not None
    assert _nearest_offset_ns(records, event.told) == 3_000
    assert _nearest_offset_ns(records[:3], event.told) == 2_000
    assert _nearest_offset_ns(records[:1], event.told) is None
    facts = Facts("car-1", event.header.position, tuple(records), KEYS.device_public, None, wall_offset_ns=3_000)
    assert facts.wall_ns(event.told) == 3_050
    undated = shown(1, 2, 50, None).told
    assert undated is not None
    assert facts.wall_ns(undated) is None  # the clocks of another boot say nothing of it


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_fragments_of_a_crash_record_share_a_row(language: Language) -> None:
    facts = facts_of(Collision(t_ns=5, delta_v_kmh=30.0, duration_ms=100.0, peak_mps2=150.0, stationary=False))
    assert facts.record.told is not None
    shown = list(facts.records[:1])
    for number in range(40):
        part: Literal["imu", "end"] = "imu" if number < 39 else "end"
        fragment = CrashRecord(
            t_ns=5, record=3, fragment=number, part=part, from_ns=0, until_ns=1, complete=part == "end"
        )
        header = msgspec.structs.replace(facts.record.header, sequence=8 + number)
        shown.append(Shown(header, bytes(32), msgspec.structs.replace(facts.record.told, event=fragment)))
    page = render_page(replace(facts, records=tuple(shown)), language, by="insurer", exported_ns=1)
    text = read(page)
    assert page.count(word("crash_record", language)) == 1
    assert word("fragments", language).format(count=40, record=3) in text
    assert f"{word('complete', language)}: {word('yes', language)}" in text
    assert "8–47" in text
