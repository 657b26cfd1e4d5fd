"""Objects as files of a folder, which may be one that several machines share.

    <folder>/<app>/2026-11-28/3f/3fc2…   one object
    <folder>/<app>/tmp/                  what is being written
    <folder>/<app>/owner                 whose objects these are

A file is written under another name, synced, and renamed, so it is whole or absent after any crash. Nothing below the
folder is reached through a symbolic link, and only this user can read what is made.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from msgspec import Struct

from pynenc.errors import StoreCorrupted, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from pynenc.ports.backend import Finding
from pynenc.ports.object_place import ObjectPlace

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_UNFINISHED = "tmp"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_LINKED = (errno.ELOOP, errno.ENOTDIR)
_LOW_BYTES = 1 << 30


class FoundFile(Struct, frozen=True, order=True):
    """An object's file; the order is that of when they were used last."""

    used_ns: int
    path: str
    size: int


class FolderPlace(ObjectPlace):
    """Keeps objects in files.

    Args:
        folder: absolute path.
        below: name of the folder in it that is this place's, as it is made of letters, digits, `-`, `_` and `.`.
        make: whether `folder` itself is made if it is missing.
        durable: whether files survive a power failure once they are written.
    """

    def __init__(self, folder: str, below: str = "", *, make: bool = False, durable: bool = True) -> None:
        self.url = f"file://{os.path.join(folder, below) if below else folder}"
        self._folder = folder
        self._below = below
        self._make = make
        self._durable = durable

    def has(self, group: str, name: str) -> bool:
        with self._said("looked at"), self._opened(group, name[:2]) as folder:
            return folder is not None and _is_file(folder, name)

    def write(self, group: str, name: str, content: bytes) -> None:
        with self._said("written to"), self._made(group, name[:2]) as folder, self._made(_UNFINISHED) as unfinished:
            temporary = self._write_aside(unfinished, content)
            try:
                os.rename(temporary, name, src_dir_fd=unfinished, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=unfinished)
                raise
            self._sync(folder)

    def create(self, name: str, content: bytes) -> bool:
        with self._said("written to"), self._made() as folder, self._made(_UNFINISHED) as unfinished:
            if _is_file(folder, name):
                return False
            temporary = self._write_aside(unfinished, content)
            try:
                # A link, unlike a rename, does not replace what another process made meanwhile.
                os.link(temporary, name, src_dir_fd=unfinished, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                return False
            finally:
                os.unlink(temporary, dir_fd=unfinished)
            self._sync(folder)
            return True

    def remove(self, name: str) -> None:
        with self._said("written to"), self._opened() as folder:
            if folder is not None:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    def read(self, group: str | None, name: str) -> bytes | None:
        parts = () if group is None else (group, name[:2])
        with self._said("read"), self._opened(*parts) as folder:
            if folder is None:
                return None
            # What somebody put there instead of a file, such as a pipe, must not let the reader wait.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                descriptor = os.open(name, flags, dir_fd=folder)
            except FileNotFoundError:
                return None
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise NotADirectoryError(errno.ENOTDIR, f"{name} is not a file")
            with open(descriptor, "rb") as file:
                return file.read()

    def groups(self) -> list[str]:
        with self._said("looked at"), self._opened() as folder:
            if folder is None:
                return []
            with os.scandir(folder) as entries:
                return sorted(
                    each.name for each in entries if each.name != _UNFINISHED and each.is_dir(follow_symlinks=False)
                )

    def drop_group(self, group: str) -> int:
        with self._said("written to"), self._opened() as folder:
            if folder is None:
                return 0
            number = sum(1 for _ in self._files_of(group))
            shutil.rmtree(group, dir_fd=folder, ignore_errors=True)
            # Says what kept it from going; another process may have been quicker.
            with suppress(FileNotFoundError):
                os.rmdir(group, dir_fd=folder)
            return number

    def sweep(self, *, before_us: int) -> None:
        with self._said("written to"), self._opened(_UNFINISHED) as folder:
            if folder is None:
                return
            for name in os.listdir(folder):
                with suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns // 1_000 < before_us:
                        os.unlink(name, dir_fd=folder)

    def name_of(self, group: str, name: str) -> str:
        return self.path_of(group, name)

    def path_of(self, group: str, name: str) -> str:
        """Return the path of an object's file."""
        return os.path.join(self._folder, self._below, group, name[:2], name)

    def files(self) -> Iterator[FoundFile]:
        """Yield the files of all objects."""
        for group in self.groups():
            yield from self._files_of(group)

    def diagnose(self) -> list[Finding]:
        try:
            with self._made(_UNFINISHED) as unfinished:
                os.unlink(self._write_aside(unfinished, b"doctor"), dir_fd=unfinished)
                found = os.fstat(unfinished)
        except (OSError, StoreError) as error:
            reason = error if isinstance(error, StoreError) else self._fault("written to", error)
            return [Finding(level="error", subject="client data", detail=str(reason))]
        return [*_rights(os.stat(os.path.join(self._folder, self._below)), self.url, found.st_uid), *self._space()]

    def close(self) -> None:
        """No descriptor is kept."""

    # --- folders ---

    @contextmanager
    def _opened(self, *names: str) -> Iterator[int | None]:
        """Open a folder below this place, each part without following a link; None if there is none."""
        descriptor = self._open_root()
        try:
            for name in (self._below, *names) if self._below else names:
                try:
                    inner = _open_folder(name, descriptor)
                except FileNotFoundError:
                    yield None
                    return
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _made(self, *names: str) -> Iterator[int]:
        """Open a folder below this place, having made what is missing of it."""
        descriptor = self._open_root()
        try:
            for name in (self._below, *names) if self._below else names:
                with suppress(FileExistsError):
                    os.mkdir(name, _FOLDER_MODE, dir_fd=descriptor)
                    self._sync(descriptor)
                inner = _open_folder(name, descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_root(self) -> int:
        if self._make:
            os.makedirs(self._folder, _FOLDER_MODE, exist_ok=True)
        try:
            return os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise StoreUnavailable(
                f"the folder {self._folder} of the client data store is not there: mount it, make it, or correct "
                "client_data_store"
            ) from error

    def _write_aside(self, folder: int, content: bytes) -> str:
        name = secrets.token_hex(16)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, _FILE_MODE, dir_fd=folder)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                rest = memoryview(content)
                while rest:
                    rest = rest[file.write(rest) :]
                self._sync(descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise
        return name

    def _sync(self, descriptor: int) -> None:
        if self._durable:
            os.fsync(descriptor)

    def _files_of(self, group: str) -> Iterator[FoundFile]:
        top = os.path.join(self._folder, self._below, group)
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                with suppress(FileNotFoundError):
                    found = os.lstat(path)
                    yield FoundFile(max(found.st_atime_ns, found.st_mtime_ns), path, found.st_size)

    # --- what is said ---

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._fault(what, error) from error

    def _fault(self, what: str, error: OSError) -> StoreError:
        text = f"the client data store {self.url} cannot be {what}: {error.strerror or error}"
        if error.errno in _FULL:
            return StoreFull(f"{text}; make room there")
        if error.errno in _FORBIDDEN:
            return StoreReadOnly(f"{text}; give the user {os.geteuid()} the right to write there")
        if error.errno in _LINKED:
            return StoreCorrupted(
                f"{text}: something in it is a link or a file where a folder belongs, which is not followed; remove it"
            )
        return StoreUnavailable(text)

    def _space(self) -> list[Finding]:
        free = shutil.disk_usage(self._folder).free
        if free >= _LOW_BYTES:
            return []
        detail = f"{free // 1_048_576} MiB are left on the disk of {self._folder}"
        return [Finding(level="warning", subject="client data", detail=detail, remedy="make room there")]


def _open_folder(name: str, within: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)


def _is_file(folder: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _rights(found: os.stat_result, url: str, user: int) -> list[Finding]:
    if found.st_uid == user and not found.st_mode & 0o077:
        return []
    return [
        Finding(
            level="warning",
            subject="client data",
            detail=f"other users may look into {url} (mode {stat.S_IMODE(found.st_mode):04o})",
            remedy="chmod 0700, so that nobody else reads or replaces values",
        )
    ]
