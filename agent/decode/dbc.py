"""DBC files and a profile's mappings -> the parts of each message. cantools reads the files; it never runs later.

A multiplexer selects by its raw value, as the DBC format has it (cantools takes the scaled one; real files have no
scaled multiplexers).
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cantools
from cantools.database.can import Database, Message, Signal
from cantools.database.errors import Error

from agent.core.errors import InputError
from agent.core.frames import DATA_SIZE, EXTENDED_KEY
from agent.core.signals import SignalCatalog, SignalSpec
from agent.decode import profile as profiles
from agent.decode.checks import Check
from agent.decode.dbc_repair import repair
from agent.decode.layout import Field, Graph, Part, add_message

_log = logging.getLogger("outrider")

Outputs = dict[str, list[Field]]  # signal name -> values wanted from it


def load_dbc(path: Path) -> Database:
    """Read one database file (DBC; KCD, SYM and ARXML by their ending). Raises InputError.

    Overlapping signals are accepted (strict off): databases from the field have them, and reading is harmless.
    """
    try:
        database: object = cantools.database.load_file(path, strict=False)
    except OSError as exc:
        raise InputError(f"{path}: cannot be read: {exc.strerror}") from exc
    except (Error, UnicodeDecodeError, ValueError, KeyError) as exc:
        database = _load_repaired(path, exc)
    if not isinstance(database, Database):
        raise InputError(f"{path}: describes diagnostics, not frames")
    return database


def _load_repaired(path: Path, refusal: Exception) -> object:
    """Try again without harmless faults, and tell each of them. Raises InputError naming the line."""
    if path.suffix.lower() == ".dbc":
        text, warnings = repair(path.read_text(encoding="cp1252", errors="replace").replace("\r\n", "\n"))
        if warnings:
            try:
                database: object = cantools.database.load_string(text, "dbc", strict=False)
            except (Error, ValueError, KeyError) as exc:
                refusal = exc
            else:
                for warning in warnings:
                    _log.warning("%s: %s", path, warning)
                return database
    reason = " ".join(str(refusal).split())
    line = re.search(r"at line (\d+)", reason)
    raise InputError(f"{path}{f':{line[1]}' if line else ''}: not a usable DBC: {reason}") from refusal


def add_all_messages(graph: Graph, databases: Mapping[Path, Database], catalog: SignalCatalog) -> None:
    """Every signal of every message, as MESSAGE.SIGNAL in the DBC's unit.

    Messages longer than a CAN FD frame (those of transport protocols) are passed over: no frame holds them.
    """
    for path, database in databases.items():
        for message in database.messages:
            if not message.signals or message.length > DATA_SIZE:
                continue
            outputs: Outputs = {}
            for signal in message.signals:
                name = f"{message.name}.{signal.name}"
                number = catalog.add(SignalSpec(name, signal.unit or ""))
                outputs[signal.name] = [replace(_geometry(message, signal), number=number)]
            _add(graph, path, message, outputs)


def add_mapped_messages(
    graph: Graph, databases: Mapping[Path, Database], mappings: Sequence[profiles.Mapping], catalog: SignalCatalog
) -> None:
    """The signals of a profile, under their VSS paths. Raises InputError naming what no database has."""
    wanted: dict[str, Outputs] = {}
    found = {name: _find_message(databases, name) for name in dict.fromkeys(mapping.message for mapping in mappings)}
    for mapping in mappings:
        path, message = found[mapping.message]
        signal = _find_signal(path, message, mapping.signal, f"mapped to {mapping.path}")
        gates = tuple(profiles.parse_gate(text) for text in mapping.gates)
        for gate in gates:
            _find_signal(path, message, gate.signal, f"a gate of {mapping.path}")
        spec = SignalSpec(
            mapping.path,
            mapping.unit or (signal.unit or "" if mapping.factor == 1 else ""),
            -float("inf") if mapping.minimum is None else mapping.minimum,
            float("inf") if mapping.maximum is None else mapping.maximum,
            mapping.stale_after_s,
        )
        geometry = _geometry(message, signal)
        output = replace(
            geometry,
            scale=geometry.scale * mapping.factor,
            offset=geometry.offset * mapping.factor + mapping.offset,
            number=catalog.add(spec),
            minimum=mapping.minimum,
            maximum=mapping.maximum,
            sentinels=tuple(mapping.sentinels),
            gates=gates,
        )
        wanted.setdefault(mapping.message, {}).setdefault(mapping.signal, []).append(output)
    for name, outputs in wanted.items():
        _add(graph, *found[name], outputs)


def find_check(databases: Mapping[Path, Database], wanted: profiles.MessageCheck) -> Check:
    """Where a message's counter and checksum lie. Raises InputError."""
    path, message = _find_message(databases, wanted.message)

    def place(name: str | None, use: str) -> Field | None:
        return None if name is None else _geometry(message, _find_signal(path, message, name, f"its {use}"))

    return Check(
        message.name,
        message.frame_id | (EXTENDED_KEY if message.is_extended_frame else 0),
        message.length,
        place(wanted.counter, "counter"),
        wanted.modulus,
        place(wanted.checksum, "checksum"),
        wanted.algorithm,
        wanted.data_id,
    )


def _add(graph: Graph, path: Path, message: Message, outputs: Outputs) -> None:
    if message.is_container:
        raise InputError(f"{path}: message {message.name} is an AUTOSAR container; these are not decoded")
    key = message.frame_id | (EXTENDED_KEY if message.is_extended_frame else 0)
    if key in graph.roots:
        raise InputError(
            f"{path}: message {message.name}: identifier {message.frame_id:X} is decoded twice "
            "(by another message, or by obd = true of the profile)"
        )
    gates = {gate.signal for those in outputs.values() for output in those for gate in output.gates}
    parts = [
        Part(
            signal.name,
            _geometry(message, signal),
            tuple(outputs.get(signal.name, ())),
            signal.multiplexer_signal,
            frozenset(signal.multiplexer_ids or ()),
        )
        for signal in message.signals
        if signal.name in outputs or signal.name in gates or signal.is_multiplexer
    ]
    graph.roots[key] = add_message(graph, message.name, parts)


def _geometry(message: Message, signal: Signal) -> Field:
    big_endian = signal.byte_order == "big_endian"
    return Field(
        label=f"{message.name}.{signal.name}",
        # A DBC gives a big-endian signal by its most significant bit, bits of a byte from the least significant one.
        first_bit=8 * (signal.start // 8) + 7 - signal.start % 8 if big_endian else signal.start,
        length=signal.length,
        big_endian=big_endian,
        signed=signal.is_signed and not signal.is_float,
        is_float=signal.is_float,
        scale=float(signal.scale),
        offset=float(signal.offset),
    )


def _find_message(databases: Mapping[Path, Database], name: str) -> tuple[Path, Message]:
    found = [
        (path, message) for path, database in databases.items() for message in database.messages if message.name == name
    ]
    if len(found) == 1:
        return found[0]
    files = _names(databases if not found else (path for path, _ in found))
    raise InputError(
        f"the profile maps message {name}, which stands in {'several files' if found else 'no DBC'}: {files}"
    )


def _find_signal(path: Path, message: Message, name: str, use: str) -> Signal:
    for signal in message.signals:
        if signal.name == name:
            return signal
    raise InputError(f"{path}: message {message.name} has no signal {name} ({use})")


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(str(path) for path in paths) or "none was given (--dbc FILE)"
