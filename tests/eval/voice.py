"""The voice's bars: what is heard of people who were not in the training, and how soon it is answered.

    python -m tests.eval voice [--json] [--small] [--hours H] [--trials N] [--seed S] [--only PART]

Speech is espeak-ng's, in simulated cabins: it tells that the chain works, and nothing sure of people. Voices and words
that are no reply are those held out of training and validation. The last line with --json is one object. The exit code
is 1 where a bar is missed, but with --small, which draws too little to tell.
"""

import argparse
import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: more threads wait for each other

import numpy as np

from agent.core.manifest import KeywordManifest, load_keyword_manifest
from agent.core.paths import MODELS
from agent.core.ports import Language
from drivers.keyword_features import Float32s
from drivers.keyword_replies import Keywords, load_keywords
from drivers.onnx_child import open_model, run
from models.keyword_figures import Kind, Mistaken, false_accepts, hear, out_of_grammar
from models.keyword_speech import make_cabins, reply_clips
from models.keyword_talk import Talk
from tests.eval import free_words
from tests.eval.statistics import poisson_upper
from tests.eval.voice_latency import answer_latency_ms, prompt_latency_ms
from tests.eval.voice_severe import severe_trials

_SEED: Final = 1131
_SOUND_SEED: Final = 9  # this much further on lies that of replies and of what is none
_SNR_DB: Final = 10.0
_PARTS: Final = ("hearing", "mistakes", "topics", "latency", "severe")
_BARS: Final[dict[str, tuple[float, float]]] = {
    "accuracy_zh": (0.95, 1.0),
    "accuracy_en": (0.95, 1.0),
    "false_accepts_per_hour": (0.0, 0.5),
    "severe_cancelled": (0, 0),
    "prompt_p95_ms": (0.0, 300.0),
    "answer_p95_ms": (0.0, 500.0),
    "voice_rss_mb": (0.0, 120.0),
}
_KINDS: Final[tuple[Kind, ...]] = ("noise", "music", "speech")


class Model:
    """One language's model as the box runs it, out of its child process."""

    def __init__(self, language: Language, keywords: Keywords) -> None:
        self.language = language
        self.keywords = keywords
        path = MODELS / f"keywords_{language}.toml"
        self.manifest: KeywordManifest = load_keyword_manifest(path)
        self.thresholds = np.array(keywords.thresholds(self.manifest), np.float32)
        self._session: Any = open_model(self.manifest, path.parent / self.manifest.file)

    def score(self, inputs: Float32s) -> Float32s:
        """How sure the model is of each label, float32[n, labels]."""
        return np.concatenate([run(self._session, row[None], self.manifest) for row in inputs])


def main(argv: Sequence[str]) -> int:
    """Measure, print, and say as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.eval voice", description="the voice's bars")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--small", action="store_true", help="half an hour of sounds, 200 trials: a smoke test")
    parser.add_argument("--hours", type=float, help="of sounds without a reply, both languages together")
    parser.add_argument("--trials", type=int, help="of severe collisions that nobody answers")
    parser.add_argument("--seed", type=int, default=_SEED, help=f"draws all sounds anew; default {_SEED}")
    parser.add_argument("--only", action="append", choices=_PARTS, help="this part alone; may be given again")
    args = parser.parse_args(argv)
    figures = _measure(args, args.only or _PARTS)
    for name, value in figures.items():
        print(f"{name:28} {value}")
    missing = [] if args.small else missed(figures)
    for line in missing:
        print(f"missed: {line}")
    if args.json:
        print(json.dumps(figures))
    return 1 if missing else 0


def missed(figures: Mapping[str, float | int]) -> list[str]:
    """The bars that those of the figures miss which were measured, a line each."""
    lines = []
    for name, (least, most) in _BARS.items():
        value = figures.get(name)
        if value is not None and value < least:
            lines.append(f"{name} {value:g}, at least {least:g}")
        elif value is not None and value > most:
            lines.append(f"{name} {value:g}, at most {most:g}")
    return lines


def _measure(args: argparse.Namespace, parts: Sequence[str]) -> dict[str, float | int]:
    hours = args.hours if args.hours is not None else (0.5 if args.small else 8.0)
    trials = args.trials if args.trials is not None else (200 if args.small else 10_000)
    models = {
        language: Model(language, keywords)
        for language, keywords in load_keywords().items()
        if (MODELS / f"keywords_{language}.toml").exists()
    }
    figures: dict[str, float | int] = {}
    if "hearing" in parts:
        for language, model in models.items():
            figures |= hearing(language, model, seed=args.seed + _SOUND_SEED)
    if "mistakes" in parts:
        figures |= mistakes(models, hours, seed=args.seed + _SOUND_SEED)
    if "topics" in parts:
        figures |= {
            f"topic_{language}": round(free_words.accuracy(language)["topic"], 4) for language in load_keywords()
        }
    if "latency" in parts:
        figures |= asyncio.run(prompt_latency_ms(40 if args.small else 120))
        figures |= asyncio.run(answer_latency_ms(6 if args.small else 40))
    if "severe" in parts and trials:
        figures |= severe_trials(models, trials, seed=args.seed)
    return figures


def hearing(language: Language, model: Model, *, seed: int) -> dict[str, float | int]:
    """Replies of held-out voices at 10 dB."""
    rng = np.random.default_rng([seed, ord(language[0])])
    clips = list(reply_clips(rng, model.keywords, "test"))
    heard = hear(rng, model.score, clips, model.keywords, make_cabins(rng, 40), snr_db=_SNR_DB)
    return {
        f"accuracy_{language}": round(heard.accuracy(model.thresholds), 4),
        f"wrong_{language}": round(heard.wrong(model.thresholds), 4),
        f"replies_{language}": len(clips),
    }


def mistakes(models: Mapping[Language, Model], hours: float, *, seed: int) -> dict[str, float | int]:
    """What is taken for a reply where there was none: a third each of noise, music and talk, in each language."""
    rng = np.random.default_rng([seed, 3])
    cabins = make_cabins(rng, 40)
    accepts, heard_hours = dict.fromkeys(_KINDS, 0), 0.0
    words = word_hours = 0.0
    for model in models.values():
        talk = Talk(model.keywords, "test")
        for kind in _KINDS:
            sound = out_of_grammar(rng, kind, talk, cabins, hours=hours / 3 / len(models))
            mistaken: Mistaken = false_accepts(model.score, sound)
            accepts[kind] += mistaken.count(model.thresholds)
            heard_hours += mistaken.hours
        alone = false_accepts(model.score, out_of_grammar(rng, "words", talk, cabins, hours=hours / 10 / len(models)))
        words, word_hours = words + alone.count(model.thresholds), word_hours + alone.hours
    total = sum(accepts.values())
    return {
        "false_accepts_per_hour": round(total / heard_hours, 3),
        "false_accepts_upper_95": round(poisson_upper(total) / heard_hours, 3),
        "hours": round(heard_hours, 2),
        "false_accepts_per_hour_words": round(words / word_hours, 1),
    } | {f"false_accepts_{kind}": count for kind, count in accepts.items()}
