"""Endpoints of a runner for whoever supervises it: `/livez`, `/readyz`, and pages that others add.

Served by threads of their own over the standard library: they answer while the control loop is busy, and tell when it
is stuck. Few connections at a time, each for a short time only, so that nobody can tie the probes up for long.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from pynenc.errors import ConfigurationError
from pynenc.runners.pulse import Health

logger = logging.getLogger(__name__)

_MOST_CONNECTIONS = 16
_CONNECTION_S = 5.0
_REFUSED_S = 0.5
"""Between attempts to take a connection for which the system has no descriptor."""


class Page(NamedTuple):
    """What an endpoint answers."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = HTTPStatus.OK


Render = Callable[[], Page]
"""Makes a page; called in a thread of the server, for several requests at once."""


def health_pages(health: Callable[[], Health]) -> dict[str, Render]:
    """Return the endpoints that tell how a runner is: 200 if well, 503 if not, with the reason as text."""
    return {
        "/livez": lambda: _verdict(health(), lambda seen: seen.alive),
        "/readyz": lambda: _verdict(health(), lambda seen: seen.ready),
    }


def _verdict(seen: Health, well: Callable[[Health], bool]) -> Page:
    text = f"{'ok' if well(seen) else 'not ok'}{': ' if seen.reason else ''}{seen.reason}\n"
    return Page(text.encode(), status=HTTPStatus.OK if well(seen) else HTTPStatus.SERVICE_UNAVAILABLE)


class HealthServer:
    """Serves pages until it is closed.

    Args:
        host: where to listen.
        port: 0 for any free one.
        pages: by path; may grow while it serves.

    Raises:
        ConfigurationError: nobody can listen there.
    """

    def __init__(self, host: str, port: int, pages: Mapping[str, Render]) -> None:
        try:
            self._server = _Server((host, port), pages)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"health_host={host!r}, health_port={port}: cannot listen there ({error}); "
                "choose another port, or 0 for any free one"
            ) from error
        self.port: int = self._server.server_address[1]
        self._over, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="pynenc-health", daemon=True)
        self._thread.start()
        shown = f"[{host}]" if ":" in host else host
        logger.info("health endpoints at http://%s:%d: %s", shown, self.port, ", ".join(sorted(pages)))

    def close(self) -> None:
        """Stop listening."""
        self._waker.close()
        self._thread.join()
        self._over.close()
        self._server.server_close()

    def _serve(self) -> None:
        # Not `serve_forever`, which looks twice a second whether it is over, and takes as long to notice.
        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ)
            selector.register(self._over, selectors.EVENT_READ)
            while all(key.fileobj is not self._over for key, _ in selector.select()):
                self._server.handle_request()
                if self._server.take_refusal():
                    # The connection is still there to be taken, and would be offered again and again.
                    selector.unregister(self._server)
                    selector.select(_REFUSED_S)
                    selector.register(self._server, selectors.EVENT_READ)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    timeout = 0.0
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], pages: Mapping[str, Render]) -> None:
        self.pages = pages
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._refused = False
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Without the name of the host, which the library would ask a name server for.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError as error:
            logger.debug("no connection can be taken: %s", error)
            self._refused = True
            raise

    def take_refusal(self) -> bool:
        """Return whether the system gave no connection since this was last asked: no descriptor was left."""
        refused, self._refused = self._refused, False
        return refused

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a request for health failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = _CONNECTION_S
    server: _Server

    def do_GET(self) -> None:
        render = self.server.pages.get(self.path.partition("?")[0])
        if render is None:
            self._answer(Page(b"no such page\n", status=HTTPStatus.NOT_FOUND))
            return
        try:
            page = render()
        except Exception:
            logger.exception("the page %s failed", self.path)
            page = Page(b"this page failed; see the log\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)
        self._answer(page)

    do_HEAD = do_GET

    def _answer(self, page: Page) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def version_string(self) -> str:
        return "pynenc"

    def log_message(self, format: str, *args: object) -> None:
        logger.debug("health: %s", format % args)
