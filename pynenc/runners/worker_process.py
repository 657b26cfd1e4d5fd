"""One worker process as its supervisor sees it: the socket, what was sent, what is known of its bodies.

States: starting (no CREDIT yet) -> ready -> gone. Claims begin in the order sent, as soon as one of the worker's slots
is free: so what has begun follows from what was sent, what ended and what parked, without a word from the worker, even
if a body never lets it say anything again.
"""

from __future__ import annotations

import itertools
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Collection
from contextlib import ExitStack

import msgspec

from pynenc.errors import ProtocolError
from pynenc.model.ids import Epoch, InvocationId
from pynenc.model.records import Claim
from pynenc.ports.stopping import Seen, StopReason
from pynenc.runners.black_box import BlackBox
from pynenc.runners.now_running import NowRunning, new_page
from pynenc.runners.vitals import out_of_memory_kills
from pynenc.wire.frames import Frame, FrameDecoder, FrameType, encode_frame

_READ_BYTES = 1 << 20

Key = tuple[InvocationId, Epoch]


class CpuAllowance(msgspec.Struct, frozen=True):
    """How long the thread of a body may go on computing."""

    thread: int
    """As `threading.get_native_id` says."""
    until_s: float
    """By the processor time of that thread."""


class SentRun:
    """A claim that a worker has."""

    __slots__ = (
        "began_s",
        "claim",
        "cpu",
        "kill_at_s",
        "left_s",
        "parked",
        "resumed",
        "since_s",
        "stacks_asked",
        "stopping",
        "terminated",
        "watching",
    )

    def __init__(self, claim: Claim, since_s: float) -> None:
        self.claim = claim
        self.since_s = since_s
        """When it was claimed."""
        self.began_s: float | None = None
        self.parked = False
        """Its body waits, as a whole or (`watching`) some branch of it."""
        self.watching = False
        self.resumed = False
        """It has waited before: the store knows that it began."""
        self.stopping: str | None = None
        self.kill_at_s: float | None = None
        self.left_s: float | None = None
        """What it still has to stop by itself, once it goes on: it waits."""
        self.stacks_asked = False
        self.terminated = False
        self.cpu: CpuAllowance | None = None

    @property
    def key(self) -> Key:
        return self.claim.invocation_id, self.claim.epoch

    @property
    def began(self) -> bool:
        return self.began_s is not None

    @property
    def is_cancelled(self) -> bool:
        """Whether its body is to stop, or not to begin, because somebody cancelled it."""
        return self.stopping == StopReason.CANCEL.value


class WorkerProcess:
    """A child process and its socket. Never blocks.

    Args:
        started_at_s: now, by the clock of the control loop.
        slots: bodies that it runs at a time.
        apart: it is for bodies that are suspected of having ended another worker.
        spare: it gets no bodies until it takes the place of another one.

    Raises:
        OSError: the system starts no process or opens no descriptor now.
    """

    def __init__(self, started_at_s: float, *, slots: int = 1, apart: bool = False, spare: bool = False) -> None:
        self._decoder = FrameDecoder()
        self._unsent: deque[memoryview] = deque()
        with ExitStack() as in_the_end, ExitStack() as if_it_fails:
            self._socket, theirs = socket.socketpair()
            in_the_end.callback(theirs.close)
            if_it_fails.callback(self._socket.close)
            self._socket.setblocking(False)
            page = new_page(slots)
            in_the_end.callback(os.close, page)
            self._now_running = NowRunning(page)
            if_it_fails.callback(self._now_running.close)
            self._black_box = BlackBox()
            if_it_fails.callback(self._black_box.close)
            self._process = _start(theirs.fileno(), page, self._black_box)
            self.pid = self._process.pid
            # A child of a body may hold the worker's socket open: the end of the process is watched by itself.
            self._exit_fd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None
            if_it_fails.pop_all()
        self._noted: set[Key] | None = None
        self.started_at_s = started_at_s
        self.slots = slots
        self.draining = False
        """It was asked for what has not begun."""
        self.given_back = 0
        """How many claims it gave back so far."""
        self.ready = False
        self.ready_at_s = 0.0
        self.apart = apart
        self.is_spare = spare
        self.tasks = 0
        """How many bodies ended in it."""
        self.retiring = ""
        """Why it gets no more bodies and ends when nothing is left in it."""
        self.dismissed = False
        """It was asked to end."""
        self.leave_by_s: float | None = None
        """When it is ended by force if it has not obeyed."""
        self.blameless = False
        """The runner ended it for another reason than what it runs."""
        self._peak_bytes = 0
        self._killed = False
        self._out_of_memory_before = out_of_memory_kills()
        self.farewell = ""
        self.runs: dict[Key, SentRun] = {}
        """What it has, in the order sent."""
        self._unbegun: dict[Key, SentRun] = {}
        self._parked = 0
        self.doomed: dict[Key, SentRun] = {}
        """Those with a time at which they are ended by force."""

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def exit_fd(self) -> int | None:
        """A descriptor that is readable once the process has ended, where the system has such."""
        return self._exit_fd

    def take_place(self, *, apart: bool) -> None:
        """Be a spare no more: from now on it gets bodies."""
        self.is_spare, self.apart = False, apart

    # --- what it has ---

    @property
    def is_idle(self) -> bool:
        """Whether it is there and has nothing, waiting bodies included."""
        return self.ready and not self.runs and not self.retiring

    @property
    def busy(self) -> int:
        """How many of its claims hold or want a slot."""
        return len(self.runs) - self._parked

    @property
    def free_slots(self) -> int:
        """How many more bodies could begin at once; negative while resumed ones wait for a slot."""
        return self.slots - self.busy + len(self._unbegun)

    @property
    def parked(self) -> int:
        """How many of its bodies wait for others."""
        return self._parked

    @property
    def unbegun(self) -> Collection[SentRun]:
        """What has not begun, in the order sent."""
        return self._unbegun.values()

    def running(self) -> list[SentRun]:
        """Return the runs whose bodies hold or want a slot, having begun."""
        return [run for run in self.runs.values() if run.began and not run.parked]

    def noted(self) -> set[Key]:
        """Return whose bodies run by what the worker itself noted; also once it has ended."""
        return self._now_running.names() if self._noted is None else self._noted

    @property
    def waiting_since_s(self) -> float | None:
        """Since when nothing but what runs has run, while claims wait behind it to begin; None if none do."""
        if self.draining or not self._unbegun or self.free_slots > 0:
            return None
        return max((run.began_s for run in self.running() if run.began_s is not None), default=None)

    def add(self, run: SentRun) -> None:
        """Note that it was sent `run`."""
        self.runs[run.key] = self._unbegun[run.key] = run

    def remove(self, key: Key) -> SentRun | None:
        """Forget a run and return it; None if it is not there."""
        run = self.runs.pop(key, None)
        if run is not None:
            self._unbegun.pop(key, None)
            self.doomed.pop(key, None)
            self._parked -= run.parked
        return run

    def begin(self, now_s: float) -> list[SentRun]:
        """Note which runs have begun by now, and return those that had not before."""
        begun = list(itertools.islice(self._unbegun.values(), max(0, self.free_slots)))
        for run in begun:
            del self._unbegun[run.key]
            run.began_s = now_s
        return begun

    def begin_rest(self, now_s: float) -> list[SentRun]:
        """Note that whatever it still has, has begun: it gave back all that had not."""
        begun = list(self._unbegun.values())
        self._unbegun.clear()
        for run in begun:
            run.began_s = now_s
        return begun

    def park(self, run: SentRun, *, parked: bool, now_s: float) -> None:
        """Note that its body stands still, or goes on. The time that it has to stop stands still as well."""
        self._parked += parked - run.parked
        run.parked = parked
        if parked and run.kill_at_s is not None:
            run.left_s = max(0.0, run.kill_at_s - now_s)
            self.spare_life(run)
        elif not parked and run.left_s is not None:
            self.doom(run, now_s + run.left_s)
            run.left_s = None

    def doom(self, run: SentRun, at_s: float) -> None:
        """Note that it is ended by force at `at_s`."""
        run.kill_at_s = at_s
        self.doomed[run.key] = run

    def spare_life(self, run: SentRun) -> None:
        """Note that it is not to be ended by force."""
        run.kill_at_s = None
        self.doomed.pop(run.key, None)

    # --- the socket ---

    def send(self, kind: FrameType, body: msgspec.Struct, seq: int = 0) -> None:
        """Send a frame as far as the socket takes it; the rest follows with `flush`."""
        self._unsent.append(memoryview(encode_frame(kind, body, seq)))
        self.flush()

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def flush(self) -> None:
        """Send what is left. A closed socket is noticed when it is read."""
        try:
            while self._unsent:
                data = self._unsent[0]
                sent = self._socket.send(data)
                if sent < len(data):
                    self._unsent[0] = data[sent:]
                    return
                self._unsent.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()

    def read(self) -> tuple[list[Frame], bool]:
        """Return the frames that have arrived, and whether the worker is still there."""
        frames: list[Frame] = []
        try:
            while data := self._socket.recv(_READ_BYTES):
                frames += self._decoder.feed(data)
        except BlockingIOError:
            return frames, True
        except OSError:
            pass
        except ProtocolError as error:
            self.farewell = f"it sent what is no frame: {error}"
            self._process.kill()
        return frames, False

    # --- the process ---

    def note_memory(self, used_bytes: int) -> None:
        """Remember the most that it was seen to use."""
        self._peak_bytes = max(self._peak_bytes, used_bytes)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; none if it has ended."""
        self._killed = self._killed or number is signal.SIGKILL
        try:
            if self._exit_fd is not None:
                signal.pidfd_send_signal(self._exit_fd, number)
            elif self._process.poll() is None:
                self._process.send_signal(number)
        except ProcessLookupError:
            pass

    def end(self, timeout_s: float = 5.0) -> Seen:
        """Close the socket, make sure the process is gone, and return what was seen of it."""
        self._socket.close()
        self._noted = self._now_running.names()
        self._now_running.close()
        how = self._how(self._wait(timeout_s))
        if self.farewell:
            how = f"{how}: {self.farewell}"
        seen = Seen(
            how=how,
            memory_bytes=self._peak_bytes,
            lines=self._black_box.last_lines(),
            stack=self._black_box.stacks(),
        )
        self._black_box.close()
        return seen

    def _how(self, code: int) -> str:
        if code == -signal.SIGKILL and not self._killed and out_of_memory_kills() > self._out_of_memory_before:
            return "signal SIGKILL, from the kernel: out of memory"
        return _how(code)

    def _wait(self, timeout_s: float) -> int:
        """Wait until it has ended, by force when the time is over; return its exit code."""
        if self._exit_fd is None:
            try:
                return self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                return self._process.wait()
        ended = select.poll()
        ended.register(self._exit_fd, select.POLLIN)
        if not ended.poll(timeout_s * 1e3):
            self.signal(signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self._exit_fd)
        self._exit_fd = None
        # Popen was not asked, so that the kernel tells us what the process used.
        self._process.returncode = os.waitstatus_to_exitcode(status)
        peak_bytes = usage.ru_maxrss * 1024
        # A new process begins with the peak of the one that started it.
        if peak_bytes > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024:
            self.note_memory(peak_bytes)
        return self._process.returncode


def _start(connection: int, page: int, black_box: BlackBox) -> subprocess.Popen[bytes]:
    lines, stacks = black_box.descriptors
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pynenc.worker", "--fd", str(connection), "--page", str(page)),
            *("--lines", str(lines), "--stacks", str(stacks)),
        ],
        pass_fds=[connection, page, lines, stacks],
        stdin=subprocess.DEVNULL,
        # Signals of the terminal are the runner's business.
        start_new_session=True,
    )


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
