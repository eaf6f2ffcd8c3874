"""The source as one file for hosts, where files vanish or cannot be read meanwhile."""

from __future__ import annotations

import errno
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from kamal_dev.errors import DevError
from kamal_dev.output import Event, Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.hosts import workspace
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.run.run import Run

SETTINGS = "service: blog\nprovider: {type: static, hosts: [10.0.0.1]}\nworkspace: {source: sync}\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    files = {"a": "one", "b": "two", "config/dev.yml": SETTINGS, ".devcontainer/devcontainer.json": '{"image": "x"}'}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(("git", "init", "--quiet", str(tmp_path)), check=True)
    events: list[Event] = []
    run = Run.open(tmp_path, Output(events.append), environment=dict(os.environ))
    run.__dict__["events"] = events
    return run


def test_a_file_that_vanishes_or_cannot_be_read_ends_no_deploy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    add = tarfile.TarFile.add

    def refuse(self: tarfile.TarFile, name: Path, **options: object) -> None:
        if name.name == "b":
            raise PermissionError(13, "Permission denied", str(name))
        add(self, name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tarfile.TarFile, "add", refuse)
    monkeypatch.setattr(workspace, "files", lambda *_: ("a", "b", "gone since"))
    with tarfile.open(Workspace(run.project, run.tools, run.connections)._pack()) as tar:
        assert tar.getnames() == ["a"]
    said = [sentence(event) for event in run.__dict__["events"] if event.status == "warning"]
    assert said == ["b: cannot be read (Permission denied) and is not sent to workspaces"]
    run.close()


def test_a_pack_that_cannot_be_written_is_an_error_and_is_tried_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = Workspace(run.project, run.tools, run.connections)
    with monkeypatch.context() as patch:
        patch.setattr(workspace, "files", lambda *_: _raise(OSError("unexpected end of data")))
        with pytest.raises(DevError, match=r"could not pack the source: .*unexpected end of data"):
            packed._pack()
    assert packed._pack().exists()
    run.close()


def test_a_pack_that_a_full_disk_has_no_room_for_needs_space_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "source.tar.gz")
    monkeypatch.setattr(workspace, "files", lambda *_: _raise(full))
    with pytest.raises(DevError, match=r"could not pack the source: source.tar.gz: No space left") as caught:
        Workspace(run.project, run.tools, run.connections)._pack()
    assert caught.value.hint == "free disk space on this machine"
    run.close()


def _raise(error: OSError) -> tuple[str, ...]:
    raise error
