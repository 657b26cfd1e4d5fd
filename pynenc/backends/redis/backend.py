"""The Redis store: its ports over the connections of one process."""

from __future__ import annotations

from typing import Any

from pynenc.backends.redis.caller import Caller
from pynenc.backends.redis.client_data import RedisClientDataStore
from pynenc.backends.redis.codec import pack
from pynenc.backends.redis.connecting import Connections
from pynenc.backends.redis.diagnosing import diagnose
from pynenc.backends.redis.doorbell import Bells
from pynenc.backends.redis.dump import dump
from pynenc.backends.redis.location import Location
from pynenc.backends.redis.orchestrator import RedisOrchestrator
from pynenc.backends.redis.state_backend import RedisStateBackend
from pynenc.backends.redis.transfer import RedisTransfer
from pynenc.backends.soundness import diagnose_records
from pynenc.io import Op, run
from pynenc.ports.backend import Backend, Capabilities, ClockUs, Finding
from pynenc.ports.client_data_store import ClientDataStore
from pynenc.ports.orchestrator import Orchestrator
from pynenc.ports.state_backend import StateBackend
from pynenc.ports.transfer import Transfer

_SURVIVES = {"none": "none", "normal": "process", "full": "power", "replicated": "power"}


class RedisBackend(Backend):
    """A store on a Redis or Valkey server, a failover group, or a cluster."""

    def __init__(self, location: Location, *, clock: ClockUs | None = None) -> None:
        self._location = location
        self._connections = Connections(location)
        self._bells = Bells(location)
        self._caller = Caller(self._connections, self._bells, clock)
        self.url = location.public_url
        self.capabilities = Capabilities(
            across_processes=True, durability=_SURVIVES[location.durability], push=True, gates=True
        )
        self.orchestrator: Orchestrator = RedisOrchestrator(self._caller)
        self.state_backend: StateBackend = RedisStateBackend(self._caller)
        self.client_data_store: ClientDataStore = RedisClientDataStore(self._caller)
        self.transfer: Transfer = RedisTransfer(self._caller)

    def close(self) -> None:
        self._bells.close()
        self._connections.close()

    def end_leases(self) -> None:
        """Let every live session count as expired, as if its process had been silent for long: for tests."""
        run(self._caller.call("end_leases"))

    def migrate(self, *, post: bool = False) -> Op[list[str]]:
        # Scripts travel with their callers, so there is only the number of the schema, which any read checks.
        yield from self._caller.read("statuses", pack(()))
        return []

    def diagnose(self) -> Op[list[Finding]]:
        findings = yield from diagnose(self._connections, self._location)
        return findings + (yield from diagnose_records(self.orchestrator, findings))

    def dump(self) -> Op[dict[str, Any]]:
        return dump(self._caller)
