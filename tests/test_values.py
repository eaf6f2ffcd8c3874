"""The values of this package behave as frozen dataclasses of the standard library do."""

from __future__ import annotations

import dataclasses
from dataclasses import FrozenInstanceError, field, replace
from typing import Any

import pytest

from kamal_dev import values


def made(decorator: Any) -> Any:
    @decorator(frozen=True)
    class Point:
        """A place."""

        x: int
        y: int = 0
        note: str = field(default="", compare=False)
        hidden: str = field(default="", repr=False)
        parts: list[int] = field(default_factory=list, compare=False)

    return Point


@pytest.mark.parametrize("decorator", [values.dataclass, dataclasses.dataclass])
def test_a_value_is_what_its_fields_are(decorator: Any) -> None:
    point = made(decorator)
    assert point(1) == point(1, 0, note="elsewhere")
    assert point(1) != point(2)
    assert point(1) != (1, 0, "")
    assert len({point(1), point(1), point(1, 1)}) == 2
    assert repr(point(1)).endswith("Point(x=1, y=0, note='', parts=[])")
    assert replace(point(1), y=3).y == 3
    assert [item.name for item in dataclasses.fields(point)] == ["x", "y", "note", "hidden", "parts"]
    assert point(1).parts is not point(1).parts


@pytest.mark.parametrize("decorator", [values.dataclass, dataclasses.dataclass])
@pytest.mark.parametrize("name", ["x", "y", "other"])
def test_a_value_never_changes(decorator: Any, name: str) -> None:
    point = made(decorator)(1)
    with pytest.raises(FrozenInstanceError):
        setattr(point, name, 2)
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert point.x == 1


@pytest.mark.parametrize("decorator", [values.dataclass, dataclasses.dataclass])
@pytest.mark.parametrize(
    ("given", "named"), [((), {}), ((1, 2, "", "", [], 6), {}), ((1,), {"x": 1}), ((1,), {"z": 2}), ((), {"y": 1})]
)
def test_wrong_arguments_are_refused(decorator: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        made(decorator)(*given, **named)


@pytest.mark.parametrize("decorator", [values.dataclass, dataclasses.dataclass])
def test_fields_are_filled_in_all_ways(decorator: Any) -> None:
    @decorator(frozen=True)
    class Base:
        first: int
        count: list[int] = field(default_factory=list, init=False)

        def __post_init__(self) -> None:
            self.count.append(self.first)

    @decorator(frozen=True, kw_only=True)
    class Named(Base):
        name: str = ""
        size: int

    value = Named(1, size=2)
    assert (value.first, value.count, value.name, value.size) == (1, [1], "", 2)
    assert list(vars(value)) == [item.name for item in dataclasses.fields(Named)]
    for given, named in [((1, "x"), {"size": 2}), ((1,), {}), ((1,), {"size": 2, "count": []})]:
        with pytest.raises(TypeError):
            Named(*given, **named)


def test_own_methods_stand_and_identity_is_kept_where_it_is_wanted() -> None:
    @values.dataclass(frozen=True)
    class Secret:
        value: str

        def __repr__(self) -> str:
            return "[redacted]"

    @values.dataclass(frozen=True, eq=False)
    class Run:
        name: str

    assert repr(Secret("x")) == "[redacted]"
    assert Run("a") != Run("a")
    with pytest.raises(FrozenInstanceError):
        Run("a").name = "b"  # type: ignore[misc]


def test_what_has_an_order_or_may_change_is_left_to_the_standard_library() -> None:
    @values.dataclass(frozen=True, order=True)
    class Number:
        value: int

    @values.dataclass
    class Row:
        value: int

    row = Row(1)
    row.value = 2
    assert Number(1) < Number(2)
    assert row == Row(2)
