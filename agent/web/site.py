"""The pages by their addresses. Everything but pairing asks for a paired browser, every change for its form's key."""

import hmac
from collections.abc import Awaitable, Callable, Collection
from typing import Final, cast
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from agent.core.errors import InputError, StoreError
from agent.core.paths import PAGE
from agent.core.ports import Language
from agent.web.box import Box
from agent.web.consent_page import parse_terms, purpose_of, render_consent
from agent.web.data_page import copy_of, parse_selection, render_data
from agent.web.events_page import render_events
from agent.web.frame import Viewer, key_field, render_page, word
from agent.web.guard import Guard
from agent.web.now_page import render_now
from agent.web.pairing import BROWSER_DAYS, Pairing, form_key
from agent.web.question_page import parse_answer, render_question, render_question_alone
from agent.web.refusal import Refusal
from agent.web.tickets_page import CHANNELS, render_tickets

_COOKIE: Final = "outrider"
_LANGUAGE: Final = "outrider_language"
_YEAR_S: Final = 365 * 86_400

Answer = Callable[[Request], Awaitable[Response]]


def make_site(box: Box, pairing: Pairing, hosts: Collection[str]) -> ASGIApp:
    """The whole site. hosts: values of Host that are ours, as `name:port`."""
    site = _Site(box, pairing)
    routes = [
        Route("/", site.paired(site.now)),
        Route("/now", site.paired(site.now_alone)),
        Route("/alive", site.paired(site.alive)),
        Route("/question", site.paired(site.question)),
        Route("/answer", site.paired(site.answer), methods=["POST"]),
        Route("/events", site.paired(site.events)),
        Route("/tickets", site.paired(site.tickets)),
        Route("/tickets/{number:int}/{answer}", site.paired(site.answer_ticket), methods=["POST"]),
        Route("/channel", site.paired(site.choose_channel), methods=["POST"]),
        Route("/consent", site.paired(site.consent)),
        Route("/consent/{purpose}/{change}", site.paired(site.change_consent), methods=["POST"]),
        Route("/scenes/{scene}/ask", site.paired(site.ask_again), methods=["POST"]),
        Route("/data", site.paired(site.data)),
        Route("/copy", site.paired(site.copy)),
        Route("/erase", site.paired(site.erase), methods=["POST"]),
        Route("/pair", site.show_pair, methods=["GET"]),
        Route("/pair", site.pair, methods=["POST"]),
        Route("/unpair", site.paired(site.unpair), methods=["POST"]),
        *(Route(f"/{name}", _file(name, kind)) for name, kind in _FILES.items()),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={404: site.missing}), hosts)


class _Site:
    def __init__(self, box: Box, pairing: Pairing) -> None:
        self._box = box
        self._pairing = pairing

    def paired(self, answer: Answer) -> Answer:
        """Only for a paired browser; a change only with the key of its form. Keeps a language that was chosen."""

        async def checked(request: Request) -> Response:
            token = request.cookies.get(_COOKIE, "")
            if not token or not self._pairing.knows(token):
                return RedirectResponse("/pair", 303)
            if request.method == "POST":
                key = (await _fields(request)).get("key", "")
                if not hmac.compare_digest(key.encode(), form_key(token).encode()):
                    return self._refused(request, Refusal("again"))
            return self._keep_language(request, await answer(request))

        return checked

    async def now(self, request: Request) -> Response:
        viewer = self._viewer(request)
        answered = request.query_params.get("answered", "")
        body = f'<div id="live">{render_now(self._box, viewer)}</div>'  # says itself when the link is lost
        body = render_question(self._box, viewer, answered=answered) + body
        return HTMLResponse(render_page(viewer, word("now", viewer.language), body))

    async def now_alone(self, request: Request) -> Response:
        viewer = self._viewer(request)
        return HTMLResponse(render_now(self._box, viewer))

    async def alive(self, _: Request) -> Response:
        return PlainTextResponse("alive")

    async def question(self, request: Request) -> Response:
        return HTMLResponse(render_question_alone(self._box, self._viewer(request)))

    async def answer(self, request: Request) -> Response:
        try:
            number, words = parse_answer(await _fields(request))
            self._box.answer(number, words, self._language(request))
        except Refusal as exc:
            return self._refused(request, exc)
        except InputError:  # answered aloud meanwhile
            return self._refused(request, Refusal("answered"))
        return RedirectResponse(f"/?answered={number}", 303)

    async def events(self, request: Request) -> Response:
        viewer = self._viewer(request)
        body = render_question(self._box, viewer) + render_events(self._box, viewer)
        return self._page(viewer, word("events", viewer.language), body)

    async def tickets(self, request: Request) -> Response:
        viewer = self._viewer(request)
        return self._page(viewer, word("tickets", viewer.language), render_tickets(self._box, viewer))

    async def answer_ticket(self, request: Request) -> Response:
        number, answer = request.path_params["number"], request.path_params["answer"]
        ticket = self._box.desk().tickets.get(number)
        if ticket is None or answer not in {"helped", "not_helped"}:
            return await self.missing(request, None)
        if ticket.state != "answered":  # said twice, or aloud meanwhile
            return self._refused(request, Refusal("again"))
        self._box.judge(number, helped=answer == "helped")
        return RedirectResponse(f"/tickets#ticket{number}", 303)

    async def choose_channel(self, request: Request) -> Response:
        chosen = (await _fields(request)).get("channel", "")
        channel = next((one for one in CHANNELS if one == chosen), None)
        if channel is None:
            return self._refused(request, Refusal("again"))
        self._box.prefer(channel)
        return RedirectResponse("/tickets", 303)

    async def consent(self, request: Request) -> Response:
        viewer = self._viewer(request)
        body = render_consent(self._box, viewer, changed="changed" in request.query_params)
        return self._page(viewer, word("consent", viewer.language), body)

    async def change_consent(self, request: Request) -> Response:
        purpose = purpose_of(request.path_params["purpose"], self._box)
        change = request.path_params["change"]
        if purpose is None or change not in {"grant", "revoke"}:
            return await self.missing(request, None)
        try:
            if change == "grant":
                self._box.grant(purpose, parse_terms(await _fields(request)))
            else:
                await self._box.revoke(purpose)
        except Refusal as exc:
            return self._refused(request, exc)
        except InputError:  # what the page had shown holds no more
            return self._refused(request, Refusal("again"))
        return RedirectResponse(f"/consent?changed#{purpose}", 303)

    async def ask_again(self, request: Request) -> Response:
        scene = request.path_params["scene"]
        if scene not in self._box.silenced(self._box.language):  # said twice, or erased meanwhile
            return self._refused(request, Refusal("again"))
        self._box.ask_again(scene)
        return RedirectResponse("/consent?changed#silenced", 303)

    async def data(self, request: Request) -> Response:
        viewer = self._viewer(request)
        body = render_data(self._box, viewer, asked="asked" in request.query_params)
        return self._page(viewer, word("data", viewer.language), body)

    async def copy(self, _: Request) -> Response:
        headers = {"Content-Disposition": 'attachment; filename="outrider.json"'}
        return Response(copy_of(self._box), media_type="application/json", headers=headers)

    async def erase(self, request: Request) -> Response:
        try:
            await self._box.erase(parse_selection(await _fields(request), self._box))
        except Refusal as exc:
            return self._refused(request, exc)
        except StoreError as exc:
            return self._refused(request, Refusal("disk", trouble=exc))
        return RedirectResponse("/data?asked", 303)

    async def show_pair(self, request: Request) -> Response:
        if self._pairing.knows(request.cookies.get(_COOKIE, "")):
            return RedirectResponse("/", 303)
        return self._keep_language(request, self._pair_page(request, ""))

    async def pair(self, request: Request) -> Response:
        code = "".join((await _fields(request)).get("code", "").split())
        token = self._pairing.pair(code)
        if token is None:
            locked_s = self._pairing.locked_s()
            language = self._viewer(request).language
            error = word("pair_locked", language, seconds=locked_s) if locked_s else word("pair_wrong", language)
            return self._pair_page(request, error, 429 if locked_s else 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(_COOKIE, token, max_age=BROWSER_DAYS * 86_400, httponly=True, samesite="strict")
        return answer

    async def unpair(self, request: Request) -> Response:
        self._pairing.forget(request.cookies[_COOKIE])
        answer = RedirectResponse("/pair", 303)
        answer.delete_cookie(_COOKIE)
        return answer

    async def missing(self, request: Request, _: Exception | None) -> Response:
        return self._problem(request, "missing_title", "", 404)

    def _pair_page(self, request: Request, error: str, status: int = 200) -> Response:
        viewer = self._viewer(request, paired=False)
        say = viewer.say
        told = f'<p class="error" role="alert" id="wrong">{say(error)}</p>' if error else ""
        body = (
            f'<p>{say("pair_text")}</p>{told}<form class="pair" method="post" action="/pair">{key_field(viewer)}'
            f'<label>{say("pair_code")}<input class="code" type="text" name="code" inputmode="numeric" required'
            f' autocomplete="one-time-code" maxlength="16" autofocus></label><button>{say("pair_button")}</button>'
            "</form>"
        )
        return HTMLResponse(render_page(viewer, word("pair_title", viewer.language), body), status)

    def _refused(self, request: Request, why: Refusal) -> Response:
        return self._problem(request, "refused_title", why.key, 403, **why.places)

    def _problem(self, request: Request, title: str, text: str, status: int, **places: object) -> Response:
        viewer = self._viewer(request)
        body = f'<p>{viewer.say(text, **places)}</p><p><a href="/">{viewer.say("back")}</a></p>'
        return HTMLResponse(render_page(viewer, word(title, viewer.language), body), status)

    def _page(self, viewer: Viewer, title: str, body: str) -> Response:
        return HTMLResponse(render_page(viewer, title, body, status=self._box.status()))

    def _viewer(self, request: Request, *, paired: bool = True) -> Viewer:
        token = request.cookies.get(_COOKIE, "")
        key = form_key(token) if paired and token and self._pairing.knows(token) else ""
        return Viewer(language=self._language(request), path=request.url.path, device=self._box.device, key=key)

    def _language(self, request: Request) -> Language:
        for chosen in (request.query_params.get("language"), request.cookies.get(_LANGUAGE)):
            if chosen in {"zh", "en"}:
                return cast("Language", chosen)
        return self._box.language

    def _keep_language(self, request: Request, answer: Response) -> Response:
        if request.query_params.get("language") in {"zh", "en"}:
            answer.set_cookie(_LANGUAGE, self._language(request), max_age=_YEAR_S, samesite="strict")
        return answer


_FILES: Final = {"page.css": "text/css", "page.js": "text/javascript"}


def _file(name: str, kind: str) -> Answer:
    content = (PAGE / name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


async def _fields(request: Request) -> dict[str, str]:
    """Fields of a form, the last of each name; of the bounded body that the guard let in."""
    text = (await request.body()).decode("utf-8", "replace")
    try:
        return {name: values[-1] for name, values in parse_qs(text, max_num_fields=32).items()}
    except ValueError:
        return {}
