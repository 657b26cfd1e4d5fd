"""Published class names of components, and the stores they mean."""

from __future__ import annotations

from pynenc.config.nearest import did_you_mean
from pynenc.errors import ConfigError, NotYetAvailable

STORES = {
    "Mem": "memory",
    "Memory": "memory",
    "SQLite": "sqlite",
    "Redis": "redis",
    "Mongo": "mongodb",
    "MongoDB": "mongodb",
    "Rust": "rustvello",
    "Rustvello": "rustvello",
    "RabbitMQ": "rabbitmq",
    "RabbitMq": "rabbitmq",
    "Postgres": "postgresql",
    "PostgreSQL": "postgresql",
    "MySQL": "mysql",
    "MariaDB": "mariadb",
    "Nats": "nats",
    "Kafka": "kafka",
    "SQS": "sqs",
}
"""First part of a component's class name -> the store it stands for."""

PARTS = ("Orchestrator", "Broker", "StateBackend", "Trigger", "ClientDataStore", "ArgCache")
AVAILABLE = frozenset({"memory", "sqlite", "redis", "postgresql"})


def component_scheme(name: str) -> str:
    """Return the scheme of the store that a component's class name means: `SQLiteBroker` -> `sqlite`.

    Raises:
        NotYetAvailable: the store is known, but not part of this release.
        ConfigError: no component has this name.
    """
    short = name.rpartition(".")[2]
    for part in PARTS:
        scheme = STORES.get(short.removesuffix(part)) if short.endswith(part) else None
        if scheme in AVAILABLE:
            return scheme
        if scheme is not None:
            raise NotYetAvailable(f"the store {scheme} ({name})", "use sqlite, redis or postgresql")
    known = [prefix + part for prefix, scheme in STORES.items() if scheme in AVAILABLE for part in PARTS]
    raise ConfigError(f"no component is called {name!r}{did_you_mean(short, known)}")


def is_disabled(name: str) -> bool:
    """Whether a component's class name says that the component is not wanted: `DisabledTrigger`."""
    return name.rpartition(".")[2].startswith("Disabled")
