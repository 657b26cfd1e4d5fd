"""The schemas of a store: tables in one that is migrated, functions in one per version of their text.

Functions of two releases live side by side, so runners of both may be up while a fleet is upgraded: `pre` migrations
only add to the tables and run by themselves, `post` migrations take away what the older release needed and run when
somebody says that none of it is left. The steps are generators of statements, performed blocking or on an event loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from pynenc.backends.protocol_files import names, read_text
from pynenc.errors import SchemaTooNew

SCHEMA_VERSION = 1
"""The last migration this release knows."""

Steps = Generator[tuple[str, Sequence[Any]], list[tuple[Any, ...]], Any]


class Migration(Struct, frozen=True):
    """One step of the tables."""

    number: int
    is_post: bool
    file: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Return every migration of this release, in order."""
    found = []
    for file in names("postgres", ".sql"):
        number, when, _ = file.rpartition("/")[2].split("_", 2)
        found.append(Migration(int(number), when == "post", file))
    return tuple(found)


@cache
def functions_text() -> str:
    """Return the text of all functions, with its placeholders."""
    return "\n".join(read_text(file) for file in names("postgres/functions", ".sql"))


def api_schema(schema: str) -> str:
    """Return the schema of this release's functions."""
    return f"{schema}_{hashlib.blake2b(functions_text().encode(), digest_size=4).hexdigest()}"


def ensure(schema: str) -> Steps:
    """Create or complete what this release needs; return what was done: nothing if it is there.

    Raises:
        SchemaTooNew: a newer release has taken away what this one needs.
    """
    api = api_schema(schema)
    known = yield "SELECT to_regnamespace(%s) IS NOT NULL, to_regnamespace(%s) IS NOT NULL", (schema, api)
    if known[0] == (True, True):
        yield from _refuse_newer(schema)
        if not (yield from pending(schema)):
            return []
    yield "BEGIN", ()
    yield "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"pynenc {schema}",)
    yield f"CREATE SCHEMA IF NOT EXISTS {schema}", ()
    yield from _refuse_newer(schema)
    done = []
    for migration in (yield from pending(schema)):
        yield from _apply(schema, migration)
        done.append(migration.file.rpartition("/")[2])
    if not (yield "SELECT 1 WHERE to_regnamespace(%s) IS NOT NULL", (api,)):
        yield f"CREATE SCHEMA {api}", ()
        yield functions_text().replace("{schema}", schema).replace("{api}", api), ()
        done.append(f"functions {api}")
    yield "COMMIT", ()
    return done


def pending(schema: str, *, post: bool = False) -> Generator[Any, Any, list[Migration]]:
    """Return the migrations that are to be applied: additive ones, with `post` all."""
    done = yield from _applied(schema)
    return [each for each in migrations() if each.number not in done and (post or not each.is_post)]


def finish(schema: str) -> Steps:
    """Apply what takes away what older releases needed, and drop their functions; return what was done."""
    done = yield from ensure(schema)
    yield "BEGIN", ()
    yield "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"pynenc {schema}",)
    for migration in (yield from pending(schema, post=True)):
        yield from _apply(schema, migration)
        done.append(migration.file.rpartition("/")[2])
    # One with tables is not ours: it belongs to an app whose name goes on like that.
    older = yield (
        "SELECT nspname FROM pg_namespace n WHERE nspname ~ %s AND nspname <> %s "
        "AND NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relkind IN ('r', 'p')) ORDER BY 1",
        (f"^{schema}_[0-9a-f]{{8}}$", api_schema(schema)),
    )
    for (name,) in older:
        yield f"DROP SCHEMA {name} CASCADE", ()
        done.append(f"dropped the functions {name}")
    yield "COMMIT", ()
    return done


def _apply(schema: str, migration: Migration) -> Steps:
    yield read_text(migration.file).replace("{schema}", schema), ()
    yield (
        f"INSERT INTO {schema}.meta VALUES (%s, %s)",
        (f"migration {migration.number}", migration.file.rpartition("/")[2]),
    )


def _applied(schema: str) -> Generator[Any, Any, set[int]]:
    if not (yield "SELECT 1 WHERE to_regclass(%s) IS NOT NULL", (f"{schema}.meta",)):
        return set()
    rows = yield f"SELECT substr(name, 11)::integer FROM {schema}.meta WHERE name LIKE 'migration %%'", ()
    return {row[0] for row in rows}


def _refuse_newer(schema: str) -> Steps:
    done = yield from _applied(schema)
    rows: list[tuple[Any, ...]] = []
    if done:
        rows = yield (
            f"SELECT value FROM {schema}.meta WHERE name LIKE 'migration %%' AND value LIKE '%%\\_post\\_%%'",
            (),
        )
    ours = {each.file.rpartition("/")[2] for each in migrations()}
    newer = sorted(value for (value,) in rows if value not in ours)
    if newer:
        raise SchemaTooNew(
            f"the schema {schema} was migrated by a newer release of Pynenc ({newer[-1]}), which took away what "
            "this one needs; upgrade this process, or use another schema"
        )
