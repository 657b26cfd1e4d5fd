"""The file and this process's connections to it: one writer, a few readers, and what `fork` does to them.

SQLite keeps locks per process and remembers them per file, so a child that inherits open connections believes in
locks it does not hold, even through connections it opens itself. Therefore every connection is closed right before
a fork, and parent and child open new ones when they need them.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pynenc.backends.sqlite.connecting import check_version, connect, create_file
from pynenc.backends.sqlite.faults import is_busy, translate
from pynenc.backends.sqlite.location import Location
from pynenc.backends.sqlite.lock_holders import who_writes
from pynenc.backends.sqlite.migrating import is_current, migrate, use_write_ahead_log
from pynenc.backends.sqlite.queue_names import QueueNames
from pynenc.errors import StoreTimeout, StoreUnavailable

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

_MOST_SPARE_READERS = 4
_FORK_PATIENCE_S = 10.0
# Short at first because a unit takes well under a millisecond; SQLite's own handler sleeps at least one.
_PAUSES_S = (20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3)


class Database:
    """Runs units of work on one file, safe for threads, forks and any number of processes."""

    def __init__(self, location: Location) -> None:
        check_version()
        self.location = location
        self.path = location.path
        self.queue_names = QueueNames()
        self.migrated: list[str] = []
        """What opening the file added to its schema, by the names of the migrations."""
        self._identity: tuple[int, int] | None = None
        self._start_afresh()
        _databases.add(self)

    def _start_afresh(self) -> None:
        self._writing = threading.Lock()
        self._readers_changed = threading.Condition(threading.Lock())
        self._active_readers = 0
        self._forking = False
        self._spare_readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._executor: ThreadPoolExecutor | None = None

    # --- units of work ---

    def write(self, unit: Callable[[sqlite3.Connection], T]) -> T:
        """Run `unit` between BEGIN IMMEDIATE and COMMIT: all of it happens or nothing.

        Raises:
            StoreTimeout: others wrote for longer than `busy_timeout_s`.
            StoreError: what else SQLite may say, see `faults`.
        """
        with self._writing:
            try:
                connection = self._open_writer()
                self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
                return _to_the_end(connection, unit)
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def read(self, unit: Callable[[sqlite3.Connection], T]) -> T:
        """Run `unit` on one consistent state of the store. Never waits for a writer, never makes one wait.

        Raises:
            StoreError: what SQLite may say, see `faults`.
        """
        if self._writer is None:
            with self._writing:
                try:
                    self._open_writer()
                except sqlite3.Error as error:
                    raise self._failed(error) from error
        connection = self._borrow_reader()
        healthy = False
        try:
            self._check_identity()
            if connection is None:
                connection = self._patiently(lambda: connect(self.location, writer=False))
            reader = connection
            result = self._patiently(lambda: _in_snapshot(reader, unit))
            healthy = True
            return result
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        finally:
            self._return_reader(connection, keep=healthy)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run `function` in the one thread that serves event loops."""
        import asyncio

        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pynenc-sqlite")
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def close(self) -> None:
        """Close every connection; the next unit opens new ones."""
        with self._writing:
            self._close_connections()
            self._identity = None
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    # --- connections ---

    def _open_writer(self) -> sqlite3.Connection:
        """Return the writer; the caller holds `_writing`."""
        if self._writer is not None:
            self._check_identity()
            return self._writer
        if self._identity is None:
            create_file(self.path)
        else:
            self._check_identity()
        connection = self._patiently(lambda: connect(self.location, writer=True))
        try:
            self._prepare(connection)
        except BaseException:
            _roll_back(connection)
            connection.close()
            raise
        self._identity = _identity(self.path)
        self._writer = connection
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        current = self._patiently(lambda: _in_snapshot(connection, lambda each: is_current(each, self.path)))
        self._patiently(lambda: use_write_ahead_log(connection, self.path))
        if not current:
            self._patiently(lambda: connection.execute("BEGIN EXCLUSIVE"))
            done = migrate(connection, self.path)
            connection.execute("COMMIT")
            self.migrated += done

    def _borrow_reader(self) -> sqlite3.Connection | None:
        """Count one more reader and hand out a connection, if there is a spare one."""
        with self._readers_changed:
            while self._forking:
                self._readers_changed.wait()
            self._active_readers += 1
            return self._spare_readers.pop() if self._spare_readers else None

    def _return_reader(self, connection: sqlite3.Connection | None, *, keep: bool) -> None:
        with self._readers_changed:
            self._active_readers -= 1
            if connection is not None and keep and len(self._spare_readers) < _MOST_SPARE_READERS:
                self._spare_readers.append(connection)
                connection = None
            if self._forking:
                self._readers_changed.notify_all()
        if connection is not None:
            connection.close()

    def _close_connections(self) -> None:
        with self._readers_changed:
            spare, self._spare_readers = self._spare_readers, []
        for connection in spare:
            connection.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _check_identity(self) -> None:
        """Notice that the file went: SQLite would go on writing to one that nobody can open any more."""
        try:
            found = _identity(self.path)
        except FileNotFoundError:
            found = None
        except OSError as error:
            raise StoreUnavailable(f"the store {self.path} cannot be reached: {error.strerror}") from error
        if found == self._identity or self._identity is None:
            return
        raise StoreUnavailable(
            f"the file of the store {self.path} was {'deleted' if found is None else 'replaced'} while it was in use; "
            "nothing was done. Put it back, or restart the processes that use it to begin with a new one."
        )

    # --- trouble ---

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """Repeat `attempt` while somebody else holds a lock, for at most `busy_timeout_s`."""
        deadline: float | None = None
        tries = 0
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                now = time.monotonic()
                if deadline is None:
                    deadline = now + self.location.busy_timeout_s
                if now >= deadline:
                    raise self._timed_out() from error
            time.sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)] * random.uniform(0.5, 1.0))
            tries += 1

    def _timed_out(self) -> StoreTimeout:
        return StoreTimeout(
            f"the store {self.path} stayed locked for {self.location.busy_timeout_s:g} s; {who_writes(self.path)}. "
            "Nothing was done. End or resume that process, or raise busy_timeout_s in the store's URL."
        )

    def _failed(self, error: sqlite3.Error) -> Exception:
        """Translate an error of the writer, which may not be usable any more; the caller holds `_writing`."""
        # Before closing, which folds the write-ahead log in and so hides how large it had become.
        translated = translate(error, self.path)
        if not is_busy(error):
            self._close_connections()
        return translated

    # --- fork ---

    def _before_fork(self) -> bool:
        """Wait for the units of other threads and close everything; False if that took too long."""
        if not self._writing.acquire(timeout=_FORK_PATIENCE_S):
            return False
        with self._readers_changed:
            self._forking = True
            self._readers_changed.wait_for(lambda: self._active_readers == 0, timeout=_FORK_PATIENCE_S)
        self._close_connections()
        return True

    def _after_fork_in_parent(self) -> None:
        with self._readers_changed:
            self._forking = False
            self._readers_changed.notify_all()
        self._writing.release()

    def _after_fork_in_child(self) -> None:
        # Inherited connections must neither be used nor closed; what is referenced here is never collected.
        _inherited.append((self._writer, self._spare_readers, self._executor))
        self._start_afresh()


def _in_snapshot(connection: sqlite3.Connection, unit: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    return _to_the_end(connection, unit)


def _to_the_end(connection: sqlite3.Connection, unit: Callable[[sqlite3.Connection], T]) -> T:
    """Run `unit` in the transaction that has begun, and commit it; or roll it back."""
    try:
        result = unit(connection)
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return result


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        # SQLite has rolled back already, or the connection is closed after this: nothing is kept either way.
        return


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Any] = []
_held = threading.local()


def _before_fork() -> None:
    _held.databases = [database for database in list(_databases) if database._before_fork()]


def _after_fork_in_parent() -> None:
    for database in _held.databases:
        database._after_fork_in_parent()


def _after_fork_in_child() -> None:
    for database in list(_databases):
        database._after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
