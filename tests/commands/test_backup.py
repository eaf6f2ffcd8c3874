"""What a backup says about itself, and the steps that make and restore one."""

from __future__ import annotations

import json

import pytest

from kamal_dev.commands import backup, workspace
from kamal_dev.commands.backup import BackupManifest, BackupPart
from kamal_dev.errors import DevError, UsageError
from tests.hosts import scripts

PARTS = (BackupPart("volumes/data", 1024, 2, "aa"), BackupPart("workspace", 512, 1, "bb"))
ABOUT = BackupManifest("guestbook-1", "guestbook", "v1", "2026-01-02T03:04:05Z", "kamal-dev 1", PARTS, 99)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert backup.manifest(ABOUT.as_json().encode()) == ABOUT
    assert ABOUT.size == 1536
    assert ABOUT.names == ("volumes/data", "workspace")


@pytest.mark.parametrize(
    "change",
    [
        {"parts": []},
        {"parts": [{"name": "../etc", "bytes": 1, "files": 1, "sha256": ""}]},
        {"parts": [{"name": "volumes/data"}]},
        {"parts": [{"name": "volumes/data", "bytes": "1", "files": 1, "sha256": ""}]},
        {"parts": [{"name": "workspace", "bytes": 1, "files": 1, "sha256": ""}] * 2},
        {"parts": 3},
        {"stack": None},
        {"packed": "1"},
    ],
)
def test_a_manifest_with_other_content_is_refused(change: dict[str, object]) -> None:
    data = json.loads(ABOUT.as_json()) | change
    with pytest.raises(DevError, match="no valid manifest"):
        backup.manifest(json.dumps(data).encode())


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000])
def test_text_that_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(DevError):
        backup.manifest(text)


def test_steps_name_the_stack_and_the_parts() -> None:
    packing = backup.pack(scripts(), "t1", "guestbook-1", ("volumes/data", "workspace"), how=backup.RUNNING)
    words = ("detach.sh", "t1", "backup.sh", "guestbook-1", "300000", "5000", "running", "volumes/data", "workspace")
    assert packing.argv[-len(words) :] == words
    replacing = backup.replace(scripts(), "t1", "guestbook-1", ("workspace",))
    assert replacing.argv[-5:] == ("restore.sh", "guestbook-1", "300000", "5000", "workspace")
    assert backup.stream(scripts(), "t1").argv[-2:] == ("stream.sh", "t1")
    assert workspace.stage(scripts(), "guestbook-1", 7, ("workspace",)).argv[-4:] == (
        "stage.sh",
        "guestbook-1",
        "7",
        "workspace",
    )


@pytest.mark.parametrize("word", ["../etc", "-v", "a b", "a;b", "a|b"])
def test_words_that_a_shell_could_misread_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="cannot name a volume"):
        backup.pack(scripts(), "t1", "guestbook-1", backup.parts_of((word,)) if word != "-v" else (word,))
