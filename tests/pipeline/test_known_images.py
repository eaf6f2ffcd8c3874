"""What a plan makes of a registry that does not answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kamal_dev.errors import RegistryUnknown
from kamal_dev.output import Event, Output
from kamal_dev.pipeline.images import making


@pytest.mark.parametrize(
    ("is_local", "cause", "warns"),
    [(True, "refused", False), (True, "time", True), (False, "refused", True), (False, "denied", False)],
)
def test_a_registry_that_a_deploy_starts_or_logs_in_to_is_no_reason_to_warn(
    monkeypatch: pytest.MonkeyPatch, is_local: bool, cause: str, warns: bool
) -> None:
    def stored(*_: Any) -> None:
        raise RegistryUnknown("the registry did not answer", cause=cause)

    monkeypatch.setattr(making.registry, "stored", stored)
    events: list[Event] = []
    project: Any = SimpleNamespace(config=SimpleNamespace(registry=SimpleNamespace(is_local=is_local)))
    tools: Any = SimpleNamespace(shell=None, output=Output(events.append))
    image: Any = None
    assert making._in_registry(project, tools, image) == ""
    assert [event.status for event in events] == ["warning"] * warns
