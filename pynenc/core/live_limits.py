"""Limits changed while everything runs: from what people say to what the store keeps, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pynenc.core.guarding import keyed
from pynenc.core.keys import digest, part_of, values_of
from pynenc.core.limiting import NO_KEY
from pynenc.errors import ConfigurationError, GatesUnsupported, InvalidTaskOptionsError
from pynenc.io import Op
from pynenc.limits import Rate, interval_us, rate_text
from pynenc.model.gates import FlowSetting, GateSetting, RateSetting, SlotSetting

if TYPE_CHECKING:
    from pynenc.app import Pynenc
    from pynenc.ports.orchestrator import Orchestrator
    from pynenc.task import Task


class LiveLimit(Struct, frozen=True, kw_only=True):
    """A limit, rate or weight that was set while everything runs: it holds whatever tasks say."""

    name: str
    """Of the limit, the rate or the task; of a weight, the hash of the key."""
    key: str | None = None
    """Hash of the key it holds for; None: for what has no key."""
    at_once: int | None = None
    rate: str | None = None
    burst: int | None = None
    weight: int | None = None


def put(app: Pynenc, name: str | Task[..., Any], value: int | str | Rate, key: Any) -> Op[None]:
    """Let a limit or rate hold from now on."""
    gate_key = _gate_key(name, key)
    yield from _orchestrator(app).put_gate(_setting(gate_key, value))


def put_weight(app: Pynenc, key: Any, weight: int) -> Op[None]:
    """Let a weight hold from now on."""
    yield from _orchestrator(app).put_gate(FlowSetting(_share_key(key), _whole("weight", weight)))


def clear(app: Pynenc, name: str | Task[..., Any], key: Any) -> Op[bool]:
    """Let tasks decide again about a limit and a rate."""
    gate_key = _gate_key(name, key)
    orchestrator = _orchestrator(app)
    limit = yield from orchestrator.clear_gate(f"slots:{gate_key}")
    rate = yield from orchestrator.clear_gate(f"rate:{gate_key}")
    return limit or rate


def clear_weight(app: Pynenc, key: Any) -> Op[bool]:
    """Let tasks decide again about a weight."""
    return (yield from _orchestrator(app).clear_gate(f"flow:{_share_key(key)}"))


def listed(app: Pynenc) -> Op[list[LiveLimit]]:
    """Return all that was set, by kind and name."""
    settings = yield from _orchestrator(app).list_gates()
    return [_shown(setting) for setting in settings]


def _orchestrator(app: Pynenc) -> Orchestrator:
    backend = app.backend
    if not backend.capabilities.gates:
        from pynenc.composition import stores_with_gates

        raise GatesUnsupported("limits, rates and weights", store=backend.url, having=stores_with_gates())
    return app.control


def _gate_key(name: str | Task[..., Any], key: Any) -> str:
    said = getattr(name, "task_id", name)
    if not isinstance(said, str) or not said:
        raise ConfigurationError(f"a limit is named by a text or a task, not {name!r}")
    return said if key is NO_KEY else keyed(said, [part_of(value, "key") for value in values_of(key)])


def _share_key(key: Any) -> str:
    task_id: str | None = getattr(key, "task_id", None)
    return task_id or digest([part_of(value, "key") for value in values_of(key)]).hex()


def _setting(gate_key: str, value: int | str | Rate) -> GateSetting:
    if isinstance(value, Rate):
        return RateSetting(gate_key, interval_us(value.rate), value.burst)
    if isinstance(value, str):
        return _rate_setting(gate_key, value)
    return SlotSetting(gate_key, _whole("a limit", value))


def _rate_setting(gate_key: str, text: str) -> RateSetting:
    from pynenc.config.limit_kinds import RATES

    try:
        (rate,) = RATES.convert(text)
    except (ValueError, InvalidTaskOptionsError) as error:
        raise ConfigurationError(
            f"{text!r} is no limit: it is a whole number (so many at once), or a rate such as 10/s, 100/min or "
            f"100/min burst 20 ({error})"
        ) from None
    return RateSetting(gate_key, interval_us(rate.rate), rate.burst)


def _whole(what: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConfigurationError(f"{what} is a whole number, not {value!r}")


def _shown(setting: GateSetting) -> LiveLimit:
    name, _, key = setting.key.partition("#")
    if isinstance(setting, FlowSetting):
        return LiveLimit(name=setting.key, weight=setting.weight)
    if isinstance(setting, RateSetting):
        return LiveLimit(name=name, key=key or None, rate=rate_text(setting.interval_us), burst=setting.burst)
    return LiveLimit(name=name, key=key or None, at_once=setting.limit)
