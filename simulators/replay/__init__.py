"""Recordings as frames, and as a source that drives the app through one as fast as the machine can."""

from simulators.replay.recording import Recording, open_recording
from simulators.replay.source import ReplaySource, find_start_wall_ns

__all__ = ["Recording", "ReplaySource", "find_start_wall_ns", "open_recording"]
