"""Tables and views of the receiver's database, for SQLite and PostgreSQL; docs/operators.md describes them.

The views say what the tables leave open, because the answer may change when older records come in:
chain: verified (fits the record before it, or begins the chain), waiting (that one has not come), broken.
wall_ns: UTC, told by the car, or derived from the dated record of the same boot that is nearest in t_ns; dated says
which. A boot may have several offsets between its two clocks: one that was set wrong, and then right.
tickets, ticket_messages and ticket_events are the desk's (fleet/desk/store.py): clock_ns is when the clock of 24 h and
72 h began, due_ns when a message is sent again, ticket_events what the desk has dealt with.
not_before_ns, not_after_ns: bounds for what has no date. The last date of an earlier boot lies before it; after it lie
the first date of a later boot and the moment when we received it.
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
CREATE INDEX by_arrival ON events (received_ns);
CREATE INDEX by_date ON events (device, boot, t_ns) WHERE wall_ns IS NOT NULL;
CREATE TABLE dead_letters (
    id $serial PRIMARY KEY, digest $bytes NOT NULL UNIQUE, device TEXT NOT NULL, reason TEXT NOT NULL,
    envelope $bytes NOT NULL, received_ns BIGINT NOT NULL, times $integer NOT NULL
);
"""
_DESK: Final = """
CREATE TABLE tickets (
    number $serial PRIMARY KEY, device TEXT NOT NULL, boot $integer NOT NULL, about_ns BIGINT NOT NULL,
    sequence $integer NOT NULL, kind TEXT NOT NULL, severity $integer NOT NULL, state TEXT NOT NULL,
    opened_ns BIGINT NOT NULL, clock_ns BIGINT NOT NULL, answered_ns BIGINT, asked_ns BIGINT, closed_ns BIGINT,
    outcome TEXT NOT NULL, reopened $integer NOT NULL, warned $integer NOT NULL, call_back $integer NOT NULL
);
CREATE INDEX tickets_by_event ON tickets (device, boot, kind);
CREATE INDEX tickets_open ON tickets (state) WHERE state <> 'closed';
CREATE INDEX tickets_closed ON tickets (closed_ns);
CREATE TABLE ticket_messages (
    place $serial PRIMARY KEY, id TEXT NOT NULL UNIQUE, device TEXT NOT NULL, ticket $integer NOT NULL,
    what TEXT NOT NULL, note $bytes NOT NULL, created_ns BIGINT NOT NULL, expires_ns BIGINT NOT NULL,
    sends $integer NOT NULL, due_ns BIGINT, taken_ns BIGINT
);
CREATE INDEX messages_due ON ticket_messages (due_ns) WHERE due_ns IS NOT NULL;
CREATE INDEX messages_by_ticket ON ticket_messages (ticket);
CREATE TABLE ticket_events (
    device TEXT NOT NULL, boot $integer NOT NULL, sequence $integer NOT NULL, received_ns BIGINT NOT NULL,
    PRIMARY KEY (device, boot, sequence)
);
"""
_VIEWS: Final = """
CREATE VIEW dated_events AS
SELECT e.*, COALESCE(e.wall_ns, e.t_ns + CASE
    WHEN b.t_ns IS NULL OR a.t_ns - e.t_ns <= e.t_ns - b.t_ns THEN a.wall_ns - a.t_ns
    ELSE b.wall_ns - b.t_ns
END) AS utc_ns
FROM events e
LEFT JOIN events b ON e.wall_ns IS NULL AND b.device = e.device AND b.boot = e.boot AND b.sequence = (
    SELECT d.sequence FROM events d
    WHERE d.device = e.device AND d.boot = e.boot AND d.wall_ns IS NOT NULL AND d.t_ns < e.t_ns
    ORDER BY d.t_ns DESC LIMIT 1
)
LEFT JOIN events a ON e.wall_ns IS NULL AND a.device = e.device AND a.boot = e.boot AND a.sequence = (
    SELECT d.sequence FROM events d
    WHERE d.device = e.device AND d.boot = e.boot AND d.wall_ns IS NOT NULL AND d.t_ns >= e.t_ns
    ORDER BY d.t_ns LIMIT 1
);

CREATE VIEW chained_events AS
SELECT e.device, e.boot, e.sequence, e.priority, e.kind, e.agent, e.event, e.t_ns,
    e.utc_ns AS wall_ns,
    CASE WHEN e.wall_ns IS NOT NULL THEN 'told' WHEN e.utc_ns IS NOT NULL THEN 'derived' END AS dated,
    CASE WHEN e.utc_ns IS NULL THEN (
        SELECT d.wall_ns FROM events d
        WHERE d.device = e.device AND d.boot < e.boot AND d.wall_ns IS NOT NULL
        ORDER BY d.boot DESC, d.t_ns DESC LIMIT 1
    ) END AS not_before_ns,
    CASE WHEN e.utc_ns IS NULL THEN $least(e.received_ns, COALESCE((
        SELECT d.wall_ns FROM events d
        WHERE d.device = e.device AND d.boot > e.boot AND d.wall_ns IS NOT NULL
        ORDER BY d.boot, d.t_ns LIMIT 1
    ), e.received_ns)) END AS not_after_ns,
    e.received_ns,
    CASE
        WHEN e.sequence = 1 AND e.previous = $genesis THEN 'verified'
        WHEN p.boot = e.boot AND p.sequence = e.sequence - 1 OR p.boot < e.boot AND e.sequence = 1 THEN 'verified'
        WHEN p.boot IS NOT NULL OR n.boot IS NOT NULL THEN 'broken'
        ELSE 'waiting'
    END AS chain
FROM dated_events e
LEFT JOIN events p ON p.device = e.device AND p.digest = e.previous
LEFT JOIN events n ON n.device = e.device AND n.boot = e.boot AND n.sequence = e.sequence - 1;

CREATE VIEW boots AS
SELECT device, boot, COUNT(*) AS dated, MIN(wall_ns - t_ns) AS offset_min_ns, MAX(wall_ns - t_ns) AS offset_max_ns
FROM events WHERE wall_ns IS NOT NULL GROUP BY device, boot;

CREATE VIEW restored_devices AS
SELECT device, COUNT(*) AS signs, MAX(received_ns) AS received_ns FROM (
    SELECT device, received_ns FROM dead_letters WHERE reason = '$taken'
    UNION ALL
    SELECT e.device, e.received_ns FROM events e JOIN events o
        ON o.device = e.device AND o.previous = e.previous
        AND (+o.boot < +e.boot OR +o.boot = +e.boot AND +o.sequence < +e.sequence)  -- so that by_previous is used
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
SELECT to_timestamp(COALESCE(wall_ns, not_after_ns) / 1e9) AS time, dated, device, kind, priority, event, chain
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
INSERT INTO dead_letters SELECT * FROM dead_letters_1;
DROP TABLE events_1;
DROP TABLE dead_letters_1;
"""
_BEFORE_3: Final = """
DROP VIEW devices;
DROP VIEW restored_devices;
DROP VIEW chained_events;
DROP TABLE boots;
CREATE INDEX by_arrival ON events (received_ns);
CREATE INDEX by_date ON events (device, boot, t_ns) WHERE wall_ns IS NOT NULL;
"""
_POSTGRES_BEFORE_2: Final = """
DROP VIEW dead_letters_by_reason, alarms, events_by_minute;
"""


def _sqlite(text: str) -> str:
    return Template(text).substitute(
        integer="INTEGER", json="TEXT", bytes="BLOB", serial="INTEGER", genesis="zeroblob(32)", taken=TAKEN, least="MIN"
    )


def _postgres(text: str) -> str:
    genesis = "decode(repeat('00', 32), 'hex')"
    return Template(text).substitute(
        integer="INTEGER",
        json="JSON",
        bytes="BYTEA",
        serial="BIGSERIAL",
        genesis=genesis,
        taken=TAKEN,
        least="LEAST",
    )


SQLITE_VERSION: Final = 4
SQLITE: Final = {
    0: _sqlite(_TABLES + _DESK + _VIEWS),
    1: _BEFORE_2 + _sqlite(_TABLES) + _AFTER_2 + _sqlite(_DESK + _VIEWS),
    2: _BEFORE_3 + _sqlite(_DESK + _VIEWS),
    3: _sqlite(_DESK),
}
"""What makes the newest schema out of each older one; 0 is an empty file."""
POSTGRES_VERSION: Final = 3
POSTGRES: Final = {
    0: _postgres(_TABLES + _DESK + _VIEWS) + _GRAFANA,
    1: _POSTGRES_BEFORE_2 + _BEFORE_3 + _postgres(_DESK + _VIEWS) + _GRAFANA,
    2: _postgres(_DESK),
}
"""The same; 0 is an empty database."""
