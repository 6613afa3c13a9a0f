import gc
import shutil
from pathlib import Path

import numpy as np
import pytest

from simulators.voice_files import DRAWN, DrawnVoices, draw_voice
from simulators.voices import Person, draw_person, speak, speak_all

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def test_a_voice_is_the_same_of_one_seed_and_another_of_the_next() -> None:
    voices = [draw_voice(np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert voices[0] == voices[1] != voices[2]


def test_a_voice_has_what_espeak_ng_wants_and_every_number_is_one() -> None:
    for seed in range(200):
        first, *lines = draw_voice(np.random.default_rng(seed)).splitlines()
        assert first == "language variant"
        entries = {line.split()[0]: line.split()[1:] for line in lines}
        assert entries.pop("name") == [DRAWN]
        low, high = map(int, entries["pitch"])
        assert 60 <= low < high
        assert sum(line.startswith("formant ") for line in lines) == 9
        assert all(-20 <= int(value) <= 5100 for values in entries.values() for value in values)


def test_the_data_are_espeak_ngs_with_one_voice_and_are_gone_afterwards(tmp_path: Path) -> None:
    installed = tmp_path / "espeak-ng-data"
    (installed / "lang").mkdir(parents=True)
    (installed / "voices" / "!v").mkdir(parents=True)
    (installed / "phontab").write_bytes(b"sounds")
    voices = DrawnVoices(installed)
    for text in ("a voice\n", "another\n"):
        data = voices.hold(text) / "espeak-ng-data"
        assert (data / "phontab").read_bytes() == b"sounds"
        assert (data / "lang").is_dir()
        assert [(path.name, path.read_text()) for path in (data / "voices" / "!v").iterdir()] == [(DRAWN, text)]
    root = voices.root
    del voices
    gc.collect()
    assert not root.exists()
    assert (installed / "phontab").read_bytes() == b"sounds"


@needs_espeak
def test_drawn_people_speak_each_otherwise_and_none_as_espeak_ng_does_by_itself() -> None:
    rng = np.random.default_rng(7)
    people = [draw_person(rng, "en", "training", DRAWN) for _ in range(4)]
    alike = [Person(f"en+{DRAWN}", pitch=50, speed=170, stretch=1.0, file=person.file) for person in people]
    alike.append(Person("en", pitch=50, speed=170, stretch=1.0))
    said = [speak("charging problem", "en", person) for person in alike]
    for n, samples in enumerate(said):
        assert np.abs(samples).max() > 0.2
        assert all(len(samples) != len(other) or not np.array_equal(samples, other) for other in said[:n])


@needs_espeak
def test_the_texts_of_a_drawn_person_come_apart() -> None:
    person = draw_person(np.random.default_rng(9), "zh", "training", DRAWN)
    spoken = speak_all(["救命", "充电太慢"], "zh", person)
    assert len(spoken) == 2
    assert len(spoken[1]) > len(spoken[0]) > 2000
