"""What the guide promises about itself: it names whatever a user can set, and every page can be found."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pynenc.cli.entry import cli
from pynenc.config.sources import SETTINGS
from pynenc.config.task_fields import OPTIONS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def guide() -> str:
    """Return what stands in backticks anywhere in the guide."""
    pages = (page.read_text(encoding="utf-8") for page in sorted((DOCS / "guide").glob("*.md")))
    return "\n".join(re.findall(r"`([^`\n]+)`", "\n".join(pages)))


def names(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def commands(command: click.Command, path: str, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below one, by its words."""
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}".strip(), context)


def test_the_guide_names_every_setting_that_has_an_effect(guide: str) -> None:
    in_force = [name for name, setting in SETTINGS.items() if setting.retired is None]

    assert [name for name in in_force if not names(guide, name)] == []


def test_the_guide_names_every_option_of_a_task_that_this_release_has(guide: str) -> None:
    here = [name for name, option in OPTIONS.items() if option.coming is None]

    assert [name for name in here if not names(guide, name)] == []


def test_the_page_of_the_command_line_names_every_command_and_option() -> None:
    page = (DOCS / "guide" / "command-line.md").read_text(encoding="utf-8")
    found = list(commands(cli, "", click.Context(cli)))
    words = {word for path, _ in found for word in path.split()} - {"monitor"}
    options = {
        name
        for _, command in found
        for option in command.params
        if isinstance(option, click.Option)
        for name in option.opts
        if name.startswith("--")
    }

    assert sorted(word for word in words | options if not names(page, word)) == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))

    assert [page for page in pages if not re.search(rf"[ :]{re.escape(page)}$", navigation, re.MULTILINE)] == []


def test_getting_started_names_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (DOCS / "guide" / "getting-started.md").read_text(encoding="utf-8")

    assert [extra for extra in project["optional-dependencies"] if not names(page, extra)] == []
