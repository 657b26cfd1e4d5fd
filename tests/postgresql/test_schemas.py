"""Schemas: made once, by whoever comes first; two releases side by side; what is newer or foreign is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pynenc.backends.postgresql.migrating import api_schema
from pynenc.composition import open_backend
from pynenc.errors import ConfigurationError, PynencError, SchemaTooNew, StoreCorrupted, StoreUnavailable
from pynenc.io import run
from pynenc.model.ids import new_invocation_id
from pynenc.model.records import Exchange, SessionInfo, SessionKind, Submission, Success
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend
from tests import stores
from tests.servers import url_of


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[str, str]]:
    with stores.fresh_url("postgresql", tmp_path) as found:
        yield found


@pytest.fixture
def admin() -> Iterator[psycopg.Connection]:
    with psycopg.connect(url_of("postgresql"), autocommit=True) as connection:
        yield connection


def submit(backend: Backend) -> bytes:
    invocation_id = new_invocation_id()
    run(backend.orchestrator.submit([Submission(invocation_id=invocation_id, task_id="t", arguments=b"")]))
    return invocation_id


def claimed(backend: Backend) -> list[bytes]:
    """Claim all that waits, as a runner of its own, and end it; return what that was."""
    info = SessionInfo(kind=SessionKind.RUNNER, name="runner", host="host", pid=1)
    session = run(backend.orchestrator.open_session(info, lease_us=60_000_000))
    claims = run(backend.orchestrator.exchange(Exchange(session=session, want=100))).claims
    done = tuple(Success(invocation_id=claim.invocation_id, epoch=claim.epoch, result=b"") for claim in claims)
    run(backend.orchestrator.exchange(Exchange(session=session, completions=done)))
    return [claim.invocation_id for claim in claims]


def test_many_that_start_at_once_make_one_schema(place: tuple[str, str]) -> None:
    backends = [open_backend(place[0], app_id=place[1]) for _ in range(6)]
    failed: list[PynencError] = []

    def use(backend: Backend) -> None:
        try:
            submit(backend)
        except PynencError as error:
            failed.append(error)

    threads = [threading.Thread(target=use, args=(backend,)) for backend in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert run(backends[0].state_backend.count()) == 6
    for backend in backends:
        backend.close()


def test_migrate_says_what_it_did_and_is_done_once(place: tuple[str, str]) -> None:
    backend = open_backend(place[0], app_id=place[1])

    first, second = run(backend.migrate()), run(backend.migrate())
    backend.close()

    assert first == ["001_pre_tables.sql", f"functions {api_schema('pynenc_' + place[1])}"]
    assert second == []


def test_functions_of_another_release_stay_until_the_post_migration(
    place: tuple[str, str], admin: psycopg.Connection
) -> None:
    schema = f"pynenc_{place[1]}"
    backend = open_backend(place[0], app_id=place[1])
    submit(backend)
    admin.execute(f"CREATE SCHEMA {schema}_0badc0de")

    assert run(backend.migrate()) == []
    assert run(backend.migrate(post=True)) == [f"dropped the functions {schema}_0badc0de"]

    submit(backend)
    backend.close()


def test_a_schema_that_a_newer_release_has_cleaned_up_is_refused(
    place: tuple[str, str], admin: psycopg.Connection
) -> None:
    submit(open_backend(place[0], app_id=place[1]))
    admin.execute(f"INSERT INTO pynenc_{place[1]}.meta VALUES ('migration 99', '099_post_drop.sql')")

    with pytest.raises(SchemaTooNew, match="099_post_drop"):
        submit(open_backend(place[0], app_id=place[1]))


def test_additive_migrations_of_a_newer_release_do_no_harm(place: tuple[str, str], admin: psycopg.Connection) -> None:
    submit(open_backend(place[0], app_id=place[1]))
    admin.execute(f"INSERT INTO pynenc_{place[1]}.meta VALUES ('migration 99', '099_pre_add.sql')")
    admin.execute(f"ALTER TABLE pynenc_{place[1]}.session ADD COLUMN note text")

    submit(open_backend(place[0], app_id=place[1]))


def test_what_somebody_took_away_is_told_of(place: tuple[str, str], admin: psycopg.Connection) -> None:
    backend = open_backend(place[0], app_id=place[1])
    submit(backend)
    admin.execute(f"ALTER TABLE pynenc_{place[1]}.live RENAME TO gone")

    with pytest.raises(StoreCorrupted, match="doctor"):
        submit(backend)

    admin.execute(f"ALTER TABLE pynenc_{place[1]}.gone RENAME TO live")
    submit(backend)
    backend.close()


def test_a_user_without_rights_is_told_which(place: tuple[str, str], admin: psycopg.Connection) -> None:
    admin.execute("DROP ROLE IF EXISTS weak")
    admin.execute("CREATE ROLE weak LOGIN PASSWORD 'hunter2'")
    head, _, tail = place[0].partition("@")
    backend = open_backend(f"postgresql://weak:hunter2@{tail}", app_id=place[1])

    with pytest.raises(ConfigurationError, match="CREATE on the database") as caught:
        submit(backend)
    backend.close()
    admin.execute("DROP ROLE weak")

    assert head
    assert "hunter2" not in str(caught.value) + backend.url


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"password": "wrong"}, ConfigurationError, "refused the user"),
        ({"dbname": "nowhere"}, ConfigurationError, "refused the user"),
        ({"port": "1"}, StoreUnavailable, "cannot be reached"),
    ],
)
def test_a_server_that_refuses_is_told_of(change: dict[str, str], error: type[Exception], says: str) -> None:
    given = psycopg.conninfo.conninfo_to_dict(url_of("postgresql")) | change
    url = f"postgresql://{given['user']}:{given['password']}@{given['host']}:{given['port']}/{given['dbname']}"

    with pytest.raises(error, match=says) as caught:
        submit(open_backend(f"{url}?call_timeout_s=0.5"))

    assert str(given["password"]) not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://host/db?durabilty=full", "did you mean 'durability'"),
        ("postgresql://host/db?durability=sometimes", "none, normal, full, replicated"),
        ("postgresql://host/db?pool_size=many", "whole number"),
        ("postgresql://host/db?schema=a-b", "a-z, 0-9 and _"),
        ("postgresql://host/db?pgbouncer=statement", "transaction or session"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        open_backend(url)


def test_apps_in_one_database_share_nothing(place: tuple[str, str], tmp_path: Path) -> None:
    with stores.fresh_url("postgresql", tmp_path) as second, stores.fresh_url("postgresql", tmp_path) as third:
        backends = [open_backend(url, app_id=app_id) for url, app_id in (place, second, third)]
        known = [submit(backend) for backend in backends]

        claims = [claimed(backend) for backend in backends]
        outcomes = [run(backend.state_backend.count(statuses=[InvocationStatus.SUCCESS])) for backend in backends]
        run(backends[0].state_backend.purge(None))

        assert claims == [[invocation_id] for invocation_id in known]
        assert outcomes == [1, 1, 1]
        assert [run(backend.state_backend.count()) for backend in backends] == [0, 1, 1]
        assert [len(run(backend.orchestrator.list_sessions())) for backend in backends] == [1, 1, 1]
        for backend in backends:
            backend.close()


def test_the_post_migration_of_one_app_leaves_an_app_alone_whose_name_goes_on(
    place: tuple[str, str], admin: psycopg.Connection
) -> None:
    first, other = open_backend(place[0], app_id=place[1]), open_backend(place[0], app_id=f"{place[1]}_0badc0de")
    submit(first)
    submit(other)

    assert run(first.migrate(post=True)) == []

    submit(other)
    assert run(other.state_backend.count()) == 2
    first.close()
    other.close()


def test_a_user_who_may_use_the_schemas_of_another_needs_no_more(
    place: tuple[str, str], admin: psycopg.Connection
) -> None:
    owner = open_backend(place[0], app_id=place[1])
    run(owner.migrate())
    owner.close()
    role = f"guest_{place[1]}"
    tables, functions = f"pynenc_{place[1]}", api_schema(f"pynenc_{place[1]}")
    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")
    backend = open_backend(f"postgresql://{role}:hunter2@{place[0].partition('@')[2]}", app_id=place[1])
    try:
        with pytest.raises(ConfigurationError, match="USAGE on the app's schemas"):
            submit(backend)
        admin.execute(f"GRANT USAGE ON SCHEMA {tables}, {functions} TO {role}")
        with pytest.raises(ConfigurationError, match="all rights on what is in them"):
            submit(backend)
        admin.execute(
            f"GRANT ALL ON ALL TABLES IN SCHEMA {tables}, {functions} TO {role}; "
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {tables} TO {role}"
        )

        known = submit(backend)

        assert claimed(backend) == [known]
    finally:
        backend.close()
        admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_doctor_names_level_and_wake_ups(place: tuple[str, str]) -> None:
    backend = open_backend(f"{place[0]}?durability=replicated", app_id=place[1])

    findings = {finding.subject: finding for finding in run(backend.diagnose())}
    backend.close()

    assert "D3" in findings["durability"].detail
    assert findings["replication"].level == "error"
    assert "LISTEN" in findings["wake-ups"].detail
