"""Which models this box runs, and who asks them."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from agent.cell_watch import CellWatch, Pack
from agent.core.config import Config
from agent.core.errors import ConfigError
from agent.core.events import Event, ModelChanged
from agent.core.manifest import FeatureManifest, SequenceManifest, WindowManifest, load_manifest
from agent.core.paths import MODELS
from agent.core.ports import Clock, Inference
from agent.core.signals import SignalWindow
from agent.detect.cell_scores import CellScores
from agent.detect.crash_features import FEATURES
from agent.inference import Models
from agent.judge import Judge
from agent.watch import Watch

M = TypeVar("M", WindowManifest, FeatureManifest, SequenceManifest)


class ModelRoom:
    """Wires models, watch and judge; each is there only where its model is for this vehicle, and sound.

    problems are events about models that cannot be used, found before there was a store to tell them to.
    """

    def __init__(
        self,
        config: Config,
        inference: Inference | None,
        clock: Clock,
        *,
        emit: Callable[[Event], None],
        make_waits: Callable[[], Iterator[float]],
    ) -> None:
        self.problems: list[Event] = []
        self._emit = emit
        self._clock = clock
        anomaly, limits = config.detect.anomaly, config.models
        find = partial(self._find, profile=config.profile)
        drive = shadow = crash = cells = None
        if inference is not None:
            drive = find(anomaly.model, WindowManifest) if anomaly.enabled else None
            shadow = find(anomaly.shadow, WindowManifest) if drive and anomaly.shadow else None
            crash = find(limits.collision, FeatureManifest) if limits.collision else None
            cells = find(limits.battery, SequenceManifest) if limits.battery else None
        if cells and not CellScores.knows(cells):
            self._refuse(cells.name, "its features or faults are not those that cells are told by")
            cells = None
        if crash and tuple(feature.name for feature in crash.features) != FEATURES:
            self._refuse(crash.name, "its features are not those that the detector gives")
            crash = None
        names = [manifest.name for manifest in (drive, shadow, crash, cells) if manifest]
        self._models = self._watch = self._judge = self._cells = None
        if inference is None or not names:
            return
        self._models = Models(
            inference,
            list(dict.fromkeys(names)),
            restarts_max=limits.restarts_max,
            restarts_within_s=limits.restarts_within_s,
            clock=clock,
            emit=emit,
            make_waits=make_waits,
        )
        if drive:
            self._watch = Watch(drive, self._models, shadow=shadow, period_s=anomaly.period_s, clock=clock, emit=emit)
        if crash:
            self._judge = Judge(crash, self._models, deadline_s=limits.collision_deadline_s, clock=clock, emit=emit)
        if cells:
            self._cells = CellWatch(cells, self._models, clock=clock, emit=emit)

    def watch_pack(self, pack: Pack) -> None:
        """Tell whose cells the battery model looks at, before the first window."""
        if self._cells:
            self._cells.watch(pack)

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """What to run, by name; the first loads the models."""
        parts = (("models", self._models), ("anomaly", self._watch), ("judge", self._judge), ("cells", self._cells))
        return [(name, part.run()) for name, part in parts if part is not None]

    def on_window(self, window: SignalWindow) -> None:
        """Show a window to the model that watches the drive; the one of the cells sees whether a day has ended."""
        if self._watch:
            self._watch.on_window(window)
        if self._cells:
            self._cells.on_window(window)

    def on_events(self, events: Sequence[Event]) -> None:
        """Hand events on, in their order; a collision hears its model first, and what days have shown of a cell."""
        if self._cells:
            events = self._cells.hold(events)
        if self._judge:
            self._judge.on_events(events)
            return
        for event in events:
            self._emit(event)

    async def finish(self) -> None:
        """Return when nobody waits for a model any more, and what was counted is told."""
        if self._judge:
            await self._judge.finish()
        if self._cells:
            await self._cells.finish()
        if self._watch:
            self._watch.close()

    def _find(self, name: str, kind: type[M], *, profile: str) -> M | None:
        """The manifest; None where it is unsound, told, or knows nothing of this vehicle and would cry wolf."""
        try:
            manifest = load_manifest(MODELS / f"{name}.toml")
        except ConfigError as exc:
            self._refuse(name, str(exc))
            return None
        if not isinstance(manifest, kind) or manifest.name != name:
            self._refuse(name, f"it is {manifest.name}, of another kind than its place wants")
            return None
        return None if manifest.profiles and profile not in manifest.profiles else manifest

    def _refuse(self, name: str, reason: str) -> None:
        t_ns = self._clock.monotonic_ns()
        self.problems.append(ModelChanged(t_ns=t_ns, model=name, state="refused", reason=reason))
