"""The command line."""

from __future__ import annotations


def main() -> None:
    """Run `pynenc` with the arguments of the process; exits with a documented code."""
    from pynenc.cli.entry import run_command_line

    run_command_line()
