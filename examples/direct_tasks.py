"""Direct tasks: the call waits and returns the value. One call may become several, here one per part of a text."""

from __future__ import annotations

from typing import Any

from pynenc import Pynenc

app = Pynenc(app_id="direct-tasks")


@app.direct_task
def shout(text: str) -> str:
    return text.upper()


def in_parts(arguments: dict[str, Any]) -> list[tuple[list[str]]]:
    lines = arguments["lines"]
    return [(lines[begin : begin + 2],) for begin in range(0, len(lines), 2)]


@app.direct_task(parallel_func=in_parts, aggregate_func=sum)
def count_words(lines: list[str]) -> int:
    return sum(len(line.split()) for line in lines)


if __name__ == "__main__":
    with app.running():
        print(shout("a plain value comes back"))
        print(count_words(["one two three", "four five", "six", "seven eight", "nine ten"]), "words in three parts")
