"""A TCP proxy that misbehaves on request: between clients and a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from enum import Enum

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close send RST: the peer sees a broken connection, not an end."""


class Cut(Enum):
    """Where a connection breaks, once the next reply of the server arrives."""

    BEFORE_REPLY = "before the reply"
    """The server has done its work; the client never learns."""
    MID_REPLY = "in the middle of the reply"


class FaultyProxy:
    """Forwards to `host:port` until told to do worse. Runs in a thread of its own; use it as a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._age = 0
        self._delay_s = 0.0
        self._cut: Cut | None = None
        self.cuts = 0
        """Replies that were cut so far."""
        self.port = 0

    def __enter__(self) -> FaultyProxy:
        self._flowing.set()
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # --- faults, from any thread ---

    def delay(self, seconds: float) -> None:
        """Hold every piece of data back for so long; 0 ends it."""
        self._delay_s = seconds

    def hold(self) -> None:
        """Forward nothing in either direction and close nothing: half-open connections. `heal` ends it."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def cut_next_reply(self, where: Cut) -> None:
        """Break the connection on which the server answers next."""
        self._cut = where

    def break_all(self) -> None:
        """Reset every connection."""
        asyncio.run_coroutine_threadsafe(self._break_all(), self._loop).result(10)

    def abandon_all(self) -> None:
        """Let every connection that exists go silent for good, without closing it; new ones are served."""
        self._age += 1

    def heal(self) -> None:
        """End every fault; what was abandoned stays so."""
        self._delay_s = 0.0
        self._cut = None
        self._loop.call_soon_threadsafe(self._flowing.set)

    # --- forwarding ---

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._upstream)
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, back}
        forward = asyncio.create_task(self._pump(reader, back, is_reply=False))
        backward = asyncio.create_task(self._pump(there, writer, is_reply=True))
        await asyncio.wait([forward, backward], return_when=asyncio.FIRST_COMPLETED)
        forward.cancel()
        backward.cancel()
        self._writers -= {writer, back}
        _reset(writer)
        _reset(back)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_reply: bool) -> None:
        age = self._age
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flowing.wait()
                if age != self._age:
                    continue
                cut = self._take_cut() if is_reply else None
                if cut is Cut.MID_REPLY:
                    writer.write(data[: max(1, len(data) // 2)])
                    await writer.drain()
                if cut is not None:
                    return
                writer.write(data)
                await writer.drain()

    def _take_cut(self) -> Cut | None:
        cut, self._cut = self._cut, None
        self.cuts += cut is not None
        return cut

    async def _break_all(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _end(self) -> None:
        self._flowing.set()
        self._server.close()
        await self._break_all()


def _reset(writer: asyncio.StreamWriter) -> None:
    peer: socket.socket | None = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
