"""`app.set_limit(...)` and its kin: limits changed while everything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pynenc.io import run

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.core.live_limits import LiveLimit
    from pynenc.limits import Rate
    from pynenc.task import Task

NO_KEY: Any = ...


class Limiting:
    """What an app can do to limits that are in force. It holds for all processes at once, and until it is cleared."""

    def set_limit(self, name: str | Task[..., Any], value: int | str | Rate, *, key: Any = NO_KEY) -> None:
        """Let a limit or a rate hold from now on, whatever tasks say.

            app.set_limit("db", 2)                          # so many at once; 0 lets nothing pass
            app.set_limit("stripe", "50/min burst 5")       # a rate
            app.set_limit(charge, "1/s", key="acme")        # for one key alone

        What is running goes on; a limit below the number of those only stops new starts.

        Args:
            name: of a limit or rate, or the task that has it.
            value: a whole number for limits (also of `running_concurrency`), a text or a `Rate` for rates.
            key: the value of the argument it is by, or a tuple of the values of several.

        Raises:
            ConfigurationError: the value is no limit.
            GatesUnsupported: the store keeps no limits.
        """
        from pynenc.core.live_limits import put

        run(put(cast("Pynenc", self), name, value, key))

    def clear_limit(self, name: str | Task[..., Any], *, key: Any = NO_KEY) -> bool:
        """Let tasks decide again; return whether something was set."""
        from pynenc.core.live_limits import clear

        return run(clear(cast("Pynenc", self), name, key))

    def set_weight(self, key: Any, weight: int) -> None:
        """Let a `share_key` weigh so much from now on, whatever `share_weight` says: 1 to 100.

        Args:
            key: the value of the argument, a tuple of the values of several, or a task without `share_key`.
        """
        from pynenc.core.live_limits import put_weight

        run(put_weight(cast("Pynenc", self), key, weight))

    def clear_weight(self, key: Any) -> bool:
        """Let tasks decide again; return whether something was set."""
        from pynenc.core.live_limits import clear_weight

        return run(clear_weight(cast("Pynenc", self), key))

    def limits(self) -> list[LiveLimit]:
        """Return all that was set and not cleared, by kind and name."""
        from pynenc.core.live_limits import listed

        return run(listed(cast("Pynenc", self)))
