"""The page says what the tests produce."""

from __future__ import annotations

from tests.faults.publish import PAGE, faults, published

WORKED_ON = set(range(1, 35))


def test_the_page_is_made_of_the_tests() -> None:
    assert PAGE.read_text() == published(), "run `python -m tests.faults.publish`"


def test_every_fault_of_the_list_is_produced_or_said_not_to_be() -> None:
    assert {fault.number for fault in faults()} >= WORKED_ON
