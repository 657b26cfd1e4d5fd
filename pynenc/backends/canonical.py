"""Records in the plain form that dumps of all stores agree on; see the memory store's `dump`."""

from __future__ import annotations

from typing import Any

import msgspec


def plain(value: Any) -> Any:
    """Return a record as plain values: bytes as hexadecimal text, enums as their values."""
    if isinstance(value, msgspec.Struct):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        tag = value.__struct_config__.tag
        return {"type": tag, **fields} if tag else fields
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return getattr(value, "value", value)


def without_id(record: Any) -> dict[str, Any]:
    """Return a record as plain values without its id, for dictionaries by id."""
    fields: dict[str, Any] = plain(record)
    del fields["invocation_id"]
    return fields


def session_fields(row: Any) -> dict[str, Any]:
    """Return the fields of a session that stores agree on."""
    fields: dict[str, Any] = plain(row)
    del fields["session"]
    del fields["info"]["doorbell"]
    return fields
