"""A ticket as the insurer's desk keeps it, and its clock: 24 h for the first answer, 72 h for the solution. Pure."""

from dataclasses import dataclass, replace
from typing import Final, Literal

from fleet.desk.claims import Kind

State = Literal["open", "answered", "reopened", "closed"]

ANSWER_NS: Final = 24 * 3_600 * 10**9
SOLUTION_NS: Final = 72 * 3_600 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskTicket:
    """Times are the desk's UTC in ns since 1970, but about_ns: the t_ns, in its boot, of the event it is about.

    clock_ns: when its clock began, anew with each reopening. answered_ns, asked_ns, closed_ns: when that was last done,
    None where it was not. warned: how many of its terms were missed and told. call_back: the driver wants to be called.
    """

    number: int
    device: str
    boot: int
    about_ns: int
    sequence: int
    kind: Kind
    severity: int
    state: State
    opened_ns: int
    clock_ns: int
    answered_ns: int | None = None
    asked_ns: int | None = None
    closed_ns: int | None = None
    outcome: str = ""
    reopened: int = 0
    warned: int = 0
    call_back: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the desk owes something."""
        return self.state != "closed"

    @property
    def due_ns(self) -> int:
        """When the next thing that it owes is due: the first answer, then the solution."""
        return self.clock_ns + (SOLUTION_NS if self.state == "answered" else ANSWER_NS)

    def missed(self, now_ns: int) -> int:
        """How many of its terms are over: 1 the answer's (where there was none) or the solution's, 2 both."""
        if not self.is_open:
            return 0
        unanswered = self.state != "answered"
        return (unanswered and now_ns >= self.clock_ns + ANSWER_NS) + (now_ns >= self.clock_ns + SOLUTION_NS)

    def answer(self, now_ns: int, *, asks: bool) -> "DeskTicket":
        """An answer went out; asks: whether it helped is asked with it."""
        asked_ns = now_ns if asks else self.asked_ns
        return replace(self, state="answered", answered_ns=now_ns, asked_ns=asked_ns, warned=0)

    def reopen(self, now_ns: int, *, call: bool) -> "DeskTicket":
        """It did not help: a new clock."""
        return replace(
            self,
            state="reopened",
            clock_ns=now_ns,
            closed_ns=None,
            outcome="",
            reopened=self.reopened + 1,
            warned=0,
            call_back=int(call or bool(self.call_back)),
        )

    def close(self, now_ns: int, outcome: str) -> "DeskTicket":
        """Nothing is owed any more. outcome: a word."""
        return replace(self, state="closed", closed_ns=now_ns, outcome=outcome)
