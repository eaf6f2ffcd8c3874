"""Durations of lifetimes, as people write them and as they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamal_dev.commands.expiry import LifetimeLimits
from kamal_dev.errors import UsageError
from kamal_dev.model import Lifetime
from kamal_dev.model.lifetime import seconds_of, spoken

PARTS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("8h", 28800), ("90m", 5400), ("2d", 172800), ("20s", 20), ("1h30m", 5400), ("1d0h5s", 86405), ("never", 0)],
)
def test_a_duration_is_a_number_of_seconds(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "8", "0h", "-1h", "1.5h", "8 h", "8H", "h", "30m1h", "1h1h", "8hours", "99999d", "٣h", "8h\n", "forever"],
)
def test_anything_else_is_refused_with_what_it_must_be(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        seconds_of(text)
    assert "is not a duration: it must be a number with a unit" in str(refused.value)


@given(st.lists(st.integers(0, 59), min_size=4, max_size=4).filter(any))
def test_every_combination_of_units_is_read(numbers: list[int]) -> None:
    parts = [(number, unit) for number, unit in zip(numbers, PARTS, strict=True)]
    first = next(index for index, (number, _) in enumerate(parts) if number)
    text = "".join(f"{number}{unit}" for number, unit in parts[first:])
    assert seconds_of(text) == sum(number * PARTS[unit] for number, unit in parts)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (20, "20 s"),
        (75, "1 min 15 s"),
        (900, "15 min"),
        (7200, "2 h"),
        (5401, "1 h 30 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_duration_is_shown_in_two_units(seconds: int, shown: str) -> None:
    assert spoken(seconds) == shown


def test_limits_become_the_words_of_the_host() -> None:
    assert LifetimeLimits("8h", "never").words == ("28800", "never")
    assert LifetimeLimits().words == ("-", "-")
    assert not LifetimeLimits()


@pytest.mark.parametrize(
    ("lifetime", "shown", "is_over"),
    [
        (Lifetime(ttl=3600, ttl_left=1800), "30 min", False),
        (Lifetime(ttl=3600, ttl_left=1800, idle=60, idle_left=5), "30 min, idle 5 s", False),
        (Lifetime(idle=60, idle_left=0), "0 s", True),
        (Lifetime(ttl=3600, ttl_left=-9, ended="ttl", ended_ago=7200), "0 s", True),
        (Lifetime(), "-", False),
    ],
)
def test_what_is_left_of_a_lifetime_is_shown(lifetime: Lifetime, shown: str, is_over: bool) -> None:
    assert (str(lifetime), lifetime.is_over) == (shown, is_over)


def test_an_ended_lifetime_says_which_limit_ended_and_when() -> None:
    assert Lifetime(ttl=3600, ended="ttl", ended_ago=7200).why == "ttl ended 2 h ago"
