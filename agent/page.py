"""The local page in the agent: what it sees of the parts, its pairing code as a file, its server's life."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from agent.core.backoff import backoff_waits
from agent.core.best_time import BestTime
from agent.core.config import Config
from agent.core.desk import DeskNote
from agent.core.desk_events import Channel
from agent.core.desk_state import DeskBook
from agent.core.durable import replace_file
from agent.core.erasure import Selection
from agent.core.events import Purpose
from agent.core.page_code import PageCode, code_path
from agent.core.ports import Clock, Hardware, Language, Notice
from agent.core.terms import Terms
from agent.privacy_room import PrivacyRoom
from agent.tickets import Tickets
from agent.voice_room import VoiceRoom
from agent.web.journal import Journal
from agent.web.pairing import Pairing
from agent.web.server import AddressMissing, listen, serve
from agent.web.site import make_site

_LOG: Final = logging.getLogger(__name__)
_CODE_PERIOD_S: Final = 5.0
_WAIT_LONGEST_S: Final = 30.0


class LocalPage:
    """A Box of agent.web, and the task that serves it. values, units: by VSS path; status: as last written."""

    def __init__(
        self,
        config: Config,
        hardware: Hardware,
        clock: Clock,
        *,
        time: BestTime,
        privacy: PrivacyRoom,
        tickets: Tickets,
        voice: VoiceRoom,
        values: Callable[[], Mapping[str, float]],
        units: Callable[[], Mapping[str, str]],
        status: Callable[[], Mapping[str, Any]],
        uniform: Callable[[], float],
    ) -> None:
        self.device = config.device.id
        self.language: Language = config.voice.language
        self.values = values
        self.units = units
        self.status = status
        self.t_ns = clock.monotonic_ns
        self._web = config.web
        self._code_path = code_path(config.store.directory)
        self._clock = clock
        self._privacy = privacy
        self._tickets = tickets
        self._voice = voice
        self.question = voice.conversation.page.newest
        self.answer = voice.conversation.page.answer
        self.reply_to = voice.conversation.page.reply_to
        self._uniform = uniform
        self._journal = Journal()
        self._listening = False  # before, a code is of no use
        self._pairing = Pairing(hardware.page_store, time=time, monotonic_ns=clock.monotonic_ns, show=self._show_code)

    async def run(self) -> None:
        """Until cancelled. An address that is not there yet is waited for."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_code_fresh(), name="page-code")
                tasks.create_task(self._serve(), name="page-server")
        finally:
            with suppress(OSError):
                self._code_path.unlink(missing_ok=True)

    def take(self, notice: Notice) -> None:
        """Hear what happens."""
        self._journal.take(notice)

    def journal(self) -> Sequence[Notice]:
        """What happened last, newest first."""
        return self._journal.newest_first()

    def desk(self) -> DeskBook:
        """The insurer's tickets."""
        return self._tickets.book

    def desk_notes(self) -> Sequence[DeskNote]:
        """What its desk has said, newest first."""
        return [note for note, _ in reversed(self._tickets.messages())]

    def judge(self, ticket: int, *, helped: bool) -> None:
        """Whether a ticket's answer helped."""
        self._tickets.judge(ticket, helped=helped)

    def prefer(self, channel: Channel) -> None:
        """How the desk's answers come from now on."""
        self._tickets.prefer(channel)

    def silenced(self, language: Language) -> Mapping[str, Sequence[str]]:
        """What the driver wants to be asked no more, in words, by scene."""
        return self._voice.silenced(language)

    def ask_again(self, scene: str) -> None:
        """Ask about a silenced scene from now on."""
        self._voice.ask_again(scene)

    def purposes(self) -> Sequence[Mapping[str, Any]]:
        """How each purpose stands."""
        purposes: Sequence[Mapping[str, Any]] = self._privacy.state()["purposes"]
        return purposes

    def notices(self, language: Language) -> Mapping[Purpose, Any]:
        """What the driver is told of each purpose."""
        return self._privacy.notices[language]

    def grant(self, purpose: Purpose, terms: Terms) -> None:
        """Agree. Raises InputError."""
        self._privacy.grant(purpose, terms, by="page")

    async def revoke(self, purpose: Purpose) -> None:
        """Agree no longer."""
        await self._privacy.revoke([purpose], by="page")

    def erasures(self) -> Sequence[Mapping[str, Any]]:
        """What was asked to be erased."""
        erasures: Sequence[Mapping[str, Any]] = self._privacy.state()["erasures"]
        return erasures

    async def erase(self, selection: Selection) -> None:
        """Let data be gone; what the page itself remembers goes whatever was asked for. Raises StoreError."""
        await self._privacy.begin_erasure(selection, by="page")

    async def _serve(self) -> None:
        site = make_site(self, self._pairing, self._web.hosts())
        waits = backoff_waits(self._uniform, longest_s=_WAIT_LONGEST_S)
        said = ""
        while True:
            try:
                sock = listen(self._web.host, self._web.port)
            except AddressMissing as exc:
                if str(exc) != said:
                    _LOG.warning("%s", exc)
                said = str(exc)
                await asyncio.sleep(next(waits))
                continue
            self._listening = True
            self._leave_code()
            await serve(site, sock)

    async def _keep_code_fresh(self) -> None:
        while True:
            await self._clock.sleep(_CODE_PERIOD_S)
            self._pairing.look()

    def _show_code(self, code: str) -> None:
        self._code = code
        if self._listening:
            self._leave_code()

    def _leave_code(self) -> None:
        """For `outrider page`: only root and the agent's own user come into the store directory."""
        shown = PageCode(address=f"http://{self._web.hosts()[0]}/", code=self._code)
        try:
            self._code_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._code_path, msgspec.json.encode(shown))
        except OSError as exc:
            _LOG.warning("%s: %s: nobody can be shown the page's code", self._code_path, exc.strerror)
