"""The shipped contracts, over the stores of the `backend` fixture."""

from __future__ import annotations

from pynenc.testing.contracts import (
    ClientDataStoreContract,
    GatesContract,
    OrchestratorContract,
    StateBackendContract,
    TransferContract,
)


class TestOrchestrator(OrchestratorContract):
    pass


class TestGates(GatesContract):
    pass


class TestStateBackend(StateBackendContract):
    pass


class TestClientDataStore(ClientDataStoreContract):
    pass


class TestTransfer(TransferContract):
    pass
