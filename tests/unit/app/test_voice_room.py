"""The voice as the app has it: it does as it is told, and keeps what it remembers on a disk that refused."""

import asyncio
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.core.best_time import BestTime
from agent.core.config import Config, Voice
from agent.core.ports import Hardware, Utterance
from agent.diagnosis.knowledge import load_knowledge
from agent.voice.scene_memory import SceneMemory
from agent.voice_room import VoiceRoom
from drivers.keystore import FileKeystore
from simulators.clock import ManualClock
from tests.held_state import HeldState

KEYSTORE = FileKeystore(Ed25519PrivateKey.from_private_bytes(b"\7" * 32), "car-1")


def room(hardware: Hardware, clock: ManualClock, voice: Voice) -> VoiceRoom:
    return VoiceRoom(
        Config(voice=voice),
        hardware,
        clock,
        time=BestTime(clock),
        knowledge=load_knowledge(),
        notify=lambda _: None,
        emit=lambda _: None,
        on_told=lambda _: None,
        sent=(),
        agreed=(),
        take_back=lambda _: None,
        make_waits=lambda: iter(()),
    )


async def run_for(voice: VoiceRoom, clock: ManualClock, seconds: float) -> None:
    tasks = [asyncio.create_task(job, name=name) for name, job in voice.tasks()]
    await clock.advance(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await voice.close()


async def test_a_wish_is_kept_by_itself_once_the_disk_takes_it() -> None:
    disk, clock = HeldState(refuses=True), ManualClock()
    voice = room(Hardware(keystore=KEYSTORE, scene_store=disk), clock, Voice())
    voice.conversation.memory.silence("coach")
    disk.refuses = False
    await run_for(voice, clock, 121)
    assert SceneMemory(disk).silenced == {"coach"}


async def test_volume_and_language_are_told_at_the_start_and_with_each_change() -> None:
    volumes: list[int] = []
    prepared: list[Utterance] = []

    async def prepare(utterances: Sequence[Utterance]) -> None:
        prepared.append(utterances[0])

    clock = ManualClock()
    hardware = Hardware(keystore=KEYSTORE, set_volume=volumes.append, prepare_speech=prepare)
    voice = room(hardware, clock, Voice(volume_percent=70))
    assert volumes == [70]
    voice.configure(Voice(volume_percent=30, language="en"))
    await run_for(voice, clock, 1)
    assert volumes == [70, 30]
    assert {utterance.language for utterance in prepared} == {"en"}
