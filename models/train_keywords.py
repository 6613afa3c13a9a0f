"""Trains the keyword models keywords_zh and keywords_en: `python -m models.train_keywords [zh] [en]`, seeded.

Speech is made by espeak-ng, cabins by simulators/sounds.py. Voices of validation and test are never heard in training.
`python -m models.train_keywords threshold [zh] [en]` trains nothing: it sets threshold, figures and card anew.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # at these sizes more threads wait for each other

import hashlib
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from agent.core.errors import InputError
from agent.core.manifest import Golden, KeywordManifest
from agent.core.model_card import Card, Metric
from agent.core.paths import MODELS
from agent.core.ports import Language
from drivers.keyword_features import BANDS, FRAMES_PER_S, model_input
from drivers.keyword_replies import OTHER, Keywords, load_keywords
from models.keyword_examples import examples, joined
from models.keyword_figures import Hearing, Kind, Mistaken, Score, false_accepts, hear, lowest_threshold, out_of_grammar
from models.keyword_speech import Cabins, example, make_cabins, reply_clips, wordings_of
from models.keyword_talk import Talk
from models.speech_net import STEPS
from models.speech_onnx import export
from models.writing import write_model
from simulators.voices import variants

Float32s = npt.NDArray[np.float32]

VERSION: Final = 6
OPSET: Final = 17
SEED: Final = 20_261_130
SNR_DB: Final = 10.0

_ROUNDS: Final = 2  # of examples, each by other people in other cabins
_NETS: Final = 3  # whose mean is heard: each errs by itself
_EPOCHS: Final = 11
_THRESHOLDS: Final = np.round(np.arange(0.5, 0.99, 0.001), 3)
_FALSE_PER_HOUR: Final = 0.25  # of noise, music and talk, a third each: half of what is allowed
_CABINS: Final = 40
# Of validation, by which the threshold is set: some eight false accepts, or chance would set it. And of the test.
_HOURS: Final[dict[Kind, float]] = {"noise": 8.0, "music": 2.0, "speech": 12.0}
_TEST_HOURS: Final[dict[Kind, float]] = {"noise": 0.2, "music": 0.2, "speech": 1.0, "words": 0.2}
_NAMES: Final[dict[Language, str]] = {"zh": "Mandarin", "en": "English"}

CARD: Final = Card(
    does="names which of the replies in firmware_config/keywords a short stretch of speech is, or none of them",
    how="the mean of {nets} nets, each six convolutions over time (96 channels, then 160; the last four add to what "
    "they are given), averages over eighths and two dense layers; classes are wordings",
    trained_on="synthetic speech only: espeak-ng's {language} voice in {variants} variants of its own and thousands "
    "drawn at random (simulators/voice_files.py), pitch, speed and vocal tract drawn, some made breathy or rough, in "
    "simulated cabins with echo at 2 to 25 dB, one in five with music; refusals are words of a dictionary alone, in "
    "rows and in talk, pieces of sentences, nonsense of the same syllables, noise and music",
    threshold_from="validation voices: the lowest at which noise, music and talk, a third each, make {false:g} false "
    "accepts an hour at most: {found}",
    rebuilt_by="python -m models.train_keywords",
    measured_on="variants of espeak-ng held out of training and validation, in other simulated cabins, at the model's "
    "own threshold, than which `sure` in firmware_config/keywords may ask more.",
    metrics=[],
    limits=[
        "No human being was heard in training or test, and drivers will be understood worse; how much is not known.",
        "espeak-ng's variants differ from each other less than people do; robots and whispers are in training only.",
        "{limits}",
        "A reply stands alone: 0.8 s of quiet before it, 0.28 s after it, and no longer than 2 s.",
        "The cabins are simulated too; open windows, sirens and children are not among them.",
        "Trained on replies as the speech detection before cut them out; it began later, ended sooner (decision 96).",
        "Another version of espeak-ng, another processor or BLAS trains slightly different weights.",
    ],
)
_LIMITS: Final[dict[Language, str]] = {
    "zh": "espeak-ng has one Mandarin voice: all speakers have its standard accent.",
    "en": "Accents are the eight of espeak-ng, all in training; one that was left out of a shorter training was heard "
    "right some 5 points less often.",
}


def main() -> None:
    """Train, export, set the threshold, measure, write: a process for each language."""
    asked = [word for word in sys.argv[1:] if word != "threshold"]
    wanted = [keywords for language, keywords in load_keywords().items() if not asked or language in asked]
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(ship_again if "threshold" in sys.argv else train, wanted):
            pass


def train(keywords: Keywords) -> None:
    """One language's model."""
    began = time.monotonic()
    language = keywords.language
    try:
        from models.speech_training import Training  # noqa: PLC0415  # setting the threshold does without PyTorch
    except ImportError as exc:
        raise InputError(f"{exc}: training needs PyTorch (pip install torch)") from exc
    rounds = [np.random.default_rng([SEED, ord(language[0]), number]) for number in range(_ROUNDS)]
    given = joined([examples(rng, keywords) for rng in rounds])
    print(f"{language}: {len(given.frames)} examples after {time.monotonic() - began:.0f} s", flush=True)
    names, labels = [*(name for _, name in wordings_of(keywords)), OTHER], _labels(keywords)
    nets = []
    for number in range(_NETS):
        drawn = np.random.SeedSequence([SEED, ord(language[0]), _ROUNDS + number])
        training = Training(given, BANDS, len(names), int(drawn.generate_state(1)[0]))
        for epoch, loss in enumerate(training.fit(_EPOCHS)):
            after = f"after {time.monotonic() - began:.0f} s"
            print(f"{language}: net {number + 1}, epoch {epoch + 1}: loss {loss:.4f} {after}", flush=True)
        nets.append(training.weights())
    table = np.eye(len(labels), dtype=np.float32)[[labels.index(name) for name in names]]
    ship(export(nets, BANDS, table, OPSET), keywords)
    print(f"{language}: after {time.monotonic() - began:.0f} s", flush=True)


def ship_again(keywords: Keywords) -> None:
    """Of the weights that are shipped."""
    ship((MODELS / f"keywords_{keywords.language}.onnx").read_bytes(), keywords)


def _labels(keywords: Keywords) -> list[str]:
    return [*keywords.replies, OTHER]


def ship(blob: bytes, keywords: Keywords) -> None:
    """Set the threshold of an exported model, measure, and write model, manifest and card."""
    language = keywords.language
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(blob, options, providers=["CPUExecutionProvider"])

    def score(inputs: Float32s) -> Float32s:
        return np.concatenate([session.run(None, {"speech": row[None]})[0] for row in inputs])

    threshold, found = set_threshold(np.random.default_rng([SEED, 1]), score, keywords)
    print(f"{language}: {threshold:g}: {found}", flush=True)
    metrics = measure(np.random.default_rng([SEED, 2]), score, keywords, threshold)
    for metric in metrics:
        print(f"{language}: {metric.what}: {metric.value}", flush=True)
    card = msgspec.structs.replace(
        CARD,
        how=CARD.how.format(nets=_NETS),
        trained_on=CARD.trained_on.format(language=_NAMES[language], variants=len(variants("training"))),
        threshold_from=CARD.threshold_from.format(false=_FALSE_PER_HOUR, found=found),
        limits=[limit.format(limits=_LIMITS[language]) for limit in CARD.limits],
        metrics=metrics,
    )
    manifest = KeywordManifest(
        name=f"keywords_{language}",
        version=VERSION,
        file=f"keywords_{language}.onnx",
        sha256=hashlib.sha256(blob).hexdigest(),
        opset=OPSET,
        threshold=threshold,
        golden_tolerance=1e-3,
        profiles=[],
        card=card,
        rate_hz=float(FRAMES_PER_S),
        steps=STEPS,
        bands=BANDS,
        labels=_labels(keywords),
        golden=_golden(score, keywords),
    )
    write_model(manifest, blob)


def _golden(score: Score, keywords: Keywords) -> list[Golden]:
    """Two replies as a stranger says them in a car."""
    rng = np.random.default_rng([SEED, 3])
    cabins = make_cabins(rng, 1)
    clips = [clip for clip, _ in zip(reply_clips(rng, keywords, "validation"), range(2), strict=False)]
    heard = [example(rng, clip.samples, cabins, snr_db=SNR_DB, music=0.0) for clip in clips]
    inputs = [np.round(model_input(frames, STEPS)[0].astype(np.float64), 2) for frames in heard]
    outputs = score(np.array(inputs, np.float32))
    return [
        Golden(input=given.ravel().tolist(), output=[round(float(value), 6) for value in answer])
        for given, answer in zip(inputs, outputs, strict=True)
    ]


def set_threshold(rng: np.random.Generator, score: Score, keywords: Keywords) -> tuple[float, str]:
    """The lowest that lets few enough through, and how that came out.

    One for all labels: thirty, each set by what it was taken for, are right about the hours they were set in. In other
    hours and by other voices they let as much through and hear no more than one does.
    """
    cabins = make_cabins(rng, _CABINS)
    mistaken = wrongly_heard(rng, score, Talk(keywords, "validation"), cabins, _HOURS)
    heard = hear(rng, score, reply_clips(rng, keywords, "validation"), keywords, cabins, snr_db=SNR_DB)
    threshold = lowest_threshold([*mistaken.values()], _THRESHOLDS, false_per_hour=_FALSE_PER_HOUR)
    thresholds = _for_all(keywords, threshold)
    counted = ", ".join(f"{each.count(thresholds)} in {each.hours:g} h of {kind}" for kind, each in mistaken.items())
    return threshold, f"{counted}, and {heard.accuracy(thresholds):.1%} of the replies heard right"


def _for_all(keywords: Keywords, threshold: float) -> Float32s:
    return np.full(len(_labels(keywords)), threshold, np.float32)


def wrongly_heard(
    rng: np.random.Generator, score: Score, talk: Talk, cabins: Cabins, hours: dict[Kind, float]
) -> dict[Kind, Mistaken]:
    """What is taken for a reply in so many hours of each kind of sound."""
    return {kind: false_accepts(score, out_of_grammar(rng, kind, talk, cabins, hours=hours[kind])) for kind in hours}


def measure(rng: np.random.Generator, score: Score, keywords: Keywords, threshold: float) -> list[Metric]:
    """On the test's voices: right and wrong at two noises, and false accepts in a few hours."""
    thresholds = _for_all(keywords, threshold)
    cabins = make_cabins(rng, _CABINS)
    clips = list(reply_clips(rng, keywords, "test"))
    metrics = [Metric(what="replies said, voices", value=f"{len(clips)}, {len({clip.voice for clip in clips})}")]
    for snr_db in (SNR_DB, 20.0):
        heard: Hearing = hear(rng, score, clips, keywords, cabins, snr_db=snr_db)
        said = f"{heard.accuracy(thresholds):.1%} right, {heard.wrong(thresholds):.2%} taken for another reply"
        metrics.append(Metric(what=f"cabin noise at {snr_db:g} dB", value=said))
    for kind, mistaken in wrongly_heard(rng, score, Talk(keywords, "test"), cabins, _TEST_HOURS).items():
        said = f"{mistaken.count(thresholds)} in {mistaken.hours:.1f} hours"
        metrics.append(Metric(what=f"false accepts: {kind}", value=said))
    return metrics


if __name__ == "__main__":
    main()
