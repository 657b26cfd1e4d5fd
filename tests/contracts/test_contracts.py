"""The shipped contracts, over the stores of the `backend` fixture, and client data stores of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc.ports.client_data_store import ClientDataStore
from pynenc.testing.clock import FakeClock
from pynenc.testing.contracts import (
    ClientDataStoreContract,
    GatesContract,
    OrchestratorContract,
    OwnClientDataContract,
    StateBackendContract,
    TransferContract,
)
from tests import data_places, stores


class TestOrchestrator(OrchestratorContract):
    pass


class TestGates(GatesContract):
    pass


class TestStateBackend(StateBackendContract):
    pass


class TestClientDataStore(ClientDataStoreContract):
    @pytest.fixture(params=(*stores.ALL, *data_places.APART))
    def data(
        self, request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[ClientDataStore]:
        if request.param in data_places.APART:
            data_places.log_in(monkeypatch)
            with data_places.fresh_data_store(request.param, tmp_path, clock) as store:
                yield store
            return
        with stores.fresh_store(request.param, tmp_path, clock) as backend:
            yield backend.client_data_store


class TestOwnClientData(OwnClientDataContract):
    pass


class TestTransfer(TransferContract):
    pass
