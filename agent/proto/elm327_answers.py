"""Which of an ELM327 adapter's lines answer a request. Knows whether this adapter shows headers."""

from collections.abc import Sequence
from typing import Final

from agent.proto import obd, uds
from agent.proto.elm327_lines import (
    EcuMessage,
    Filling,
    Parsed,
    is_data,
    is_error,
    parse_with_headers,
    parse_without_headers,
)
from agent.proto.obd_lengths import data_lengths

_ANSWERS: Final = frozenset(
    {0x41, 0x42, 0x43, 0x47, 0x49, 0x4A, 0x59, 0x62}
)  # first bytes, where no header comes before


class AnswerReader:
    """Takes the data lines of a block apart. bad: lines and frames that could not be read; strays: other answers.

    reply is the one identifier whose messages answer the request; None where any ECU's do.
    """

    def __init__(self) -> None:
        self.headers = True
        self.is_can = False
        self.bad = 0
        self.strays = 0
        self._filling = Filling()
        self._settled = False  # whether the bus is known: then no other bus's lines are believed

    def learn(self, lines: Sequence[str], request: bytes) -> None:
        """See from the answer to the first request whether headers are shown: clones say OK to AT H1 and show none."""
        data = _data_lines(lines)
        with_headers, without = parse_with_headers(data), parse_without_headers(data)
        for parsed, headers in ((with_headers, True), (without, False)):
            if any(obd.is_answer(message.data, request) for message in parsed.messages):
                self.headers = headers
                self.is_can = parsed.is_can
                self._settled = True
                return

    def may_answer(self, lines: Sequence[str], request: bytes, reply: int | None = None) -> bool:
        """Whether the lines tell of trouble, hold an answer, or are too spoilt to tell."""
        if any(map(is_error, lines)):
            return True
        parsed = self._parse(_data_lines(lines), Filling(dict(self._filling.scores)), reply)
        return parsed.bad > 0 or any(_is_answer(message, request, reply) for message in parsed.messages)

    def read(self, lines: Sequence[str], request: bytes, reply: int | None = None) -> tuple[EcuMessage, ...]:
        """Messages that answer the request; others are strays, and "wait" counts only where nothing followed it."""
        parsed = self._parse(_data_lines(lines), self._filling, reply)
        self.bad += parsed.bad
        self.is_can = self.is_can or parsed.is_can
        answers = [m for m in parsed.messages if _is_answer(m, request, reply) and self._is_whole(m.data, request)]
        self.strays += len(parsed.messages) - len(answers)
        final = [m for m in answers if m.data[0] != 0x7F or m.data[2] != obd.RESPONSE_PENDING]
        return tuple(final or answers)

    def has_lost_headers(self, lines: Sequence[str], reply: int | None = None) -> bool:
        """Whether the lines hold an answer without the headers that were there before: the settings are gone."""
        data = _data_lines(lines)
        if not self.headers or parse_with_headers(data, reply=reply).messages:
            return False
        found = [message.data for message in parse_without_headers(data).messages]
        return any(one[0] in _ANSWERS or (one[0] == 0x7F and len(one) == 3) for one in found)

    def _parse(self, data_lines: Sequence[str], filling: Filling, reply: int | None) -> Parsed:
        if not self.headers:
            return parse_without_headers(data_lines, filling)
        return parse_with_headers(data_lines, filling, can_only=self._settled and self.is_can, reply=reply)

    def _is_whole(self, message: bytes, request: bytes) -> bool:
        """Whether it is as long as its PID says: without headers nothing else tells that a character was lost."""
        if self.headers or len(request) != 2 or request[0] != obd.CURRENT_DATA or message[0] == 0x7F:
            return True
        lengths = data_lengths(request[1])
        return not lengths or len(message) - 2 in lengths


def _is_answer(message: EcuMessage, request: bytes, reply: int | None) -> bool:
    """Whether it says what was asked for, and comes from the ECU that was asked."""
    if reply is not None and message.sender != reply:
        return False
    fits = uds.is_answer if request[0] in {uds.READ_DTCS, uds.READ_DATA} else obd.is_answer
    return fits(message.data, request)


def _data_lines(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if is_data(line)]
