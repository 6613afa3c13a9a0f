"""The sound of an answer: kept where the driver agreed to that by name, and nowhere else."""

import asyncio
import json
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.cli.main import main
from agent.core.config import Consent
from agent.core.events import ConsentChanged, Feedback, Purpose, RecordsErased, VoiceClip
from agent.core.keys import public_pem
from agent.core.pcmu import SAMPLES_MAX, from_pcmu, to_pcmu
from agent.core.ports import Heard, Language
from agent.privacy.door import Erase, Grant, Revoke
from agent.voice.consent_talk import ConsentTalk
from agent.voice.consent_words import load_consent_words
from drivers.keystore import write_private
from drivers.keyword_microphone import KeywordMicrophone
from simulators.clock import ManualClock
from simulators.driver_person import SimulatedButton
from tests.scenario.consent_car import Car, run_car
from tests.scenario.consent_car import room as privacy_room
from tests.scenario.test_conversation import Room, crash, room
from tests.unit.drivers.test_keyword_microphone import SENTENCE, FakeCapture, FakeInference, FakeRecogniser
from tests.unit.store.kit import KEYS, make_config

PCM = (np.sin(np.arange(16_000) / 9) * 9000).astype("<i2").tobytes()
SAID = "今天刹车声音有点怪"


class Ears:
    """A microphone with sound. during: called while it listens, with how often it has."""

    def __init__(
        self, clock: ManualClock, texts: list[str], *, pcm: bytes = PCM, during: Callable[[int], None] | None = None
    ) -> None:
        self._clock = clock
        self._texts = texts
        self._pcm = pcm
        self._during = during or (lambda _: None)
        self.asked: list[bool] = []

    async def listen(self, *, timeout_s: float, language: Language, keep_sound: bool = False) -> Heard | None:  # noqa: ARG002
        self.asked.append(keep_sound)
        await self._clock.sleep(1.0)
        self._during(len(self.asked))
        if not self._texts:
            return None
        return Heard(self._texts.pop(0), 0.9, self._pcm if keep_sound else b"")

    async def close(self) -> None:
        pass


async def talk(
    *texts: str,
    agreed: set[Purpose],
    consents: ConsentTalk | None = None,
    pcm: bytes = PCM,
    during: Callable[[int], None] | None = None,
    press: bool = False,
) -> tuple[Room, Ears, list[VoiceClip]]:
    """After a crash, or a press of the button."""
    ears: list[Ears] = []

    def open_ears(clock: ManualClock) -> Ears:
        ears.append(Ears(clock, list(texts), pcm=pcm, during=during))
        return ears[0]

    async with room(microphone=open_ears, agreed=agreed, consents=consents) as r:
        r.talk.on_presses(1) if press else r.talk.on_event(crash(r.clock))
        await r.clock.advance(60)
    return r, ears[0], [event for event in r.events if isinstance(event, VoiceClip)]


async def test_without_its_own_purpose_no_sound_is_asked_for() -> None:
    others: set[Purpose] = {"claims", "safety", "service", "ubi_score", "feedback", "diagnostics"}
    r, ears, clips = await talk("我没事", "不用", agreed=others)
    assert len(r.feedback()) == 2
    assert ears.asked == [False, False]
    assert clips == []


async def test_with_it_each_answer_has_a_clip() -> None:
    r, _, clips = await talk("我没事", "不用", agreed={"audio"})
    assert [(clip.question, clip.heard, clip.language) for clip in clips] == [
        ("all_right", "我没事", "zh"),
        ("garage", "不用", "zh"),
    ]
    for clip, feedback in zip(clips, r.feedback(), strict=True):
        assert clip.answer_ns == feedback.t_ns
        assert clip.t_ns == feedback.asked_ns, "from when on it listened: a consent of later does not cover it"
        assert clip.sound == to_pcmu(PCM)
    assert not any(b"\0" in notice.text.encode() for notice in r.notices)


async def test_behind_the_button_too() -> None:
    r, _, (clip,) = await talk(SAID, agreed={"audio"}, press=True)
    (feedback,) = r.feedback()
    assert (clip.question, clip.heard, clip.answer_ns) == ("free_words", SAID, feedback.t_ns)
    assert clip.t_ns == feedback.t_ns - 10**9


async def test_what_was_no_answer_leaves_none() -> None:
    """Asked again: the first words are forgotten, as they were before."""
    _, ears, clips = await talk("嗒嗒嗒", "我没事", "不用", agreed={"audio"})
    assert ears.asked == [True] * 3
    assert [clip.heard for clip in clips] == ["我没事", "不用"]


async def test_a_consent_taken_back_while_he_speaks_leaves_none() -> None:
    agreed: set[Purpose] = {"audio"}
    r, ears, clips = await talk("我没事", "不用", agreed=agreed, during=lambda _: agreed.clear())
    assert ears.asked == [True, False]
    assert len(r.feedback()) == 2
    assert clips == []


@pytest.mark.parametrize("press", [False, True])
async def test_words_about_consents_leave_none(press: bool) -> None:  # noqa: FBT001
    agreed: set[Purpose] = {"audio", "feedback"}
    consents = ConsentTalk(load_consent_words(), agreed=agreed, take_back=agreed.difference_update)
    r, ears, clips = await talk("不要再保存我的声音", "我没事", agreed=agreed, consents=consents, press=press)
    assert agreed == {"feedback"}
    assert clips == []
    assert ears.asked[0]
    assert not any(ears.asked[1:])
    assert any(text.startswith("好的，不再收集回答的录音") for text in r.texts("said"))


async def test_nor_do_words_about_other_consents_said_twice() -> None:
    """The question ends in silence then, which has no sound."""
    agreed: set[Purpose] = {"audio", "ubi_score"}
    consents = ConsentTalk(load_consent_words(), agreed=agreed, take_back=agreed.difference_update)
    r, ears, clips = await talk(*["撤回驾驶评分的同意"] * 2, agreed=agreed, consents=consents)
    assert ears.asked[:2] == [True, True]
    assert r.feedback()[0].transcript == ""
    assert clips == []


async def test_what_is_too_long_loses_its_beginning() -> None:
    long = np.arange(2 * SAMPLES_MAX).astype("<i2").tobytes()
    _, _, clips = await talk("我没事", agreed={"audio"}, pcm=long)
    assert clips[0].sound == to_pcmu(long[-2 * SAMPLES_MAX :])


async def test_what_was_said_before_a_consent_is_not_covered_by_it(tmp_path: Path) -> None:
    """Taken back and given anew while the microphone was open."""
    clip = VoiceClip(
        t_ns=0, answer_ns=9, question="q", language="zh", heard="没事", codec="pcmu", rate_hz=16_000, sound=b"\xff"
    )
    async with privacy_room(tmp_path, "audio") as (privacy, one, _):
        early = msgspec.structs.replace(clip, t_ns=one.clock.monotonic_ns())
        assert privacy.egress.admit(early) == early
        await one.clock.advance(1.0)
        privacy.take_back(["audio"], by="page")
        assert privacy.egress.admit(early) is None
        one.leave(Grant(purpose="audio", notice=1))
        await one.clock.advance(2.0)
        assert "audio" in privacy.in_force
        assert privacy.egress.admit(early) is None
        late = msgspec.structs.replace(clip, t_ns=one.clock.monotonic_ns())
        assert privacy.egress.admit(late) == late


class ListeningCar(Car):
    """The whole agent, with the real microphone on sound that is known, behind a button."""

    def __init__(self, folder: Path, *purposes: Purpose, presses_s: tuple[float, ...] = (1.0,)) -> None:
        made = make_config(folder)
        voice = msgspec.structs.replace(made.voice, enabled=True)
        super().__init__(folder, msgspec.structs.replace(made, consent=Consent(purposes=list(purposes)), voice=voice))
        self.capture = FakeCapture(SENTENCE)
        self.pcm = self.capture._data
        texts = FakeRecogniser(*[SAID] * len(presses_s))
        self.capture_again()
        self.hardware = replace(
            self.hardware,
            microphone=KeywordMicrophone(self.capture, FakeInference(), {}, recogniser=texts),
            buttons=[SimulatedButton(self.clock, [self.clock.monotonic_ns() / 1e9 + at_s for at_s in presses_s])],
        )

    def capture_again(self) -> None:
        """Each time it is opened the same is said."""
        rewind = self.capture.open

        async def open_anew() -> None:
            self.capture._at = 0
            await rewind()

        self.capture.open = open_anew  # type: ignore[method-assign]

    def in_clear(self) -> list[str]:
        """Files in which a tenth of a second of the words lies as it was, or coded."""
        piece = self.pcm[2 * 24_000 : 2 * 25_600]
        forms = (piece, to_pcmu(piece))
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        assert paths
        return [path.name for path in paths if any(form in path.read_bytes() for form in forms)]


async def test_without_the_purpose_no_byte_of_the_sound_is_on_the_disk(tmp_path: Path) -> None:
    one = ListeningCar(tmp_path, "claims", "safety", "service", "ubi_score", "feedback", "diagnostics")
    async with run_car(one):
        await one.drive(12)
        assert one.in_clear() == []
    assert one.in_clear() == []
    told = await one.events()
    assert [event.transcript for event in told if isinstance(event, Feedback)] == [SAID], "it was heard all the same"
    assert not any(isinstance(event, VoiceClip) for event in one.happened)
    everything = b"".join(msgspec.msgpack.encode(event) for event in told)
    assert to_pcmu(one.pcm)[24_000:24_100] not in everything
    assert one.pcm[48_000:48_200] not in everything


async def test_with_it_the_clip_is_sealed_and_decodes_to_what_was_said(tmp_path: Path) -> None:
    one = ListeningCar(tmp_path, "audio")
    async with run_car(one):
        await one.drive(12)
        assert one.in_clear() == []
    assert one.in_clear() == [], "sealed like the rest"
    told = await one.events()
    assert [event for event in told if isinstance(event, Feedback)] == [], "the words are another purpose"
    (clip,) = [event for event in told if isinstance(event, VoiceClip)]
    assert (clip.heard, clip.rate_hz, clip.codec) == (SAID, 16_000, "pcmu")
    coded = to_pcmu(one.pcm)
    assert clip.sound in coded, "a stretch of what was said, sample by sample"
    at = coded.index(clip.sound)
    said = np.frombuffer(one.pcm, "<i2")[at : at + len(clip.sound)].astype(np.float64)
    noise = from_pcmu(clip.sound) - said
    assert 10 * np.log10((said**2).sum() / (noise**2).sum()) > 30
    assert 2.2 < len(clip.sound) / 16_000 <= 3.75


async def test_taken_back_it_is_made_no_more_and_what_waits_goes(tmp_path: Path) -> None:
    one = ListeningCar(tmp_path, "audio", "feedback", presses_s=(1.0, 30.0))
    async with run_car(one):
        await one.drive(12)
        assert sum(isinstance(event, VoiceClip) for event in one.happened) == 1
        one.leave(Revoke(purposes=["audio"]))
        await one.clock.advance(1.0)
        await one.drive(30)
    told = await one.events()
    assert len([event for event in told if isinstance(event, Feedback)]) == 2, "words are heard as before"
    assert [event for event in told if isinstance(event, VoiceClip)] == []
    assert sum(isinstance(event, VoiceClip) for event in one.happened) == 1, "the second is not even made"
    (proof,) = [event for event in told if isinstance(event, ConsentChanged)]
    assert (proof.of_purpose, proof.granted) == ("audio", False)


async def test_it_is_erased_by_its_purpose(tmp_path: Path) -> None:
    one = ListeningCar(tmp_path, "audio", "feedback")
    async with run_car(one):
        await one.drive(12)
        one.leave(Erase(purposes=["audio"]))
        await one.clock.advance(1.0)
    told = await one.events()
    assert [event for event in told if isinstance(event, VoiceClip)] == []
    assert len([event for event in told if isinstance(event, Feedback)]) == 1
    assert sum(sum(event.records) for event in told if isinstance(event, RecordsErased)) == 1


async def test_the_owner_can_hear_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = ListeningCar(tmp_path, "audio")
    async with run_car(one):
        await one.drive(12)
    (clip,) = [event for event in await one.events() if isinstance(event, VoiceClip)]
    for name, key in (("device.pem", KEYS.device._key), ("owner.pem", KEYS.owner)):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(tmp_path / "keys" / name, pem)
    (tmp_path / "keys" / "insurer.pem").write_bytes(public_pem(KEYS.insurer.public_key()))
    box = tmp_path / "box.toml"
    box.write_text(
        f'[device]\nid = "car-1"\nkey = "{tmp_path}/keys/device.pem"\n[store]\ndirectory = "{one.directory}"\n'
        f'[trust]\ninsurer_encryption_key = "{tmp_path}/keys/insurer.pem"\n'
    )
    command = ["export", "--config", str(box), "--sounds", str(tmp_path / "sounds")]
    assert await asyncio.to_thread(main, [*command, str(tmp_path / "mine.json")]) == 2, "sealed records have no sound"
    assert "--sounds needs --key" in capsys.readouterr().err
    command += ["--key", str(tmp_path / "keys" / "owner.pem")]
    assert await asyncio.to_thread(main, [*command, str(tmp_path / "mine.json")]) == 0
    records = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))["records"]
    (told,) = [record for record in records if record["event"]["kind"] == "voice_clip"]
    (path,) = (tmp_path / "sounds").iterdir()
    assert path.name == f"{told['boot']}-{told['sequence']}.wav"
    assert path.stat().st_mode & 0o777 == 0o600
    with wave.open(str(path)) as file:
        assert file.readframes(10**6) == from_pcmu(clip.sound).astype("<i2").tobytes()
    (tmp_path / "mine.json").unlink()
    assert await asyncio.to_thread(main, [*command, str(tmp_path / "mine.json")]) == 2, "nothing is overwritten"
