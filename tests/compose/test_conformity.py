"""The quick answer about a file is that of the library, for whatever may stand in a compose file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from kamal_dev.compose.conformity import conforms
from kamal_dev.compose.schema import _schema

SCHEMA = _schema()
LIBRARY = Draft7Validator(SCHEMA)
SERVICE: dict[str, Any] = SCHEMA["definitions"]["service"]["properties"]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-2000, 2000), st.just(1.0), st.just(0.5), st.text("aA0.-/:", max_size=4)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "type", "source", "target", "x-a", "context", "limits"]), inner),
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*SERVICE, "x-own", "restrat"]), VALUES, max_size=3))
def test_a_service_conforms_exactly_where_the_library_finds_nothing(service: dict[str, Any]) -> None:
    project = {"services": {"app": service}}
    assert conforms(project, SCHEMA) == LIBRARY.is_valid(project)


@pytest.mark.parametrize(
    "project",
    [
        {"services": {"app": {"build": {"context": ".", "args": ["A=b"]}, "ports": ["80:80", 90, {"target": 1}]}}},
        {"services": {"app": {"init": True, "ulimits": {"nofile": {"soft": 1, "hard": 2}}, "gpus": "all"}}},
        {"services": {"app": {"healthcheck": {"test": ["CMD", "true"], "interval": "1s"}, "cap_add": ["A", "B"]}}},
        {"services": {"app": {"depends_on": {"db": {"condition": "service_healthy"}}}, "db": {"image": "a"}}},
        {"name": "a", "volumes": {"data": None}, "networks": {"n": {"ipam": {"config": [{"subnet": "10.0.0.0/8"}]}}}},
    ],
)
def test_what_people_write_conforms(project: dict[str, Any]) -> None:
    assert conforms(project, SCHEMA)
    assert LIBRARY.is_valid(project)


def test_nothing_conforms_to_a_schema_with_a_keyword_that_is_not_known() -> None:
    assert not conforms({}, {"type": "object", "minProperties": 1})
