"""A copy that fails on this machine is reported as that, not as what the engine makes of half an archive."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kamal_dev.commands.copy import CopyTarget
from kamal_dev.errors import UsageError
from kamal_dev.model import Result, Step
from kamal_dev.pipeline import cp
from kamal_dev.project import archive


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pack(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", "secret")

    def run(step: Step, feed: Any) -> Result:
        assert b"".join(feed) == b""
        return Result(step, 1, "unexpected EOF\n")

    monkeypatch.setattr(archive, "pack", pack)
    target: Any = SimpleNamespace(
        look=CopyTarget,
        path="/work",
        container=SimpleNamespace(id="1", socket="", direct=True),
        shell=SimpleNamespace(run=run),
        output=None,
        host=None,
    )
    with pytest.raises(UsageError, match="could not read secret: Permission denied"):
        cp._send(target, tmp_path)
