"""The page says what the tests produce."""

from __future__ import annotations

from tests.faults.publish import NOT_PRODUCED, PAGE, faults, published


def test_the_page_is_made_of_the_tests() -> None:
    assert PAGE.read_text() == published(), "run `python -m tests.faults.publish`"


def test_every_fault_of_the_list_is_produced_or_said_not_to_be() -> None:
    told = {fault.number for fault in faults()} | {number for number, _, _ in NOT_PRODUCED}
    assert told == set(range(1, 36))
