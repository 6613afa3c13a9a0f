"""The local page of a running agent, in a real browser: pairing, consent, a lost link."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket

import msgspec
import pytest
from playwright.async_api import Page, async_playwright

from agent.cli.page_command import show_page
from agent.core.config import Consent, Voice, Web
from agent.core.errors import InputError
from agent.core.events import Feedback
from agent.core.page_code import PageCode, code_path
from agent.core.privacy_events import ConsentChanged, ErasureRequested
from agent.voice.scene_memory import SceneMemory
from drivers.state_file import FilePageStore, FileSceneStore
from simulators.cloud import Cloud
from tests.scenario.consent_car import Car, run_car
from tests.unit.store.kit import make_config

CHROMIUM = shutil.which("chromium")


def free_port() -> int:
    with socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def car_with_page(folder: Path, *, cloud: Cloud | None = None, speaks: bool = False) -> AsyncIterator[Car]:
    """A running agent with its page on loopback, and service agreed to on paper; it has no microphone."""
    config = msgspec.structs.replace(
        make_config(folder),
        consent=Consent(purposes=["service"]),
        web=Web(enabled=True, port=free_port()),
        voice=Voice(enabled=speaks),
    )
    if cloud is not None:
        config = msgspec.structs.replace(config, link=cloud.link_config("car-1"), trust=cloud.trust())
    one = Car(folder, config)
    directory = Path(config.store.directory)
    page_store, scene_store = FilePageStore(directory), FileSceneStore(directory)
    one.hardware = replace(one.hardware, page_store=page_store, scene_store=scene_store)
    async with run_car(one) as running:
        async with asyncio.timeout(15):
            while not running.done() and not code_path(config.store.directory).exists():  # noqa: ASYNC110 - real time
                await asyncio.sleep(0.01)
        yield one


@pytest.fixture
async def browser() -> AsyncIterator[Page]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await chromium.new_context(viewport={"width": 390, "height": 844})
        yield await context.new_page()
        await chromium.close()


def shown(one: Car) -> PageCode:
    return msgspec.json.decode(code_path(one.config.store.directory).read_bytes(), type=PageCode)


async def pair(one: Car, browser: Page) -> None:
    await browser.goto(shown(one).address)
    await browser.get_by_label("配对码").fill(shown(one).code)
    await browser.get_by_role("button", name="配对").click()
    await browser.wait_for_url(shown(one).address)


async def test_a_driver_pairs_sees_the_box_and_is_known_after_a_start(tmp_path: Path, browser: Page) -> None:
    async with car_with_page(tmp_path) as one:
        await browser.goto(shown(one).address + "consent")
        assert "service" not in await browser.content()
        await browser.get_by_label("配对码").fill("00000000")
        await browser.keyboard.press("Enter")
        await browser.locator("#wrong").wait_for()
        await pair(one, browser)
        assert "终端 car-1" in await browser.content()
        await one.drive(2)
        await browser.goto(shown(one).address + "events")
        assert "故障码" in await browser.content()
        await browser.get_by_role("link", name="English").click()
        assert await browser.locator("html").get_attribute("lang") == "en"
    assert not code_path(one.config.store.directory).exists()
    async with car_with_page(tmp_path) as again:
        await browser.goto(shown(again).address)
        assert await browser.locator("h1").inner_text() == "Now", "the browser is still paired, its language kept"


async def test_what_is_taken_back_on_the_page_is_collected_no_more(tmp_path: Path, browser: Page) -> None:
    async with car_with_page(tmp_path) as one:
        await pair(one, browser)
        await one.drive(5)
        assert len(one.waiting()) > 10
        await browser.get_by_role("link", name="同意").click()
        await browser.locator("article", has=browser.locator("#service")).get_by_role("button").click()
        await browser.wait_for_url("**/consent?changed#service")
        await one.drive(5)
        claims = browser.locator("article", has=browser.locator("#claims"))
        await claims.get_by_label("位置").select_option("area")
        await claims.get_by_label("有效期").select_option("trip")
        await claims.get_by_role("button").press("Enter")
        await browser.wait_for_url("**/consent?changed#claims")
        assert "到这次行程结束" in await claims.inner_text()
    told = await one.events()
    assert [event for event in told if event.purpose == "service"] == [], "what waited is gone too"
    assert len([event for event in one.happened if event.purpose == "service"]) > 20
    changes = {event.of_purpose: event for event in told if isinstance(event, ConsentChanged)}
    assert (changes["service"].granted, changes["service"].by) == (False, "page")
    assert (changes["claims"].granted, changes["claims"].trip_only, changes["claims"].precision) == (True, True, "area")


async def test_what_is_erased_on_the_page_is_gone_from_the_box(tmp_path: Path, browser: Page) -> None:
    async with car_with_page(tmp_path) as one:
        await pair(one, browser)
        await one.drive(5)
        await browser.get_by_role("link", name="您的数据").click()
        await browser.get_by_role("button", name="删除").click()
        assert "asked" not in browser.url, "it wants to be sure"
        await browser.get_by_label("我确定要删除").check()
        await browser.get_by_role("button", name="删除").click()
        await browser.wait_for_url("**/data?asked")
        assert "已删除" in await browser.locator("table").inner_text()
    told = await one.events()
    assert [event.kind for event in told if event.purpose == "service"] == []
    assert [event.by for event in told if isinstance(event, ErasureRequested)] == ["page"]


def silenced(folder: Path, scene: str) -> FileSceneStore:
    directory = Path(make_config(folder).store.directory)
    directory.mkdir()
    scenes = FileSceneStore(directory)
    SceneMemory(scenes).silence(scene)
    return scenes


async def test_what_the_driver_is_asked_no_more_he_may_be_asked_again(tmp_path: Path, browser: Page) -> None:
    scenes = silenced(tmp_path, "coach")
    async with car_with_page(tmp_path) as one:
        await pair(one, browser)
        await browser.get_by_role("link", name="同意").click()
        asked = browser.locator("#silenced article")
        assert "想听听怎样少急刹吗？" in await asked.inner_text()
        await asked.get_by_role("button", name="可以再问").click()
        await browser.wait_for_url("**/consent?changed#silenced")
        assert await asked.count() == 0
    assert SceneMemory(scenes).silenced == frozenset()


async def test_a_lost_link_is_said_on_the_page(tmp_path: Path, browser: Page) -> None:
    async with Cloud(tmp_path / "cloud", broker="embedded") as cloud:
        cloud.cut()
        async with car_with_page(tmp_path, cloud=cloud) as one:
            await pair(one, browser)
            await browser.get_by_role("link", name="事件").click()
            async with asyncio.timeout(20):
                while not await browser.locator("#offline").is_visible():
                    await one.drive(1.5)
                    await browser.reload()
            assert "没有连上保险公司" in await browser.locator("#offline").inner_text()


async def test_a_box_that_is_gone_is_said_by_the_page_itself(tmp_path: Path, browser: Page) -> None:
    async with car_with_page(tmp_path) as one:
        await pair(one, browser)
        assert await browser.locator("#gone").is_hidden()
    await browser.locator("#gone").wait_for(state="visible")


async def test_the_command_tells_address_and_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with car_with_page(tmp_path) as one:
        config = tmp_path / "outrider.toml"
        config.write_text(
            f'[store]\ndirectory = "{one.config.store.directory}"\n[web]\nenabled = true\n', encoding="utf-8"
        )
        code = shown(one).code
        assert show_page(config) == 0
        assert capsys.readouterr().out == f"{shown(one).address}  {code[:4]} {code[4:]}\n"
    with pytest.raises(InputError, match="is the agent running"):
        show_page(config)


async def test_a_question_that_nobody_could_hear_an_answer_to_is_answered_on_the_page(
    tmp_path: Path, browser: Page
) -> None:
    async with car_with_page(tmp_path, speaks=True) as one:
        await pair(one, browser)
        assert await browser.locator(".question").count() == 0
        one.codes.tell(one.clock.monotonic_ns(), "P0217")
        await one.clock.advance(30)
        card = browser.locator(".question")
        await card.wait_for(state="visible")
        assert "需要道路救援吗？" in await card.inner_text()
        await browser.get_by_label("或者用您自己的话").fill("嗒嗒嗒")
        await browser.keyboard.press("Enter")
        await browser.get_by_text("我没听明白").wait_for()
        await browser.get_by_role("button", name="需要救援").press("Enter")
        await browser.locator(".reply").wait_for()
        assert await browser.locator(".question").count() == 0
    (answer,) = [event for event in one.happened if isinstance(event, Feedback)]
    assert (answer.question, answer.intent, answer.transcript) == ("rescue", "yes", "需要救援")
    assert (answer.confidence, answer.language, answer.earlier[-1:]) == (1.0, "zh", ["trouble_codes"])
