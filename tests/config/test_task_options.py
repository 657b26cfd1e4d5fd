"""Options of tasks: values, sources, and what this release refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from pynenc.config.task_fields import OPTIONS
from pynenc.config.task_options import TaskOptions
from pynenc.errors import ConfigError, InvalidTaskOptionsError, NotYetAvailable, RetryError
from pynenc.limits import Breaker, Limit, Order, Rate
from pynenc.model.policies import RunPolicy
from tests.config.conftest import Load


def test_the_table_and_the_struct_agree() -> None:
    assert asdict(TaskOptions()) == {name: option.default for name, option in OPTIONS.items()}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_default_may_be_given(load: Load, name: str) -> None:
    options = TaskOptions.build("m.f", {name: OPTIONS[name].default}, load())

    assert options == TaskOptions()


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("max_retries", "3", 3),
        ("retry_for", ValueError, (ValueError,)),
        ("retry_for", [ValueError, "builtins.KeyError"], (ValueError, KeyError)),
        ("retry_for", "TimeoutError, pynenc.errors.RetryError", (TimeoutError, RetryError)),
        ("retry_delay", timedelta(minutes=1), 60.0),
        ("retry_delay", 1, 1.0),
        ("retry_max_delay", "0.5", 0.5),
        ("retry_max_delay", "2min", 120.0),
        ("retry_delay", " 250 ms", 0.25),
        ("timeout", "1.5H", 5_400.0),
        ("expires", "1d 2h 3m 4s", 93_784.0),
        ("retry_jitter", "full", True),
        ("retry_jitter", "none", False),
        ("retry_jitter", False, False),
        ("timeout", timedelta(milliseconds=1500), 1.5),
        ("timeout", None, None),
        ("wait_timeout", 3, 3.0),
        ("queue", "mail.fast", "mail.fast"),
        ("delay", 0, 0.0),
        ("expires", timedelta(days=1), 86_400.0),
        ("priority", "2.5", 2.5),
        ("deadline", "10min", 600.0),
        ("deadline", "2026-01-31T08:00+01:00", datetime(2026, 1, 31, 7, tzinfo=UTC)),
        ("deadline", datetime(2026, 1, 31, 7, tzinfo=UTC), datetime(2026, 1, 31, 7, tzinfo=UTC)),
        ("start_at", "2026-01-31 08:00+01:00", datetime(2026, 1, 31, 7, tzinfo=UTC)),
        ("start_at", None, None),
        ("idempotency_key", "once", "once"),
        ("idempotency_key", str, str),
        ("disable_cache_args", ["a"], ("a",)),
        ("parallel_batch_size", 0, 1),
        ("retention", timedelta(days=1), 86_400.0),
        ("client_data_threshold", "1_000", 1000),
        ("running_concurrency", "disabled", "disabled"),
        ("registration_concurrency", "KEYS", "keys"),
        ("key_arguments", "a, b", ("a", "b")),
        ("unique_until", "Finished", "finished"),
        ("unique_for", "1min", 60.0),
        ("debounce", 2, 2.0),
        ("limits", "db:5, gpu:1", (Limit("db", 5), Limit("gpu", 1))),
        ("limits", {"db": 5}, (Limit("db", 5),)),
        ("limits", Limit("db", 5, by="a"), (Limit("db", 5, by="a"),)),
        ("limits", None, ()),
        ("rate_limit", "10/s", (Rate("10/s"),)),
        ("rate_limit", "10/s burst 5, 1000/h", (Rate("10/s", 5), Rate("1000/h"))),
        ("rate_limit", ["10/s", Rate("1/d", by="a")], (Rate("10/s"), Rate("1/d", by="a"))),
        ("rate_limit", None, ()),
        ("circuit_breaker", "5, 30s", Breaker(5, 30.0)),
        ("circuit_breaker", (5, timedelta(minutes=1)), Breaker(5, 60.0)),
        ("circuit_breaker", {"failures": 5, "open_for": 30}, Breaker(5, 30.0)),
        ("circuit_breaker", Breaker(5, "1h", name="stripe"), Breaker(5, 3600.0, name="stripe")),
        ("ordering_key", "a", ("a",)),
        ("ordering_key", Order("all", by=()), Order("all", by=())),
        ("share_key", ["a", "b"], ("a", "b")),
        ("share_weight", "100", 100),
        ("triggers", [], None),
    ],
)
def test_values_are_kept_in_one_form(load: Load, name: str, given: Any, kept: Any) -> None:
    options = TaskOptions.build("m.f", {name: given}, load())

    assert getattr(options, name) == kept


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("max_retries", -1),
        ("max_retries", 1.5),
        ("retry_for", [int]),
        ("retry_for", "no.such.Error"),
        ("retry_for", 3),
        ("retry_delay", -1),
        ("retry_delay", float("inf")),
        ("retry_backoff", 0.5),
        ("retry_jitter", "some"),
        ("timeout", 0),
        ("timeout", "soon"),
        ("timeout", "2 weeks"),
        ("timeout", "h"),
        ("timeout", "0s"),
        ("timeout", "1.5.5h"),
        ("retry_delay", "-1min"),
        ("timeout", True),
        ("timeout", timedelta(days=100_000)),
        ("queue", ""),
        ("queue", "a:b"),
        ("queue", "a\nb"),
        ("queue", "a" * 201),
        ("queue", None),
        ("start_at", datetime(2026, 1, 31)),
        ("start_at", "2026-01-31T08:00"),
        ("start_at", "tomorrow"),
        ("start_at", 5),
        ("idempotency_key", 3),
        ("idempotency_key", b"x"),
        ("disable_cache_args", [1]),
        ("client_data_threshold", -1),
        ("running_concurrency", "everything"),
        ("running_limit", 0),
        ("unique_until", "tomorrow"),
        ("unique_for", 0),
        ("limits", "db"),
        ("limits", "db:0"),
        ("limits", "db:many"),
        ("limits", {"db": 1.5}),
        ("limits", 5),
        ("rate_limit", "fast"),
        ("rate_limit", "0/s"),
        ("rate_limit", "10/week"),
        ("rate_limit", "10"),
        ("rate_limit", "1000000/s"),
        ("rate_limit", "10/s burst 0"),
        ("rate_limit", 10),
        ("circuit_breaker", "5"),
        ("circuit_breaker", (0, "30s")),
        ("circuit_breaker", (5, 0)),
        ("circuit_breaker", {"failures": 5}),
        ("ordering_key", [1]),
        ("ordering_key", 3),
        ("share_weight", 101),
    ],
)
def test_an_ill_typed_option_is_named_with_task_and_value(name: str, given: Any) -> None:
    with pytest.raises(InvalidTaskOptionsError) as caught:
        TaskOptions.check("m.f", {name: given})

    assert f"{name}: {given!r} in the decorator of m.f is not" in str(caught.value)


def test_an_unknown_option_is_named_with_the_nearest() -> None:
    with pytest.raises(InvalidTaskOptionsError) as caught:
        TaskOptions.check("m.f", {"max_retry": 1})

    assert "'max_retry'" in str(caught.value)
    assert "'max_retries'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("triggers", [object()]),
        ("force_new_workflow", True),
    ],
)
def test_an_option_to_come_is_refused_by_name(name: str, given: Any) -> None:
    with pytest.raises(NotYetAvailable) as caught:
        TaskOptions.check("m.f", {name: given})

    assert name in str(caught.value)
    assert "m.f" in str(caught.value)


# --- sources ---

ENVIRONMENT_OF_TASK = {"PYNENC__CONFIGTASK__SHOP.MAIL#SEND__MAX_RETRIES": "{}"}
ENVIRONMENT = {"PYNENC__CONFIGTASK__MAX_RETRIES": "{}"}
TOP_OF_ENVIRONMENT = {"PYNENC__MAX_RETRIES": "{}"}

Say = Callable[[dict[str, Any], int], None]


def _environ(variables: dict[str, str]) -> Say:
    return lambda call, number: call["environ"].update({name: text.format(number) for name, text in variables.items()})


def _decorator(call: dict[str, Any], number: int) -> None:
    call["decorator"]["max_retries"] = number


def _given_to_task(call: dict[str, Any], number: int) -> None:
    call["values"].setdefault("task", {})["shop.mail.send"] = {"max_retries": number}


def _given_to_tasks(call: dict[str, Any], number: int) -> None:
    call["values"].setdefault("task", {})["max_retries"] = number


def _given(call: dict[str, Any], number: int) -> None:
    call["values"]["max_retries"] = number


def _pyproject(call: dict[str, Any], number: int) -> None:
    (call["folder"] / "pyproject.toml").write_text(f'[tool.pynenc.task."shop.mail.send"]\nmax_retries = {number}\n')


STRONGEST_FIRST: list[Say] = [
    _environ(ENVIRONMENT_OF_TASK),
    _environ(ENVIRONMENT),
    _environ(TOP_OF_ENVIRONMENT),
    _decorator,
    _given_to_task,
    _given_to_tasks,
    _given,
    _pyproject,
    lambda call, number: None,
]


@pytest.mark.parametrize(("stronger", "weaker"), list(pairwise(STRONGEST_FIRST)))
def test_of_two_sources_of_an_option_the_stronger_one_wins(
    load: Load, tmp_path: Path, stronger: Say, weaker: Say
) -> None:
    call: dict[str, Any] = {"environ": {}, "decorator": {}, "values": {}, "folder": tmp_path}
    weaker(call, 3)
    stronger(call, 7)

    conf = load(call["values"], environ=call["environ"])

    assert TaskOptions.build("shop.mail.send", call["decorator"], conf).max_retries == 7


def test_options_of_one_task_do_not_reach_another(load: Load) -> None:
    conf = load({"task": {"m.f": {"max_retries": 3}}})

    assert TaskOptions.build("m.g", {}, conf).max_retries == 0


def test_nested_tables_name_a_task_as_its_dotted_name_does(load: Load) -> None:
    conf = load({"task": {"shop": {"mail": {"send": {"max_retries": 3}}}}})

    assert TaskOptions.build("shop.mail.send", {}, conf).max_retries == 3


def test_limits_can_be_written_in_configuration(load: Load, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pynenc.task."m.f"]\n'
        'running_concurrency = "keys"\nkey_arguments = ["account"]\nrunning_limit = 3\n'
        'limits = "db:5"\nrate_limit = "25/s burst 5, 1000/h"\ncircuit_breaker = "5, 30s"\nordering_key = "account"\n'
    )

    options = TaskOptions.build("m.f", {}, load())

    assert (options.running_concurrency, options.key_arguments, options.running_limit) == ("keys", ("account",), 3)
    assert options.limits == (Limit("db", 5),)
    assert options.rate_limit == (Rate("25/s", 5), Rate("1000/h"))
    assert (options.circuit_breaker, options.ordering_key) == (Breaker(5, 30.0), ("account",))


def test_exception_classes_in_configuration_are_imported_only_when_the_task_is_used(load: Load) -> None:
    conf = load({"task": {"m.f": {"retry_for": "no.such.Error"}}})

    with pytest.raises(ConfigError) as caught:
        TaskOptions.build("m.f", {}, conf)

    assert "no.such.Error" in str(caught.value)
    assert '[task."m.f"] of the constructor' in str(caught.value)


# --- use ---


def test_replacing_checks_like_a_decorator_and_keeps_the_rest(load: Load) -> None:
    options = TaskOptions.build("m.f", {"max_retries": 3}, load())

    changed = options.replace(delay=timedelta(seconds=2))

    assert (changed.max_retries, changed.delay, options.delay) == (3, 2.0, None)


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ({"max_retry": 1}, InvalidTaskOptionsError),
        ({"queue": ":"}, InvalidTaskOptionsError),
        ({"priority": 101}, InvalidTaskOptionsError),
        ({"running_limit": 2}, InvalidTaskOptionsError),
    ],
)
def test_a_wrong_replacement_is_refused(override: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        TaskOptions().replace(**override)


def test_the_policy_carries_durations_in_microseconds() -> None:
    options = TaskOptions().replace(
        max_retries=2, retry_delay=0.25, retry_max_delay=10, retry_jitter="none", timeout=1.5, wait_timeout=60
    )

    assert options.policy() == RunPolicy(
        max_retries=2,
        retry_delay_us=250_000,
        retry_max_delay_us=10_000_000,
        retry_jitter=False,
        timeout_us=1_500_000,
        wait_timeout_us=60_000_000,
    )


def test_default_options_have_the_default_policy() -> None:
    assert TaskOptions().policy() == RunPolicy()


def test_what_does_not_travel_with_a_call_is_refused_there() -> None:
    with pytest.raises(InvalidTaskOptionsError, match="decorated with"):
        TaskOptions().replace(retry_for=(ValueError,))
