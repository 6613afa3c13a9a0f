"""What an attacker, or a broken node, does to the frames of the bus. A masquerade is encoded as such, in frames.py."""

import numpy as np
import numpy.typing as npt

from agent.core.frames import DATA_SIZE, FrameBatch, concatenate
from simulators.world.grid import stream, to_ns
from simulators.world.happening import require
from simulators.world.happenings_wires import BusFlood, BusFuzz, BusReplay, BusSilence, EcuAsleep
from simulators.world.types import Drive

_ID_COUNT = 2048
_BESIDE_NS = 3_000_000  # how long after the true sender the replaying node speaks


def attack(drive: Drive, frames: FrameBatch, ids: dict[str, int], nodes: dict[str, list[int]]) -> FrameBatch:
    """Frames in the order of time, as they come out of the attacks; ids: message name -> identifier, nodes: of a node.

    Raises InputError where an event names a message or a node the bus has not.
    """
    rng = stream(drive.seed, "attack")
    for event in drive.scenario.events:
        if not isinstance(event, BusFlood | BusFuzz | BusReplay | BusSilence | EcuAsleep):
            continue
        inside = (frames.t_ns >= event.at_s * 1e9) & (frames.t_ns < event.until_s * 1e9)
        end_s = min(event.until_s, drive.sleep_ns / 1e9)
        match event:
            case BusSilence():
                frames = frames[~(inside & _of(event, frames, ids, drive))]
            case EcuAsleep():
                require(drive.scenario.name, event, "node", nodes)
                frames = frames[~(inside & np.isin(frames.can_id, nodes[event.node]))]
            case BusReplay():
                mine = _of(event, frames, ids, drive)
                replayed = _replay(event, frames, mine, inside)
                frames = _merge(frames, replayed[mine & inside]) if event.beside else replayed
            case BusFlood():
                lost = inside & (rng.random(len(frames)) < event.lost_share)
                count = round(max(end_s - event.at_s, 0) * event.frames_per_s)
                t_s = event.at_s + np.arange(count) / event.frames_per_s
                flood = _made(t_s, np.zeros(count, np.uint32), np.zeros((count, 8), np.uint8))
                frames = _merge(frames[~lost], flood)
            case BusFuzz():
                count = round(max(end_s - event.at_s, 0) * event.frames_per_s)
                t_s = np.sort(rng.uniform(event.at_s, max(end_s, event.at_s), count))
                data = rng.integers(0, 256, (count, 8), np.uint8)
                frames = _merge(frames, _made(t_s, rng.integers(0, _ID_COUNT, count, np.uint32), data))
    return frames


def _of(event: BusSilence | BusReplay, frames: FrameBatch, ids: dict[str, int], drive: Drive) -> npt.NDArray[np.bool_]:
    """Rows of its message; all rows where it names none."""
    if not event.message:
        return np.ones(len(frames), np.bool_)
    require(drive.scenario.name, event, "message", ids)
    return np.asarray(frames.can_id == ids[event.message])


def _replay(
    event: BusReplay, frames: FrameBatch, mine: npt.NDArray[np.bool_], inside: npt.NDArray[np.bool_]
) -> FrameBatch:
    """The message's frames inside carry what it said back_s earlier, at their own times or a little later."""
    before = np.searchsorted(frames.t_ns[mine], frames.t_ns[mine & inside] - round(event.back_s * 1e9))
    data = frames.data.copy()
    data[mine & inside] = frames.data[mine][before]
    late_ns = _BESIDE_NS if event.beside else 0
    return FrameBatch(
        t_ns=frames.t_ns + late_ns,
        bus=frames.bus,
        can_id=frames.can_id,
        flags=frames.flags,
        length=frames.length,
        data=data,
    )


def _made(t_s: npt.NDArray[np.float64], can_id: npt.NDArray[np.uint32], data: npt.NDArray[np.uint8]) -> FrameBatch:
    count = len(t_s)
    wide = np.zeros((count, DATA_SIZE), np.uint8)
    wide[:, :8] = data
    return FrameBatch(
        t_ns=to_ns(t_s),
        bus=np.zeros(count, np.uint8),
        can_id=can_id,
        flags=np.zeros(count, np.uint8),
        length=np.full(count, 8, np.uint8),
        data=wide,
    )


def _merge(frames: FrameBatch, more: FrameBatch) -> FrameBatch:
    both = concatenate([frames, more])
    return both[np.argsort(both.t_ns, kind="stable")]
