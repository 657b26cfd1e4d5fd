"""What the repository promises about itself: commands, documents and files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

DECISION = re.compile(r"(\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.md")
HOME_PATH = re.compile(r"(?:^|[\s\"'=(:`])(/(?:home|root|Users)/[A-Za-z0-9_.]+)")
REGISTRY = re.compile(r"pypi\.org|pythonhosted|--(?:extra-)?index-url|--find-links|registry\.npmjs", re.IGNORECASE)


def tracked_files() -> list[Path]:
    """Return the text files of the repository, also those that were not added yet."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [ROOT / line for line in listed.splitlines()]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def run_in_root(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_the_quick_start_of_the_readme_is_the_example_that_is_tested() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)

    assert blocks[0] == (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)

    done = run_in_root("make", "--no-print-directory", "help")

    assert {"demo", "test", "lint", "types", "docs", "bench", "clean", "format"} <= set(targets)
    assert [line.split()[1] for line in done.stdout.splitlines()] == targets


def test_no_file_names_a_home_folder() -> None:
    assert lines_that_match(HOME_PATH) == []


def test_no_file_names_a_package_registry() -> None:
    assert lines_that_match(REGISTRY) == []


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    names = sorted(path.name for path in folder.iterdir() if path.name != "index.md")
    index = (folder / "index.md").read_text(encoding="utf-8")
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")

    numbers = [int(match[1]) if (match := DECISION.fullmatch(name)) else name for name in names]

    assert numbers == list(range(1, len(names) + 1))
    assert [name for name in names if f"({name})" not in index] == []
    assert [name for name in names if f"decisions/{name}" not in navigation] == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "decisions").glob("0*.md")), ids=lambda path: path.name)
def test_a_decision_has_its_number_and_all_parts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert text.startswith(f"# {path.name[:4]}: ")
    assert headings == ["Context", "Decision", "Alternatives", "Consequences"]


def test_every_fragment_is_named_as_the_changelog_wants_it() -> None:
    done = run_in_root(sys.executable, "scripts/changelog")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### ")


def test_a_fragment_with_another_name_is_refused(tmp_path: Path) -> None:
    changelog = tmp_path / "scripts" / "changelog"
    changelog.parent.mkdir()
    changelog.write_bytes((ROOT / "scripts" / "changelog").read_bytes())
    (tmp_path / "changes").mkdir()
    (tmp_path / "changes" / "speed.improved.md").touch()

    done = run_in_root(sys.executable, str(changelog))

    assert done.returncode == 1
    assert "speed.improved.md" in done.stderr


def test_a_release_moves_the_fragments_into_the_changelog(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "changes").mkdir()
    (tmp_path / "scripts" / "changelog").write_bytes((ROOT / "scripts" / "changelog").read_bytes())
    (tmp_path / "changes" / "speed.changed.md").write_text("It is\nfaster.\n", encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n<!-- releases -->\n", encoding="utf-8")

    done = run_in_root(sys.executable, str(tmp_path / "scripts" / "changelog"), "release", "1.2.0")

    text = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert re.search(r"## 1\.2\.0 - \d{4}-\d\d-\d\d\n\n### Changed\n\n- It is faster\.\n", text)
    assert list((tmp_path / "changes").iterdir()) == []


def test_services_refuses_a_name_it_does_not_know() -> None:
    done = run_in_root("scripts/services", "start", "oracle")

    assert done.returncode == 2
    assert "unknown service 'oracle'" in done.stderr
