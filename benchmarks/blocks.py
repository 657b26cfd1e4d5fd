"""The parts of the page of figures, and of what a run prints, as Markdown made from a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from benchmarks.catalogue import CATALOGUE
from benchmarks.comparison import BULK, END_TO_END, ONE_BY_ONE, PAUSES, PERCENTILES, ratios
from benchmarks.record import Figure, Rates, Record, Setting, SystemReport
from benchmarks.tables import shown, table

_RATES = (ONE_BY_ONE, BULK, END_TO_END)
_COLUMNS = (
    *("submitted one by one /s", "in bulk /s", "end to end /s"),
    *(f"round trip {name}, {' / '.join(f'p{each}' for each in PERCENTILES)} ms" for name, _ in PAUSES),
)
_NOTHING = "*Not measured yet.*"
_MIXED = "mixed"
"""The measurement that has a table of its own."""


def compared(record: Record) -> str:
    """The medians of every system, and what failed."""
    if record.comparison is None:
        return _NOTHING
    systems = record.comparison.systems.values()
    rows = [(s.name, shown(s.tasks), *_cells(s.medians(), shown)) for s in systems if s.rounds]
    failed = [f"- {s.name} failed: {s.failure}" for s in systems if s.failure]
    text = table(("system", "tasks", *_COLUMNS), rows)
    return text + ("\n\n" + "\n".join(failed) if failed else "")


def over_peers(record: Record) -> str:
    """Pynenc over each other system on the same store, as the median of the rounds' ratios."""
    rows = [(name, *_cells(found, lambda value: f"{shown(value)}×")) for name, found in _over_others(record)]
    return table(("ratio", *_COLUMNS), rows) if rows else _NOTHING


def _over_others(record: Record) -> Iterator[tuple[str, Rates]]:
    systems = {} if record.comparison is None else record.comparison.systems
    for other in systems.values():
        ours = systems.get(f"pynenc-{other.store}")
        if ours is not None and other.kind != "pynenc" and (found := ratios(ours, other)):
            yield f"{ours.name} / {other.name}", found


def _cells(figures: Mapping[str, float], text: Callable[[float], str]) -> Iterator[str]:
    yield from (text(figures[name]) for name in _RATES)
    for name, _ in PAUSES:
        yield " / ".join(text(figures[f"{name} p{percent} ms"]) for percent in PERCENTILES)


def configured(record: Record) -> str:
    """How each system was set up, and its versions."""
    systems = {} if record.comparison is None else record.comparison.systems
    rows = []
    for entry in CATALOGUE:
        versions = systems[entry.key].versions if entry.key in systems else {}
        told = ", ".join(f"{name} {version}" for name, version in versions.items())
        rows.append(f"| {entry.name} | {entry.configured()} | {told or '—'} |")
    return "\n".join(["| system | configured | versions |", "|---|---|---|", *rows])


def aims(record: Record) -> str:
    """What the comparison should show, and what it shows."""
    systems = {} if record.comparison is None else record.comparison.systems
    return _figures(_aims(systems)) or _NOTHING


def _aims(systems: Mapping[str, SystemReport]) -> Iterator[Figure]:
    for key, least in (("pynenc-redis-no-aof", 15_000), ("pynenc-redis", 10_000), ("pynenc-postgresql", 8_000)):
        if key in systems and (found := systems[key].medians()):
            name = f"{systems[key].name}: tasks from end to end"
            yield Figure(what=name, value=found[END_TO_END], unit=" /s", at_least=least)
    wanted: tuple[tuple[str, str, float | None], ...] = (
        ("pynenc-redis", "bare-redis", 0.6),
        ("pynenc-redis-no-aof", "bare-redis-no-aof", 0.6),
        ("pynenc-postgresql", "bare-postgresql", None),
        ("pynenc-sqlite", "bare-sqlite", None),
        ("pynenc-redis", "dramatiq", 8),
        ("pynenc-redis", "celery", 40),
        ("pynenc-postgresql", "procrastinate", 8),
    )
    for ours, other, share in wanted:
        if ours in systems and other in systems and (found := ratios(systems[ours], systems[other])):
            name = f"{systems[ours].name} over {systems[other].name}: end to end"
            yield Figure(what=name, value=found[END_TO_END], unit="×", at_least=share)


def alone(record: Record) -> str:
    """Every figure of Pynenc alone."""
    parts = (taken.measured.figures for name, taken in record.alone.items() if name != _MIXED)
    return _figures(figure for figures in parts for figure in figures) or _NOTHING


def mixed(record: Record) -> str:
    """The mixed load, beside peers."""
    if _MIXED not in record.alone:
        return _NOTHING
    rows = [(each.what, shown(each.value) + each.unit, each.detail) for each in record.alone[_MIXED].measured.figures]
    return table(("system", "over the ideal", "configured"), rows)


def found(name: str, record: Record) -> str:
    """What one measurement found: its figures, or what is drawn of it otherwise."""
    if name == _MIXED:
        return mixed(record)
    return alone(record) if record.alone[name].measured.figures else lines(record)


def lines(record: Record) -> str:
    """The points of the plots, for a run that draws none."""
    series = [series for taken in record.alone.values() for series in taken.measured.series]
    told = (", ".join(f"{at:g}: {shown(value)}" for at, value in each.points) for each in series)
    return "\n".join(f"- {each.plot}, {each.name}: {points}" for each, points in zip(series, told, strict=True))


def _figures(figures: Iterable[Figure]) -> str:
    rows = [(figure.what, shown(figure.value) + figure.unit, _aim(figure), figure.detail) for figure in figures]
    return table(("what", "measured", "aim", "made of"), rows) if rows else ""


def _aim(figure: Figure) -> str:
    if figure.at_most is not None:
        return f"≤ {shown(figure.at_most)}{figure.unit}" + _failed(figure.value <= figure.at_most)
    if figure.at_least is not None:
        return f"≥ {shown(figure.at_least)}{figure.unit}" + _failed(figure.value >= figure.at_least)
    return ""


def _failed(met: bool) -> str:
    return "" if met else " **missed**"


def settings(record: Record) -> str:
    """When, where and with which commands the figures were taken."""
    taken: dict[str, Setting] = {}
    if record.comparison is not None:
        rounds = max((len(system.rounds) for system in record.comparison.systems.values()), default=0)
        taken[f"beside the peers, medians of {rounds} rounds"] = record.comparison.setting
    for name, part in record.alone.items():
        taken[name] = part.setting
    together: dict[str, list[str]] = {}
    for name, setting in taken.items():
        together.setdefault(_told(setting), []).append(name)
    return "\n".join(f"- {', '.join(names)}: {told}" for told, names in together.items()) or _NOTHING


def _told(setting: Setting) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in setting.versions.items())
    return f"`{setting.command}` on {setting.date}; {setting.cores} cores, {setting.machine}; {versions}"


BLOCKS = {
    "settings": settings,
    "compared": compared,
    "ratios": over_peers,
    "aims": aims,
    "configured": configured,
    "mixed": mixed,
    "alone": alone,
}
"""By the name that the page gives them."""
