"""`dataclass` like in the standard library, at a tenth of its cost.

Every start of `dev` creates some two hundred classes. The standard decorator writes, compiles and runs six functions
for each frozen one; here they are shared.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, order=False, eq=True, **options):
        """Return the decorator; classes that are not frozen, or have an order, are left to the standard library."""
        if not frozen or order:
            return dataclasses.dataclass(cls, frozen=frozen, order=order, eq=eq, **options)

        def decorate(cls):
            made = dataclasses.dataclass(init=False, eq=False, repr=False, **options)(cls)
            every = dataclasses.fields(made)
            made.__positional__ = tuple(field.name for field in every if field.init and not field.kw_only)
            made.__initial__ = tuple((field.name, field.default, field.default_factory) for field in every)
            made.__computed__ = frozenset(field.name for field in every if not field.init)
            made.__compared__ = tuple(field.name for field in every if field.compare)
            made.__shown__ = tuple(field.name for field in every if field.repr)
            shared = {"__init__": _init, "__setattr__": _set, "__delattr__": _delete, "__repr__": _repr}
            for name, function in {**shared, **(COMPARING if eq else {})}.items():
                if name not in cls.__dict__:
                    setattr(made, name, function)
            return made

        return decorate


def _init(self: Any, /, *given: object, **named: Any) -> None:
    """Fill all fields, in their order."""
    if len(given) > len(self.__positional__):
        raise TypeError(f"{_name(self)} takes {len(self.__positional__)} positional arguments, not {len(given)}")
    for name, value in zip(self.__positional__, given, strict=False):
        if name in named:
            raise TypeError(f"{_name(self)} got multiple values for argument {name!r}")
        named[name] = value
    missing, values = dataclasses.MISSING, self.__dict__
    for name, default, make in self.__initial__:
        value = default if name in self.__computed__ else named.pop(name, default)
        if value is missing and make is missing:
            raise TypeError(f"{_name(self)} lacks the argument {name!r}")
        values[name] = make() if value is missing else value
    if named:
        raise TypeError(f"{_name(self)} got an unexpected argument {next(iter(named))!r}")
    if after := getattr(self, "__post_init__", None):
        after()


def _name(self: Any) -> str:
    return f"{type(self).__qualname__}()"


def _set(self: Any, name: str, value: object) -> None:
    """Set a field once, for `__init__`."""
    if name in self.__dict__ or name not in self.__dataclass_fields__:
        raise _frozen(name)
    object.__setattr__(self, name, value)


def _delete(self: Any, name: str) -> None:
    raise _frozen(name)


def _frozen(name: str) -> Exception:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(f"cannot assign to field {name!r}")


def _repr(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__shown__)})"


def _compared(self: Any) -> tuple[object, ...]:
    return tuple(getattr(self, name) for name in self.__compared__)


def _equal(self: Any, other: object) -> bool:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


COMPARING = {"__eq__": _equal, "__hash__": _hash}
