"""What drivers answered to collisions, as labels for training: a line an impact, with what the model saw of it."""

import argparse
import csv
import io
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec

from agent.core.events import Collision, Feedback
from agent.detect.crash_features import FEATURES
from fleet.receiver.database import open_store
from fleet.receiver.store import Store

_KINDS: Final = ("collision", "feedback")
_ROLL_NS: Final = 30 * 10**9  # an answer about a rollover is about the impacts of this time before it
_LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "all_right": {"false_alarm": "false_alarm", "help": "confirmed", "garage": "confirmed", "fine": "unopposed"},
    "parked_hit": {"false_alarm": "false_alarm", "damage": "confirmed", "no_damage": "unopposed"},
    "garage": {"yes": "confirmed", "tow": "confirmed"},
}
_STRENGTH: Final = ("", "unopposed", "confirmed", "false_alarm")  # a false alarm is said in so many words


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--database", required=True)
    parser.add_argument("--device", help="only this one's")
    parser.add_argument("--json", action="store_true", help="JSON lines; else CSV")

    def run(args: argparse.Namespace) -> int:
        with closing(open_store(args.database)) as store:
            lines = labelled(store, args.device, on_bad=partial(print, file=sys.stderr))
            for line in as_json(lines) if args.json else as_csv(lines):
                print(line)
        return 0

    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One impact, and what its driver made of it.

    label: false_alarm: he says that there was no collision; confirmed: he asks for help or a garage, or has found
    damage; unopposed: he is fine, and did not say that there was none; "": he did not say.

    intent and confidence are those of the answer, confidence None where there is none. features: in thousandths, as
    agent.detect.crash_features.FEATURES has them; empty where they could not be had, or are of another software.
    """

    device: str
    boot: int
    t0_ns: int
    wall_ns: int | None
    impact: int
    severity: str
    told_confidence: float
    label: str
    intent: str
    confidence: float | None
    features: tuple[int, ...]


def labelled(store: Store, device: str | None = None, *, on_bad: Callable[[str], None]) -> Iterator[Labelled]:
    """Every collision in the order of devices, boots and time, asked about or not. Raises StoreError.

    One boot at a time is in memory. The impacts of one crash share its answer: the driver was asked once. on_bad
    is told of each event that is left out because it cannot be read.
    """
    rows = store.events(device, kinds=_KINDS)
    for (name, boot), group in itertools.groupby(rows, key=lambda row: (str(row["device"]), int(row["boot"]))):
        yield from _of_boot(name, boot, group, on_bad)


def as_csv(lines: Iterator[Labelled]) -> Iterator[str]:
    """A heading, then a line an impact; a feature that is not known is empty."""
    fields = [name for name in Labelled.__dataclass_fields__ if name != "features"]
    yield _line([*fields, *FEATURES])
    for line in lines:
        features = line.features or ("",) * len(FEATURES)
        yield _line([*(_shown(getattr(line, name)) for name in fields), *features])


def as_json(lines: Iterator[Labelled]) -> Iterator[str]:
    """A JSON object a line."""
    for line in lines:
        yield json.dumps(msgspec.to_builtins(line))


def _of_boot(
    device: str, boot: int, rows: Iterable[Mapping[str, Any]], on_bad: Callable[[str], None]
) -> Iterator[Labelled]:
    answers: list[Feedback] = []
    collisions: list[tuple[Collision, int | None]] = []
    for row in rows:
        try:
            event = msgspec.convert(row["event"], Collision | Feedback)
        except msgspec.ValidationError as exc:  # JSON has no word for what is no number
            on_bad(f"{device}: boot {boot}, sequence {row['sequence']}: {exc}")
            continue
        if isinstance(event, Feedback):
            answers.append(event)
        else:
            collisions.append((event, row["wall_ns"]))
    for crash in _crashes(sorted(collisions, key=lambda told: told[0].t_ns)):
        label, answer = _label([impact for impact, _ in crash], answers)
        for impact, wall_ns in crash:
            yield Labelled(
                device=device,
                boot=boot,
                t0_ns=impact.t_ns,
                wall_ns=wall_ns,
                impact=impact.multi_event,
                severity=impact.severity,
                told_confidence=impact.confidence,
                label=label,
                intent="" if answer is None else answer.intent,
                confidence=None if answer is None else answer.confidence,
                features=tuple(impact.features) if len(impact.features) == len(FEATURES) else (),
            )


def _crashes(told: Sequence[tuple[Collision, int | None]]) -> Iterator[list[tuple[Collision, int | None]]]:
    """Impacts in groups; each first one begins a group."""
    crash: list[tuple[Collision, int | None]] = []
    for impact in told:
        if impact[0].multi_event == 1 and crash:
            yield crash
            crash = []
        crash.append(impact)
    if crash:
        yield crash


def _label(crash: Sequence[Collision], answers: Sequence[Feedback]) -> tuple[str, Feedback | None]:
    """The strongest label of the answers about a crash and the answer that gave it, the first one where none did."""
    about = [answer for answer in answers if _is_about(answer, crash)]
    return max(
        ((_label_of(answer), answer) for answer in about), key=lambda told: _STRENGTH.index(told[0]), default=("", None)
    )


def _label_of(answer: Feedback) -> str:
    question = "all_right" if answer.question == "all_right_severe" else answer.question
    return _LABELS.get(question, {}).get(answer.intent, "")


def _is_about(answer: Feedback, crash: Sequence[Collision]) -> bool:
    if answer.about_ns is None:
        return False  # of older software: which one it was about is not known
    if answer.about == "rollover":
        return 0 <= answer.about_ns - crash[-1].t_ns <= _ROLL_NS
    return answer.about == "collision" and any(answer.about_ns == impact.t_ns for impact in crash)


def _shown(value: object) -> object:
    return "" if value is None else value


def _line(fields: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
