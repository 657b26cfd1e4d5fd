"""Private PostgreSQL servers."""

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

from tests.private_servers.process import SETTINGS, ServerProcess, do_without

ROLE = "pynenc"
PASSWORD = secrets.token_hex(12)


class PostgresServer(ServerProcess):
    """One server with the superuser and the database `pynenc`; at the end of its context its data is removed.

    The data starts as a copy of a cluster that is made once per test session, because `initdb` takes a while.
    """

    _stop_signal = signal.SIGINT  # after SIGTERM it waits for its clients

    def __init__(self, folder: Path, port: int = 0, settings: Mapping[str, str] | None = None) -> None:
        """Prepare a server; nothing runs yet.

        Args:
            folder: for its log, and its data unless the tests run as root, as which PostgreSQL refuses to run.
            port: 0 for a free one.
            settings: of the server, in addition to those in scripts/services.d/postgresql.conf.
        """
        super().__init__(folder, port)
        self._settings = {"port": str(self.port), "unix_socket_directories": "", **(settings or {})}
        self._account = server_account()
        self._data = _copy_of_template(folder)

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{self.port}/{ROLE}"

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


def server_account() -> str | None:
    """Return the account that a server has to run as; None for that of the tests."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


def _copy_of_template(folder: Path) -> Path:
    """Copy the template, with the owner and mode of its files, to where the account of the server can reach it."""
    if server_account() is None:
        data = folder / "data"
    else:
        data = Path(tempfile.mkdtemp(prefix="pynenc-test-postgresql-", dir="/tmp")) / "data"
        data.parent.chmod(0o711)
        atexit.register(shutil.rmtree, data.parent, ignore_errors=True)
    subprocess.run(["cp", "-a", str(_template()), str(data)], check=True)
    return data


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
