"""A pushed config, from the way down to the parts that go by it. What came of each is an event."""

from collections.abc import Callable

from agent.core.best_time import BestTime
from agent.core.config import Config
from agent.core.errors import BundleRejected, StoreError
from agent.core.events import ConfigApplied, ConfigRejected, Event
from agent.core.ports import Clock, Notice, Notify
from agent.remote.apply import ConfigStore


class ConfigRoom:
    """running: the config in force. apply: hands a new one to the parts."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        *,
        time: BestTime,
        emit: Callable[[Event], None],
        notify: Notify,
        apply: Callable[[Config], None],
    ) -> None:
        """config: the box's own file. What was pushed in an earlier run is in force at once."""
        self._store = ConfigStore(config)
        self._clock = clock
        self._time = time
        self._emit = emit
        self._notify = notify
        self._apply = apply
        self.running = self._store.running
        if self._store.issued_ns is not None:
            time.learn(self._store.issued_ns)

    def tell_problems(self) -> None:
        """What was wrong with the one that was kept, once somebody can hear it."""
        for problem in self._store.problems:
            self._emit(ConfigRejected(t_ns=self._clock.monotonic_ns(), bundle="stored", reason=problem))

    def on_bundle(self, blob: bytes) -> None:
        """Judge what came, and go by it where it may be trusted."""
        t_ns = self._clock.monotonic_ns()
        try:
            accepted = self._store.offer(blob, now=self._time.now())
        except (BundleRejected, StoreError) as exc:
            self._emit(ConfigRejected(t_ns=t_ns, bundle=self._store.name_of(blob), reason=str(exc)))
            return
        if accepted is None:
            return
        if accepted.issued_ns is not None:
            self._time.learn(accepted.issued_ns)
        if not accepted.in_time:
            text = f"{accepted.id}: taken, though it may have expired: the clock has not been set yet"
            self._notify(Notice("config", t_ns, text))
        self.running = accepted.config
        self._apply(accepted.config)
        version, sha256 = accepted.version, accepted.sha256
        self._emit(ConfigApplied(t_ns=t_ns, bundle=accepted.id, config_version=version, sha256=sha256))
