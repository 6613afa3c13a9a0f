"""The table of `./run fuzz --mutations N`."""

import sys
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.fuzz.refusals import run

_GROWTH_MAX_MIB: Final = 4.0


def refuse(count: int, seed: int) -> int:
    """Print what became of altered envelopes, receipts and bundles. 1 where one went through, crashed or leaked."""
    rows, grown_mib = run(count, seed=seed)
    table = Table("altered", "mutations", "refused", "reasons", "accepted", "crashes")
    for row in rows:
        accepted = str(row.accepted) if row.must_refuse else f"{row.accepted} (it then said so)"
        figures = (row.mutations, sum(row.reasons.values()), len(row.reasons), accepted, len(row.crashes))
        table.add_row(row.name, *map(str, figures))
        for crash in row.crashes[:3]:
            sys.stderr.write(f"{row.name}: {crash}\n")
    Console().print(table)
    forged = sum(row.accepted for row in rows if row.must_refuse)
    crashes = sum(len(row.crashes) for row in rows)
    total = sum(row.mutations for row in rows)
    sys.stdout.write(f"{total} mutations: {forged} forgeries accepted, {crashes} crashes, grew {grown_mib:.1f} MiB\n")
    return int(any(row.bad for row in rows) or grown_mib > _GROWTH_MAX_MIB)
