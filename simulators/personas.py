"""Adapters as they are met in the wild, each with one vice: `python -m simulators dongle --persona NAME`.

The sources are issue trackers and the ELM327 data sheet's list of messages, as quoted in STANDARDS.md 7 ("A" facts) or
here; "common" marks what every forum tells and no source proves. Rates and durations are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.core.errors import InputError
from simulators.elm327 import Answers, Traits, Trouble
from simulators.elm327_line import Adapter, Episode, LineFaults

_SHEET: Final = "ELM327 data sheet, error messages and alerts"
_COMMON: Final = "common"


@dataclass(frozen=True, kw_only=True)
class Persona:
    """One kind of adapter. ecus: how many of them answer."""

    name: str
    description: str
    source: str
    traits: Traits = field(default_factory=Traits)
    faults: LineFaults = field(default_factory=LineFaults)
    ecus: int = 1

    def adapter(self, ecus: Sequence[Answers], *, latency_s: float = 0.0, seed: int = 0) -> Adapter:
        """One such adapter in front of these ECUs."""
        return Adapter(ecus, self.traits, faults=self.faults, latency_s=latency_s, seed=seed)


def persona(name: str) -> Persona:
    """Return the persona of that name. Raises InputError."""
    if name not in PERSONAS:
        raise InputError(f"there is no persona {name!r}; known: {', '.join(PERSONAS)}")
    return PERSONAS[name]


def _refuses(*commands: str) -> Traits:
    return Traits(refused=frozenset(commands))


def _says(text: str, rate: float = 0.02, **options: object) -> Traits:
    return Traits(troubles=[Trouble(text=text, rate=rate, **options)])  # type: ignore[arg-type]  # how, as below


def _at_times(*episodes: Episode) -> LineFaults:
    return LineFaults(episodes=episodes)


_HEADERS_OFF: Final = frozenset({"H1"})
_ALL: Final = (
    Persona(name="plain", description="does as the data sheet says", source="ELM327 data sheet"),
    Persona(
        name="v1.5", description="a version that never existed", source="ELMduino #69", traits=Traits(name="OBDII v1.5")
    ),
    Persona(
        name="v2.1-strange-name",
        description="no ELM327 in its name",
        source=_COMMON,
        traits=Traits(name="Vgate iCar Pro"),
    ),
    Persona(
        name="locks-on-tp-a0",
        description="AT TP A0 locks it until it loses power",
        source="ELMduino #69",
        traits=Traits(locked_by=frozenset({"TPA0"})),
    ),
    Persona(
        name="no-formatting",
        description="? to AT CAF0, AL, CFC0, CAF1, CFC1, R0",
        source="wican-fw #951",
        traits=_refuses("CAF0", "AL", "CFC0", "CAF1", "CFC1", "R0"),
    ),
    Persona(
        name="freematics",
        description="? to AT TP, SP A, D, RD, IGN, AL",
        source="Freematics #128",
        traits=_refuses("TP0", "TPA0", "SPA0", "SPA6", "D", "RD", "IGN", "AL"),
    ),
    Persona(
        name="no-timing",
        description="? to AT AT and AT ST",
        source="freediag #84",
        traits=_refuses("AT0", "AT1", "AT2", "ST32", "STFF"),
    ),
    Persona(
        name="nameless-reset",
        description="AT Z answers with a bare prompt",
        source="ddt4all #1840",
        traits=Traits(silent_reset=True),
    ),
    Persona(
        name="nameless", description="? to AT I", source="ddt4all #1840", traits=Traits(refused=frozenset({"I", "@1"}))
    ),
    Persona(
        name="refuses-all-settings",
        description="? to every AT command",
        source="ELMduino #167 (a clone that answers ? to nearly all)",
        traits=_refuses("*"),
    ),
    Persona(
        name="bare-settings",
        description="settings work, without an OK",
        source=_COMMON,
        traits=Traits(bare_settings=True),
    ),
    Persona(
        name="echo-sticks",
        description="OK to AT E0, and echoes on",
        source="python-OBD #227",
        traits=Traits(echo_sticks=True),
    ),
    Persona(
        name="echo-wrong",
        description="echoes for ever, and the first two characters are missing",
        source=_COMMON,
        traits=Traits(echo_sticks=True, echo_start=2),
    ),
    Persona(
        name="headers-refused", description="? to AT H1", source="python-OBD #227", traits=Traits(refused=_HEADERS_OFF)
    ),
    Persona(
        name="headers-ignored",
        description="OK to AT H1, and shows none",
        source=_COMMON,
        traits=Traits(ignored=_HEADERS_OFF),
    ),
    Persona(
        name="spaces-ignored",
        description="OK to AT S0, and puts blanks on",
        source=_COMMON,
        traits=Traits(ignored=frozenset({"S0"})),
    ),
    Persona(
        name="linefeeds-on",
        description="OK to AT L0, and sends line feeds on",
        source=_COMMON,
        traits=Traits(ignored=frozenset({"L0"})),
    ),
    Persona(name="lower-case", description="hex digits a to f", source=_COMMON, traits=Traits(lower_case=True)),
    Persona(
        name="glued-search",
        description="SEARCHING... and the data on one line",
        source="data sheet, SEARCHING",
        traits=Traits(glued_search=True, search_s=2.0),
    ),
    Persona(
        name="long-search",
        description="searches for the bus for 4 s",
        source="data sheet, SEARCHING",
        traits=Traits(search_s=4.0),
    ),
    Persona(
        name="unable-at-first",
        description="UNABLE TO CONNECT twice before the bus is found",
        source=_SHEET,
        traits=Traits(searches_failed=2),
    ),
    Persona(
        name="one-pid-only",
        description="? to several PIDs in one request",
        source="ELM327-emulator #38",
        traits=Traits(request_bytes_max=2),
    ),
    Persona(
        name="three-pids",
        description="? to more than three PIDs",
        source="ELM327-emulator #38",
        traits=Traits(request_bytes_max=4),
    ),
    Persona(
        name="first-pid-only",
        description="the ECU passes over all PIDs but the first",
        source=_COMMON,
        traits=Traits(pids_max=1),
    ),
    Persona(
        name="padded",
        description="CAN frames filled up to 8 bytes with AA",
        source="ELMduino #279 (zeros)",
        traits=Traits(padding=0xAA),
    ),
    Persona(
        name="can-29-bit",
        description="identifiers of 29 bits",
        source="ISO 15765-4",
        traits=Traits(protocol="7", padding=0),
    ),
    Persona(
        name="kwp",
        description="ISO 14230 before CAN",
        source="python-OBD #180",
        traits=Traits(protocol="5", pids_max=1),
    ),
    Persona(
        name="iso-9141",
        description="ISO 9141 before CAN",
        source="ELM327 data sheet",
        traits=Traits(protocol="3", pids_max=1),
    ),
    Persona(
        name="j1850-vpw",
        description="SAE J1850 VPW before CAN",
        source="ELM327 data sheet",
        traits=Traits(protocol="2", pids_max=1),
    ),
    Persona(
        name="two-ecus", description="two ECUs answer, one after the other", source="ELM327 data sheet, CAN", ecus=2
    ),
    Persona(
        name="two-ecus-mixed",
        description="two ECUs answer, their lines mixed",
        source="ELM327 data sheet, CAN",
        traits=Traits(interleaved=True),
        ecus=2,
    ),
    Persona(
        name="two-ecus-mixed-no-headers",
        description="two ECUs' lines mixed, and nothing tells them apart",
        source=_COMMON,
        traits=Traits(interleaved=True, refused=_HEADERS_OFF),
        ecus=2,
    ),
    Persona(
        name="lines-out-of-order",
        description="lines of one message out of order",
        source=_COMMON,
        traits=Traits(shuffled=True),
    ),
    Persona(
        name="lines-out-of-order-no-headers",
        description="numbered segments out of order",
        source=_COMMON,
        traits=Traits(shuffled=True, ignored=_HEADERS_OFF),
    ),
    Persona(
        name="ecu-waits",
        description="the ECU says 7F .. 78 first",
        source="ISO 14229 (response pending)",
        traits=Traits(waits=0.2),
    ),
    Persona(name="no-data", description="NO DATA now and then", source=_SHEET, traits=_says("NO DATA", 0.05)),
    Persona(name="can-error", description="CAN ERROR now and then", source=_SHEET, traits=_says("CAN ERROR")),
    Persona(name="bus-busy", description="BUS BUSY now and then", source=_SHEET, traits=_says("BUS BUSY")),
    Persona(name="fb-error", description="FB ERROR now and then", source=_SHEET, traits=_says("FB ERROR")),
    Persona(name="question-mark", description="? to a good request now and then", source=_SHEET, traits=_says("?")),
    Persona(name="stopped", description="STOPPED now and then", source="python-OBD #173", traits=_says("STOPPED")),
    Persona(
        name="data-error",
        description="<DATA ERROR glued to half a line",
        source=_SHEET,
        traits=_says("<DATA ERROR", how="cut"),
    ),
    Persona(
        name="rx-error", description="<RX ERROR after the data", source=_SHEET, traits=_says("<RX ERROR", how="after")
    ),
    Persona(
        name="buffer-full",
        description="BUFFER FULL in the middle of the data",
        source=_SHEET,
        traits=_says("BUFFER FULL", how="cut"),
    ),
    Persona(
        name="lv-reset",
        description="LV RESET: all settings are gone",
        source=_SHEET,
        traits=_says("LV RESET", 0.005, how="reset"),
    ),
    Persona(
        name="forgets-settings",
        description="all settings are gone without a word",
        source=_COMMON,
        traits=_says("", 0.01, how="forget"),
    ),
    Persona(
        name="err94",
        description="ERR94: all settings are gone",
        source="ELM327 data sheet, ERRxx",
        traits=_says("ERR94", 0.005, how="reset"),
    ),
    Persona(
        name="act-alert",
        description="ACT ALERT with a prompt of its own before the answer",
        source=_SHEET,
        traits=_says("ACT ALERT", how="unasked"),
    ),
    Persona(
        name="low-power",
        description="falls asleep; the first character wakes it and is lost",
        source="ELM327 data sheet, power control",
        faults=_at_times(Episode(kind="asleep", lasts_s=(3.0, 6.0))),
    ),
    Persona(name="nulls", description="0x00 in the stream", source="ELM327 data sheet", faults=LineFaults(nulls=0.02)),
    Persona(name="byte-loss", description="loses characters", source=_COMMON, faults=LineFaults(lost=0.003)),
    Persona(
        name="byte-loss-no-headers",
        description="loses characters, shows no headers",
        source=_COMMON,
        traits=Traits(refused=_HEADERS_OFF),
        faults=LineFaults(lost=0.003),
    ),
    Persona(
        name="byte-loss-padded",
        description="loses characters of frames with 8 bytes",
        source=_COMMON,
        traits=Traits(padding=0x55),
        faults=LineFaults(lost=0.003),
    ),
    Persona(
        name="byte-loss-up",
        description="does not hear all characters",
        source=_COMMON,
        faults=LineFaults(lost_up=0.001),
    ),
    Persona(name="doubled", description="doubles characters", source=_COMMON, faults=LineFaults(doubled=0.003)),
    Persona(
        name="garbled",
        description="single characters are others",
        source="ELMduino #100",
        faults=LineFaults(garbage=0.003),
    ),
    Persona(
        name="wrong-baud",
        description="all is garbage for a while",
        source="python-OBD #180 (its baud search)",
        faults=_at_times(Episode(kind="garbage")),
    ),
    Persona(
        name="prompt-lost", description="no prompt now and then", source=_COMMON, faults=LineFaults(prompt_lost=0.01)
    ),
    Persona(
        name="half-lines",
        description="answers end in the middle now and then",
        source=_COMMON,
        faults=LineFaults(cut=0.01),
    ),
    Persona(
        name="split", description="answers come in two pieces", source="python-OBD #226", faults=LineFaults(split=0.5)
    ),
    Persona(
        name="slow",
        description="eight characters every 8 ms, as at 9600 baud",
        source=_COMMON,
        faults=LineFaults(dribble_s=0.008),
    ),
    Persona(
        name="busy",
        description="takes seconds now and then; interrupted, it says STOPPED",
        source="python-OBD #173, freediag #84",
        faults=LineFaults(busy=0.01, late_s=1.4),
    ),
    Persona(
        name="busy-after-echo",
        description="as busy, with an echo: it is interrupted instead of connected anew",
        source="python-OBD #173, freediag #84",
        traits=Traits(echo_sticks=True),
        faults=LineFaults(busy=0.02, late_s=2.0),
    ),
    Persona(
        name="busy-hears-half",
        description="as busy, and takes the rest of the interrupting command for one",
        source="rusefi #3655",
        traits=Traits(echo_sticks=True),
        faults=LineFaults(busy=0.02, late_s=2.0, eats="character"),
    ),
    Persona(
        name="late",
        description="single answers come 1.5 s late, after the timeout",
        source=_COMMON,
        faults=LineFaults(late=0.01, late_s=1.5),
    ),
    Persona(
        name="late-after-echo",
        description="the echo at once, the answer after the timeout",
        source=_COMMON,
        traits=Traits(echo_sticks=True),
        faults=LineFaults(late=0.02, late_s=2.0),
    ),
    Persona(
        name="late-tail",
        description="the second half of an answer comes after the timeout",
        source=_COMMON,
        faults=LineFaults(late_tail=0.02, late_s=2.0),
    ),
    Persona(
        name="late-tail-no-headers",
        description="as late-tail, without headers and with an echo",
        source=_COMMON,
        traits=Traits(echo_sticks=True, ignored=_HEADERS_OFF),
        faults=LineFaults(late_tail=0.02, late_s=2.0),
    ),
    Persona(
        name="answers-twice",
        description="says an answer twice now and then",
        source=_COMMON,
        faults=LineFaults(twice=0.02),
    ),
    Persona(
        name="late-no-headers",
        description="as late, without headers",
        source=_COMMON,
        traits=Traits(ignored=_HEADERS_OFF),
        faults=LineFaults(late=0.01, late_s=1.5),
    ),
    Persona(
        name="laggy-link",
        description="for a while everything comes 1.6 s late",
        source=_COMMON,
        faults=_at_times(Episode(kind="lag", lag_s=1.6)),
    ),
    Persona(name="mute", description="mute for a while", source="ELMduino #69", faults=_at_times(Episode(kind="mute"))),
    Persona(
        name="hangs",
        description="mute until it starts anew",
        source="ELMduino #69",
        faults=_at_times(Episode(kind="reboot", lasts_s=(2.0, 6.0))),
    ),
    Persona(
        name="unplugged",
        description="pulled out and put back",
        source=_COMMON,
        faults=_at_times(Episode(kind="unplugged")),
    ),
    Persona(
        name="reboots",
        description="starts anew in the middle, with its greeting",
        source="ELM327 data sheet, LV RESET",
        faults=_at_times(Episode(kind="reboot", lasts_s=(0.01, 0.6))),
    ),
    Persona(
        name="reboots-quietly",
        description="starts anew in the middle, without a word",
        source=_COMMON,
        faults=_at_times(Episode(kind="quiet_reboot", lasts_s=(0.001, 0.6))),
    ),
    Persona(
        name="babbles",
        description="lines without end until a character comes",
        source="data sheet, AT MA",
        faults=_at_times(Episode(kind="babble")),
    ),
    Persona(
        name="ignition-off",
        description="the car is off for a while",
        source="ELM327 data sheet, UNABLE TO CONNECT",
        faults=_at_times(Episode(kind="ignition")),
    ),
    Persona(
        name="everything",
        description="a bad day: reboots, mute, lag, garbage, unplugged",
        source="all of these",
        traits=Traits(echo_sticks=True, troubles=[Trouble(text="NO DATA", rate=0.01), Trouble(text="?", rate=0.005)]),
        faults=LineFaults(
            lost=0.0001,
            late=0.002,
            late_s=1.3,
            prompt_lost=0.002,
            episodes=[
                Episode(kind="reboot"),
                Episode(kind="quiet_reboot"),
                Episode(kind="mute"),
                Episode(kind="lag", lag_s=1.4),
                Episode(kind="garbage"),
                Episode(kind="unplugged"),
                Episode(kind="ignition"),
                Episode(kind="babble"),
            ],
        ),
        ecus=2,
    ),
)
PERSONAS: Final = {persona.name: persona for persona in _ALL}
