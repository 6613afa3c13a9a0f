import re
import shutil

import numpy as np
import pytest

from agent.core.manifest import load_keyword_manifest
from agent.core.paths import MODELS, PROMPTS
from agent.core.ports import Language
from agent.voice.prompts import load_phrases
from agent.voice.understanding import understand
from drivers.keyword_features import model_input
from drivers.keyword_replies import check_model, load_keywords
from drivers.onnx_child import open_model, run
from drivers.pinyin import to_pinyin
from models.keyword_figures import Mistaken, lowest_threshold
from models.keyword_speech import example, fragment, make_cabins, voices_of, wordings_of
from models.keyword_talk import DICTIONARY, Talk, chatter
from models.speech_net import STEPS
from simulators.voice_files import DRAWN
from simulators.voices import draw_person, speak_all

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
needs_words = pytest.mark.skipif(not DICTIONARY.exists(), reason="wamerican-small is not installed")
BOTH = pytest.mark.parametrize("language", ["zh", "en"])
SHIPPED = pytest.mark.parametrize("language", [path.stem[-2:] for path in sorted(MODELS.glob("keywords_*.toml"))])

# What a reply must mean where it is asked for.
MEANT = {
    "all_right": {
        "help": "help",
        "no": "help",
        "fine": "fine",
        "garage": "garage",
        "false_alarm": "false_alarm",
        "yes": "fine",
    },
    "garage": {"yes": "yes", "no": "no", "not_needed": "no", "tow": "tow"},
    "rescue": {"yes": "yes", "no": "no", "not_needed": "no"},
    "charge": {
        "slow": "slow",
        "payment": "pay_trouble",
        "charger_fault": "charger_fault",
        "fine": "fine",
        "bad": "bad",
    },
    "charge_where": {"home": "home", "public": "public"},
}


@SHIPPED
def test_the_shipped_model_goes_with_the_shipped_replies(language: Language) -> None:
    manifest = load_keyword_manifest(MODELS / f"keywords_{language}.toml")
    assert check_model(manifest, load_keywords()[language]) == ""
    session = open_model(manifest, MODELS / manifest.file)  # holds it to its golden vectors
    silence = run(session, np.zeros(manifest.input_shape, np.float32), manifest)
    assert silence.shape == manifest.output_shape
    assert load_keywords()[language].read(silence[0].tolist(), manifest) is None


@BOTH
def test_the_words_of_a_reply_mean_it_to_the_dialogue(language: Language) -> None:
    questions = load_phrases(PROMPTS).languages[language].questions
    replies = load_keywords()[language].replies
    for name, wanted in MEANT.items():
        for reply, intent in wanted.items():
            assert understand(replies[reply].text, questions[name].lexicon).intent == intent, (name, reply)
    severe = questions["all_right_severe"]
    denied = {reply for reply in MEANT["all_right"] if understand(replies[reply].text, severe.denials).intent}
    assert denied == {"no"}, "the others can confirm what was asked back"
    for question in questions.values():
        assert understand(replies["stop_asking"].text, question.stop.lexicon).intent is not None


@needs_espeak
@needs_words
@BOTH
def test_what_is_to_be_refused_is_said_as_no_reply_is_and_holds_none(language: Language) -> None:
    keywords = load_keywords()[language]
    wordings = {wording for wording, _ in wordings_of(keywords)}
    rng = np.random.default_rng(3)
    talk = Talk(keywords, "training")
    drawn = {*talk.nonsense(rng, 150)}
    assert len(drawn) > 80
    said = {*drawn, *talk.words(rng, 2000)}
    assert len(said) > 1500
    assert not said & wordings
    if language == "zh":
        assert not {to_pinyin(text) for text in said} & {to_pinyin(wording) for wording in wordings}
        assert not any(wording in text for text in said for wording in wordings if len(wording) > 1)
    else:
        assert not {"breaks", "know", "toe it"} & {*talk.words(rng, 100_000)}  # said as brakes, no, tow it


@needs_espeak
@needs_words
@BOTH
def test_training_and_validation_refuse_other_words(language: Language) -> None:
    keywords = load_keywords()[language]
    training, validation = (Talk(keywords, part) for part in ("training", "validation"))
    rng = np.random.default_rng(4)
    heard = {*training.words(rng, 20_000)}
    assert not heard & {*validation.words(rng, 10_000)}
    assert not heard & {*chatter(language, "test", "words")}


@BOTH
def test_what_is_said_in_the_test_is_none_of_training_and_sounds_like_no_reply(language: Language) -> None:
    lists = [
        [_sound(language, text) for what in ("words", "sentences") for text in chatter(language, part, what)]
        for part in ("training", "validation", "test")
    ]
    assert sum(map(len, lists)) == len(set().union(*lists))
    wordings = [wording for wording, _ in wordings_of(load_keywords()[language])]
    assert set().union(*lists).isdisjoint(_sound(language, wording) for wording in wordings)


def _sound(language: Language, text: str) -> str:
    """What is heard of a text, without its punctuation: pinyin with tones, or English in small letters."""
    spoken = to_pinyin(text) if language == "zh" else text.lower()
    return " ".join(re.findall(r"[\w']+", spoken))


@needs_espeak
def test_voices_of_the_parts_are_others() -> None:
    training, validation, test = (set(voices_of(part)) for part in ("training", "validation", "test"))
    assert min(map(len, (training, validation, test))) >= 12
    assert training & validation == {DRAWN}  # whom nobody meets twice
    assert not test & (training | validation)


@needs_espeak
@SHIPPED
def test_held_out_voices_are_heard_at_20_db(language: Language) -> None:
    keywords = load_keywords()[language]
    manifest = load_keyword_manifest(MODELS / f"keywords_{language}.toml")
    session = open_model(manifest, MODELS / manifest.file)
    rng = np.random.default_rng(8)
    cabins = make_cabins(rng, 2)
    wordings = wordings_of(keywords)
    right = []
    for variant in voices_of("test"):
        said = [wordings[n] for n in rng.permutation(len(wordings))[:5]]
        spoken = speak_all([text for text, _ in said], language, draw_person(rng, language, "test", variant))
        for samples, (_, name) in zip(spoken, said, strict=True):
            heard = example(rng, samples, cabins, snr_db=20, music=0.0)
            answer = run(session, model_input(heard, STEPS), manifest)[0]
            right.append(manifest.labels[int(answer.argmax())] == name)
    assert np.mean(right) >= 0.85


def test_the_threshold_is_the_lowest_that_lets_few_enough_through() -> None:
    noise, talk = _mistaken(2.0, 0.65), _mistaken(1.0, 0.55, 0.75, 0.95)
    tried = [0.5, 0.6, 0.7, 0.8, 0.9]
    assert lowest_threshold([noise, talk], tried, false_per_hour=2.0) == 0.5
    assert lowest_threshold([noise, talk], tried, false_per_hour=1.25) == 0.6  # half a noise and two talks an hour
    assert lowest_threshold([noise, talk], tried, false_per_hour=1.0) == 0.7
    assert lowest_threshold([noise, talk], tried, false_per_hour=0.1) == 0.9  # nothing was enough


def _mistaken(hours: float, *sure: float) -> Mistaken:
    return Mistaken(hours, np.zeros(len(sure), np.int64), np.array(sure, np.float32))


def test_a_fragment_is_a_piece() -> None:
    piece = fragment(np.random.default_rng(1), np.arange(64_000, dtype=np.float32))
    assert 4000 <= len(piece) <= 24_000
    assert (np.diff(piece) == 1).all()
