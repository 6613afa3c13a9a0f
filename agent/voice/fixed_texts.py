"""Everything that is said word for word as it stands in the files: it can be made into sound before it is needed."""

from collections.abc import Iterator
from typing import Final

from agent.core.ports import Language, Utterance
from agent.voice.prompts import Phrases
from agent.voice.questions import Question
from agent.voice.tables import placeholders

_LEAST: Final = 9


def fixed_speech(phrases: Phrases, language: Language) -> list[Utterance]:
    """Texts of prompts, scenes and questions without a value in them, each once, the most urgent first."""
    book = phrases.languages[language]
    told = [
        (_LEAST if prompt.urgency is None else prompt.urgency, text)
        for prompt in book.prompts.values()
        for text in (prompt.text, prompt.unsent)
    ]
    told += [(_LEAST, scene.say.of(language)) for scene in phrases.scenes if scene.say is not None]
    told += [(_LEAST, text) for question in book.questions.values() for text in _texts(question)]
    texts = dict.fromkeys(text for _, text in sorted(told, key=lambda pair: pair[0]) if text)
    return [Utterance(text, language) for text in texts if not placeholders(text)]


def _texts(question: Question) -> Iterator[str]:
    yield from (question.text, question.again, *question.confirms.values())
    yield from (*question.replies.values(), *question.unsent.values())
    yield from (question.stop.reply, question.stop.once)
