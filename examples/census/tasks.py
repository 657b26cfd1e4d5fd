"""The census as tasks: one for the whole, one per package, one per file, and one that joins what they found."""

from __future__ import annotations

from examples.census.counting import (
    Census,
    FileCount,
    ImportGraph,
    PackageCount,
    build_import_graph,
    count_file,
    imports_by_name,
    in_order,
    package_count,
)
from examples.census.sources import Package
from pynenc import Pynenc

app = Pynenc(app_id="census")


@app.task
def census_file(root: str, path: str) -> FileCount:
    return count_file(root, path)


@app.task
def census_package(package: Package) -> PackageCount:
    """Submit every file and wait; while it waits, its worker runs other tasks."""
    files = census_file.parallelize((package.root, path) for path in package.paths)
    return package_count(package.name, files.results)


@app.task
def import_graph(imports: list[dict[str, dict[str, int]]]) -> ImportGraph:
    return build_import_graph(imports)


@app.task
def take_census(packages: list[Package]) -> Census:
    """Fan out over the packages, then join their imports in one graph."""
    group = census_package.parallelize((package,) for package in packages)
    counted = in_order(group.results)
    graph = import_graph([imports_by_name(package) for package in counted])
    return Census(counted, graph.result)


def plain_census(packages: list[Package]) -> Census:
    """Take the same census here and now, in one thread: what the tasks have to agree with."""
    counted = in_order(
        package_count(package.name, [count_file(package.root, path) for path in package.paths]) for package in packages
    )
    return Census(counted, build_import_graph([imports_by_name(package) for package in counted]))
