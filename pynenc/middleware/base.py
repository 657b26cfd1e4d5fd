"""The class that middleware derives from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.middleware.events import ClaimEvent, RelayEvent, RunEvent, SettleEvent, SubmitEvent, WaitEvent


class Middleware:
    """Hooks around what an app does; each does nothing unless you override it, and costs nothing then.

    Before hooks are called in the order of registration, after hooks in the reverse order, and only of those whose
    before hook returned. `before_submit` and `before_run` may refuse: what they raise takes the place of what they
    came before. What any other hook raises is logged once per kind and passed over.

    Hooks whose name begins with `a` are called instead where the caller is a coroutine; by default they call the plain
    one. Override both where a hook has to await something: callers in threads never call the awaiting one.
    """

    def attach(self, app: Pynenc) -> None:
        """It was added to an app. Nothing of the app has to be used yet."""

    # --- where a call is made: in a client, in a body; in the thread or coroutine of the caller ---

    def before_submit(self, submit: SubmitEvent) -> None:
        """Calls are about to be submitted: let something travel with them (`carry`), or raise to refuse them all."""

    def after_submit(self, submit: SubmitEvent) -> None:
        """They are in the store; or not, then `submit.error` says why."""

    async def abefore_submit(self, submit: SubmitEvent) -> None:
        self.before_submit(submit)

    async def aafter_submit(self, submit: SubmitEvent) -> None:
        self.after_submit(submit)

    # --- where somebody waits: in a client, in a body ---

    def before_wait(self, wait: WaitEvent) -> None:
        """Somebody begins to wait for invocations."""

    def after_wait(self, wait: WaitEvent) -> None:
        """The wait is over: `wait.arrived` of `wait.count` have ended; `wait.error` if it was broken off."""

    async def abefore_wait(self, wait: WaitEvent) -> None:
        self.before_wait(wait)

    async def aafter_wait(self, wait: WaitEvent) -> None:
        self.after_wait(wait)

    # --- where a body runs: in its thread or coroutine, which may be in a worker process; in its context variables ---

    def before_run(self, run: RunEvent) -> None:
        """An attempt begins. What this raises counts as raised by the body: it fails, is retried or cancelled."""

    def after_run(self, run: RunEvent) -> None:
        """The attempt is over: `run.ending` says how, `run.error` why. Not called if the process dies."""

    async def abefore_run(self, run: RunEvent) -> None:
        self.before_run(run)

    async def aafter_run(self, run: RunEvent) -> None:
        self.after_run(run)

    # --- in the control loop of a runner: one thread, which must not be kept waiting ---

    def before_claim(self, claim: ClaimEvent) -> None:
        """The runner is about to exchange with its store; `claim.wanted` may be 0 (a heartbeat)."""

    def after_claim(self, claim: ClaimEvent) -> None:
        """The exchange is over: `claim.runs` are what it got; `claim.error` if it failed."""

    def before_settle(self, settle: SettleEvent) -> None:
        """Starts and ends are about to be told to the store."""

    def after_settle(self, settle: SettleEvent) -> None:
        """They were told; `settle.error` if that failed: then the ends are told again."""

    def after_relay(self, relay: RelayEvent) -> None:
        """The runner has submitted what bodies in its worker processes called."""

    # --- in every process that runs bodies ---

    def flush(self) -> None:
        """Send what is buffered: a runner or a worker process ends in good order. May be called several times."""
