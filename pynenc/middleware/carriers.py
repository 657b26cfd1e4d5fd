"""Reading what travels with an invocation: nobody may break a run by writing nonsense there."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pynenc.errors import MalformedMessage
from pynenc.wire.carrier import decode_carrier

_EMPTY: Mapping[str, str] = MappingProxyType({})
_said: set[str] = set()


def carrier_of(data: bytes) -> Mapping[str, str]:
    """Return what `data` carries; nothing, said once a process, if it is no carrier."""
    if not data:
        return _EMPTY
    try:
        return MappingProxyType(decode_carrier(data))
    except MalformedMessage as error:
        if "malformed" not in _said:
            import logging

            _said.add("malformed")
            logging.getLogger(__name__).warning("an invocation carries what cannot be read, passed over: %s", error)
        return _EMPTY
