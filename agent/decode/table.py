"""The signal table: everything decode_batch needs, built once from a profile and its DBC files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.core.errors import InputError
from agent.core.frames import EXTENDED, EXTENDED_KEY, FrameBatch
from agent.core.paths import DBC, OBD_PIDS
from agent.core.signals import SignalCatalog
from agent.core.toml import load_toml
from agent.decode.checks import FrameChecker
from agent.decode.columns import SignalTable
from agent.decode.compiler import compile_graph
from agent.decode.dbc import add_all_messages, add_mapped_messages, find_check, load_dbc
from agent.decode.layout import Graph
from agent.decode.obd_frames import add_obd
from agent.decode.profile import Profile
from agent.proto.obd import PidTable

__all__ = ["SignalTable", "build_checker", "build_table", "by_pgn"]


def pgn_key(key: int) -> int:
    """A frame key reduced to its J1939 parameter group: priority, source and destination are taken out."""
    group = key >> 8 & 0x3FFFF
    return EXTENDED_KEY | (group if group >> 8 & 0xFF >= 240 else group & 0x3FF00) << 8


def by_pgn(batch: FrameBatch) -> FrameBatch:
    """The batch with every 29-bit identifier reduced as pgn_key does."""
    group = batch.can_id >> np.uint32(8) & np.uint32(0x3FFFF)
    group = np.where((group >> np.uint32(8) & np.uint32(0xFF)) >= 240, group, group & np.uint32(0x3FF00))
    identifier = np.where(batch.flags & EXTENDED, group << np.uint32(8), batch.can_id).astype(np.uint32)
    return replace(batch, can_id=identifier)


def build_checker(profile: Profile, dbc_paths: Sequence[Path]) -> FrameChecker | None:
    """Build the counters and checksums of a profile; None where it has none. Raises InputError."""
    if not profile.checks:
        return None
    paths = [*(DBC / name for name in profile.dbc), *dbc_paths]
    databases = {path: load_dbc(path) for path in dict.fromkeys(paths)}
    return FrameChecker([find_check(databases, check) for check in profile.checks])


def build_table(profile: Profile, dbc_paths: Sequence[Path], catalog: SignalCatalog) -> SignalTable:
    """Build the table of a profile and the user's DBC files; adds its signals to the catalog.

    Raises InputError (unusable DBC, a mapping it lacks, an identifier decoded twice), ConfigError (the PID file).
    """
    paths = [*(DBC / name for name in profile.dbc), *dbc_paths]
    databases = {path: load_dbc(path) for path in dict.fromkeys(paths)}
    graph = Graph()
    if profile.obd:
        mapped = {mapping.path for mapping in profile.signals}
        add_obd(graph, load_toml(OBD_PIDS, PidTable).pids, catalog, without=mapped)
    if profile.signals or profile.dids:
        add_mapped_messages(graph, databases, profile.signals, catalog)
    else:
        add_all_messages(graph, databases, catalog)
    if profile.j1939:
        roots, graph.roots = graph.roots, {}
        for key, root in roots.items():
            group = pgn_key(key) if key & EXTENDED_KEY else key
            if group in graph.roots:
                raise InputError(f"profile {profile.name}: parameter group {group >> 8 & 0x3FFFF:X} is decoded twice")
            graph.roots[group] = root
    return compile_graph(graph)
