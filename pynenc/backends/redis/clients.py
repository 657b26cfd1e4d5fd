"""The client library: pools of connections for threads, for event loops, and for clusters.

The one place that constructs its objects. Its own retries are off: `connecting` decides what may be sent again.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry
from redis.sentinel import Sentinel

from pynenc.backends.redis.location import Location


def pool_of(location: Location) -> Any:
    """Return a pool for threads; not of a cluster."""
    options = {**_options(location), "retry": Retry(NoBackoff(), 0)}
    if location.kind == "sentinel":
        sentinel = Sentinel(location.hosts, sentinel_kwargs=_sentinel_options(location), **options)
        return sentinel.master_for(location.master).connection_pool
    return redis.Redis(**_address(location), **options).connection_pool


def async_pool_of(location: Location) -> Any:
    """Return a pool for one event loop; not of a cluster."""
    # Whoever uses a connection bounds its exchanges, each as a whole: see `loop_connections`.
    options = {**_options(location), "retry": AsyncRetry(NoBackoff(), 0), "socket_timeout": None}
    if location.kind == "sentinel":
        sentinel = AsyncSentinel(location.hosts, sentinel_kwargs=_sentinel_options(location), **options)
        return sentinel.master_for(location.master).connection_pool
    return redis.asyncio.Redis(**_address(location), **options).connection_pool


def cluster_of(location: Location) -> Any:
    """Return a client of a cluster for threads."""
    nodes = [ClusterNode(host, port) for host, port in location.hosts]
    return redis.RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 0), **_cluster_options(location))


def async_cluster_of(location: Location) -> Any:
    """Return a client of a cluster for one event loop."""
    nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in location.hosts]
    return redis.asyncio.RedisCluster(
        startup_nodes=nodes, retry=AsyncRetry(NoBackoff(), 0), **_cluster_options(location)
    )


async def close_on_loop(client: Any) -> None:
    """Close what `async_pool_of` or `async_cluster_of` returned."""
    if isinstance(client, redis.asyncio.RedisCluster):
        await client.aclose()
        return
    await client.disconnect()
    if isinstance(client, redis.asyncio.SentinelConnectionPool):
        for sentinel in client.sentinel_manager.sentinels:
            await sentinel.aclose()


def _options(location: Location) -> dict[str, Any]:
    return {**_common(location), "db": location.db, **_tls(location)}


def _cluster_options(location: Location) -> dict[str, Any]:
    tls = {"ssl": True, **location.tls} if location.tls is not None else {}
    return {**_common(location), **tls}


def _common(location: Location) -> dict[str, Any]:
    return {
        "username": location.username,
        "password": location.password,
        "socket_connect_timeout": location.connect_timeout_s,
        # A connection that fell silent leaves enough of a call's budget for another one.
        "socket_timeout": location.call_timeout_s / 3,
        "socket_keepalive": True,
        "protocol": 2,
    }


def _tls(location: Location) -> dict[str, Any]:
    return {"ssl": True, **location.tls} if location.tls is not None else {}


def _address(location: Location) -> dict[str, Any]:
    if location.kind == "unix":
        return {"unix_socket_path": location.path}
    (host, port) = location.hosts[0]
    return {"host": host, "port": port}


def _sentinel_options(location: Location) -> dict[str, Any]:
    return {
        "username": location.sentinel_username,
        "password": location.sentinel_password,
        "socket_connect_timeout": location.connect_timeout_s,
        "socket_timeout": location.connect_timeout_s,
        "protocol": 2,
        **_tls(location),
    }
