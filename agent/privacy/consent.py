"""Which purposes the driver agrees to now. Config has the first word, from paper; his own choice on the box the last.

A choice is kept at once and outlives everything. What cannot be read counts as refused, whatever config says: the
driver may have said no. Every change is an event, to be sealed as a proof.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol

import msgspec
from msgspec import Meta

from agent.core.best_time import Now
from agent.core.config import Consent
from agent.core.errors import InputError, StoreError
from agent.core.events import Ground, Purpose
from agent.core.ports import StateStore
from agent.core.privacy_events import By, ConsentChanged, Precision, WhyChanged
from agent.core.terms import Terms
from agent.privacy.agreed import Agreed
from agent.privacy.notices import PURPOSES

_LOG: Final = logging.getLogger(__name__)
_DAY_NS: Final = 86_400 * 10**9
DAYS_MAX: Final = 1826

Why = Literal["never_asked", "paper"] | WhyChanged


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was last chosen of one purpose, and whether it still holds; times in UTC.

    days: it holds for so many from when the time is known, which it was not yet when it was chosen. swept: what waited
    to leave when it was taken back is deleted.
    """

    granted: bool
    by: By
    why: WhyChanged = "chosen"
    notice: Annotated[int, Meta(ge=1)]
    at_ns: int | None = None
    until_ns: int | None = None
    days: Annotated[int, Meta(ge=0, le=DAYS_MAX)] = 0
    trip_only: bool = False
    score_only: bool = False
    place: Precision = "none"
    swept: bool = False


class _Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: Literal[1] = 1
    choices: dict[Purpose, Choice]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one purpose stands: whether it is in force, why so, and the choice that made it so, None where none did."""

    purpose: Purpose
    in_force: bool
    why: Why
    choice: Choice | None


class Time(Protocol):
    """What is needed of agent.core.best_time."""

    def now(self) -> Now:
        """UTC as far as it is known."""
        ...


class Consents:
    """Asked by whoever wants to know what is agreed to; changed by the page, by voice and by command."""

    def __init__(
        self,
        first: Consent,
        versions: Mapping[Purpose, int],
        *,
        store: StateStore | None,
        time: Time,
        monotonic_ns: Callable[[], int],
    ) -> None:
        """first: config's [consent]. versions: of the notices as they are now. store: None keeps nothing."""
        self._first = first
        self._versions = versions
        self._store = store
        self._time = time
        self._monotonic_ns = monotonic_ns
        self._unsaved = False
        self._since: dict[Ground, int] = {}
        self._choices = self._load()
        self._agreed = self._work_out()

    def agreed(self) -> Agreed:
        """What is in force now; the same object as long as that does not change."""
        return self._agreed

    def standing(self, purpose: Purpose) -> Standing:
        """How one purpose stands, for people."""
        choice = self._choices.get(purpose)
        if choice is not None:
            return Standing(purpose, choice.granted, choice.why, choice)
        on_paper = purpose in self._first.purposes
        return Standing(purpose, on_paper, "paper" if on_paper else "never_asked", None)

    def grant(
        self,
        purpose: Purpose,
        terms: Terms,
        *,
        by: By,
    ) -> ConsentChanged:
        """Agree, from now on.

        Raises InputError where another version holds now, or the days or the options are not possible.
        """
        if terms.notice != self._versions[purpose]:
            raise InputError(f"{purpose}: notice {terms.notice} was shown, but {self._versions[purpose]} holds now")
        if not 1 <= terms.days <= DAYS_MAX:
            raise InputError(f"{purpose}: 1 to {DAYS_MAX} days are possible, not {terms.days}")
        if terms.score_only and purpose != "ubi_score":
            raise InputError(f"{purpose}: only ubi_score can be agreed to as score only")
        if terms.place != "none" and purpose not in {"claims", "safety"}:
            raise InputError(f"{purpose}: tells no place; only claims and safety do")
        now = self._time.now()
        if not self.standing(purpose).in_force:
            self._since[purpose] = self._monotonic_ns()
        choice = Choice(
            granted=True,
            by=by,
            notice=terms.notice,
            at_ns=now.wall_ns,
            until_ns=None if terms.trip_only or now.wall_ns is None else now.wall_ns + terms.days * _DAY_NS,
            days=0 if terms.trip_only or now.wall_ns is not None else terms.days,
            trip_only=terms.trip_only,
            score_only=terms.score_only,
            place=terms.place,
        )
        (changed,) = self._change({purpose: choice})
        return changed

    def revoke(self, purposes: Sequence[Purpose], *, by: By) -> list[ConsentChanged]:
        """Agree no longer; what had not been in force is kept as a refusal all the same, and is no change."""
        in_force = [purpose for purpose in purposes if self.standing(purpose).in_force]
        now_ns = self._time.now().wall_ns
        choices = {
            purpose: Choice(granted=False, by=by, notice=self._versions[purpose], at_ns=now_ns) for purpose in purposes
        }
        return [changed for changed in self._change(choices) if changed.of_purpose in in_force]

    def unswept(self) -> Mapping[Purpose, Choice]:
        """Purposes that the driver took back, and of which records may still wait to leave."""
        return {
            purpose: choice
            for purpose, choice in self._choices.items()
            if not choice.granted and choice.why == "chosen" and not choice.swept
        }

    def mark_swept(self, unswept: Mapping[Purpose, Choice]) -> None:
        """Nothing of them waits any more, but of those that were chosen anew since."""
        swept = {
            purpose: msgspec.structs.replace(choice, swept=True)
            for purpose, choice in unswept.items()
            if self._choices[purpose] is choice
        }
        self._choices = {**self._choices, **swept}
        self._save()

    def start(self) -> list[ConsentChanged]:
        """What has ended while the agent was off: what was for one trip, and what was agreed to of another notice."""
        ended = {
            purpose: _ended(choice, "trip_ended" if choice.trip_only else "notice_changed")
            for purpose, choice in self._choices.items()
            if choice.granted and (choice.trip_only or choice.notice != self._versions[purpose])
        }
        return self._change(ended) + self.look()

    def look(self) -> list[ConsentChanged]:
        """What has run out, and what is known now to run out on a date. Where nobody knows the time nothing does.

        Also keeps what could not be kept before.
        """
        now = self._time.now()
        dated = [] if now.wall_ns is None else self._date(now.wall_ns)
        ended = {
            purpose: _ended(choice, "expired")
            for purpose, choice in self._choices.items()
            if choice.granted and choice.until_ns is not None and now.passed(choice.until_ns)
        }
        changed = dated + self._change(ended)
        if self._unsaved:
            self._save()
        return changed

    def end_trip(self) -> list[ConsentChanged]:
        """A trip is over: so is what was for this trip only."""
        return self._change(
            {
                purpose: _ended(choice, "trip_ended")
                for purpose, choice in self._choices.items()
                if choice.granted and choice.trip_only
            }
        )

    def _date(self, wall_ns: int) -> list[ConsentChanged]:
        return self._change(
            {
                purpose: msgspec.structs.replace(choice, until_ns=wall_ns + choice.days * _DAY_NS, days=0)
                for purpose, choice in self._choices.items()
                if choice.granted and choice.days
            }
        )

    def _change(self, choices: Mapping[Purpose, Choice]) -> list[ConsentChanged]:
        """All at once, with one write: a power cut leaves no half of it, and the loop waits for one sync."""
        if not choices:
            return []
        self._choices = {**self._choices, **choices}
        self._agreed = self._work_out()
        self._save()
        return [self._changed(purpose, choice) for purpose, choice in choices.items()]

    def _changed(self, purpose: Purpose, choice: Choice) -> ConsentChanged:
        return ConsentChanged(
            t_ns=self._monotonic_ns(),
            of_purpose=purpose,
            granted=choice.granted,
            by=choice.by,
            why=choice.why,
            notice=choice.notice,
            until_ns=choice.until_ns,
            trip_only=choice.trip_only,
            score_only=choice.score_only,
            precision=choice.place,
        )

    def _work_out(self) -> Agreed:
        grounds: set[Ground] = {"rights"}
        places: dict[Ground, Precision] = {}
        for purpose in PURPOSES:
            standing = self.standing(purpose)
            if not standing.in_force:
                continue
            grounds.add(purpose)
            places[purpose] = self._first_place(purpose) if standing.choice is None else standing.choice.place
            if purpose == "ubi_score" and not (standing.choice and standing.choice.score_only):
                grounds.add("ubi_detail")
        return Agreed(frozenset(grounds), places, dict(self._since))

    def _first_place(self, purpose: Purpose) -> Precision:
        """What config says for claims; a platform's place is config's own to say."""
        return {"claims": self._first.crash_position, "safety": "exact"}.get(purpose, "none")

    def _load(self) -> dict[Purpose, Choice]:
        if self._store is None:
            return {}
        try:
            data = self._store.load()
            return dict(msgspec.json.decode(data, type=_Kept).choices) if data else {}
        except (StoreError, msgspec.DecodeError) as exc:
            _LOG.error("the driver's consents cannot be read, so none counts as given: %s", exc)  # expected
            return {
                purpose: Choice(granted=False, by="box", why="unreadable", notice=self._versions[purpose])
                for purpose in PURPOSES
            }

    def _save(self) -> None:
        """A disk that refuses is tried again at the next look; what was chosen holds meanwhile."""
        if self._store is None:
            return
        try:
            self._store.save(msgspec.json.encode(_Kept(choices=self._choices)))
        except StoreError as exc:
            if not self._unsaved:
                _LOG.warning("a consent is not kept yet: %s", exc)
            self._unsaved = True
        else:
            self._unsaved = False


def _ended(choice: Choice, why: WhyChanged) -> Choice:
    return msgspec.structs.replace(choice, granted=False, by="box", why=why)


class InForce(Collection[Purpose]):
    """The purposes that are agreed to at the moment somebody looks."""

    def __init__(self, consents: Consents) -> None:
        self._consents = consents

    def __contains__(self, purpose: object) -> bool:
        return purpose in self._consents.agreed().grounds

    def __iter__(self) -> Iterator[Purpose]:
        return (purpose for purpose in PURPOSES if purpose in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)
