"""What the app asks of the world. drivers/ and simulators/ fill these in; nothing above knows which."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from agent.core.events import Event
from agent.core.frames import FrameBatch
from agent.core.signals import Samples, SignalCatalog, SignalSpec, SignalWindow
from agent.core.trouble import CodeListener

Language = Literal["zh", "en"]


class Clock(Protocol):
    """Time as the app sees it: real in the car, the recording's in a replay, the simulator's in a demo."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        ...

    def wall_ns(self) -> int:
        """Return the best known UTC in nanoseconds since 1970; not to be ordered by."""
        ...

    @property
    def synced(self) -> bool:
        """Whether wall_ns has been set by a trustworthy source since boot."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock."""
        ...

    def hold(self) -> AbstractContextManager[None]:
        """Keep simulated time from passing while work that belongs to this instant is under way. No-op when real."""
        ...


class Source(Protocol):
    """A bus, recording or sensor. open -> read_batch... -> close; opened again after SourceLost."""

    name: str

    async def open(self) -> None:
        """Raise SourceLost where the thing is not there now."""
        ...

    async def close(self) -> None:
        """Let go of it; safe to call twice."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Everything counted so far (dropped, bad, ...), for status and statistics."""
        ...


class FrameSource(Source, Protocol):
    """CAN frames in batches."""

    async def read_batch(self) -> FrameBatch:
        """Wait for frames (one or more). Raises SourceLost, or EndOfSource where it will never have more."""
        ...


class SampleSource(Source, Protocol):
    """Values that are signals already: IMU, GNSS, dongle."""

    specs: Sequence[SignalSpec]

    async def read_batch(self) -> Samples:
        """Wait for samples; Samples.signal counts in `specs`. Raises SourceLost or EndOfSource."""
        ...


class Button(Source, Protocol):
    """Pressed by a driver who wants to say something."""

    async def read_batch(self) -> int:
        """Wait for presses (one or more). Raises SourceLost or EndOfSource."""
        ...


class CodeSource(Protocol):
    """Reads trouble codes, again and again."""

    def tell_codes(self, listener: CodeListener) -> None:
        """Call the listener with every reading from now on; it must not wait."""
        ...


Rows = npt.NDArray[np.float64]


class Mount(Protocol):
    """How the box lies in the car: turns what its chip feels into ISO 8855 axes (forward, left, up)."""

    @property
    def heading_error_deg(self) -> float:
        """How far forward may be off; 180 where it is not known."""
        ...

    def accelerations(self, t_ns: npt.NDArray[np.int64], rows: Rows) -> Rows:
        """Turn specific force, float64[n, 3] in m/s^2."""
        ...

    def rotations(self, t_ns: npt.NDArray[np.int64], rows: Rows) -> Rows:
        """Turn turning rates, float64[n, 3] in degrees/s."""
        ...

    def observe(self, window: SignalWindow) -> None:
        """See what other sources say of the drive: speed."""
        ...


class StateStore(Protocol):
    """Where something that was learnt outlives a boot: the mounting, the battery, the engine, the talk, the buses."""

    def load(self) -> bytes:
        """What was saved last; empty where nothing was, or it cannot be read."""
        ...

    def save(self, state: bytes) -> None:
        """Keep it; a disk that refuses is no error, since it can be learnt again."""
        ...


class ErasableStore(StateStore, Protocol):
    """A StateStore whose owner may want it to be gone. everything: so may what he has said of himself be."""

    def forget(self, *, everything: bool = False) -> None:
        """Overwrite and delete it, and keep nothing more until the next start. Raises StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What goes with an erasure of one of these purposes, and always with one of everything."""

    store: ErasableStore
    purposes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Utterance:
    """One thing to say. urgency is an event Priority: 0 may interrupt."""

    text: str
    language: Language
    urgency: int = 2


class Speaker(Protocol):
    """Says things aloud."""

    async def say(self, utterance: Utterance) -> None:
        """Return when it has been said. Cancelling stops the speech. Raises SourceLost where there is no sound."""
        ...

    async def close(self) -> None:
        """Stop what is being said."""
        ...


@dataclass(frozen=True, slots=True)
class Heard:
    """What the driver said or typed.

    sound: of that alone, 16-bit little-endian mono at 16 kHz; empty unless it was asked for.
    """

    text: str
    confidence: float
    sound: bytes = field(default=b"", repr=False)


class Microphone(Protocol):
    """Hears the driver, when asked to."""

    async def listen(self, *, timeout_s: float, language: Language, keep_sound: bool = False) -> Heard | None:
        """Return the next thing said, None after timeout_s of silence. keep_sound: with its sound, if it has any."""
        ...

    async def close(self) -> None:
        """Stop listening."""
        ...


class WordSource(Protocol):
    """Tells what the driver says of his own accord, where it is in words already: a line on a screen, a wake word."""

    def tell_words(self, listener: Callable[[Heard], bool]) -> None:
        """Call the listener with every sentence from now on; it must not wait.

        False where the driver is listened to: the sentence is for whoever listens.
        """
        ...


class Keystore(Protocol):
    """The device's identity; the private key may never leave it."""

    device_id: str

    @property
    def public_key(self) -> bytes:
        """Raw Ed25519 public key, 32 bytes."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        ...

    def agree(self, public_key: X25519PublicKey) -> bytes:
        """Secret shared with whoever sealed for `agent.core.keys.to_x25519` of our key, 32 bytes (RFC 7748, 5).

        Raises ValueError for a point of low order.
        """
        ...


class Inference(Protocol):
    """Runs ONNX models somewhere they can die without harm."""

    async def load(self, models: Sequence[str]) -> Mapping[str, str]:
        """Start anew with these; returns those refused for good, and why. Raises ModelDown."""
        ...

    async def infer(self, model: str, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Inputs as the manifest's input shape; raises ModelDown within a second if the models are dead or hung."""
        ...

    async def ended(self) -> str:
        """Return when what was loaded has died, asked or not, and why."""
        ...

    async def close(self) -> None:
        """End the child."""
        ...


class VehicleCache(Protocol):
    """What was learnt about a vehicle on an earlier connection; bounded, and only a shortcut: it may forget."""

    def load(self, vin: str) -> frozenset[int] | None:
        """PIDs of service 01 that the car supports; None where it is not known."""
        ...

    def save(self, vin: str, pids: frozenset[int]) -> None:
        """Remember them; a disk that refuses is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """Something for a person to see: on the demo's timeline, on the page, in the log. Never leaves the box.

    event: what it is about; only of the topic `event` is it the notice itself, of a talk what the talk is about.
    stored, sent: the way of a crash's notices; the record is on the disk, and at the broker. source: `NAME: REASON`,
    or `NAME: ` and WORKS_AGAIN.
    """

    topic: Literal[
        "signals", "event", "said", "asked", "heard", "stored", "sent", "sync", "source", "config", "summary"
    ]
    t_ns: int
    text: str
    event: Event | None = None
    values: Mapping[str, float] = field(default_factory=dict)


WORKS_AGAIN: Final = "works again"
"""Of a device whose outage is over."""

Notify = Callable[[Notice], None]


class Probe(Protocol):
    """An engineer's look at every window, unfiltered."""

    def __call__(self, window: SignalWindow, samples: Samples, catalog: SignalCatalog) -> None:
        """Get the detectors' view, and all samples behind it whatever their quality, numbered in the catalog."""
        ...


ServiceState = Literal["starting", "ready", "alive", "stopping"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """Everything the app touches. drivers.open_hardware and simulators.open_hardware both make one."""

    keystore: Keystore
    frames: Sequence[FrameSource] = ()
    samples: Sequence[SampleSource] = ()
    codes: Sequence[CodeSource] = ()
    speaker: Speaker | None = None
    prepare_speech: Callable[[Sequence[Utterance]], Coroutine[Any, Any, None]] | None = (
        None  # raises SourceLost; None: made when it is said
    )
    set_volume: Callable[[int], None] = lambda _: None  # percent, 0 to 200, of what is said from now on
    microphone: Microphone | None = None
    words: Sequence[WordSource] = ()
    buttons: Sequence[Button] = ()
    inference: Inference | None = None
    notify: Notify = lambda _: None
    pack_store: StateStore | None = None  # None: the cells are learnt anew at each start
    trend_store: StateStore | None = None
    diary_store: StateStore | None = None  # None: the battery's report tells of this start alone
    scene_store: StateStore | None = None  # raises StoreError; None: what was asked is forgotten with each start
    desk_store: StateStore | None = None  # the same of what the insurer's desk said
    bus_store: StateStore | None = None  # None: so are the habits of the buses
    consent_store: StateStore | None = None  # raises StoreError; None: the driver's choices last until the end
    erasure_store: StateStore | None = None  # the same of the erasures that he asked for
    kept: Sequence[Kept] = ()  # the others, for an erasure
    page_store: StateStore | None = None  # raises StoreError; None: browsers are paired anew at each start
    probe: Probe | None = None  # None in the car
    on_window: Callable[[SignalWindow], None] = lambda _: None  # what the sources want to know of each other's signals
    service: Callable[[ServiceState], None] = lambda _: None  # the service manager; nobody in a demo
