"""Who asks: the name under which a store notes what a person or a program did to it."""

from __future__ import annotations

import getpass
import os
import socket


def operator() -> str:
    """Return the user and the machine: `anna@ops1`; the number of a user without a name."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
