"""Which classes an app's stored bytes may name."""

from __future__ import annotations

import http
import sys
from types import ModuleType
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest

from pynenc.serializers.names import name_of
from pynenc.serializers.types import KnownTypes
from tests.serializers import models

T = TypeVar("T")


class Page(models.Box[T], Generic[T]):
    pass


def mentions(
    order: models.Order, robots: dict[str, list[models.Robot | None]], key: Annotated[models.Key, Literal["x"]]
) -> Page[models.Reading]:
    raise NotImplementedError


@pytest.mark.parametrize("cls", [models.Order, models.Line, models.Robot, models.Key, models.Reading, Page])
def test_annotations_are_known_down_to_fields(cls: type) -> None:
    types = KnownTypes()
    types.learn_annotations(mentions)

    assert types.resolve(name_of(cls)) is cls


def test_what_nobody_speaks_of_is_unknown() -> None:
    types = KnownTypes()
    types.learn_annotations(mentions)

    assert types.resolve(name_of(models.Money)) is None


def test_registered_classes_are_known() -> None:
    types = KnownTypes()
    types.register(models.Money)

    assert types.resolve(name_of(models.Money)) is models.Money


def test_classes_of_a_module_and_inside_its_classes_are_known() -> None:
    types = KnownTypes()
    types.learn_module(models.__name__)

    assert types.resolve(f"{models.__name__}:Outer.Inner") is models.Outer.Inner


def test_a_class_that_appears_after_the_first_look_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("appears_later")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec("def task(x: 'Late') -> None: ...", vars(module))  # noqa: S102 - a module made for this test
    types = KnownTypes()
    types.learn_annotations(vars(module)["task"])
    assert types.resolve("appears_later:Late") is None

    exec("class Late: ...", vars(module))  # noqa: S102

    assert types.resolve("appears_later:Late") is vars(module)["Late"]


def test_annotations_that_lead_nowhere_leave_the_others_known() -> None:
    def broken(line: models.Line, other: Any) -> None:
        raise NotImplementedError

    broken.__annotations__ = {"line": models.Line, "other": "NoSuchName"}
    types = KnownTypes()
    types.learn_annotations(broken)

    assert types.resolve(name_of(models.Line)) is models.Line


def test_a_module_that_was_barred_has_no_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "this", None)

    assert KnownTypes().resolve("this:Zen") is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("builtins:ValueError", ValueError),
        ("http:HTTPStatus", http.HTTPStatus),
        ("json.decoder:JSONDecodeError", __import__("json").JSONDecodeError),
        ("builtins:int", None),
        ("builtins:eval", None),
        ("subprocess:Popen", None),
        ("os:system", None),
        ("json:JSONDecodeError", None),
        ("this:Zen", None),
        ("pynenc.errors:Any", None),
        ("", None),
    ],
)
def test_of_python_itself_only_errors_enums_and_named_tuples_are_known(name: str, found: type | None) -> None:
    assert KnownTypes().resolve(name) is found
