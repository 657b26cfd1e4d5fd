"""What an app keeps apart from its invocations: large arguments and results."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pynenc.errors import PynencError
from pynenc.io import run

if TYPE_CHECKING:
    import logging

    from pynenc.config.app_config import AppConfig
    from pynenc.ports.backend import Backend
    from pynenc.ports.client_data_store import ClientDataStore


class KeepingValues:
    """Where an app keeps large values, and how they go."""

    if TYPE_CHECKING:
        conf: AppConfig
        _data_choice: ClientDataStore | None

        @property
        def backend(self) -> Backend: ...
        @cached_property
        def logger(self) -> logging.Logger: ...

    @cached_property
    def client_data_store(self) -> ClientDataStore:
        """Where large values are kept, and read."""
        from pynenc.core.data_routing import RoutedDataStore

        return RoutedDataStore(self)

    @cached_property
    def data_store_apart(self) -> ClientDataStore | None:
        """The client data store that is not the store of the invocations; None: there is none."""
        from pynenc.composition import open_data_store

        url = self.conf.client_data_store
        if self._data_choice is not None or not url:
            return self._data_choice
        return open_data_store(url, app_id=self.conf.app_id, backend=self.backend)

    def purge(self) -> int:
        """Forget every invocation of this app, live ones too; return how many.

        What a client data store of its own keeps goes as far as nobody may be submitting it just now: within two days.
        """
        number = run(self.backend.state_backend.purge(None))
        try:
            self.collect_client_data()
        except PynencError as error:
            self.logger.warning("the large values of what was forgotten stay for now: %s", error)
        return number

    def collect_client_data(self) -> int:
        """Remove large values that no known invocation can name from the client data store; return how many.

        Runners do so every hour. Values that are kept in the store of the invocations go with them.
        """
        from pynenc.core.data_routing import collect_unnamed

        return run(collect_unnamed(self))
