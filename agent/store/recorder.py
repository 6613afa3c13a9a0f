"""From event to durable record: bounded waiting room, group commit, sealing in the order of the chain.

A place in the chain is given when a record is sealed, and critical events (crash, safety) are sealed before others that
wait, the detail of a crash behind its notices. So the sequence is the order of sealing; within a boot t_ns tells what
happened first.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from agent import __version__
from agent.core.backoff import backoff_waits
from agent.core.config import Config
from agent.core.declared import purposes_of
from agent.core.erasure import Selection
from agent.core.errors import SealError, StoreError
from agent.core.events import Event, Priority
from agent.core.ports import Clock, Keystore
from agent.core.records import Header, Position, SealedRecord, encode_event, wall_ns_of
from agent.store.outbox import Outbox
from agent.store.rebuild import Damage
from agent.store.reports import Reports
from agent.store.seal import Sealer, make_sealer
from agent.store.waiting import WaitingRoom

OnDurable = Callable[[Sequence[SealedRecord]], None]
"""Told of each commit."""

_LOG: Final = logging.getLogger(__name__)
_WAITING_MAX: Final = 4096
_ATTEMPTS_AT_CLOSE: Final = 3


class Encode(Protocol):
    """encode_event, or something before it."""

    def __call__(self, event: Event, *, position: Position, wall_offset_ns: int | None, agent_version: str) -> bytes:
        """CBOR of an event."""
        ...


class Recorder:
    """Takes events at any time, commits them in groups: critical ones at once.

    sealed counts records on the disk; dropped events that never got there (no room, or too large); reports knows what
    the store let go or the disk spoilt.
    """

    def __init__(
        self,
        outbox: Outbox,
        sealer: Sealer,
        clock: Clock,
        *,
        config: Config,
        on_durable: OnDurable,
        encode: Encode,
        uniform: Callable[[], float],
    ) -> None:
        self.outbox = outbox
        self.sealed = 0
        self.dropped = 0
        self.reports = Reports(self._put_notice, clock.monotonic_ns)
        self._sealer = sealer
        self._clock = clock
        self._limits = config.store
        self._on_durable = on_durable
        self._encode = encode
        self._uniform = uniform
        self._waiting = WaitingRoom(_WAITING_MAX)
        self._sealing: list[Event] = []
        self._held: list[SealedRecord] = []  # sealed, not yet on the disk; their places in the chain are taken
        self._head = outbox.head
        self._sequence = 0
        self._closed = False
        self._ended = False
        self._failure: StoreError | None = None
        self._ready = asyncio.Event()  # something waits, or it is time to end
        self._urgent = asyncio.Event()  # do not wait for a fuller batch
        self._settled = asyncio.Event()  # an attempt has ended, well or badly

    @classmethod
    async def open(
        cls,
        config: Config,
        keystore: Keystore,
        clock: Clock,
        *,
        on_durable: OnDurable = lambda _: None,
        encode: Encode = encode_event,
        uniform: Callable[[], float] = random.random,
    ) -> "Recorder":
        """Open the outbox below config.store.directory and the keys of config.trust.

        Raises ConfigError or InputError where a key is missing or unusable, StoreError where the disk refuses.
        """
        sealer = make_sealer(config, keystore)
        damages: list[Damage] = []
        outbox = await Outbox.open(
            Path(config.store.directory),
            device=keystore.device_id,
            size_max_bytes=config.store.size_max_mb * 1_000_000,
            on_damage=damages.append,
            now_ns=clock.monotonic_ns,
        )
        recorder = cls(outbox, sealer, clock, config=config, on_durable=on_durable, encode=encode, uniform=uniform)
        outbox.on_shed, outbox.on_damage = recorder.reports.note_shed, recorder.reports.report_damage
        for damage in damages:
            recorder.reports.report_damage(damage)
        return recorder

    @property
    def shed(self) -> Counter[Priority]:
        """Records that a full store let go, by priority."""
        return self.reports.shed

    def put(self, event: Event) -> None:
        """Take an event; never waits. When there is no room, the oldest of the lowest priority goes, counted."""
        if self._closed:
            self._drop(event, "the recorder is closed")
            return
        gone = self._waiting.put(event)
        if gone is not None:
            self._drop(gone, "no room is left to wait for the disk")
        if self._waiting.hurries or self._waiting.ordinary >= self._limits.batch_max:
            self._urgent.set()
        self._ready.set()

    async def run(self) -> None:
        """Commit until close, then close the outbox. Cancelled, it still commits what was put, and then ends.

        Raises StoreError where the disk still refuses at the end.
        """
        committing = asyncio.create_task(self._commit_all(), name="commit")
        try:
            await asyncio.shield(committing)
        except asyncio.CancelledError:
            self.close()
            await committing
            raise
        finally:
            self._closed = self._ended = True
            self._settled.set()
            await self.outbox.close()

    async def flush(self) -> None:
        """Return when everything put so far is on the disk. Raises StoreError where an attempt to do so fails."""
        while self._undone():
            if self._ended:
                raise StoreError(f"{self._undone()} events are not on the disk")
            self._settled.clear()
            self._urgent.set()
            self._ready.set()
            await self._settled.wait()
            if self._failure is not None:
                raise self._failure

    async def forget_waiting(self, selection: Selection) -> tuple[int, Position]:
        """Forget what is selected and not on the disk yet; how many went, and the last record that is on it.

        Raises StoreError where the disk refuses.
        """
        dropped = self._drop_waiting(selection)
        while self._sealing or self._held:  # their places in the chain are taken: to the disk, and from there
            self._settled.clear()
            self._urgent.set()
            self._ready.set()
            await self._settled.wait()
            if self._failure is not None:
                raise self._failure
        dropped += self._drop_waiting(selection)  # given back by a batch that was broken off
        return dropped, Position(self.outbox.boot, self._sequence)

    async def erase(self, selection: Selection, *, request: str = "", until: Position | None = None) -> int:
        """Forget what is selected up to a record, and tell which are gone; returns how many went.

        request: the ErasureRequested it is for; until: None for all there are, wherever they wait.
        Raises StoreError where the disk refuses: then try again.
        """
        dropped = 0
        if until is None:
            dropped, until = await self.forget_waiting(selection)
        slices = self.outbox.erase(selection, until=until)
        return dropped + await self.reports.tell_erased(slices, selection, request)

    def close(self) -> None:
        """Take nothing more; run commits what waits and returns."""
        if not self._closed:
            self.reports.tell_shed()
        self._closed = True
        self._urgent.set()
        self._ready.set()

    async def _commit_all(self) -> None:
        waits = self._make_waits()
        attempts_left = _ATTEMPTS_AT_CLOSE
        while await self._batch_is_due():
            try:
                with self._clock.hold():
                    await self._commit_batch()
            except StoreError as exc:
                attempts_left -= self._closed
                if attempts_left == 0:
                    self._failure = StoreError(f"{self._undone()} events are lost: {exc}")
                    raise self._failure from exc
                self._report_failure(exc)
                await self._wait(0 if self._closed else next(waits))
            else:
                waits = self._make_waits()

    async def _batch_is_due(self) -> bool:
        """Wait for something to commit, and for company to commit it with. False when all is done."""
        while not self._undone():
            if self._closed:
                return False
            self._ready.clear()
            self._urgent.clear()
            await self._ready.wait()
        if not self._held and not self._waiting.hurries and self._waiting.ordinary < self._limits.batch_max:
            await self._wait(self._limits.batch_wait_ms / 1000)
        return True

    def _undone(self) -> int:
        return len(self._waiting) + len(self._sealing) + len(self._held)

    async def _wait(self, seconds: float) -> None:
        """Wait, but no longer than until something urgent comes."""
        async with asyncio.TaskGroup() as group:
            timer = group.create_task(self._ring(seconds))
            await self._urgent.wait()
            timer.cancel()
        if not self._closed:
            self._urgent.clear()

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._urgent.set()

    async def _commit_batch(self) -> None:
        if not self._held:
            line, self._sealing = self._waiting.take(self._limits.batch_max)
            if not self._closed and not self._waiting.hurries:
                self._urgent.clear()
            self._held = await asyncio.to_thread(self._seal, self._wall_offset_ns(), line)
            self._waiting.give_back(line, self._sealing)
            self._sealing = []
        records = self._held
        critical = any(record.priority <= Priority.SAFETY for record in records)
        crash = any(record.priority == Priority.CRASH for record in records) or self._waiting.holds(Priority.CRASH)
        await self.outbox.append(records, critical=critical, for_crash=crash)
        self._held = []
        self._failure = None
        self.sealed += len(records)
        self._settled.set()
        self._on_durable(records)

    def _seal(self, wall_offset_ns: int | None, line: int) -> list[SealedRecord]:
        """In a thread: a hardware key may take its time. Stops early, leaving the rest, for what is more urgent."""
        records: list[SealedRecord] = []
        while self._sealing and not (records and self._waiting.outranks(line)):
            event = self._sealing[0]
            header = Header(
                device=self._sealer.keystore.device_id,
                boot=self.outbox.boot,
                sequence=self._sequence + 1,
                priority=event.priority,
                previous=self._head,
            )
            try:
                content = self._encode(
                    event, position=header.position, wall_offset_ns=wall_offset_ns, agent_version=__version__
                )
                record = replace(
                    self._sealer.seal(content, header),
                    bulk=event.bulk,
                    purposes=" ".join(sorted(purposes_of(event))),
                    wall_ns=wall_ns_of(event, wall_offset_ns),
                )
            except SealError as exc:
                self._drop(event, str(exc))
            else:
                self._sequence, self._head = record.sequence, record.digest
                records.append(record)
            del self._sealing[0]
        return records

    def _drop_waiting(self, selection: Selection) -> int:
        offset_ns = self._wall_offset_ns()
        return self._waiting.drop(lambda event: selection.covers(purposes_of(event), wall_ns_of(event, offset_ns)))

    def _drop(self, event: Event, reason: str) -> None:
        self.dropped += 1
        _LOG.error("%s at %d ns is dropped (%d so far): %s", event.kind, event.t_ns, self.dropped, reason)

    def _report_failure(self, exc: StoreError) -> None:
        if self._failure is None:
            _LOG.warning("the disk refuses, events wait in memory: %s", exc)
        self._failure = exc
        self._settled.set()

    def _put_notice(self, event: Event) -> None:
        """After close there is no end to shedding for the sake of telling about it: the log and the count must do."""
        if not self._closed:
            self.put(event)

    def _wall_offset_ns(self) -> int | None:
        return self._clock.wall_ns() - self._clock.monotonic_ns() if self._clock.synced else None

    def _make_waits(self) -> Iterator[float]:
        return backoff_waits(self._uniform, longest_s=10.0)
