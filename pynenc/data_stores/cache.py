"""Objects that were read lately, on the disk of this machine, for all its processes.

The files are those of a folder store, so they are whole or absent; what was read long ago goes first once all are
larger than the bound. Whatever goes wrong here only costs another look at the place itself.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from typing import Protocol

from pynenc.data_stores.folder import FolderPlace
from pynenc.errors import StoreError

_UNFINISHED_US = 3_600_000_000

logger = logging.getLogger(__name__)

_LEAVE = 0.8
"""Part of the bound to which it is emptied, so that it is not looked through for every object."""
_LOOK_AFTER = 1 / 16
"""Part of the bound after which a process looks again how much the others have written."""


class Cache(Protocol):
    """What was read lately."""

    def read(self, group: str, name: str) -> bytes | None: ...

    def write(self, group: str, name: str, parcel: bytes) -> None: ...

    def drop(self, group: str, name: str) -> None: ...


class _NoCache(Cache):
    def read(self, group: str, name: str) -> bytes | None:
        return None

    def write(self, group: str, name: str, parcel: bytes) -> None:
        """Nothing is kept."""

    def drop(self, group: str, name: str) -> None:
        """There is nothing."""


NO_CACHE: Cache = _NoCache()


class DiskCache(Cache):
    """Keeps objects in files up to a bound, the same files for every process that is given the folder.

    Args:
        folder: is made if it is missing, for this user alone.
        most_bytes: how large all files may be together, but for what several processes write at one moment.
    """

    def __init__(self, folder: str, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._place = FolderPlace(folder, make=True, durable=False)
        self._may_write_bytes = 0
        self._broken = False

    def read(self, group: str, name: str) -> bytes | None:
        try:
            parcel = self._place.read(group, name)
        except StoreError as error:
            self._give_up(error)
            return None
        if parcel is not None:
            # When it was read last; the file system may not say.
            with suppress(OSError):
                os.utime(self._place.path_of(group, name))
        return parcel

    def write(self, group: str, name: str, parcel: bytes) -> None:
        if self._broken or len(parcel) > self._most_bytes:
            return
        try:
            if len(parcel) > self._may_write_bytes:
                self._may_write_bytes = self._make_room(len(parcel))
            self._place.write(group, name, parcel)
            self._may_write_bytes -= len(parcel)
        except (StoreError, OSError) as error:
            self._give_up(error)

    def drop(self, group: str, name: str) -> None:
        with suppress(OSError):
            os.unlink(self._place.path_of(group, name))

    def _give_up(self, error: Exception) -> None:
        if not self._broken:
            self._broken = True
            logger.warning("client data is not cached in %s: %s", self._folder, error)

    def _make_room(self, size: int) -> int:
        """Remove the files that were read longest ago, if there is need to; return how much may be written now."""
        files = sorted(self._place.files())
        total = sum(each.size for each in files)
        if total + size > self._most_bytes:
            for each in files:
                if total + size <= self._most_bytes * _LEAVE:
                    break
                with suppress(OSError):
                    os.unlink(each.path)
                total -= each.size
            self._place.sweep(before_us=time.time_ns() // 1_000 - _UNFINISHED_US)
        return max(size, min(self._most_bytes - total, int(self._most_bytes * _LOOK_AFTER)))
