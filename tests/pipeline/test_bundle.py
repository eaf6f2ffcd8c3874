"""The archive for a bug report: it has what helps, and no secret, whether somebody declared it or not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from kamal_dev.errors import DevError
from kamal_dev.model import Secret
from kamal_dev.output.redaction import Redaction
from kamal_dev.pipeline import bundle
from kamal_dev.pipeline.hosts.checks import Check
from tests import dev

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://user:p@ss-word@db/x refused", "postgres://[redacted]@db/x refused"),
        ("POST https://example.com/hook?key=abc&x=1 failed", "POST https://example.com/hook?[redacted] failed"),
        ("psql: DB_PASSWORD=hunter2, next", "psql: DB_PASSWORD=[redacted], next"),
        ('answered {"api_key": "abc"}', 'answered {"api_key": "[redacted]"}'),
        ("sent Authorization: Bearer abc.def", "sent Authorization: Bearer [redacted]"),
        ("got\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nend", "got\n[redacted]\nend"),
        ("remote: ghp_0123456789abcdefghij is invalid", "remote: [redacted] is invalid"),
        ("db-1 did not stay up", "db-1 did not stay up"),
        ("could not read the secret: denied", "could not read the secret: [redacted]"),
    ],
)
def test_secrets_in_reasons_are_found_by_their_form(text: str, shown: str) -> None:
    assert bundle.harmless({"reason": text}) == {"reason": shown}


# Everywhere that people write secrets to, whether or not it is meant for them.
CONFIG = """\
service: blog
registry: {server: "localhost:1", username_env: REGISTRY_USER, password_env: REGISTRY_TOKEN}
provider: {type: static, hosts: ["me@127.0.0.1:1"]}
ssh: {connect_timeout: 1}
build: {args: {NPM: sec-build-arg}}
notify:
  webhook: https://user:sec-webhook-login@example.com/sec-webhook-path?token=sec-webhook-query
  slack: SLACK_URL
  command: "curl -H 'X-Token: sec-command'"
"""
DEVCONTAINER = {
    "dockerComposeFile": "compose.yaml",
    "service": "app",
    "containerEnv": {"A": "sec-container-env"},
    "remoteEnv": {"B": "sec-remote-env"},
    "postCreateCommand": ["login", "sec-lifecycle"],
    "customizations": {"vscode": {"settings": {"key": "sec-settings"}}},
}
COMPOSE = """\
services:
  app:
    image: debian:12
    env_file: app.env
    environment: {C: sec-compose-env, URL: "postgres://u:sec-compose-url@db/x"}
    command: [serve, --key, sec-compose-command]
    labels: {d: sec-compose-label}
"""


def test_no_secret_of_a_project_is_in_the_archive(tmp_path: Path) -> None:
    files = {
        "config/dev.yml": CONFIG,
        ".devcontainer/devcontainer.json": json.dumps(DEVCONTAINER),
        ".devcontainer/compose.yaml": COMPOSE,
        ".devcontainer/app.env": "E=sec-env-file\n",
        ".env": "F=sec-dot-env\n",
        ".kamal/secrets": "REGISTRY_USER=me-too\nREGISTRY_TOKEN=sec-registry\nSLACK_URL=https://x/sec-slack\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "Begin")):
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/config").write_text("Host 127.0.0.1\n  ProxyCommand nc --proxy-auth sec-ssh-config %h %p\n")
    ended = dev.run(("doctor", "--bundle"), cwd=tmp_path, env={**os.environ, "HOME": str(home)})
    assert ended.returncode == 1, ended
    print(ended.stdout, ended.stderr)
    (path,) = tmp_path.glob("kamal-dev-doctor-*.tar.gz")
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        texts = {member.name: archive.extractfile(member).read().decode() for member in archive}  # type: ignore[union-attr]
    assert {name.partition("/")[2] for name in texts} == {
        *("checks.json", "versions.json", "config.json", "stacks.json", "audit.json")
    }
    found = {
        word for text in (*texts.values(), ended.stdout, ended.stderr) for word in re.findall(r"sec-[a-z-]+", text)
    }
    assert found == set()


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "doctor.tar.gz"
    path.write_text("mine")
    with pytest.raises(DevError, match="could not write"):
        bundle.write(path, {}, Redaction())
    assert path.read_text() == "mine"
