"""A box to look at without an agent behind it, and a browser without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message

from agent.core.best_time import Now
from agent.core.desk import DeskNote
from agent.core.desk_events import Channel
from agent.core.desk_state import DeskBook
from agent.core.erasure import Selection
from agent.core.errors import InputError, StoreError
from agent.core.events import Purpose
from agent.core.open_question import OpenQuestion
from agent.core.paths import CONSENT, PROMPTS
from agent.core.ports import Language, Notice
from agent.core.terms import Terms
from agent.privacy.notices import PURPOSES, load_notices
from agent.voice.prompts import load_phrases, scene_questions
from agent.web.pairing import Pairing
from agent.web.site import make_site
from tests.held_state import HeldState

NS = 10**9
PHRASES = load_phrases(PROMPTS)
HOST = "127.0.0.1:8470"


class StillBox:
    """A Box whose answers the test sets."""

    device = "car-1"
    language: Language = "zh"

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.signals: dict[str, float] = {}
        self.lines: list[Notice] = []
        self.erased: list[Selection] = []
        self.full = False  # the disk takes no request
        self.book = DeskBook()
        self.notes: list[DeskNote] = []
        self.quiet: list[str] = []  # scenes that the driver wants to be asked no more about
        self.asked: dict[Language, OpenQuestion] = {}
        self.typed: list[tuple[int, str, Language]] = []
        self.agreed: dict[Purpose, Terms] = {}
        self.dated = True  # whether the time was known when something was agreed to

    def t_ns(self) -> int:
        return 3600 * NS

    def status(self) -> Mapping[str, Any]:
        return self.told

    def values(self) -> Mapping[str, float]:
        return self.signals

    def units(self) -> Mapping[str, str]:
        return {"Vehicle.Speed": "km/h"}

    def journal(self) -> Sequence[Notice]:
        return self.lines

    def question(self, language: Language) -> OpenQuestion | None:
        return self.asked.get(language)

    def answer(self, number: int, words: str, language: Language) -> None:
        shown = self.asked.get(language)
        if shown is None or shown.number != number:
            raise InputError("over")
        self.typed.append((number, words, language))
        self.asked.clear()

    def reply_to(self, number: int) -> str:
        return "<好>" if [one for one in self.typed if one[0] == number] else ""

    def purposes(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "purpose": purpose,
                "in_force": purpose in self.agreed,
                "why": "chosen" if purpose in self.agreed else "never_asked",
                "days": self.agreed[purpose].days if purpose in self.agreed and not self.dated else 0,
                "notice_now": 1,
                "withheld": 3,
            }
            for purpose in PURPOSES
        ]

    def notices(self, language: Language) -> Mapping[Purpose, Any]:
        return load_notices(CONSENT)[language]

    def desk(self) -> DeskBook:
        return self.book

    def desk_notes(self) -> Sequence[DeskNote]:
        return self.notes

    def judge(self, ticket: int, *, helped: bool) -> None:
        self.book.answered(ticket, helped=helped)

    def prefer(self, channel: Channel) -> None:
        self.book.channel = channel

    def silenced(self, language: Language) -> Mapping[str, Sequence[str]]:
        return {scene: scene_questions(scene, PHRASES, language) for scene in self.quiet}

    def ask_again(self, scene: str) -> None:
        self.quiet.remove(scene)

    def grant(self, purpose: Purpose, terms: Terms) -> None:
        if terms.notice != 1:
            raise InputError(f"{purpose}: notice {terms.notice} was shown, but 1 holds now")
        self.agreed[purpose] = terms

    async def revoke(self, purpose: Purpose) -> None:
        del self.agreed[purpose]

    def erasures(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "request": f"{number:032x}",
                "purposes": sorted(selection.purposes or ()),
                "done_here": True,
                "records_here": 4,
                "receipt": False,
                "overdue": False,
                "deadline_ns": 1_800_000_000 * NS,
            }
            for number, selection in enumerate(self.erased)
        ]

    async def erase(self, selection: Selection) -> None:
        if self.full:
            raise StoreError("100 % full")
        self.erased.append(selection)


class Still:
    """A time that the test moves."""

    def __init__(self) -> None:
        self.t_ns = 0
        self.wall_ns: int | None = 1_800_000_000 * NS

    def now(self) -> Now:
        return Now(floor_ns=1_790_000_000 * NS, wall_ns=None if self.wall_ns is None else self.wall_ns + self.t_ns)


@dataclass
class Door:
    """Pairing with the code that it shows."""

    time: Still = field(default_factory=Still)
    store: HeldState = field(default_factory=HeldState)
    codes: list[str] = field(default_factory=list)

    def pairing(self) -> Pairing:
        return Pairing(self.store, time=self.time, monotonic_ns=lambda: self.time.t_ns, show=self.codes.append)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


class Browser:
    """Sends requests as a browser on the page's own origin does; headers given replace its own."""

    def __init__(self, site: ASGIApp) -> None:
        self._site = site
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await self._send("GET", path, b"", headers or {})

    async def post(
        self, path: str, fields: Mapping[str, str] | bytes, headers: Mapping[str, str] | None = None
    ) -> Answer:
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        given = {"origin": f"http://{HOST}", "content-length": str(len(body))} | dict(headers or {})
        return await self._send("POST", path, body, given)

    async def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        all_headers = {"host": HOST, "cookie": cookie} | dict(headers)
        path, _, query = path.partition("?")
        sent: list[Message] = []
        parts = [body[:10], body[10:]]

        async def receive() -> Message:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in all_headers.items() if value],
            "scheme": "http",
            "server": ("127.0.0.1", 8470),
            "client": ("127.0.0.1", 50_000),
            "root_path": "",
        }
        await self._site(scope, receive, send)
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        for name, value in sent[0]["headers"]:
            if name == b"set-cookie":
                key, _, rest = value.decode().partition("=")
                self.cookies[key] = rest.partition(";")[0].strip('"')
        text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        return Answer(sent[0]["status"], answered, text)


async def paired(box: StillBox, door: Door | None = None) -> Browser:
    """A browser that has been let in."""
    door = door or Door()
    browser = Browser(make_site(box, door.pairing(), [HOST]))
    answer = await browser.post("/pair", {"code": door.codes[-1]})
    assert answer.status == 303
    return browser
