"""How long connections are kept: for the next run, but not in CI and not for a check."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kamal_dev.project import Project
from tests.transcripts.paper import Machine, RecordedRun
from tests.transcripts.test_transcripts import project, root

__all__ = ["project", "root"]


@pytest.mark.parametrize(
    ("variable", "configured", "kept"),
    [(None, 60, 60), (None, 0, 0), ("true", 60, 0), ("1", 60, 0), ("false", 60, 60), ("", 60, 60)],
)
def test_connections_are_kept_as_configured_but_not_in_ci(
    variable: str | None, configured: int, kept: int, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    if variable is not None:
        monkeypatch.setenv("CI", variable)
    config = replace(project.config, ssh=replace(project.config.ssh, control_persist=configured))
    run = RecordedRun.of(replace(project, config=config), Machine(), {})
    assert run.trust.control_persist == kept
    # A kept connection would hide that a login fails.
    assert replace(run, keeps_connections=False).trust.control_persist == 0
