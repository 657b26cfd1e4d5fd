"""Numbers of the wire. Generated from protocol/ by scripts/generate_constants: change the data instead."""

from __future__ import annotations

from enum import IntEnum

ENVELOPE_VERSION = 1
ENVELOPE_REFERENCE = 1
ENVELOPE_LONGEST_CODEC = 32
ENVELOPE_KEY_BYTES = 32
ENVELOPE_SIZE_BYTES = 8
ENVELOPE_LONGEST_PLACE = 16

CARRIER_MOST_BYTES = 4096
CARRIER_MOST_ENTRIES = 64
CARRIER_LONGEST_KEY = 128

PROTOCOL = (1, 0)
MAX_FRAME = 67108864
OPTIONAL_FRAME = 128
"""Frames with this bit may be passed over by who does not know them."""


class FrameType(IntEnum):
    HELLO = 1
    WELCOME = 2
    CREDIT = 3
    RUN = 4
    STARTED = 5
    DONE = 6
    SUSPEND = 7
    RESUME = 8
    CALL = 9
    REPLY = 10
    CANCEL = 11
    BEAT = 12
    LOG = 13
    DRAIN = 14
    RECYCLE = 15
    BYE = 16
    PROGRESS = 17
    ABANDON = 18
    RETURNED = 19
    OBSERVE = 20
    METRIC = 129
