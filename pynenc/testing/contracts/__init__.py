"""What every store promises, as tests: subclass a contract in a test module and provide the fixtures it names.

Fixtures: `backend` (a fresh, empty store that uses `clock`), `clock` (a `FakeClock`), `perform` (runs an operation,
blocking or on an event loop). That of client data stores asks for `data` instead of `backend`.
"""

from __future__ import annotations

from pynenc.testing.contracts.cancelling import CancellingContract
from pynenc.testing.contracts.claiming import ClaimingContract
from pynenc.testing.contracts.client_data import ClientDataStoreContract, OwnClientDataContract
from pynenc.testing.contracts.dead_letters import DeadLettersContract
from pynenc.testing.contracts.flows import FlowsContract, WakingContract
from pynenc.testing.contracts.gate_timing import BreakersContract, LiveLimitsContract, RatesContract
from pynenc.testing.contracts.gated_moves import GatedMovesContract, RepairContract
from pynenc.testing.contracts.inheriting import GatedInheritingContract, InheritingContract
from pynenc.testing.contracts.ordering import OrderingContract, RejectingContract
from pynenc.testing.contracts.queues import QueuesContract
from pynenc.testing.contracts.races import RacesContract
from pynenc.testing.contracts.reading import ReadingContract
from pynenc.testing.contracts.reserving import ReservingContract
from pynenc.testing.contracts.sessions import SessionsContract
from pynenc.testing.contracts.settling import SettlingContract
from pynenc.testing.contracts.slots import SlotsContract
from pynenc.testing.contracts.submitting import SubmittingContract
from pynenc.testing.contracts.transfer import TransferContract
from pynenc.testing.contracts.waiting import WaitingContract
from pynenc.testing.contracts.waiting_inside import WaitingInsideContract


class OrchestratorContract(
    SubmittingContract,
    ClaimingContract,
    SettlingContract,
    WaitingContract,
    InheritingContract,
    CancellingContract,
    SessionsContract,
    QueuesContract,
    RacesContract,
):
    """All that an orchestrator promises."""


class StateBackendContract(ReadingContract, DeadLettersContract):
    """All that a state backend promises."""


class GatesContract(
    SlotsContract,
    RejectingContract,
    OrderingContract,
    WaitingInsideContract,
    LiveLimitsContract,
    RatesContract,
    BreakersContract,
    GatedInheritingContract,
    FlowsContract,
    WakingContract,
    ReservingContract,
    GatedMovesContract,
    RepairContract,
):
    """All that a store promises that declares gates."""


__all__ = [
    "ClientDataStoreContract",
    "GatesContract",
    "OrchestratorContract",
    "OwnClientDataContract",
    "StateBackendContract",
    "TransferContract",
]
