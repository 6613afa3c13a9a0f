"""Barriers: commands to an ELM327 adapter whose answers look like no other, to find out whether both are in step."""

from typing import Final, Literal

from agent.proto.elm327_command import Command

_MISSES_MAX: Final = 3


class Barriers:
    """Which commands are fit for it, as the start has shown, and how they went. A different one each time."""

    def __init__(self) -> None:
        self.names_owed = 0  # those given up that may yet bring the adapter's name
        self._known: list[str] = []
        self._turn = 0
        self._missed = 0  # in a row

    def __contains__(self, text: str) -> bool:
        return text in self._known

    def learn(self, text: str, *, fit: bool) -> None:
        """Use this one from now on, if it is fit."""
        if fit and text not in self._known:
            self._known.append(text)

    def next(self) -> Command:
        """The command to send."""
        known = self._known or ["ATI"]
        self._turn += 1
        return Command(known[(self._turn - 1) % len(known)], role="barrier")

    def settle(self, *, answered: bool) -> Literal["passed", "again", "lost"]:
        """What follows from how one ended."""
        self._missed = 0 if answered else self._missed + 1
        if answered:
            return "passed"
        return "lost" if self._missed > _MISSES_MAX else "again"
