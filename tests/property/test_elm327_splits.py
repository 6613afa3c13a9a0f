from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.proto import elm327, obd
from agent.proto.elm327 import Elm327, Reply
from simulators.ecu import Ecu, Faults
from simulators.elm327 import Elm327Chip, Traits
from simulators.personas import PERSONAS, Persona
from tests.soak_elm327 import Soak

VALUES = dict.fromkeys(("Vehicle.Speed", "Vehicle.Powertrain.CombustionEngine.Speed"), 20.0)
REQUESTS = [
    obd.encode_request(1, [0x0D, 0x0C]), obd.encode_request(1, [0x0D]), obd.encode_request(9, [2]),
    obd.encode_request(3), obd.encode_request(7), obd.encode_request(9, [4]), obd.encode_request(1, [0x05]),
]  # fmt: skip
TRAITS = st.builds(
    Traits,
    echo_sticks=st.booleans(),
    silent_reset=st.booleans(),
    refused=st.frozensets(st.sampled_from(["L0", "S0", "H1", "SP0", "DPN"])),
)
Splitter = Callable[[bytes], list[bytes]]

ADAPTER_TALK = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b">", b"\r", b"\r\r>", b"OK", b"?", b"NO DATA", b"SEARCHING...", b"7E803410D32", b"7E8101449020", b"7E821",
             b"ELM327 v1.5", b"STOPPED", b"BUS INIT: ...OK", b"<RX ERROR", b"014", b"0:4902", b"\0", b"486B10410D3244"]
        ),
    ),
    max_size=40,
).map(b"".join)  # fmt: skip


def talk(traits: Traits, split: Splitter) -> list[Reply]:
    """A whole conversation with the simulated chip, its answers cut as split says."""
    ecus = [Ecu(lambda: VALUES, faults=Faults(stored=("P0133", "U0100", "C0123"))), Ecu(lambda: VALUES, reply_id=0x7E9)]
    chip, dialogue = Elm327Chip(ecus, traits), Elm327()
    replies: list[Reply] = []
    asked = 0
    while True:
        if dialogue.state == "ready" and asked < len(REQUESTS):
            dialogue.request(REQUESTS[asked])
            asked += 1
        command = dialogue.take()
        if not command:
            return replies
        answered = []
        for part in split(chip.echo(command) + chip.answer(command.rstrip(b"\r"))):
            answered += dialogue.feed(part)
        if not answered:
            answered = dialogue.give_up()
        replies += answered


@settings(deadline=None, max_examples=50)
@given(TRAITS, st.data())
def test_any_split_gives_the_same_conversation(traits: Traits, data: st.DataObject) -> None:
    def cut(answer: bytes) -> list[bytes]:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=5)))
        return [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]

    whole = talk(traits, lambda answer: [answer])
    assert talk(traits, cut) == whole
    assert talk(traits, lambda answer: [bytes([byte]) for byte in answer]) == whole
    by_command = {reply.command: reply for reply in whole}
    assert obd.parse_dtcs(by_command["03"].messages[0].data) == ["P0133", "U0100", "C0123"]
    assert obd.parse_vin(by_command["0902"].messages[0].data) == "LRDTESTCAR0000007"


class SplitSoak(Soak):
    """Hears what the adapter says at one instant in pieces."""

    def __init__(self, who: Persona, seed: int, split: Splitter) -> None:
        super().__init__(who, seed)
        self.replies: list[Reply] = []
        self._split = split

    def _feed(self, dialogue: Elm327, data: bytes) -> list[Reply]:
        replies = [reply for part in self._split(data) for reply in dialogue.feed(part)]
        self.replies += replies
        return replies


@pytest.mark.parametrize("name", PERSONAS)
@settings(deadline=None, max_examples=3)
@given(seed=st.integers(0, 1000), cuts=st.randoms(use_true_random=False))
def test_any_split_credits_the_same_answers_with_every_persona(name: str, seed: int, cuts: Random) -> None:
    def cut(data: bytes) -> list[bytes]:
        places = sorted(cuts.randint(0, len(data)) for _ in range(cuts.randint(0, 5)))
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]

    results = []
    for split in (lambda data: [data], cut, lambda data: [bytes([byte]) for byte in data]):
        soak = SplitSoak(PERSONAS[name], seed, split)
        figures = soak.run(25)
        results.append((soak.replies, figures))
        assert figures.wrong == figures.stale == figures.spoilt == figures.wedges == 0
    assert results[0] == results[1] == results[2]


@settings(deadline=None)
@given(ADAPTER_TALK, st.data())
def test_any_bytes_split_anyhow_give_the_same_and_never_raise(noise: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(noise)), max_size=6)))
    parts = [noise[a:b] for a, b in zip([0, *cuts], [*cuts, len(noise)], strict=True)]
    results = []
    for chunks in ([noise], parts, [bytes([byte]) for byte in noise]):
        dialogue = Elm327()
        dialogue.take()
        replies = [reply for chunk in chunks for reply in dialogue.feed(chunk)]
        replies += dialogue.give_up()
        results.append((replies, dialogue.bad, dialogue.strays, dialogue.state))
    assert results[0] == results[1] == results[2]


@settings(deadline=None)
@given(st.lists(ADAPTER_TALK, min_size=1, max_size=30))
def test_no_noise_is_ever_credited_to_a_pid_that_was_not_asked_for(noises: list[bytes]) -> None:
    dialogue = Elm327()
    dialogue.state = "ready"
    dialogue._queue.clear()
    for index, noise in enumerate(noises):
        request = REQUESTS[index % len(REQUESTS)]
        if dialogue.fault:
            return
        if sum(command.role == "request" for command in dialogue._queue) < elm327.QUEUE_MAX:
            dialogue.request(request)
        dialogue.take()
        for reply in dialogue.feed(noise) or dialogue.give_up():
            asked = b"" if reply.command.startswith("AT") else bytes.fromhex(reply.command)
            assert all(obd.is_answer(message.data, asked) for message in reply.messages)
        assert len(bytes(dialogue._block)) <= elm327.BLOCK_MAX
