"""The one program: the car, the demo, replay and tests all run it.

The task tree, outermost last to stop:

    link and store      uplink, recorder: disk before network
      listeners         voice, anomaly model, health
        sources         one task a bus or sensor

Stopping goes inwards out: sources end first, what they told reaches the disk, the link closes last.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent import __version__
from agent.core.backoff import backoff_waits
from agent.core.config import Config, load_toml
from agent.core.errors import BundleRejected, EndOfSource, ModelDown, ModelRefused, SourceLost
from agent.core.events import (
    AgentStarted,
    AgentStopped,
    ConfigApplied,
    ConfigRejected,
    Event,
    ModelChanged,
    SourceChanged,
)
from agent.core.paths import DBC, MODELS, PROMPTS
from agent.core.ports import Clock, FrameSource, Hardware, Notice, SampleSource
from agent.core.signals import SignalWindow
from agent.decode.profile import load_profile
from agent.detect.anomaly import AnomalyWatch
from agent.detect.manifest import load_manifest
from agent.health.stats import Stats
from agent.link import mqtt, wire
from agent.link.uplink import Uplink
from agent.mailbox import Mailbox
from agent.pipeline import Pipeline
from agent.remote.apply import ConfigStore
from agent.store.recorder import Recorder
from agent.voice.conversation import Conversation
from agent.voice.prompts import load_phrases

_SOURCE_WAIT_LONGEST_S: Final = 4.0  # a replugged dongle is back within 5 s
_MODEL_WINDOWS_MAX: Final = 4
_SIGNALS_PERIOD_S: Final = 1.0
