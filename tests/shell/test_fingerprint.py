"""Which key a file has, as ssh-keygen says it: private, public, or neither."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kamal_dev.shell.identities import fingerprint


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", path], check=True)
    return path


def test_a_key_with_a_passphrase_and_its_public_half_have_one_fingerprint(key: Path) -> None:
    shown = subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], check=True, capture_output=True, text=True)
    assert fingerprint(str(key)) == fingerprint(f"{key}.pub") == shown.stdout.split()[1]
    assert fingerprint(str(key)).startswith("SHA256:")


def test_of_a_key_that_only_an_agent_has_the_public_half_is_enough(key: Path, tmp_path: Path) -> None:
    alone = tmp_path / "other"
    alone.with_suffix(".pub").write_text(Path(f"{key}.pub").read_text())
    assert fingerprint(str(alone)) == fingerprint(str(key))


def test_what_is_no_key_has_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no key\n")
    assert fingerprint(str(tmp_path / "notes")) == fingerprint(str(tmp_path / "missing")) == ""
