"""A peer answers measurements through its driver, and whatever happens to it is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.environments import PEERS
from benchmarks.systems.peer import Peer, PeerFailed
from pynenc import __version__
from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.model.records import SessionKind

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer("sqlite", "here_peer", lambda: Path(sys.executable), modules=(PEERS, HERE, ROOT))
    yield peer
    peer.stop()


def live_runners(folder: Path) -> int:
    backend = open_backend(f"sqlite:///{folder}/bench.db")
    try:
        return sum(row.info.kind is SessionKind.RUNNER for row in run(backend.orchestrator.list_sessions()))
    finally:
        backend.close()


def test_a_peer_submits_runs_and_tells_its_version(peer: Peer, tmp_path: Path) -> None:
    peer.start(tmp_path, workers=1)

    peer.submit_one_by_one(3)
    peer.submit_bulk(3)
    peer.run_all(20)
    times = peer.round_trips(4, pause_s=0.0)

    assert peer.versions == {"pynenc": __version__}
    assert len(times) == 4
    assert all(seconds > 0 for seconds in times)


def test_the_workers_of_a_peer_end_with_it(peer: Peer, tmp_path: Path) -> None:
    peer.start(tmp_path, workers=1)
    before = live_runners(tmp_path)

    peer.stop()

    assert before == 1
    assert live_runners(tmp_path) == 0


def test_an_error_of_a_peer_is_told_and_it_goes_on(peer: Peer, tmp_path: Path) -> None:
    peer.start(tmp_path, workers=0)

    with pytest.raises(PeerFailed) as caught:
        peer.submit_bulk(13)
    peer.submit_bulk(3)

    assert str(caught.value) == "submit_bulk: ValueError: thirteen is not submitted"


def test_a_peer_that_ends_is_told_of_with_its_last_words(peer: Peer, tmp_path: Path) -> None:
    peer.start(tmp_path, workers=0)

    with pytest.raises(PeerFailed) as caught:
        peer.submit_bulk(666)

    assert "its log ends with: no more" in str(caught.value)


def test_a_peer_that_cannot_be_imported_is_told_of(tmp_path: Path) -> None:
    peer = Peer("sqlite", "no_such_peer", lambda: Path(sys.executable))

    with pytest.raises(PeerFailed) as caught:
        peer.start(tmp_path, workers=0)
    peer.stop()

    assert "No module named 'no_such_peer'" in str(caught.value)
