"""Private PostgreSQL servers: one, one behind PgBouncer, a primary with its standby."""

from __future__ import annotations

import atexit
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import psycopg

from tests.private_servers.process import SETTINGS, ServerProcess, do_without, wait_until

ROLE = "pynenc"
PASSWORD = secrets.token_hex(12)


class PostgresServer(ServerProcess):
    """One server with the superuser and the database `pynenc`; at the end of its context its data is removed.

    The data starts as a copy of a cluster that is made once per test session, because `initdb` takes a while.
    """

    _stop_signal = signal.SIGINT  # after SIGTERM it waits for its clients

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        data_parent: Path | None = None,
    ) -> None:
        """Prepare a server; nothing runs yet.

        Args:
            folder: for its log, and its data unless the tests run as root, as which PostgreSQL refuses to run.
            port: 0 for a free one.
            settings: of the server, in addition to those in scripts/services.d/postgresql.conf.
            data_parent: a folder that the account of the server can reach, for its data.
        """
        super().__init__(folder, port)
        self._settings = {"port": str(self.port), "unix_socket_directories": "", **(settings or {})}
        self._account = server_account()
        self._data = self._make_data(data_parent or _reachable_folder(folder))

    def _make_data(self, parent: Path) -> Path:
        """Copy the template, with the owner and mode of its files."""
        subprocess.run(["cp", "-a", str(_template()), str(parent / "data")], check=True)
        return parent / "data"

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{self.port}/{ROLE}"

    def wait_for_standbys(self, number: int) -> None:
        """Wait until so many standbys follow. Raises TimeoutError."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            following = "SELECT count(*) = %s FROM pg_stat_replication WHERE state = 'streaming'"
            wait_until(lambda: bool((connection.execute(following, [number]).fetchone() or [False])[0]))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        shutil.rmtree(self._data)

    def _command(self) -> Sequence[str]:
        settings = (f"--{name}={value}" for name, value in self._settings.items())
        return [_program("postgres"), "-D", str(self._data), *settings]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


class Standby(PostgresServer):
    """A copy of a running server that follows it, and can take its place.

    Args:
        primary: whom it copies when it is made.
        port_of_primary: where it reaches the primary from then on; 0 for the primary's own port.
    """

    def __init__(self, folder: Path, primary: PostgresServer, port_of_primary: int = 0) -> None:
        self._primary = primary
        source = f"host=127.0.0.1 port={port_of_primary or primary.port} user={ROLE} password={PASSWORD}"
        super().__init__(folder, settings={"primary_conninfo": source, "hot_standby": "on"})

    def _make_data(self, parent: Path) -> Path:
        command = [_program("pg_basebackup"), "-D", str(parent / "data"), "-d", self._primary.url, "-R", "-c", "fast"]
        _run_as(server_account(), command)
        return parent / "data"

    def promote(self) -> None:
        """Make it the primary; the old one must be gone."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true)")


class PgBouncer(ServerProcess):
    """PgBouncer in transaction mode in front of a server."""

    _stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        super().__init__(folder)
        self._account = server_account()
        self._place = _reachable_folder(folder)
        (self._place / "users").write_text(f'"{ROLE}" "{PASSWORD}"\n', encoding="ascii")
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self._place / "users"),
            "pool_mode": "transaction",
            "server_login_retry": "1",
        }
        lines = ["[databases]", f"* = host=127.0.0.1 port={server.port}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (self._place / "pgbouncer.ini").write_text("\n".join([*lines, ""]), encoding="ascii")
        if self._account is not None:
            for path in self._place.iterdir():
                shutil.chown(path, self._account)

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{self.port}/{ROLE}"

    def _command(self) -> Sequence[str]:
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        return [program or do_without("no pgbouncer: run `scripts/services start`"), str(self._place / "pgbouncer.ini")]

    def _answers(self) -> bool:
        # Through to the database if that is up; else that it takes connections is enough.
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            return "server" in str(error) and "refused" not in str(error)
        return True


def server_account() -> str | None:
    """Return the account that a server has to run as; None for that of the tests."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


def _reachable_folder(folder: Path) -> Path:
    """Return `folder`, or one in its stead that the account of the server can reach."""
    account = server_account()
    if account is None:
        return folder
    reachable = Path(tempfile.mkdtemp(prefix="pynenc-test-postgresql-", dir="/tmp"))
    shutil.chown(reachable, account)
    reachable.chmod(0o711)
    atexit.register(shutil.rmtree, reachable, ignore_errors=True)
    return reachable


@lru_cache(maxsize=1)
def _template() -> Path:
    """Make a cluster that holds nothing but the role and the database. Skips the test when PostgreSQL is missing."""
    initdb = _program("initdb")
    folder = Path(tempfile.mkdtemp(prefix="pynenc-test-postgresql-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "password").write_text(PASSWORD, encoding="ascii")
    account = server_account()
    if account is not None:
        for path in (folder, folder / "password"):
            shutil.chown(path, account)
    options = [f"--username={ROLE}", f"--pwfile={folder / 'password'}", "--auth=scram-sha-256"]
    _run_as(account, [initdb, "-D", str(folder / "data"), *options, "--encoding=UTF8", "--locale=C", "--no-sync"])
    with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        configuration.write((SETTINGS / "postgresql.conf").read_text(encoding="utf-8"))
    # The server would need to run for this; in its single-user mode it takes commands from its input.
    _run_as(
        account, [_program("postgres"), "--single", "-D", str(folder / "data"), "postgres"], "create database pynenc\n"
    )
    return folder / "data"


def _run_as(account: str | None, command: Sequence[str], words: str = "") -> None:
    subprocess.run(
        command,
        cwd="/",
        input=words.encode(),
        user=account,
        group=None if account is None else pwd.getpwnam(account).pw_gid,
        extra_groups=None if account is None else [],
        capture_output=True,
        check=True,
        timeout=120,
    )


def _program(name: str) -> str:
    """Return the path of a program of the newest PostgreSQL. Skips the test when there is none."""
    patterns = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
    folders = [folder for pattern in patterns for folder in sorted(Path("/").glob(pattern))]
    for folder in reversed(folders):
        if (folder / "postgres").exists() and (folder / name).exists():
            return str(folder / name)
    return shutil.which(name) or do_without("no PostgreSQL: run `scripts/services start postgresql`, or install it")
