"""`dataclass` like in the standard library, at a fifth of its cost.

Every start of `dev` creates some two hundred classes. The standard decorator writes, compiles and runs six functions
for each frozen one; here only `__init__` is written, and the other five are shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(cls=None, /, *, frozen=False, order=False, eq=True, **options):
        """Return the decorator; classes that are not frozen, or have an order, are left to the standard library."""
        if not frozen or order:
            return dataclasses.dataclass(cls, frozen=frozen, order=order, eq=eq, **options)

        def decorate(cls):
            made = dataclasses.dataclass(eq=False, repr=False, **options)(cls)
            every = dataclasses.fields(made)
            made.__compared__ = tuple(field.name for field in every if field.compare)
            made.__shown__ = tuple(field.name for field in every if field.repr)
            shared = {"__setattr__": _set, "__delattr__": _delete, "__repr__": _repr}
            for name, function in {**shared, **(COMPARING if eq else {})}.items():
                if name not in cls.__dict__:
                    setattr(made, name, function)
            return made

        return decorate


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
