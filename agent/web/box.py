"""What the page sees of the box, and may ask of it: consent, erasure, answers, to be asked again."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agent.core.desk import DeskNote
from agent.core.desk_events import Channel
from agent.core.desk_state import DeskBook
from agent.core.erasure import Selection
from agent.core.events import Purpose
from agent.core.open_question import OpenQuestion
from agent.core.ports import Language, Notice
from agent.core.terms import Terms


class Box(Protocol):
    """Called in the event loop's thread; everything is a plain value."""

    device: str
    language: Language

    def t_ns(self) -> int:
        """Monotonic, as in events."""
        ...

    def status(self) -> Mapping[str, Any]:
        """As `outrider status` has it; empty before there is one."""
        ...

    def values(self) -> Mapping[str, float]:
        """Newest valid value by VSS path."""
        ...

    def units(self) -> Mapping[str, str]:
        """VSS unit by VSS path."""
        ...

    def journal(self) -> Sequence[Notice]:
        """What happened last, newest first."""
        ...

    def question(self, language: Language) -> OpenQuestion | None:
        """The newest question that has no answer yet."""
        ...

    def answer(self, number: int, words: str, language: Language) -> None:
        """Words for an open question, as if they had been said. Raises InputError where it is open no more."""
        ...

    def reply_to(self, number: int) -> str:
        """What the answer to a question was replied to; empty where there was none of late."""
        ...

    def purposes(self) -> Sequence[Mapping[str, Any]]:
        """How each purpose stands, in order; see agent.privacy_room."""
        ...

    def notices(self, language: Language) -> Mapping[Purpose, Any]:
        """What the driver is told of each purpose: title, sends, to, kept, why, refusing."""
        ...

    def desk(self) -> DeskBook:
        """Tickets of the insurer's desk, and how the driver wants its answers."""
        ...

    def desk_notes(self) -> Sequence[DeskNote]:
        """What the desk has said, newest first."""
        ...

    def judge(self, ticket: int, *, helped: bool) -> None:
        """The driver says whether a ticket's answer helped; where not, the desk takes it up again."""
        ...

    def prefer(self, channel: Channel) -> None:
        """How the driver wants the desk's answers."""
        ...

    def silenced(self, language: Language) -> Mapping[str, Sequence[str]]:
        """What the driver wants to be asked no more: the questions of each such scene, by its name."""
        ...

    def ask_again(self, scene: str) -> None:
        """Ask about a silenced scene from now on."""
        ...

    def grant(self, purpose: Purpose, terms: Terms) -> None:
        """Agree. Raises InputError where that is not possible."""
        ...

    async def revoke(self, purpose: Purpose) -> None:
        """Agree no longer."""
        ...

    def erasures(self) -> Sequence[Mapping[str, Any]]:
        """What was asked to be erased and what became of it, oldest first; see agent.privacy_room."""
        ...

    async def erase(self, selection: Selection) -> None:
        """Let data be gone, here and at the insurer's. Raises StoreError where not even the request can be kept."""
        ...
