"""What `pynenc doctor` finds out about the server."""

from __future__ import annotations

import time
from typing import Any

from pynenc.backends.redis.connecting import Connections
from pynenc.backends.redis.location import Location
from pynenc.errors import PynencError, StoreError
from pynenc.io import Op
from pynenc.ports.backend import Finding

LEVELS = {
    "none": "D0: nothing is promised when the server ends; what it held is lost",
    "normal": "D1: survives kill -9 of the server; a loss of power may take the last second",
    "full": "D2: every acknowledged write is on disk; survives loss of power",
    "replicated": "D3: every acknowledged write is on the replicas as well; survives a failover",
}
_OLDEST = (6, 2)
_MOST_SKEW_S = 1.0


def diagnose(connections: Connections, location: Location) -> Op[list[Finding]]:
    """Return what is good and what is not about the server."""
    try:
        info = yield from _info(connections)
    except PynencError as error:
        return [Finding(level="error", subject="server", detail=str(error), remedy="check the URL and the server")]
    findings = [version_of(info), *_persistence(info, location), *_replication(info, location)]
    findings += yield from _settings(connections, location)
    findings.append((yield from _clock(connections)))
    return findings


def _info(connections: Connections) -> Op[dict[str, str]]:
    reply: Any = yield from connections.command("INFO", "everything")
    if isinstance(reply, dict):
        # A cluster client has parsed it already.
        first = next(iter(reply.values()))
        facts = first if isinstance(first, dict) else reply
        return {str(name): str(value) for name, value in facts.items()}
    return facts_in(reply)


def facts_in(reply: bytes | str) -> dict[str, str]:
    """Return what a reply to INFO says, by name."""
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))


def version_of(info: dict[str, str]) -> Finding:
    """Return what the server is, and whether it is recent enough. Valkey says what Redis it is like, and its own."""
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if name == "Redis" and numbers < _OLDEST:
        return Finding(
            level="error",
            subject="server",
            detail=f"{name} {version} lacks commands that the scripts use",
            remedy="use Redis 6.2 or later, or Valkey",
        )
    mode = info.get("server_mode") or info.get("redis_mode", "unknown")
    return Finding(level="ok", subject="server", detail=f"{name} {version}, mode {mode}")


def _persistence(info: dict[str, str], location: Location) -> list[Finding]:
    level = location.durability
    findings = [Finding(level="ok", subject="durability", detail=f"{level} ({LEVELS[level]})")]
    if level != "none" and info.get("aof_enabled") != "1":
        findings.append(
            Finding(
                level="error",
                subject="persistence",
                detail=f"durability={level} needs the append-only file, which is off: a restart loses everything since "
                "the last snapshot",
                remedy="set `appendonly yes` (CONFIG SET appendonly yes, and in its file), or declare durability=none",
            )
        )
    if info.get("aof_last_write_status", "ok") != "ok" or info.get("rdb_last_bgsave_status", "ok") != "ok":
        findings.append(
            Finding(
                level="error",
                subject="persistence",
                detail="the last write of the append-only file or of a snapshot failed",
                remedy="look at the server's log and at the space on its disk",
            )
        )
    return findings


def _replication(info: dict[str, str], location: Location) -> list[Finding]:
    if location.durability != "replicated":
        return []
    number = int(info.get("connected_slaves", "0"))
    if number < location.replicas:
        return [
            Finding(
                level="error",
                subject="replication",
                detail=f"durability=replicated asks for {location.replicas} replicas, {number} are connected: every "
                "submission will fail",
                remedy="connect replicas, or declare another durability",
            )
        ]
    return [Finding(level="ok", subject="replication", detail=f"{number} replicas are connected")]


def _settings(connections: Connections, location: Location) -> Op[list[Finding]]:
    try:
        policy = yield from _setting(connections, "maxmemory-policy")
        sync = yield from _setting(connections, "appendfsync")
    except StoreError as error:
        return [_unreadable(str(error))]
    except PynencError:
        return [_unreadable("the user may not read them")]
    findings = []
    if policy and policy != "noeviction":
        findings.append(
            Finding(
                level="error",
                subject="maxmemory-policy",
                detail=f"{policy}: the server would delete records when its memory is used up",
                remedy="CONFIG SET maxmemory-policy noeviction",
            )
        )
    elif policy:
        findings.append(Finding(level="ok", subject="maxmemory-policy", detail=policy))
    if location.durability == "full" and sync != "always":
        findings.append(
            Finding(
                level="error",
                subject="appendfsync",
                detail=f"{sync}: durability=full promises that acknowledged work survives loss of power",
                remedy="CONFIG SET appendfsync always, or declare durability=normal",
            )
        )
    if location.durability == "normal" and sync == "no":
        findings.append(
            Finding(
                level="warning",
                subject="appendfsync",
                detail="no: the operating system decides when to write; a loss of power may take half a minute",
                remedy="CONFIG SET appendfsync everysec",
            )
        )
    return findings


def _unreadable(why: str) -> Finding:
    return Finding(
        level="warning",
        subject="settings",
        detail=f"the settings of the server cannot be read ({why}); eviction and persistence were not checked",
        remedy="allow +config|get to this user, or check maxmemory-policy and appendfsync yourself",
    )


def _setting(connections: Connections, name: str) -> Op[str]:
    reply: Any = yield from connections.command("CONFIG", "GET", name)
    value = next(iter(reply.values()), "") if isinstance(reply, dict) else reply[1] if reply else ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _clock(connections: Connections) -> Op[Finding]:
    before = time.time()
    reply: Any = yield from connections.command("TIME")
    after = time.time()
    there = int(reply[0]) + int(reply[1]) / 1e6
    off = there - (before + after) / 2
    if abs(off) > _MOST_SKEW_S + (after - before):
        return Finding(
            level="warning",
            subject="clock",
            detail=f"the server's clock is {off:+.1f} s off this machine's; all times are the server's",
            remedy="synchronise the clocks",
        )
    return Finding(level="ok", subject="clock", detail=f"{off * 1e3:+.1f} ms off this machine's")
