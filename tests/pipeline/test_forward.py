from __future__ import annotations

import pytest

from kamal_dev.devcontainer.forwarding import Port
from kamal_dev.errors import UsageError
from kamal_dev.pipeline.forward import address, local


def port(number: int, *, host: str = "localhost", is_exact: bool = False) -> Port:
    return Port(host, number, number, is_exact=is_exact)


def chosen(*ports: Port, taken: tuple[int, ...] = ()) -> list[int]:
    return [item.local for item in local(ports, lambda number: number not in taken)]


def test_a_taken_port_gives_way_to_the_next_free_one() -> None:
    assert chosen(port(3000), taken=(3000, 3001)) == [3002]
    assert chosen(port(5432), port(5432, host="db")) == [5432, 5433]


def test_a_port_that_is_for_root_is_found_among_those_for_everybody() -> None:
    assert chosen(port(80), port(443), taken=(80, 443)) == [8080, 8443]


def test_those_that_must_have_their_port_choose_first() -> None:
    assert chosen(port(3000), port(3000, host="db", is_exact=True)) == [3001, 3000]


def test_one_that_must_have_its_port_and_cannot_is_an_error() -> None:
    with pytest.raises(UsageError, match="port 3000 is in use"):
        chosen(port(3000, is_exact=True), taken=(3000,))
    with pytest.raises(UsageError, match="port 3000 is used twice"):
        chosen(port(3000, is_exact=True), port(3000, host="db", is_exact=True))


def test_a_url_is_shown_where_the_protocol_is_known() -> None:
    assert address(Port("localhost", 3000, 3001, protocol="https")) == "https://127.0.0.1:3001"
    assert address(Port("db", 5432, 5432)) == "127.0.0.1:5432"


def test_one_port_may_be_at_two_places_here_and_two_may_not_be_at_one() -> None:
    here, there = Port("localhost", 3000, 3000, is_exact=True), Port("localhost", 3000, 8000, is_exact=True)
    assert [port.local for port in local((here, there), lambda _: True)] == [3000, 8000]
    with pytest.raises(UsageError, match="port 8000 is used twice, but required for 4000"):
        local((there, Port("localhost", 4000, 8000, is_exact=True)), lambda _: True)
