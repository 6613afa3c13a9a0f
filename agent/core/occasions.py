"""What the box notices for its own conversation only. None of these is stored or sent: they are no part of AnyEvent."""

from typing import ClassVar, Literal

from agent.core.event_base import Event, Priority, Purpose

Lamp = Literal["engine", "airbag"]
Wheel = Literal["front_left", "front_right", "rear_left", "rear_right"]


class PartnerVisit(Event, frozen=True, kw_only=True, tag="partner_visit"):
    """The car stood near a partner place of the config for so long, and has driven on: t_ns is when it did.

    What was done there the box cannot know. offers: what config says that the place does.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "feedback"

    place: str
    offers: list[str]
    minutes: float
    phone: str = ""


class RenewalNear(Event, frozen=True, kw_only=True, tag="renewal_near"):
    """The policy of the config ends in so many days. Told once in a start, with the first drive of it."""

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "feedback"

    days: int


class WarningLamp(Event, frozen=True, kw_only=True, tag="warning_lamp"):
    """A lamp in the dashboard has come on: it was seen off before in this start, and has stayed on for seconds."""

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"

    lamp: Lamp


class LowTyre(Event, frozen=True, kw_only=True, tag="low_tyre"):
    """A tyre has too little air: by the car's own word, or a quarter less than the other one of its axle.

    place is the nearest partner place for tyres, "" where none or the position is not known; distance_m to it in a
    straight line.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "service"

    wheel: Wheel
    pressure_kpa: float | None
    place: str = ""
    distance_m: float | None = None
    phone: str = ""


class TalkWanted(Event, frozen=True, kw_only=True, tag="talk_wanted"):
    """The driver has pressed the button: he wants to say something."""

    priority: ClassVar[Priority] = Priority.SAFETY
    purpose: ClassVar[Purpose] = "feedback"


class NothingHeard(Event, frozen=True, kw_only=True, tag="nothing_heard"):
    """Nothing was understood after the button. deaf: there is no sound to listen to."""

    priority: ClassVar[Priority] = Priority.SAFETY
    purpose: ClassVar[Purpose] = "feedback"

    deaf: bool = False


class ConsentSpoken(Event, frozen=True, kw_only=True, tag="consent_spoken"):
    """What came of the driver's words about his consents. Of those taken back a ConsentChanged each is the proof.

    what: taken_back, all_taken_back, or which, where he named none; told, or none, where he asked. of_purposes: those
    taken back, those agreed to, or those to choose from.
    """

    priority: ClassVar[Priority] = Priority.SERVICE
    purpose: ClassVar[Purpose] = "feedback"

    what: Literal["taken_back", "all_taken_back", "which", "told", "none"]
    of_purposes: list[Purpose]


Occasion = PartnerVisit | RenewalNear | WarningLamp | LowTyre | TalkWanted | NothingHeard | ConsentSpoken
