"""`python -m tests.soak_elm327 [--exchanges N] [--persona NAME ...] [--seed N]`: the dialogue against every persona.

No I/O and no real time: agent/proto/elm327.py talks with the simulated adapters of simulators/personas.py in simulated
time, driven as drivers/elm327_serial.py drives it (deadline on silence, give up, connect anew with the app's waits).

Every value carries its PID and a nonce that no other answer has. So an answer credited to another PID ("wrong"), to an
earlier request for the same PID ("stale"), put together out of two ECUs' lines ("wrong") or damaged on the way without
our noticing ("spoilt") is seen for certain. A wedge is WEDGE_S without any answer though nothing was wrong any more.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Final

from agent.core.backoff import backoff_waits
from agent.core.errors import ProtocolError, SourceLost
from agent.proto import obd
from agent.proto.elm327 import EcuMessage, Elm327, Reply, Status
from simulators.personas import PERSONAS, Persona, persona

WEDGE_S: Final = 20.0
DEADLINE_S: Final = 1.0  # the default of the agent's config
RECONNECT_S_MAX: Final = 4.0  # the app's longest wait after a lost source
_COMMAND_S_MAX: Final = 30.0
_TIMEOUTS_MAX: Final = 3
_LATENCY_S: Final = 0.02
_S: Final = 1_000_000_000
_FOUR: Final = (0x24, 0x25, 0x26, 0x27, 0x28, 0x34, 0x41, 0x4F)  # PIDs with four bytes: room for PID and nonce
_SHORT: Final = (0x0C, 0x0D, 0x05, 0x42)
_PIDS: Final = frozenset((*_FOUR, *_SHORT, 0x20, 0x40))
_SIZES: Final = {0x0C: 2, 0x0D: 1, 0x05: 1, 0x42: 2}
_STEP: Final = 2  # nonces a request takes: one for each ECU


@dataclass
class Figures:
    """What came of one persona's exchanges."""

    persona: str = ""
    exchanges: int = 0
    answered: int = 0
    lost: int = 0
    wrong: int = 0
    stale: int = 0
    spoilt: int = 0
    wedges: int = 0
    faults: int = 0
    connects: int = 0
    worst_recovery_s: float = 0.0

    @property
    def is_sound(self) -> bool:
        """Whether it met the bar."""
        return not (self.wrong or self.stale or self.spoilt or self.wedges) and self.worst_recovery_s <= 5.0


class NonceEcu:
    """Answers with values that tell which request they answer."""

    def __init__(self, number: int) -> None:
        self.reply_id = 0x7E8 + number
        self.nonce = number  # of the next answer

    def answer(self, request: bytes) -> bytes | None:
        """Return the reply to one request, None for silence."""
        nonce, self.nonce = self.nonce, self.nonce + _STEP
        if request[:1] == b"\x03":
            return bytes([0x43, 2]) + (0x8000_8000 | (nonce >> 15) << 16 | nonce & 0x7FFF).to_bytes(4, "big")
        if request == b"\x09\x02":
            return b"\x49\x02\x01" + f"{nonce:017d}".encode()
        if request[:1] != b"\x01":
            return bytes([0x7F, request[0], 0x11])
        body = b"".join(bytes([pid]) + pid_data(pid, nonce) for pid in request[1:] if pid % 0x20 == 0 or pid in _PIDS)
        return b"\x41" + body if body else None


def pid_data(pid: int, nonce: int) -> bytes:
    """What an ECU says to one PID in its answer number `nonce`."""
    if pid % 0x20 == 0:
        return obd.encode_supported(pid, _PIDS)
    if pid in _SIZES:
        return (nonce & (1 << 8 * _SIZES[pid]) - 1).to_bytes(_SIZES[pid], "big")
    return bytes([pid]) + nonce.to_bytes(3, "big")


class Soak:
    """One adapter and one client, as long as there are exchanges to make."""

    def __init__(self, who: Persona, seed: int) -> None:
        self.figures = Figures(persona=who.name)
        self._random = Random(f"{who.name} {seed}")  # noqa: S311  the same seed gives the same run
        self._ecus = [NonceEcu(number) for number in range(who.ecus)]
        self._adapter = who.adapter(self._ecus, latency_s=_LATENCY_S, seed=seed)
        self._t_ns = 0
        self._good_ns = 0
        self._dialogue: Elm327 | None = None
        self._timeouts_in_row = 0
        self._request = b"\x01\x24"
        self._pack_max = 6
        self._packs_failed = 0
        self._waits = self._make_waits()

    def run(self, exchanges: int) -> Figures:
        """Make that many exchanges, connecting anew whenever the client would."""
        while self.figures.exchanges < exchanges:
            if self._dialogue is None and not self._connect():
                self._dialogue = None
                self._wait(next(self._waits))
            elif self._dialogue is not None:
                self._exchange(self._dialogue)
            self._watch()
        self.figures.faults = self._adapter.faults
        return self.figures

    def _watch(self) -> None:
        if self._t_ns - max(self._good_ns, self._adapter.fault_ns) > WEDGE_S * _S:
            self.figures.wedges += 1
            self.figures.exchanges += 1  # so that a run against one that never answers ends
            self.figures.lost += 1
            self._good_ns = self._t_ns
            self._dialogue = None

    def _connect(self) -> bool:
        self.figures.connects += 1
        self._adapter.take(self._t_ns)  # opening a tty drops what has come before
        if not self._adapter.plugged:
            return False
        self._timeouts_in_row = 0
        self._dialogue = Elm327()
        while self._dialogue.state == "starting":
            if self._talk(self._dialogue) is None:
                return False
        return self._dialogue.state == "ready"

    def _exchange(self, dialogue: Elm327) -> None:
        if self._random.random() < 0.6:
            self._request = self._choose(dialogue)
        request = self._request
        self.figures.exchanges += 1
        marks = [ecu.nonce for ecu in self._ecus]
        reply = self._ask(dialogue, request)
        if reply is None:
            self.figures.lost += 1
            self._dialogue = None
            self._waits = self._make_waits()
            self._wait(next(self._waits))
            return
        credited = [self._check(message, request, marks) for message in reply.messages]
        self._learn(request, answered=any(credited))
        if not any(credited):
            self.figures.lost += 1
            return
        self.figures.answered += 1
        if self._good_ns < self._adapter.fault_ns < self._t_ns:
            recovery_s = (self._t_ns - self._adapter.fault_ns) / _S
            self.figures.worst_recovery_s = max(self.figures.worst_recovery_s, round(recovery_s, 2))
        self._good_ns = self._t_ns

    def _choose(self, dialogue: Elm327) -> bytes:
        roll = self._random.random()
        if roll < 0.05:
            return b"\x03"
        if roll < 0.1 and dialogue.is_can:
            return b"\x09\x02"
        size = self._random.randint(1, self._pack_max) if dialogue.is_can else 1
        first = self._random.choice(_FOUR)
        rest = [pid for pid in (*_FOUR, *_SHORT) if pid != first]
        return obd.encode_request(1, [first, *self._random.sample(rest, size - 1)])

    def _learn(self, request: bytes, *, answered: bool) -> None:
        """Smaller packs where they never work."""
        if request[0] == 1 and len(request) > 2:
            self._packs_failed = 0 if answered else self._packs_failed + 1
            if self._packs_failed == 5:
                self._pack_max, self._packs_failed = max(1, self._pack_max // 2), 0

    def _ask(self, dialogue: Elm327, request: bytes) -> Reply | None:
        reply = None
        for _ in range(2):
            try:
                dialogue.request(request)
            except SourceLost:
                return None
            reply = self._talk(dialogue)
            while reply is not None and reply.command != request.hex().upper():
                reply = self._talk(dialogue)
            if reply is None or reply.status is not Status.STOPPED:
                break
        return reply

    def _talk(self, dialogue: Elm327) -> Reply | None:
        """One command as the driver does it; None where it would give up the connection."""
        if dialogue.state == "failed" or not self._adapter.plugged:
            return None
        self._adapter.receive(dialogue.take(), self._t_ns)
        end_ns = self._t_ns + round(_COMMAND_S_MAX * _S)
        while self._t_ns < end_ns:
            data = self._read(DEADLINE_S + dialogue.allowance_s)
            if not self._adapter.plugged:
                return None
            if data:
                replies = self._feed(dialogue, data)
            else:
                self._timeouts_in_row += 1
                if not dialogue.heard or self._timeouts_in_row >= _TIMEOUTS_MAX:
                    return None
                replies = dialogue.give_up()
            if replies:
                self._timeouts_in_row = 0 if data else self._timeouts_in_row
                return replies[0]
        return None

    def _feed(self, dialogue: Elm327, data: bytes) -> list[Reply]:
        return dialogue.feed(data)

    def _read(self, timeout_s: float) -> bytes:
        end_ns = self._t_ns + round(timeout_s * _S)
        while True:
            next_ns = self._adapter.next_ns
            self._t_ns = max(self._t_ns, min(next_ns, end_ns))
            data = self._adapter.take(self._t_ns)
            if data or self._t_ns >= end_ns or not self._adapter.plugged:
                return data

    def _make_waits(self) -> Iterator[float]:
        return backoff_waits(self._random.random, longest_s=RECONNECT_S_MAX)

    def _wait(self, seconds: float) -> None:
        self._t_ns += round(seconds * _S)
        self._adapter.take(self._t_ns)

    def _check(self, message: EcuMessage, request: bytes, marks: Sequence[int]) -> bool:
        """Whether the message gave a value; what is wrong with it is counted."""
        try:
            nonces = self._nonces(message, request)
        except ProtocolError:
            return False
        if not nonces:
            return False
        number = nonces[0] % _STEP
        if len(set(nonces)) > 1 or number >= len(self._ecus):
            self.figures.wrong += 1
        elif nonces[0] >= self._ecus[number].nonce:
            self.figures.spoilt += 1
        elif nonces[0] < marks[number]:
            self.figures.stale += 1
        return True

    def _nonces(self, message: EcuMessage, request: bytes) -> list[int]:
        """Which answers of the ECU the values come from, -1 for one that was never given to that PID."""
        if request[0] == 3:
            high, low = (int(c[1:], 16) | "PCBU".index(c[0]) << 14 for c in obd.parse_dtcs(message.data, 3))
            return [(high & 0x7FFF) << 15 | low & 0x7FFF]
        if request[0] == 9:
            vin = obd.parse_vin(message.data)
            return [int(vin) if vin.isdecimal() else -1]
        data = obd.parse_pids(message.data, request[1:])
        long = [int.from_bytes(data[pid][1:4], "big") for pid in data if pid in _FOUR]
        if not long:
            return []
        intact = all(part == pid_data(pid, long[0]) for pid, part in data.items())
        return long if intact else [*long, -1]


def run_all(exchanges: int, *, seed: int = 7, names: Sequence[str] = ()) -> list[Figures]:
    """Share the exchanges out over the personas (all of them without names)."""
    chosen = [persona(name) for name in names or PERSONAS]
    return [Soak(who, seed).run(-(-exchanges // len(chosen))) for who in chosen]


def main() -> int:
    """Return 0 where every persona met the bar."""
    parser = argparse.ArgumentParser(prog="soak_elm327", description="The ELM327 dialogue against every persona.")
    parser.add_argument("--exchanges", type=int, default=20_000, metavar="N")
    parser.add_argument("--seed", type=int, default=7, metavar="N")
    parser.add_argument("--persona", action="append", default=[], metavar="NAME")
    parser.add_argument("--json", action="store_true", help="one JSON object a persona")
    options = parser.parse_args()
    start = time.perf_counter()
    results = []
    columns = list(asdict(Figures()))
    if not options.json:
        sys.stdout.write(" | ".join(columns) + "\n")
    names = options.persona or list(PERSONAS)
    for name in names:
        [figures] = run_all(-(-options.exchanges // len(names)), seed=options.seed, names=[name])
        results.append(figures)
        row = asdict(figures)
        text = json.dumps(row) if options.json else " | ".join(str(row[column]) for column in columns)
        sys.stdout.write(text + ("" if figures.is_sound else "  <- below the bar") + "\n")
        sys.stdout.flush()
    count = sum(figures.exchanges for figures in results)
    sys.stderr.write(f"{count} exchanges, {len(results)} personas, {time.perf_counter() - start:.0f} s\n")
    return 0 if all(figures.is_sound for figures in results) else 1


if __name__ == "__main__":
    sys.exit(main())
