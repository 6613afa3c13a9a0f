"""Which of an ELM327 adapter's lines answer a request. Knows whether this adapter shows headers."""

from collections.abc import Sequence
from typing import Final

from agent.core.errors import ProtocolError
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
_LEGACY_CODES_SIZE: Final = 7  # before CAN: the service and three codes


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
        """Whether it is as long as it must be: without headers nothing else tells that characters were lost.

        What has no length that is known for sure is not believed then.
        """
        if self.headers or message[0] == 0x7F:
            return True
        service, count = request[0], len(request) - 1
        if service == obd.CURRENT_DATA and count > 1:
            try:
                found = obd.parse_pids(message, request[1:])
            except ProtocolError:
                return False
            return len(message) == 1 + sum(1 + len(data) for data in found.values())
        if service in {obd.CURRENT_DATA, obd.FREEZE_FRAME}:
            return obd.has_sure_length(request[1]) and len(message) - 1 - count == data_lengths(request[1])[0]
        if service in {obd.STORED_DTCS, obd.PENDING_DTCS, obd.PERMANENT_DTCS}:
            return message[1:2] == bytes([len(message) // 2 - 1]) or (
                not self.is_can and len(message) == _LEGACY_CODES_SIZE
            )
        return True


def _is_answer(message: EcuMessage, request: bytes, reply: int | None) -> bool:
    """Whether it says what was asked for, and comes from the ECU that was asked."""
    if reply is not None and message.sender != reply:
        return False
    fits = uds.is_answer if request[0] in {uds.READ_DTCS, uds.READ_DATA} else obd.is_answer
    return fits(message.data, request)


def _data_lines(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if is_data(line)]
