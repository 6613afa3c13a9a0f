"""What the agent tells of the sound of the driver's words, where he agreed to that by name."""

from typing import ClassVar, Literal

from agent.core.event_base import Event, Leaves, Purpose


class VoiceClip(Event, frozen=True, kw_only=True, tag="voice_clip"):
    """The sound of what was taken for an answer, or said behind the button: that stretch and nothing around it.

    t_ns is when the microphone was opened for it, so that a consent of later does not cover it; answer_ns is the t_ns
    of the Feedback that was made of it, question and language are the same there, and heard is its transcript. sound:
    mono, coded as agent.core.pcmu has it; see there how long at most.
    """

    purpose: ClassVar[Purpose] = "audio"
    leaves: ClassVar[Leaves] = {"audio": "answer_ns question language heard codec rate_hz sound"}

    answer_ns: int
    question: str
    language: Literal["zh", "en"]
    heard: str
    codec: Literal["pcmu"]
    rate_hz: int
    sound: bytes
