"""The archive for a bug report: it has what helps, and no secret, whether somebody declared it or not."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from kamal_dev.errors import DevError
from kamal_dev.model import Secret
from kamal_dev.output.redaction import Redaction
from kamal_dev.pipeline import bundle
from kamal_dev.pipeline.hosts.checks import Check

DATA = {
    "config": {
        "registry": {"server": "ghcr.io", "password": ["TOKEN"]},
        "devcontainer": {"containerEnv": {"API_KEY": "plain-text-key"}, "build": {"args": {"TOKEN": "build-secret"}}},
        "proxy": "http://user:proxy-secret@proxy:3128/",
        "command": "echo hunter2-in-a-command",
    },
    "stacks": [{"stack": "guestbook-1", "containers": [{"service": "db", "log": "secret-log", "exit_code": 1}]}],
}


def test_it_contains_no_secret_and_what_helps(tmp_path: Path) -> None:
    redaction = Redaction()
    redaction.add(Secret("declared-secret"))
    checks = [Check("registry", False, "the login with declared-secret was refused", "log in")]
    path = tmp_path / "doctor.tar.gz"
    bundle.write(path, {**bundle.machine(checks), **DATA}, redaction)
    with tarfile.open(path) as archive:
        texts = {member.name: archive.extractfile(member).read().decode() for member in archive}  # type: ignore[union-attr]
    assert set(texts) == {f"doctor/{name}.json" for name in ("checks", "versions", "config", "stacks")}
    everything = "".join(texts.values())
    for secret in ("declared-secret", "plain-text-key", "build-secret", "proxy-secret", "hunter2", "secret-log"):
        assert secret not in everything, secret
    config = json.loads(texts["doctor/config.json"])
    assert config["registry"]["server"] == "ghcr.io"
    assert config["devcontainer"]["containerEnv"] == {"API_KEY": "[redacted]"}
    stack = json.loads(texts["doctor/stacks.json"])[0]
    assert (stack["stack"], stack["containers"][0]["exit_code"]) == ("guestbook-1", 1)
    assert json.loads(texts["doctor/checks.json"])[0]["name"] == "registry"
    assert "kamal-dev" in json.loads(texts["doctor/versions.json"])


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "doctor.tar.gz"
    path.write_text("mine")
    with pytest.raises(DevError, match="could not write"):
        bundle.write(path, {}, Redaction())
    assert path.read_text() == "mine"
