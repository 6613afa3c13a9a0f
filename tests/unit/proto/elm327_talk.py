"""A dialogue with an adapter, word by word."""

from collections.abc import Mapping

from agent.proto import obd
from agent.proto.elm327 import Elm327, Reply

SPEED = obd.encode_request(1, [0x0D])
BITMAP = "7E8064100BE3EA813"
ANSWERS: Mapping[str, str] = {
    "ATI": "ATI\rELM327 v1.5\r\r>",
    "ATZ": "ATZ\r\r\rELM327 v1.5\r\r>",
    "ATE0": "ATE0\rOK\r\r>",
    "ATL0": "OK\r\r>",
    "ATS0": "OK\r\r>",
    "ATH1": "OK\r\r>",
    "ATSP0": "OK\r\r>",
    "0100": f"SEARCHING...\r{BITMAP}\r\r>",
    "ATDPN": "A6\r\r>",
}


def start(answers: Mapping[str, str] = ANSWERS) -> tuple[Elm327, list[str]]:
    dialogue = Elm327()
    sent: list[str] = []
    while dialogue.state == "starting" and len(sent) < 40:
        command = dialogue.take().decode().rstrip("\r")
        sent.append(command)
        dialogue.feed(answers[command].encode())
    return dialogue, sent


def ask(dialogue: Elm327, request: bytes, answer: str) -> list[Reply]:
    dialogue.request(request)
    assert dialogue.take() == request.hex().upper().encode() + b"\r"
    return dialogue.feed(answer.encode())
