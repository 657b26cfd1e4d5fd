"""What `pynenc doctor` finds out about the database."""

from __future__ import annotations

import time

from pynenc.backends.postgresql.database import Database
from pynenc.backends.postgresql.location import DURABILITIES
from pynenc.errors import PynencError
from pynenc.io import Op
from pynenc.ports.backend import Finding

LEVELS = {
    "none": "D1 (synchronous_commit=off; a database cannot promise less): survives kill -9 of processes",
    "normal": "D1 (synchronous_commit=off): a crash of the server or loss of power may take the last 0.6 s",
    "full": "D2 (synchronous_commit=on): every acknowledged write is on disk; survives loss of power",
    "replicated": "D3 (synchronous_commit=remote_apply): every acknowledged write is on the standbys as well",
}
_COMMITS = ("off", "local", "remote_write", "on", "remote_apply")
"""Values of `synchronous_commit`, from the least."""
_OLDEST = 130_000
_MOST_SKEW_S = 1.0
_OLD_TRANSACTION_S = 300
_OLD_SLOT = 1_000_000
_MANY_DEAD = 100_000
_RARE_VACUUM_S = 60


def diagnose(database: Database) -> Op[list[Finding]]:
    """Return what is good and what is not about the database."""
    try:
        before = time.time()
        rows = yield from database.query(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), "
            "extract(epoch FROM clock_timestamp())::float8, current_setting('fsync'), "
            "current_setting('full_page_writes'), current_setting('synchronous_standby_names'), pg_is_in_recovery(), "
            "current_setting('synchronous_commit')"
        )
        after = time.time()
    except PynencError as error:
        return [Finding(level="error", subject="server", detail=str(error), remedy="check the URL and the server")]
    number, version, there, fsync, pages, standbys, standby, commit = rows[0]
    findings = [_version(number, version), *_durability(database, fsync, pages, standbys)]
    findings += _commits(database, commit)
    if standby:
        detail = "the server is a standby and cannot be written"
        findings.append(Finding(level="error", subject="server", detail=detail, remedy="name the primary"))
    findings.append(_clock(there - (before + after) / 2, after - before))
    findings.append(_doorbell(database))
    findings += yield from _hygiene(database)
    return findings


def _version(number: int, version: str) -> Finding:
    if number < _OLDEST:
        detail = f"PostgreSQL {version} is too old"
        return Finding(level="error", subject="server", detail=detail, remedy="use PostgreSQL 13 or later")
    return Finding(level="ok", subject="server", detail=f"PostgreSQL {version}")


def _durability(database: Database, fsync: str, pages: str, standbys: str) -> list[Finding]:
    level = database.location.durability
    findings = [Finding(level="ok", subject="durability", detail=f"{level}: {LEVELS[level]}")]
    if level != "none" and (fsync != "on" or pages != "on"):
        findings.append(
            Finding(
                level="error",
                subject="fsync",
                detail=f"fsync={fsync}, full_page_writes={pages}: a crash of the machine may damage everything",
                remedy="turn both on, or declare durability=none",
            )
        )
    if level == "replicated" and not standbys:
        findings.append(
            Finding(
                level="error",
                subject="replication",
                detail="durability=replicated, but synchronous_standby_names is empty: no standby is waited for",
                remedy="name synchronous standbys, or declare durability=full",
            )
        )
    return findings


def _commits(database: Database, commit: str) -> list[Finding]:
    """Return whether commits wait for less than was declared: a pooler leaves that to the server."""
    wanted = DURABILITIES[database.location.durability]
    if _COMMITS.index(commit) >= _COMMITS.index(wanted):
        return []
    detail = f"commits are acknowledged with synchronous_commit={commit}, which is less than the durability declared"
    remedy = f"ALTER DATABASE … SET synchronous_commit = {wanted}, or declare a lower durability"
    return [Finding(level="error", subject="synchronous_commit", detail=detail, remedy=remedy)]


def _clock(off: float, took: float) -> Finding:
    if abs(off) > _MOST_SKEW_S + took:
        detail = f"the server's clock is {off:+.1f} s off this machine's; all times are the server's"
        return Finding(level="warning", subject="clock", detail=detail, remedy="synchronise the clocks")
    return Finding(level="ok", subject="clock", detail=f"{off * 1e3:+.1f} ms off this machine's")


def _doorbell(database: Database) -> Finding:
    if database.location.pooled:
        detail = "behind pgbouncer in transaction mode sleepers poll: work starts up to 0.25 s late"
        return Finding(level="ok", subject="wake-ups", detail=detail)
    return Finding(level="ok", subject="wake-ups", detail="pushed (LISTEN/NOTIFY)")


def _hygiene(database: Database) -> Op[list[Finding]]:
    """Return what keeps dead rows in the tables: every claim walks past those in its index."""
    rows = yield from database.query(
        "SELECT coalesce((SELECT max(extract(epoch FROM clock_timestamp() - xact_start))::float8 FROM pg_stat_activity "
        "WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND coalesce(datname, current_database()) = "
        "current_database()), 0), "
        "coalesce((SELECT max(extract(epoch FROM clock_timestamp() - prepared))::float8 FROM pg_prepared_xacts "
        "WHERE database = current_database()), 0), "
        "coalesce((SELECT slot_name::text FROM pg_replication_slots WHERE age(xmin) > %s "
        "ORDER BY age(xmin) DESC LIMIT 1), ''), "
        "current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on', "
        "(SELECT setting::integer FROM pg_settings WHERE name = 'autovacuum_naptime')",
        _OLD_SLOT,
    )
    oldest_s, prepared_s, slot, vacuums, nap_s = rows[0]
    findings = _pinned(oldest_s, prepared_s, slot)
    if not vacuums:
        detail = "autovacuum does not run (autovacuum, track_counts): dead rows pile up and claims slow down"
        findings.append(Finding(level="warning", subject="autovacuum", detail=detail, remedy="turn both on"))
    elif nap_s > _RARE_VACUUM_S:
        detail = f"autovacuum looks every {nap_s} s only: a busy queue leaves many dead rows in that time"
        findings.append(
            Finding(level="warning", subject="autovacuum", detail=detail, remedy="set autovacuum_naptime = 5s")
        )
    return findings + (yield from _dead_rows(database))


def _pinned(oldest_s: float, prepared_s: float, slot: str) -> list[Finding]:
    """Return who keeps the server from removing dead rows."""
    pinned = []
    if oldest_s > _OLD_TRANSACTION_S:
        detail = f"the oldest open transaction is {oldest_s:.0f} s old"
        pinned.append((detail, "find it in pg_stat_activity and end it; set idle_in_transaction_session_timeout"))
    if prepared_s > _OLD_TRANSACTION_S:
        detail = f"a prepared transaction is {prepared_s:.0f} s old"
        pinned.append((detail, "find it in pg_prepared_xacts; COMMIT PREPARED or ROLLBACK PREPARED"))
    if slot:
        detail = f"the replication slot {slot} holds back more than {_OLD_SLOT:,} transactions"
        pinned.append((detail, "bring its standby back, or pg_drop_replication_slot"))
    return [
        Finding(
            level="warning",
            subject="transactions",
            detail=f"{detail}: dead rows stay, claims slow down",
            remedy=remedy,
        )
        for detail, remedy in pinned
    ]


def _dead_rows(database: Database) -> Op[list[Finding]]:
    rows = yield from database.query(
        "SELECT relname, n_dead_tup FROM pg_stat_all_tables WHERE schemaname = %s AND n_dead_tup > %s "
        "AND relname IN ('live', 'session', 'sleeper', 'watch', 'inbox', 'lane', 'unit') "
        "ORDER BY n_dead_tup DESC LIMIT 1",
        *(database.location.schema, _MANY_DEAD),
    )
    return [
        Finding(
            level="warning",
            subject="vacuum",
            detail=f"{dead:,} dead rows in the table {table}",
            remedy=f"VACUUM {database.location.schema}.{table}; let autovacuum run",
        )
        for table, dead in rows
    ]
