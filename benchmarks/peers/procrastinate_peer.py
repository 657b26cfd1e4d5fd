"""Two worker processes of ten asyncio jobs each, woken by NOTIFY (its default); submitted with `batch_defer`. A job of
a killed worker stays `doing` until a periodic task of the user retries stalled ones. It keeps no return values: that
a job succeeded is what is waited for."""

from __future__ import annotations

import logging
import time

import procrastinate
from driver import URL, BasePeer

# Two lines a job otherwise.
logging.getLogger("procrastinate.worker").setLevel(logging.WARNING)
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=URL))
_PAUSE_S = 0.001
_SUCCEEDED = "SELECT count(*) AS number, sum((args->>'value')::bigint) AS total FROM procrastinate_jobs"
_WAIT_S = 100


@app.task(name="echo")
async def echo(value: int) -> int:
    return value


class Peer(BasePeer):
    distributions = ("procrastinate", "psycopg")

    def prepare(self) -> None:
        app.open()
        app.schema_manager.apply_schema()

    def worker_commands(self, workers: int) -> list[list[str]]:
        return [["procrastinate", "--app", "procrastinate_peer.app", "worker", "-c", "10"] for _ in range(workers)]

    def submit_one_by_one(self, number: int) -> None:
        for value in range(number):
            echo.defer(value=value)

    def submit_bulk(self, number: int) -> None:
        self._defer(number)

    def run_all(self, number: int) -> int:
        ids = self._defer(number)
        return self._total(min(ids), number, pause_s=20 * _PAUSE_S)

    def round_trip(self) -> None:
        assert self._total(echo.defer(value=1), 1, pause_s=_PAUSE_S) == 1

    def _defer(self, number: int) -> list[int]:
        return echo.batch_defer(*[{"value": value} for value in range(number)])

    def _total(self, first: int, number: int, *, pause_s: float) -> int:
        """Return the sum of arguments once so many jobs from `first` on have succeeded."""
        connector = app.connector.get_sync_connector()
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            found = connector.execute_query_one(
                f"{_SUCCEEDED} WHERE id >= %(first)s AND status = 'succeeded'", first=first
            )
            if found["number"] >= number:
                return int(found["total"])
            time.sleep(pause_s)
        raise TimeoutError(f"{found['number']} of {number} jobs succeeded in {_WAIT_S} s")
