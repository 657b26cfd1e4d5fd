"""What a setting is: a typed attribute of the configuration with a default and a meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, overload

from pynenc.config.kinds import Kind

T = TypeVar("T")


class Holder(Protocol):
    """What settings live on."""

    def value_of(self, name: str) -> Any:
        """Return the value in force."""

    def assign(self, name: str, value: Any) -> None:
        """Check `value` and let it win over every other source."""


class Setting(Generic[T]):
    """An attribute whose value comes from the strongest source that has one.

    Attributes:
        doc: what it does.
        secret: never shown, not even in errors.
        coming: set if only the default is possible in this release: what holds until then.
        retired: of a mechanism that is not needed any more: what stands in its place. Such a value is checked, kept
            and noted once at debug level.
    """

    __slots__ = ("coming", "default", "doc", "kind", "name", "retired", "secret")

    def __init__(
        self,
        kind: Kind,
        default: T,
        doc: str,
        *,
        secret: bool = False,
        coming: str | None = None,
        retired: str | None = None,
    ) -> None:
        self.kind = kind
        self.default = default
        self.doc = doc
        self.secret = secret
        self.coming = coming
        self.retired = retired
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, holder: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, holder: Holder, owner: type) -> T: ...
    def __get__(self, holder: Holder | None, owner: type) -> Setting[T] | T:
        if holder is None:
            return self
        value: T = holder.value_of(self.name)
        return value

    def __set__(self, holder: Holder, value: Any) -> None:
        holder.assign(self.name, value)


class PublishedName(Setting[T]):
    """Another name, and perhaps another unit, of a setting.

    Attributes:
        target: the setting.
        inward: from a value under this name to the setting's.
        outward: the other way.
    """

    __slots__ = ("inward", "outward", "target")

    def __init__(
        self,
        target: str,
        kind: Kind,
        default: T,
        doc: str,
        *,
        inward: Callable[[Any], Any] = lambda value: value,
        outward: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        super().__init__(kind, default, doc)
        self.target = target
        self.inward = inward
        self.outward = outward


def settings_of(cls: type) -> dict[str, Setting[Any]]:
    """Return the settings of a class and its bases by name."""
    return {
        name: attribute
        for base in reversed(cls.__mro__)
        for name, attribute in vars(base).items()
        if isinstance(attribute, Setting)
    }
