"""How fast a graph is submitted as a stream, and in how much memory: `python -m benchmarks.graph --edges 1000000`."""

from __future__ import annotations

import argparse
import resource
import time

from pynenc import Pynenc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="sqlite:///graph.db")
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=2, help="how many others each call comes after")
    options = parser.parse_args()
    app = Pynenc(options.url, app_id="graph")

    @app.task
    def step(number: int) -> int:
        return number

    roots = [step(-number) for number in range(options.each)]
    node = step.after(roots)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    nodes = sum(1 for _ in app.submit_stream(node.call(number) for number in range(options.edges // options.each)))
    took_s = time.perf_counter() - begin
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    edges = nodes * options.each
    print(
        f"{edges:,} edges in {took_s:.1f} s, {edges / took_s:,.0f} a second; memory grew by {grown_mib:.1f} MiB at most"
    )
    app.close()


if __name__ == "__main__":
    main()
