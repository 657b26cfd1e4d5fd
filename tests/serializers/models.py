"""Classes whose instances the serializers have to keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from datetime import date
from enum import Enum, Flag, IntEnum, StrEnum, auto
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = (0, 0, 255)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mode(StrEnum):
    FAST = "fast"


class Rights(Flag):
    READ = auto()
    WRITE = auto()


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclass
class Line:
    price: Any
    currency: str = "EUR"


@dataclass
class Order:
    lines: list[Line]
    notes: dict[str, str] = field(default_factory=dict)
    total: int = field(init=False, default=0)


@dataclass(frozen=True, slots=True)
class Key:
    shop: str
    number: int


@dataclass
class Base:
    name: str


@dataclass
class Derived(Base):
    secret: InitVar[int]
    doubled: int = field(init=False)

    def __post_init__(self, secret: int) -> None:
        self.doubled = 2 * secret

    @cached_property
    def shout(self) -> str:
        return self.name.upper()


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class GrowingDict(dict[str, int]):
    label: str


@dataclass
class Holder:
    inner: Outer.Inner


class Outer:
    @dataclass
    class Inner:
        value: int


class Reading(msgspec.Struct, frozen=True):
    value: float
    unit: str = "K"


class Hashing(msgspec.Struct):
    secret: str

    def __post_init__(self) -> None:
        self.secret = f"<{self.secret}>"


@attrs.define
class Robot:
    name: str
    parts: list[str] = attrs.Factory(list)


@attrs.define
class Circle:
    radius: int

    @cached_property
    def area(self) -> int:
        return 3 * self.radius**2


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(alias="fullName")
    born: int = 1970
    _visits: int = pydantic.PrivateAttr(default=0)


class Tags(pydantic.RootModel[list[str]]):
    pass


class Loose(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


class Movie(TypedDict):
    title: str
    key: Key


class Money:
    """A `JsonSerializable` without inheriting from it, as published programs have them."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    def __repr__(self) -> str:
        return f"Money({self.cents})"

    def to_json(self) -> Any:
        if self.cents < 0:
            raise RuntimeError("debts stay private")
        return {"cents": self.cents}

    @classmethod
    def from_json(cls, data: Any) -> Money:
        return cls(data["cents"])


class Nesting:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def to_json(self) -> Any:
        return self.inner

    @classmethod
    def from_json(cls, data: Any) -> Nesting:
        return cls(data)


class Demanding(Exception):
    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"code {code}")
        self.code = code
        self.hint = hint


class Slotted(Exception):
    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        self.where = where


class Untouchable(Exception):
    """Constructing one with `__new__` or `__init__` shows in `touched`."""

    touched: list[str] = []

    def __new__(cls, *args: Any) -> Untouchable:
        cls.touched.append("new")
        return super().__new__(cls, *args)

    def __init__(self, *args: Any) -> None:
        self.touched.append("init")


class Wrapping(Exception):
    """As many are: the wrapped one is an argument and an attribute."""

    def __init__(self, inner: BaseException) -> None:
        super().__init__(inner)
        self.inner = inner


class Broken(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")

    def __repr__(self) -> str:
        raise KeyboardInterrupt


class Shy(Exception):
    """Raises when it is looked at."""

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise LookupError("not today")


class MyDict(dict[str, int]):
    pass


class MyTuple(tuple[int, ...]):
    pass


class MyText(str):
    pass


class MyDate(date):
    pass


class MyList(list[int]):
    pass


class MyInt(int):
    pass


class Plain:
    """No way to know what belongs to it."""

    def __init__(self) -> None:
        self.x = 1


def local_class() -> type:
    @dataclass
    class Local:
        x: int = 1

    return Local


def functions() -> list[Callable[..., Any]]:
    return [lambda: None, len, functions, [].append]
