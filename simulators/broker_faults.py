"""What the embedded broker does that a real one will not do on demand, as data; and the draws behind it. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated

from msgspec import Meta

from agent.core.config import Section
from simulators.mqtt_codec import Publish

Share = Annotated[float, Meta(ge=0, le=1)]
Code = Annotated[int, Meta(ge=0, le=0xFF)]


class AckFault(Section, frozen=True, kw_only=True):
    """A PUBACK that is not as it should be, for a share of the messages and `most` times at the most.

    reason is its reason code; taken: the message is delivered although it is refused. It comes late_s later, or not
    at all where it is missing: the message itself has been delivered then.
    """

    share: Share = 1.0
    most: Annotated[int, Meta(ge=1)] | None = None
    reason: Code = 0
    taken: bool = False
    late_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    missing: bool = False


class BrokerFaults(Section, frozen=True, kw_only=True):
    """The default does everything right. user: whose connections suffer, by common name; None is everybody's.

    connack: reason code with which a CONNECT is refused, 0 is none. duplicated: share of messages delivered twice.
    reordered: so many deliveries are held back and handed on in another order. disconnect_after: a connection is ended
    with disconnect_reason after so many messages. receive_maximum, keep_alive_s and topic_alias_maximum are announced
    in CONNACK, and held the client to. Faults of messages are those of its sender.
    """

    user: str | None = None
    connack: Code = 0
    acks: Sequence[AckFault] = ()
    duplicated: Share = 0.0
    reordered: Annotated[int, Meta(ge=0, le=1000)] = 0
    disconnect_after: Annotated[int, Meta(ge=1)] | None = None
    disconnect_reason: Code = 0x8B
    receive_maximum: Annotated[int, Meta(ge=1, le=65_535)] = 20
    keep_alive_s: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    topic_alias_maximum: Annotated[int, Meta(ge=0, le=65_535)] = 10


HONEST = BrokerFaults()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one message, and of its PUBACK."""

    reason: int | None
    copies: int
    late_s: float = 0.0
    missing: bool = False


class Mischief:
    """Draws the faults. The same seed and the same messages give the same ones."""

    def __init__(self, faults: BrokerFaults = HONEST, *, seed: int = 0) -> None:
        self.faults = faults
        self._random = Random(seed)
        self._times = [0] * len(faults.acks)

    def for_user(self, user: str) -> BrokerFaults:
        """The faults that concern this client."""
        return self.faults if self.faults.user in {None, user} else HONEST

    def judge(self, user: str) -> Verdict:
        """What becomes of a message of this user. A reason of None is the broker's own."""
        faults = self.for_user(user)
        copies = 1 + (faults.duplicated > 0 and self._random.random() < faults.duplicated)
        for number, fault in enumerate(faults.acks):
            if fault.most is not None and self._times[number] >= fault.most:
                continue
            if self._random.random() < fault.share:
                self._times[number] += 1
                refused = fault.reason != 0 and not fault.taken
                return Verdict(fault.reason or None, 0 if refused else copies, fault.late_s, fault.missing)
        return Verdict(None, copies)

    def shuffle(self, packets: list[Publish]) -> None:
        """Another order."""
        self._random.shuffle(packets)
