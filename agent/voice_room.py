"""Speech, wired: phrases and scenes from their files, what scenes remember, and the conversation that uses them."""

import logging
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Final

from agent.core.best_time import BestTime
from agent.core.config import Config, Voice
from agent.core.events import Event, Purpose
from agent.core.paths import PROMPTS, SCENES
from agent.core.ports import Clock, Hardware, Language, Notify
from agent.diagnosis.knowledge import Knowledge
from agent.supervise import keep_reading
from agent.voice.consent_talk import ConsentTalk
from agent.voice.consent_words import load_consent_words
from agent.voice.conversation import Conversation
from agent.voice.fixed_texts import fixed_speech
from agent.voice.occasions import Occasions
from agent.voice.prompts import load_sound_phrases, scene_questions
from agent.voice.rehearsal import Rehearsal
from agent.voice.scene_file import find_scenes
from agent.voice.scene_memory import SceneMemory

_LOOK_S: Final = 60.0
_LOG: Final = logging.getLogger(__name__)


class VoiceRoom:
    """conversation: what the app feeds with windows and events. Raises ConfigError where a phrase file is not whole."""

    def __init__(
        self,
        config: Config,
        hardware: Hardware,
        clock: Clock,
        *,
        time: BestTime,
        knowledge: Knowledge,
        notify: Notify,
        emit: Callable[[Event], None],
        sent: Collection[Purpose],
        agreed: Collection[Purpose],
        take_back: Callable[[Sequence[Purpose]], None],
        on_told: Callable[[Event], None],
        make_waits: Callable[[], Iterator[float]],
    ) -> None:
        """knowledge: whose names of faults are spoken; emit: takes answers; sent: purposes that leave the car.

        agreed: purposes that the driver agrees to; take_back: what ends them when he says so; on_told: gets an event
        whose own word was said aloud; make_waits: between tries to open a button again.
        """
        phrases = load_sound_phrases(
            PROMPTS,
            {"zh": knowledge.names("zh"), "en": knowledge.names("en")},
            scenes=find_scenes(SCENES),
            refuse=lambda exc: _LOG.error("a scene is left out: %s", exc),
        )

        def utc_ns() -> int | None:
            return time.now().wall_ns

        self._phrases = phrases
        self._language = config.voice.language
        self._hardware = hardware
        self._clock = clock
        self._rehearsal = (
            Rehearsal(hardware.prepare_speech, lambda: fixed_speech(phrases, self._language), clock=clock)
            if hardware.prepare_speech
            else None
        )
        hardware.set_volume(config.voice.volume_percent)  # the running config's, which may have been pushed
        self._memory = memory = SceneMemory(hardware.scene_store, utc_ns)
        self.conversation = Conversation(
            config.voice,
            phrases,
            speaker=hardware.speaker,
            microphone=hardware.microphone,
            clock=clock,
            notify=notify,
            emit=emit,
            memory=memory,
            occasions=Occasions(config.partners, config.policy, memory, utc_ns),
            sent=sent,
            consents=ConsentTalk(load_consent_words(), agreed=agreed, take_back=take_back),
            agreed=agreed,
            on_told=on_told,
        )
        for words in hardware.words:
            words.tell_words(self.conversation.on_words)
        self._keep = partial(keep_reading, clock=clock, emit=emit, make_waits=make_waits)

    def configure(self, config: Voice) -> None:
        """Speak on as a new config says."""
        self._language = config.language
        self._hardware.set_volume(config.volume_percent)
        self.conversation.configure(config)
        if self._rehearsal:
            self._rehearsal.begin_anew()  # what is there already is not made again

    def silenced(self, language: Language) -> dict[str, list[str]]:
        """What the driver wants to be asked no more: the questions of each such scene, by its name."""
        names = sorted(self.conversation.memory.silenced)
        return {name: scene_questions(name, self._phrases, language) for name in names}

    def ask_again(self, scene: str) -> None:
        """He has changed his mind about one."""
        self.conversation.memory.silence(scene, silent=False)

    def tasks(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What to run, by name."""
        yield "voice", self.conversation.run()
        yield "scene memory", self._keep_memory()
        if self._rehearsal:
            yield "speech", self._rehearsal.run()
        for button in self._hardware.buttons:
            yield button.name, self._keep(button, self.conversation.on_presses)

    async def _keep_memory(self) -> None:
        """A wish to be asked no more is not lost to a disk that was full for a while."""
        while True:
            await self._clock.sleep(_LOOK_S)
            self._memory.look(self._clock.monotonic_ns())

    async def close(self) -> None:
        """Fall silent."""
        for end in (self._hardware.speaker, self._hardware.microphone):
            if end is not None:
                await end.close()
