"""`pynenc move`, as a user runs it."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator

import pytest

from pynenc.composition import open_backend
from pynenc.io import run
from pynenc.ports.backend import Backend
from pynenc.ports.transfer import Seal, SealReply, SealState
from tests import stores
from tests.cli.conftest import Folder

pytestmark = pytest.mark.timeout(180)
SECRET = "a-secret-word"
SOURCE = "sqlite:///pynenc.db"


class Server:
    """A fresh store on a server, for the app of the folder."""

    def __init__(self, url: str, app_id: str) -> None:
        self.url = url
        self.app_id = app_id

    def open(self) -> Backend:
        return open_backend(self.url, app_id=self.app_id)


@pytest.fixture(params=["redis", "postgresql"])
def server(request: pytest.FixtureRequest, folder: Folder) -> Iterator[Server]:
    with stores.fresh_url(request.param, folder.path) as (url, app_id):
        use(folder, SOURCE, app_id)
        yield Server(url, app_id)


@pytest.fixture
def on_a_file(folder: Folder) -> None:
    use(folder, SOURCE, "shop")


def use(folder: Folder, url: str, app_id: str) -> None:
    """Point the app of the folder to a store."""
    own = folder.path / "shop.py"
    own.write_text(re.sub(r"Pynenc\(.*\)", f"Pynenc({url!r}, app_id={app_id!r})", own.read_text()))


def test_work_begun_on_a_file_ends_on_a_server(folder: Folder, server: Server) -> None:
    ended, waiting = folder.submit("add(1, 2)"), folder.submit("mail('a')")
    runner = folder.start_runner("--runner", "thread", "--queues", "default")
    folder.wait(ended)
    refused = folder.pynenc("move", SOURCE, server.url, "--yes", code=3)
    assert "stop them first" in refused
    runner.terminate()
    runner.communicate(timeout=60)

    moved = folder.json("move", SOURCE, server.url, "--yes", "--wait", "30")

    assert moved["invocations"] == 2
    assert "point the app to it" in folder.pynenc("move", SOURCE, server.url, "--yes")
    assert "moved to" in folder.pynenc("runner", "start", code=3)
    findings = folder.json("doctor", code=1)["findings"]
    assert (findings[-1]["level"], findings[-1]["remedy"]) == ("error", "use that URL")
    use(folder, server.url, server.app_id)
    assert folder.json("invocations", "show", ended)["status"] == "success"
    folder.start_runner("--runner", "thread", "--queues", "mail")
    folder.wait(waiting)
    assert folder.json("invocations", "show", waiting)["status"] == "success"


def test_an_unfinished_move_is_shown_finished_or_taken_back(folder: Folder, server: Server) -> None:
    folder.submit("add(1, 2)")
    with_leases_over(folder)
    leave_unfinished(folder, server)

    findings = folder.json("doctor", code=1)["findings"]
    assert "not complete" in findings[-1]["detail"]
    assert "--abandon" in findings[-1]["remedy"]
    assert "not complete" in folder.pynenc("queues", code=3)
    assert folder.json("move", SOURCE, server.url, "--abandon")["abandoned"] is True

    assert len(folder.json("invocations", "list")) == 1
    assert "no unfinished move" in folder.pynenc("move", SOURCE, server.url, "--abandon", code=3)


def with_leases_over(folder: Folder) -> None:
    """Let no client of the folder count as alive any more."""
    backend = open_backend(f"sqlite:///{folder.path / 'pynenc.db'}")
    for session in run(backend.orchestrator.list_sessions()):
        run(backend.orchestrator.close_session(session.session))
    backend.close()


def leave_unfinished(folder: Folder, server: Server) -> None:
    """Do the first step of a move and no more."""
    source, target = open_backend(f"sqlite:///{folder.path / 'pynenc.db'}"), server.open()
    mark = Seal(SealState.LEAVING, "begun", target.url)
    assert run(source.transfer.seal(mark, instead_of=None)) is SealReply.SEALED
    source.close()
    target.close()


@pytest.mark.usefixtures("on_a_file")
def test_wrong_usage_is_told(folder: Folder) -> None:
    folder.submit("add(1, 2)")
    with_leases_over(folder)

    assert "--yes" in folder.pynenc("move", SOURCE, "sqlite:///other.db", code=2)
    assert "are the same store" in folder.pynenc("move", SOURCE, SOURCE, "--yes", code=2)
    assert "one process only" in folder.pynenc("move", SOURCE, "memory://", "--yes", code=2)
    assert "never used" in folder.pynenc("move", "sqlite:///typo.db", "sqlite:///other.db", "--yes", code=3)
    assert "is no store" in folder.pynenc("move", SOURCE, "nonsense://x", "--yes", code=2)

    assert len(folder.json("invocations", "list")) == 1


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{SECRET}@127.0.0.1:1/0?connect_timeout_s=0.2&call_timeout_s=0.2",
        f"postgresql://u:{SECRET}@127.0.0.1:1/x?call_timeout_s=0.2",
    ],
)
@pytest.mark.usefixtures("on_a_file")
def test_no_secret_of_a_url_is_printed(folder: Folder, url: str) -> None:
    folder.submit("add(1, 2)")
    with_leases_over(folder)

    said = folder.pynenc("move", SOURCE, url, "--yes", code=3) + folder.pynenc("move", SOURCE, url, code=2)

    assert "127.0.0.1" in said
    assert SECRET not in said


@pytest.mark.faults
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_move_that_is_killed_goes_on(folder: Folder, server: Server) -> None:
    folder.python("import shop; shop.add.parallelize([(n, n) for n in range(3_000)])")
    with_leases_over(folder)
    target = server.open()

    kills = sum(kill_a_move(folder, server, target, when=number) for number in (0, 400, 1_600))
    state = run(target.transfer.survey())

    assert kills >= 1
    assert state.seal is not None, "the last kill came too late"
    assert state.seal.state is SealState.ARRIVING
    assert folder.json("move", SOURCE, server.url, "--yes")["to"] == target.url
    use(folder, server.url, server.app_id)
    assert len(folder.json("invocations", "list", "--limit", "10000")) == 3_000
    assert run(target.orchestrator.verify()) == []
    target.close()


def kill_a_move(folder: Folder, server: Server, target: Backend, *, when: int) -> bool:
    """Start a move and kill it once so many have arrived; whether it was on its way then."""
    process = folder.start("move", SOURCE, server.url, "--yes")
    while process.poll() is None:
        survey = run(target.transfer.survey())
        if survey.seal is not None and survey.invocations >= when:
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=60)
            return True
    return False
