"""Published place of the serializers."""

from __future__ import annotations

from pynenc.serializers.json_serializable import JsonSerializable
from pynenc.serializers.signed_pickle import PickleSerializer
from pynenc.serializers.text import JsonSerializer, MsgpackSerializer

JsonPickleSerializer = JsonSerializer
"""Published name; Python types are kept by the JSON serializer itself."""

__all__ = ["JsonPickleSerializer", "JsonSerializable", "JsonSerializer", "MsgpackSerializer", "PickleSerializer"]
