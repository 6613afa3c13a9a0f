import json
import re
from html import unescape

import msgspec
import pytest

from agent.core.crash_events import Collision, CrashRecord
from agent.core.desk import DeskNote
from agent.core.desk_state import BoxTicket
from agent.core.erasure import Selection
from agent.core.event_base import WITHOUT_SOUND
from agent.core.events import VoiceClip
from agent.core.paths import PAGE
from agent.core.ports import Language, Notice
from agent.core.privacy_events import ErasureRequested
from agent.core.terms import Terms
from agent.core.words import load_words
from agent.web.frame import word
from agent.web.guard import BODY_MAX
from agent.web.journal import Journal
from agent.web.site import make_site
from tests.unit.web.kit import HOST, NS, PHRASES, Browser, Door, StillBox, paired

PAGES = ("/", "/now", "/alive", "/events", "/tickets", "/consent", "/data", "/copy")


def form_key_of(text: str) -> str:
    found = re.search(r'name="key" value="([0-9a-f]+)"', text)
    assert found
    return found[1]


@pytest.mark.parametrize("path", PAGES)
async def test_a_stranger_sees_nothing_but_the_pairing_page(path: str) -> None:
    browser = Browser(make_site(StillBox(), Door().pairing(), [HOST]))
    answer = await browser.get(path)
    assert (answer.status, answer.headers["location"], answer.text) == (303, "/pair", "")
    browser.cookies["outrider"] = "made-up"
    assert (await browser.get(path)).status == 303


async def test_a_wrong_code_is_told_and_then_locked() -> None:
    door = Door()
    browser = Browser(make_site(StillBox(), door.pairing(), [HOST]))
    for _ in range(4):
        answer = await browser.post("/pair", {"code": "no"})
        assert answer.status == 403
        assert "配对码不对" in answer.text
    answer = await browser.post("/pair", {"code": "no"})
    assert answer.status == 429
    assert "60" in answer.text
    assert "outrider" not in browser.cookies


async def test_a_paired_browser_sees_the_car_and_can_be_disconnected() -> None:
    box = StillBox()
    box.signals = {"Vehicle.Speed": 83.25, "Vehicle.Cabin.<b>": 1.0}
    browser = await paired(box)
    answer = await browser.get("/")
    assert answer.status == 200
    assert "83.2" in answer.text
    assert "km/h" in answer.text
    assert "<b>1" not in answer.text
    assert "Vehicle.Cabin.&lt;b&gt;" in answer.text
    assert (await browser.post("/unpair", {"key": form_key_of(answer.text)})).status == 303
    assert (await browser.get("/")).status == 303


async def test_consent_is_changed_by_the_page_s_own_form_only() -> None:
    box = StillBox()
    browser = await paired(box)
    key = form_key_of((await browser.get("/consent")).text)
    fields = {"notice": "1", "days": "30", "place": "area"}
    assert (await browser.post("/consent/claims/grant", fields)).status == 403
    assert (await browser.post("/consent/claims/grant", fields | {"key": "0" * 64})).status == 403
    assert box.agreed == {}
    assert (await browser.post("/consent/claims/grant", fields | {"key": key})).status == 303
    assert (box.agreed["claims"].days, box.agreed["claims"].place) == (30, "area")
    assert (await browser.post("/consent/claims/revoke", {"key": key})).status == 303
    assert box.agreed == {}


@pytest.mark.parametrize(
    ("language", "told"),
    [("en", "for 30 days from when the box knows the date"), ("zh", "从终端对好时间起 30 天")],
)
async def test_a_consent_from_before_the_clock_was_set_tells_its_days(language: Language, told: str) -> None:
    box = StillBox()
    browser = await paired(box)
    box.language = language
    box.agreed["claims"] = Terms(notice=1, days=30)
    assert told not in (await browser.get("/consent")).text
    box.dated = False
    assert told in (await browser.get("/consent")).text


async def test_sound_is_agreed_to_by_its_own_button_only() -> None:
    box = StillBox()
    browser = await paired(box)
    page = (await browser.get("/consent")).text
    key, fields = form_key_of(page), {"notice": "1", "days": "30"}
    for purpose in WITHOUT_SOUND:
        assert (await browser.post(f"/consent/{purpose}/grant", fields | {"key": key})).status == 303
    assert "audio" not in box.agreed
    assert 'action="/consent/audio/grant"' in (await browser.get("/consent")).text
    assert (await browser.post("/consent/audio/grant", fields | {"key": key})).status == 303
    assert 'action="/consent/audio/revoke"' in (await browser.get("/consent")).text
    assert (await browser.post("/consent/audio/revoke", {"key": key})).status == 303
    assert set(box.agreed) == set(WITHOUT_SOUND)


def test_the_journal_knows_of_a_sound_and_does_not_hold_it() -> None:
    journal = Journal()
    clip = VoiceClip(
        t_ns=1, answer_ns=2, question="q", language="zh", heard="没事", codec="pcmu", rate_hz=16_000, sound=b"\x55" * 99
    )
    journal.take(Notice(topic="event", t_ns=1, text=clip.kind, event=clip))
    (line,) = journal.newest_first()
    assert line.event == msgspec.structs.replace(clip, sound=b"")
    assert clip.sound


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"notice": "1"},
        {"notice": "2", "days": "30"},
        {"notice": "1", "days": "31"},
        {"notice": "-1", "days": "30"},
        {"notice": "9" * 5000, "days": "30"},
        {"notice": "1", "days": "30", "place": "home"},
    ],
)
async def test_a_form_with_other_values_than_the_page_offers_changes_nothing(fields: dict[str, str]) -> None:
    box = StillBox()
    browser = await paired(box)
    key = form_key_of((await browser.get("/consent")).text)
    assert (await browser.post("/consent/claims/grant", fields | {"key": key})).status in {403, 413}
    assert box.agreed == {}


async def test_an_unknown_purpose_or_change_is_no_page() -> None:
    browser = await paired(StillBox())
    key = form_key_of((await browser.get("/consent")).text)
    for path in ("/consent/everything/grant", "/consent/claims/sell", "/nowhere"):
        answer = await browser.post(path, {"key": key, "notice": "1", "days": "30"})
        assert answer.status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example:8470"}, 421),
        ({"host": "127.0.0.1:9000"}, 421),
        ({"host": ""}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"content-length": str(BODY_MAX + 1)}, 413),
        ({"content-length": "many"}, 413),
    ],
)
async def test_a_foreign_request_is_refused(headers: dict[str, str], status: int) -> None:
    door = Door()
    browser = Browser(make_site(StillBox(), door.pairing(), [HOST]))
    assert (await browser.post("/pair", {"code": door.codes[-1]}, headers)).status == status
    assert "outrider" not in browser.cookies


async def test_a_body_that_grows_beyond_its_length_is_refused() -> None:
    browser = await paired(StillBox())
    answer = await browser.post("/unpair", b"key=" + b"x" * BODY_MAX, {"content-length": "10"})
    assert answer.status == 413


async def test_every_answer_forbids_scripts_and_frames_of_others() -> None:
    browser = await paired(StillBox())
    for path in (*PAGES, "/pair", "/page.css", "/page.js", "/nowhere"):
        headers = (await browser.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["cache-control"] == "no-store"


async def test_the_language_is_the_box_s_until_another_is_chosen() -> None:
    browser = await paired(StillBox())
    assert 'lang="zh-CN"' in (await browser.get("/")).text
    assert 'lang="en"' in (await browser.get("/?language=en")).text
    assert 'lang="en"' in (await browser.get("/events")).text
    assert 'lang="en"' in (await browser.get("/events?language=xx")).text


async def test_a_lost_link_is_told_on_every_page() -> None:
    box = StillBox()
    box.told = {"link": {"trouble": "connection <refused>"}, "waiting": 12}
    browser = await paired(box)
    for path in ("/events", "/tickets", "/consent"):
        text = (await browser.get(path)).text
        assert 'id="offline"' in text
        assert "connection &lt;refused&gt;" in text


async def test_events_are_told_newest_first_with_their_fields() -> None:
    box = StillBox()
    journal = Journal()
    crash = Collision(t_ns=3590 * NS, delta_v_kmh=23.5, duration_ms=80, peak_mps2=200.0, stationary=False)
    journal.take(Notice(topic="event", t_ns=crash.t_ns, text=crash.kind, event=crash))
    journal.take(Notice(topic="asked", t_ns=3595 * NS, text="您还好吗？", event=crash))
    journal.take(Notice(topic="signals", t_ns=3596 * NS, text="", values={"Vehicle.Speed": 1.0}))
    detail = CrashRecord(t_ns=3597 * NS, record=1, fragment=0, part="imu", from_ns=0, until_ns=1)
    journal.take(Notice(topic="event", t_ns=detail.t_ns, text=detail.kind, event=detail))
    box.lines = list(journal.newest_first())
    text = (await (await paired(box)).get("/events")).text
    assert text.index("您还好吗？") < text.index("碰撞")
    assert "23.5" in text
    assert "5 秒前" in text
    assert "10 秒前" in text
    assert len(box.lines) == 2


async def test_tickets_show_what_the_desk_said_in_the_viewer_s_language() -> None:
    box = StillBox()
    box.book.tickets = {1: BoxTicket(number=1, state="answered"), 2: BoxTicket(number=2, state="reopened")}
    box.book.points = 20
    note = DeskNote(
        id="n1", device="car-1", created_ns=1_800_000_000 * NS, expires_ns=1_800_000_001 * NS, what="answer", ticket=1,
        zh="修理厂<已约好>", en="A garage is booked",
    )  # fmt: skip
    box.notes = [note]
    browser = await paired(box)
    text = (await browser.get("/tickets")).text
    assert text.index("工单 2") < text.index("工单 1") < text.index("修理厂&lt;已约好&gt;")
    assert "重新处理" in text
    assert "20 分" in text
    assert "A garage is booked" in (await browser.get("/tickets?language=en")).text


async def test_erasing_needs_a_tick_and_sensible_days() -> None:
    box = StillBox()
    browser = await paired(box)
    key = {"key": form_key_of((await browser.get("/data")).text)}
    for wrong in (
        {},
        {"sure": "on", "purpose": "everybody"},
        {"sure": "on", "from": "yesterday"},
        {"sure": "on", "from": "2026-05-02", "until": "2026-05-01"},
        {"sure": "on", "until": "9999-12-31"},
    ):
        assert (await browser.post("/erase", key | wrong)).status == 403
    assert (await browser.post("/erase", {"sure": "on"})).status == 403
    assert box.erased == []
    assert (await browser.post("/erase", key | {"sure": "on", "purpose": ""})).status == 303
    day = {"sure": "on", "purpose": "claims", "from": "2026-05-01", "until": "2026-05-01"}
    assert (await browser.post("/erase", key | day)).status == 303
    start_ns = 1_777_593_600 * NS
    assert box.erased == [Selection(), Selection(frozenset({"claims"}), start_ns, start_ns + 86_400 * NS)]
    assert "2027-01-15" in (await browser.get("/data?asked")).text


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({}, "refused_unsure"),
        ({"sure": "on", "purpose": "everybody"}, "refused_again"),
        ({"sure": "on", "from": "yesterday"}, "refused_day"),
        ({"sure": "on", "from": "2026-05-02", "until": "2026-05-01"}, "refused_days"),
        ({"sure": "on", "purpose": "safety"}, "refused_disk"),
    ],
)
async def test_a_refusal_is_told_in_the_language_of_the_page(
    language: Language, fields: dict[str, str], key: str
) -> None:
    box = StillBox()
    box.language, box.full = language, True
    browser = await paired(box)
    sent = {"key": form_key_of((await browser.get("/data")).text)} | fields
    answer = await browser.post("/erase", sent)
    assert answer.status == 403
    assert word(key, language, day="yesterday", trouble="100 % full") in unescape(answer.text)


async def test_a_consent_that_cannot_be_given_any_more_is_refused_in_words() -> None:
    browser = await paired(StillBox())
    key = form_key_of((await browser.get("/consent")).text)
    answer = await browser.post("/consent/claims/grant", {"key": key, "notice": "2", "days": "30"})
    assert word("refused_again", "zh") in answer.text


async def test_erasures_are_listed_by_the_names_of_the_purposes() -> None:
    box = StillBox()
    box.erased = [Selection(), Selection(frozenset({"ubi_score", "claims"}))]
    browser = await paired(box)
    for language, words in (("zh", ("事故理赔、驾驶评分", "全部")), ("en", ("Claims, Driving score", "everything"))):
        text = (await browser.get(f"/data?language={language}")).text
        table = text[text.index("<table>") :]
        assert all(f"<td>{each} " in table for each in words), table
        assert "ubi_score" not in table


async def test_a_copy_holds_what_the_box_can_read() -> None:
    box = StillBox()
    box.signals = {"Vehicle.Speed": 8.5}
    crash = Collision(t_ns=1, delta_v_kmh=23.5, duration_ms=80, peak_mps2=200.0, stationary=False)
    box.lines = [Notice(topic="event", t_ns=1, text=crash.kind, event=crash)]
    answer = await (await paired(box)).get("/copy")
    assert answer.headers["content-disposition"].startswith("attachment")
    told = json.loads(answer.text)
    assert told["signals"] == {"Vehicle.Speed": 8.5}
    assert told["since_start"][0]["event"]["delta_v_kmh"] == 23.5
    assert len(told["purposes"]) == 7


async def test_an_answer_to_the_desk_is_given_once_and_by_form_only() -> None:
    box = StillBox()
    box.book.tickets = {1: BoxTicket(number=1, state="answered"), 2: BoxTicket(number=2)}
    browser = await paired(box)
    key = {"key": form_key_of((await browser.get("/tickets")).text)}
    assert (await browser.post("/tickets/1/not_helped", {})).status == 403
    for path in ("/tickets/3/helped", "/tickets/1/maybe", "/tickets/x/helped"):
        assert (await browser.post(path, key)).status == 404
    assert (await browser.post("/tickets/2/helped", key)).status == 403, "there is no answer yet"
    assert box.book.tickets[1].state == "answered"
    assert (await browser.post("/tickets/1/not_helped", key)).status == 303
    assert (box.book.tickets[1].state, box.book.tickets[1].reopened) == ("reopened", 1)
    assert (await browser.post("/tickets/1/not_helped", key)).status == 403


async def test_how_answers_come_is_chosen_among_what_there_is() -> None:
    box = StillBox()
    browser = await paired(box)
    key = {"key": form_key_of((await browser.get("/tickets")).text)}
    assert (await browser.post("/channel", key | {"channel": "pigeon"})).status == 403
    assert (await browser.post("/channel", key | {"channel": "page"})).status == 303
    assert box.book.channel == "page"


def test_the_journal_forgets_when_an_erasure_is_asked_for_whoever_asks() -> None:
    journal = Journal()
    journal.take(Notice(topic="heard", t_ns=1, text="I was at the sea"))
    asked = ErasureRequested(
        t_ns=2, request="r", boot=1, of_purposes=[], from_ns=None, until_ns=None, asked_ns=None, deadline_ns=None,
        by="command",
    )  # fmt: skip
    journal.take(Notice(topic="event", t_ns=2, text=asked.kind, event=asked))
    assert [line.text for line in journal.newest_first()] == ["erasure_requested"]


async def test_what_is_asked_no_more_is_listed_in_words_and_can_be_asked_again() -> None:
    box = StillBox()
    box.quiet = ["coach", "low_tyre", "my own <scene>/no. 1"]
    browser = await paired(box)
    english = (await browser.get("/consent?language=en")).text
    assert "After a hasty trip" in english
    assert "Would you like a hint on smoother corners?" in english
    text = (await browser.get("/consent?language=zh")).text
    assert "胎压偏低时" in text
    assert "想听听怎样少急刹吗？" in text
    assert "my own &lt;scene&gt;/no. 1" in text
    assert json.loads((await browser.get("/copy")).text)["asked_no_more"]["low_tyre"]
    key = {"key": form_key_of(text)}
    assert (await browser.post("/scenes/coach/ask", {})).status == 403
    assert (await browser.post("/scenes/coach/ask", {"key": "0" * 64})).status == 403
    assert len(box.quiet) == 3
    assert (await browser.get("/scenes/coach/ask")).status == 405
    assert (await browser.post("/scenes/coach/ask", key)).status == 303
    assert box.quiet == ["low_tyre", "my own <scene>/no. 1"]
    assert word("refused_again", "zh") in (await browser.post("/scenes/coach/ask", key)).text, "it is asked again"
    assert box.quiet == ["low_tyre", "my own <scene>/no. 1"]


async def test_where_everything_is_asked_it_is_said_how_to_end_that() -> None:
    assert word("silenced_none", "zh") in unescape((await (await paired(StillBox())).get("/consent")).text)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_shipped_scene_that_can_be_silenced_has_a_name(language: Language) -> None:
    names = {name.removeprefix("scene:") for name in load_words(PAGE, language) if name.startswith("scene:")}
    assert names == {scene.name for scene in PHRASES.scenes if scene.guard.may_silence}
