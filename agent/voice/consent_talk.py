"""Does what the driver says about his consents, at once, and tells what is to be answered."""

from collections.abc import Callable, Collection, Sequence

from agent.core.event_base import Purpose
from agent.core.occasions import ConsentSpoken
from agent.core.ports import Heard, Language
from agent.voice.consent_words import PURPOSES, ConsentWords


class ConsentTalk:
    """agreed: purposes agreed to, as of now; take_back: ends them at once, and keeps it as a refusal; must not wait."""

    def __init__(
        self, words: ConsentWords, *, agreed: Collection[Purpose], take_back: Callable[[Sequence[Purpose]], None]
    ) -> None:
        self._words = words
        self._agreed = agreed
        self._take_back = take_back

    def heed(self, heard: Heard, language: Language, t_ns: int) -> ConsentSpoken | None:
        """Take words; None where they are about something else."""
        wish = self._words.read(heard.text, language)
        if wish is None:
            return None
        if wish.what == "tell":
            agreed = [purpose for purpose in PURPOSES if purpose in self._agreed]
            return ConsentSpoken(t_ns=t_ns, what="told" if agreed else "none", of_purposes=agreed)
        if not wish.purposes:
            return ConsentSpoken(t_ns=t_ns, what="which", of_purposes=list(PURPOSES))
        self._take_back(wish.purposes)
        return ConsentSpoken(
            t_ns=t_ns,
            what="all_taken_back" if wish.purposes == PURPOSES else "taken_back",
            of_purposes=list(wish.purposes),
        )
