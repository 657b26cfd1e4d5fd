"""Ids as people write them: whole, or as many first digits as tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pynenc.errors import InvocationNotFound
from pynenc.io import run
from pynenc.model.ids import InvocationId, id_text, parse_id
from pynenc.model.records import ListFilter

if TYPE_CHECKING:
    from pynenc.app import Pynenc

_DIGITS = 32
_FEWEST = 4


def find_id(app: Pynenc, text: str) -> InvocationId:
    """Return the one id that `text` names or begins."""
    return find_ids(app, [text])[0]


def find_ids(app: Pynenc, texts: Sequence[str]) -> list[InvocationId]:
    """Return the ids that `texts` name or begin, each once.

    Raises:
        InvocationNotFound: nobody knows one of them.
        click.UsageError: a text is no id, or is the beginning of several.
    """
    ids = list(dict.fromkeys(_whole(app, text) for text in texts))
    for invocation_id, status in zip(ids, run(app.backend.state_backend.statuses(ids)), strict=True):
        if status is None:
            raise InvocationNotFound(f"no invocation has the id {id_text(invocation_id)}, or it was purged")
    return ids


def _whole(app: Pynenc, text: str) -> InvocationId:
    digits = text.replace("-", "").lower()
    if not _FEWEST <= len(digits) <= _DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise click.UsageError(
            f"{text!r} is not an invocation id: {_DIGITS} hexadecimal digits, or the first {_FEWEST} or more of them"
        )
    return parse_id(digits) if len(digits) == _DIGITS else _begun_by(app, digits, text)


def _begun_by(app: Pynenc, digits: str, text: str) -> InvocationId:
    # The listing goes down from the greatest id there could be: two rows tell whether there is one such id.
    greatest = parse_id(digits.ljust(_DIGITS, "f"))
    newest = [each.call.invocation_id for each in run(app.backend.state_backend.listing(_below(greatest)))]
    matching = [each for each in newest if each.hex().startswith(digits)]
    if not matching:
        raise InvocationNotFound(f"no invocation has an id that begins with {text}, or it was purged")
    if len(matching) > 1:
        raise click.UsageError(f"several ids begin with {text}, such as {' and '.join(map(id_text, matching))}")
    return matching[0]


def _below(greatest: InvocationId) -> ListFilter:
    return ListFilter(before=greatest, limit=2)
