"""Tables and views of the receiver's database, for SQLite and PostgreSQL; docs/operators.md describes them.

The views say what the tables leave open, because the answer may change when older records come in:
chain: verified (fits the record before it, or begins the chain), waiting (that one has not come), broken.
wall_ns: UTC, told by the car, or derived from another record of the same boot; dated says which.
"""

from string import Template
from typing import Final

from fleet.receiver.store import TAKEN

_TABLES: Final = """
CREATE TABLE events (
    device TEXT NOT NULL, boot $integer NOT NULL, sequence $integer NOT NULL,
    priority $integer NOT NULL, kind TEXT NOT NULL, agent TEXT NOT NULL, event $json NOT NULL,
    t_ns BIGINT NOT NULL, wall_ns BIGINT,
    previous $bytes NOT NULL, digest $bytes NOT NULL,
    envelope $bytes NOT NULL, received_ns BIGINT NOT NULL,
    PRIMARY KEY (device, boot, sequence)
);
CREATE INDEX by_digest ON events (device, digest);
CREATE INDEX by_previous ON events (device, previous);
CREATE INDEX by_kind ON events (kind, received_ns);
CREATE TABLE boots (
    device TEXT NOT NULL, boot $integer NOT NULL, wall_offset_ns BIGINT NOT NULL, PRIMARY KEY (device, boot)
);
CREATE TABLE dead_letters (
    id $serial PRIMARY KEY, digest $bytes NOT NULL UNIQUE, device TEXT NOT NULL, reason TEXT NOT NULL,
    envelope $bytes NOT NULL, received_ns BIGINT NOT NULL, times $integer NOT NULL
);
"""
_VIEWS: Final = """
CREATE VIEW chained_events AS
SELECT e.device, e.boot, e.sequence, e.priority, e.kind, e.agent, e.event, e.t_ns,
    COALESCE(e.wall_ns, e.t_ns + b.wall_offset_ns) AS wall_ns,
    CASE WHEN e.wall_ns IS NOT NULL THEN 'told' WHEN b.boot IS NOT NULL THEN 'derived' END AS dated,
    e.received_ns,
    CASE
        WHEN e.sequence = 1 AND e.previous = $genesis THEN 'verified'
        WHEN p.boot = e.boot AND p.sequence = e.sequence - 1 OR p.boot < e.boot AND e.sequence = 1 THEN 'verified'
        WHEN p.boot IS NOT NULL OR n.boot IS NOT NULL THEN 'broken'
        ELSE 'waiting'
    END AS chain
FROM events e
LEFT JOIN events p ON p.device = e.device AND p.digest = e.previous
LEFT JOIN events n ON n.device = e.device AND n.boot = e.boot AND n.sequence = e.sequence - 1
LEFT JOIN boots b ON b.device = e.device AND b.boot = e.boot;

CREATE VIEW restored_devices AS
SELECT device, COUNT(*) AS signs, MAX(received_ns) AS received_ns FROM (
    SELECT device, received_ns FROM dead_letters WHERE reason = '$taken'
    UNION ALL
    SELECT e.device, e.received_ns FROM events e JOIN events o
        ON o.device = e.device AND o.previous = e.previous
        AND (o.boot < e.boot OR o.boot = e.boot AND o.sequence < e.sequence)
) signs GROUP BY device;

CREATE VIEW devices AS
SELECT c.device, COUNT(*) AS events,
    SUM(CASE WHEN c.chain = 'verified' THEN 1 ELSE 0 END) AS verified,
    SUM(CASE WHEN c.chain = 'broken' THEN 1 ELSE 0 END) AS broken,
    MAX(c.boot) AS boot, MAX(c.received_ns) AS received_ns, COALESCE(MAX(r.signs), 0) AS restored
FROM chained_events c LEFT JOIN restored_devices r ON r.device = c.device GROUP BY c.device;
"""
_GRAFANA: Final = """
CREATE VIEW events_by_minute AS
SELECT to_timestamp(received_ns / 60000000000 * 60) AS time, kind, COUNT(*) AS events FROM events GROUP BY 1, 2;

CREATE VIEW alarms AS
SELECT to_timestamp(COALESCE(wall_ns, received_ns) / 1e9) AS time, dated, device, kind, priority, event, chain
FROM chained_events WHERE priority <= 1;

CREATE VIEW dead_letters_by_reason AS
SELECT to_timestamp(MAX(received_ns) / 1e9) AS time, reason, COUNT(*) AS letters, SUM(times) AS times
FROM dead_letters GROUP BY reason;
"""
_BEFORE_2: Final = """
DROP VIEW devices;
ALTER TABLE events RENAME TO events_1;
ALTER TABLE dead_letters RENAME TO dead_letters_1;
DROP INDEX by_digest;
DROP INDEX by_previous;
"""
_AFTER_2: Final = """
INSERT INTO events SELECT device, boot, sequence, priority, kind, agent, event, t_ns,
    CASE WHEN clock_synced THEN wall_ns END, previous, digest, envelope, received_ns FROM events_1;
INSERT INTO boots SELECT device, boot, MIN(wall_ns - t_ns) FROM events_1 WHERE clock_synced GROUP BY device, boot;
INSERT INTO dead_letters SELECT * FROM dead_letters_1;
DROP TABLE events_1;
DROP TABLE dead_letters_1;
"""


def _sqlite(text: str) -> str:
    return Template(text).substitute(
        integer="INTEGER", json="TEXT", bytes="BLOB", serial="INTEGER", genesis="zeroblob(32)", taken=TAKEN
    )


def _postgres(text: str) -> str:
    genesis = "decode(repeat('00', 32), 'hex')"
    return Template(text).substitute(
        integer="INTEGER", json="JSON", bytes="BYTEA", serial="BIGSERIAL", genesis=genesis, taken=TAKEN
    )


SQLITE_VERSION: Final = 2
SQLITE: Final = {0: _sqlite(_TABLES + _VIEWS), 1: _BEFORE_2 + _sqlite(_TABLES) + _AFTER_2 + _sqlite(_VIEWS)}
"""What makes the newest schema out of each older one; 0 is an empty file."""
POSTGRES_VERSION: Final = 1
POSTGRES: Final = {0: _postgres(_TABLES + _VIEWS) + _GRAFANA}
"""The same; 0 is an empty database."""
