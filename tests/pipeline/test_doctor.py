"""What `dev doctor` finds in a project, looked for on this machine; hosts are on paper."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kamal_dev.errors import CredentialsMissing
from kamal_dev.model import Host, Result
from kamal_dev.output import Output
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.doctor import Check, examine
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.run.run import Run
from kamal_dev.shell.recorder import Recorder

SETTINGS = """\
service: blog
registry: {server: "localhost:5999"}
secrets: [API_TOKEN, OTHER_TOKEN]
build: {secrets: [BUILD_TOKEN]}
"""
COMPOSE = """\
services:
  app:
    build: {context: ., dockerfile_inline: "FROM x", secrets: [npm, from_env]}
secrets:
  npm: {environment: NPM_TOKEN}
  from_env: {environment: IN_ENV}
"""
FACTS = """\
{"type": "facts", "user": "dev", "daemon": true, "engine": "28.0", "compose": "2.40.0", "disk_free": 21474836480}
{"type": "result", "ok": true}
"""
LATER = "`git rm --cached .kamal/secrets`, add it to .gitignore, and rotate the secrets: they stay in the history"


class Hosts:
    """Two hosts, one of which is switched off."""

    def __init__(self, *off: str) -> None:
        self._off = off

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse nothing."""

    def machines(self) -> tuple[Host, ...]:
        """Return none: each stack has its own host."""
        return ()

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return both."""
        return tuple((name, Host(name, "" if name in self._off else "10.0.0.1")) for name in ("blog-1", "blog-2"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "config/dev.yml": SETTINGS,
        ".devcontainer/devcontainer.json": '{"dockerComposeFile": "c.yaml", "service": "app"}',
        ".devcontainer/c.yaml": COMPOSE,
        ".devcontainer/.env": "IN_ENV=here\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".kamal").mkdir()
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def opened(root: Path, *off: str) -> Run:
    run = Run.open(root, Output(lambda event: None), environment={"PATH": "/usr/bin:/bin"})
    run.__dict__["provider"] = Hosts(*off)
    run.__dict__["remote"] = lambda host: Recorder(host.name, lambda step: Result(step, 0, FACTS))
    return run


def found(run: Run) -> dict[str, list[Check]]:
    checks: dict[str, list[Check]] = {}
    for check in examine(run):
        checks.setdefault(check.name, []).append(check)
    return checks


def test_every_secret_that_is_missing_is_named_at_once_those_of_builds_too(root: Path) -> None:
    (root / ".kamal/secrets").write_text("OTHER_TOKEN=$(echo x)\n")
    (check,) = found(opened(root))["secrets"]
    missing = "\n".join(f".kamal/secrets: {name} is not set" for name in ("API_TOKEN", "NPM_TOKEN", "BUILD_TOKEN"))
    assert (check.is_fine, check.message) == (False, missing)
    assert "`API_TOKEN=…` and `NPM_TOKEN=…` and `BUILD_TOKEN=…` to .kamal/secrets" in check.advice
    with pytest.raises(CredentialsMissing) as refused:
        deploy(opened(root), DeployOptions())
    assert refused.value.message == missing
    (root / ".kamal/secrets").write_text("API_TOKEN=a\nOTHER_TOKEN=b\nBUILD_TOKEN=c\nNPM_TOKEN=d\n")
    assert [str(check) for check in found(opened(root))["secrets"]] == ["✓ secrets: 4 of 4 set"]


def test_a_host_that_is_off_is_named_with_what_starts_it(root: Path) -> None:
    (check,) = found(opened(root, "blog-2"))["hosts"]
    assert check.is_fine
    assert str(check) == ("! hosts: 1 of 2 hosts answer; switched off: blog-2\n  hint: `dev deploy blog-2` starts it")
    (check,) = found(opened(root))["hosts"]
    assert str(check) == "✓ hosts: 2 of 2 hosts answer"


def test_a_file_of_secrets_that_others_can_read_is_said_to_be_so(root: Path) -> None:
    path = root / ".kamal/secrets"
    path.write_text("API_TOKEN=a\n")
    path.chmod(0o600)
    assert "secrets file" not in found(opened(root))
    path.chmod(0o640)
    subprocess.run(["git", "-C", str(root), "add", str(path)], check=True)
    assert [str(check) for check in found(opened(root))["secrets file"]] == [
        "! secrets file: .kamal/secrets has mode 640: readable by other users of this machine\n"
        "  hint: `chmod 600 .kamal/secrets`",
        "! secrets file: .kamal/secrets is tracked by git: everyone with access to the repository has the secrets\n"
        f"  hint: {LATER}",
    ]
    # Where a value comes from is no secret, and may be in the repository.
    path.write_text("API_TOKEN=$(pass api)\nOTHER_TOKEN=$OTHER\n")
    assert "secrets file" not in found(opened(root))


def test_copies_of_secrets_that_git_has_are_named(root: Path) -> None:
    copies = (".kamal/secrets-common", ".kamal/secrets.production")
    for name in (*copies, ".kamal/secrets.ignored", ".kamal/secrets.example"):
        (root / name).write_text("API_TOKEN=a\n")
    assert "secrets file" not in found(opened(root))
    subprocess.run(["git", "-C", str(root), "add", "--force", "--", *copies, ".kamal/secrets.example"], check=True)
    named = [str(check).partition(" is tracked by git")[0] for check in found(opened(root))["secrets file"]]
    assert named == [f"! secrets file: {name}" for name in copies]
