"""`dev` with the URL of a repository: it finds the project, and a stranger's project gets nothing of this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests import dev
from tests.workspace.lab import git, write

COMPOSE = "services:\n  app:\n    image: debian:12\n    environment: [ANNS_TOKEN]\n"
FILES = {
    ".devcontainer/devcontainer.json": '{"dockerComposeFile": "compose.yaml", "service": "app", '
    '"initializeCommand": "touch ran", "remoteEnv": {"A": "${localEnv:ANNS_TOKEN:-}"}}',
    ".devcontainer/compose.yaml": COMPOSE,
}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("ANNS_TOKEN", "t0ken-of-ann")
    (tmp_path / "empty").mkdir()


def repository(tmp_path: Path, files: dict[str, str] | None = None) -> str:
    root = tmp_path / "srv/blog"
    root.mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch", "main")
    write(root, FILES | (files or {}))
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "One")
    git(root, "branch", "feature/x")
    return f"file://{root}"


def run(tmp_path: Path, *words: str, code: int = 0, folder: str = "empty") -> dev.Finished:
    done = dev.run(words, cwd=tmp_path / folder, env=dict(os.environ))
    assert done.returncode == code, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    return done


def test_a_repository_without_a_configuration_is_deployed_with_the_default_provider(tmp_path: Path) -> None:
    url = repository(tmp_path)
    for words in ((url,), ("--repo", url)):
        assert "blog-1  create host with docker" in run(tmp_path, "plan", *words, "--skip-push").stdout
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_reference_is_a_stack_with_its_name(tmp_path: Path) -> None:
    url = repository(tmp_path, {"config/dev.yml": STATIC.replace("per_host: 1", "per_host: 5")})
    hosts = ("the host 127.0.0.1", "127.0.0.1")
    for words in ((f"{url}@feature/x",), ("--repo", f"{url}@feature/x"), ("--repo", url, "feature-x", "--ref", "main")):
        done = dev.run(("plan", *words, "--skip-push"), cwd=tmp_path / "empty", env=dict(os.environ))
        assert "feature-x" in done.stdout + done.stderr, done
        assert any(host in done.stdout + done.stderr for host in hosts)


STATIC = """\
service: blog
registry: {server: registry.example.org}
provider: {type: static, hosts: ['root@127.0.0.1:1']}
placement: {per_host: 1}
"""


def test_hosts_come_from_where_dev_runs_from_a_file_or_from_the_repository(tmp_path: Path) -> None:
    url = repository(tmp_path, {"config/dev.yml": STATIC})
    write(tmp_path / "infra", {"config/dev.yml": "provider: {type: static, hosts: [10.0.0.7]}\n"})
    write(tmp_path / "empty", {"mine.yml": "provider: {type: static, hosts: [10.0.0.8]}\n"})

    def hosts(*words: str, folder: str = "empty") -> str:
        found = json.loads(run(tmp_path, "config", "--json", "--repo", url, *words, folder=folder).stdout)
        assert found["service"] == "blog"
        return str(found["config"]["provider"])

    assert "127.0.0.1" in hosts()
    assert "10.0.0.7" in hosts(folder="infra")
    assert "10.0.0.8" in hosts("--config", "mine.yml")
    assert "there is no file no.yml" in run(tmp_path, "list", "--repo", url, "--config", "no.yml", code=2).stderr


def rendered(tmp_path: Path, *words: str) -> str:
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    run(tmp_path, "render", str(out), *words)
    return "\n".join(path.read_text() for path in out.rglob("*") if path.is_file())


def test_a_repository_sees_the_environment_only_if_it_is_trusted_which_is_remembered(tmp_path: Path) -> None:
    url = repository(tmp_path)
    assert "t0ken-of-ann" not in rendered(tmp_path, "--repo", url)
    trusting = rendered(tmp_path, "--repo", url, "--trust")
    assert trusting == rendered(tmp_path, "--repo", f"{url}.git" if False else url)
    assert "t0ken-of-ann" in trusting
    assert "t0ken-of-ann" not in rendered(tmp_path, "--repo", url, "--no-trust")


def built(properties: str) -> str:
    return f'{{"build": {{"dockerfile": "Dockerfile", {properties}}}}}'


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config/dev.yml": f"{STATIC}secrets: [ANNS_TOKEN]\n"}, "config/dev.yml:5:1: secrets: asks for ANNS_TOKEN"),
        (
            {"config/dev.yml": f"{STATIC}build: {{secrets: [ANNS_TOKEN]}}\n"},
            "config/dev.yml:5:9: build.secrets: asks for ANNS_TOKEN",
        ),
        (
            {".devcontainer/compose.yaml": "services:\n  app:\n    build: {context: ., ssh: [default]}\n"},
            "the build of `app` uses your SSH agent",
        ),
        (
            {".devcontainer/devcontainer.json": built('"options": ["--pull", "--output=type=local,dest=/home/ann"]')},
            "the build of `devcontainer` uses the flag `--output` of buildx",
        ),
        (
            {
                ".devcontainer/devcontainer.json": built(
                    '"options": ["--label", "a=b", "--metadata-file", "/home/ann/x"]'
                )
            },
            "uses the flag `--metadata-file` of buildx",
        ),
        (
            {".devcontainer/devcontainer.json": built('"options": ["--secret", "id=a,env=ANNS_TOKEN"]')},
            "uses the flag `--secret` of buildx",
        ),
        (
            {".devcontainer/devcontainer.json": built('"cacheFrom": ["type=local,src=/home/ann"]')},
            "reads a cache with your rights",
        ),
        (
            {".devcontainer/compose.yaml": "services:\n  app:\n    build: {context: ., cache_to: [a.org/x]}\n"},
            "writes a cache with your rights",
        ),
        (
            {".devcontainer/compose.yaml": "services:\n  app:\n    build: {context: ., network: host}\n"},
            "uses the flag `--network` of buildx",
        ),
        (
            {"config/dev.yml": f"{STATIC}build: {{cache: {{type: local, dest: /home/ann}}}}\n"},
            "build.cache: writes a cache with your rights",
        ),
        (
            {".devcontainer/compose.yaml": "services:\n  app: {image: debian:12, privileged: true}\n"},
            "services.app.privileged: anyone in the container has root access to the host; the hosts are on this",
        ),
        (
            {".devcontainer/compose.yaml": "services:\n  app: {image: debian:12, pid: host}\n"},
            "services.app.pid: host weakens the isolation",
        ),
        (
            {".devcontainer/compose.yaml": "services:\n  app: {image: debian:12, volumes: ['/:/host']}\n"},
            "`/` is mounted",
        ),
        (
            {".devcontainer/devcontainer.json": '{"image": "debian:12", "privileged": true}'},
            "`privileged` of devcontainer.json",
        ),
        (
            {".devcontainer/devcontainer.json": '{"image": "debian:12", "runArgs": ["--cap-add=SYS_ADMIN"]}'},
            "cap_add weakens the isolation",
        ),
    ],
)
def test_what_a_stranger_may_not_have_is_an_error_before_anything_is_built(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    url = repository(tmp_path, {".devcontainer/Dockerfile": "FROM debian:12\n", **files})
    done = run(tmp_path, "deploy", url, "--dry-run", "--skip-push", code=2)
    assert words in done.stderr, done.stderr
    assert "hint: `--trust` allows it" in done.stderr
    assert "t0ken" not in done.stderr


def test_a_build_that_only_describes_its_image_is_accepted(tmp_path: Path) -> None:
    usual = built('"options": ["--pull", "--label", "a=b", "--add-host=a:10.0.0.1"], "cacheFrom": "debian:12"')
    url = repository(
        tmp_path, {".devcontainer/Dockerfile": "FROM debian:12\n", ".devcontainer/devcontainer.json": usual}
    )
    assert "blog-1" in run(tmp_path, "deploy", url, "--dry-run", "--skip-push").stdout


def test_a_stranger_does_not_choose_where_the_users_login_pushes(tmp_path: Path) -> None:
    settings = STATIC.replace("registry.example.org", "ghcr.io") + "image: {name: ann/production}\n"
    url = repository(tmp_path, {"config/dev.yml": settings})

    def server(*words: str) -> str:
        found = json.loads(run(tmp_path, "config", "--json", "--repo", url, *words).stdout)
        return str(found["config"]["registry"]["server"])

    assert server() == "registry.example"
    write(tmp_path / "empty", {"mine.yml": "registry: {server: registry.ann.org}\n"})
    assert server("--config", "mine.yml") == "registry.ann.org"
    assert server("--trust") == "ghcr.io"


def test_a_stranger_does_not_choose_the_image_of_a_privileged_host(tmp_path: Path) -> None:
    url = repository(tmp_path, {"config/dev.yml": "service: blog\nprovider: {type: docker, image: evil, cpus: 2}\n"})

    def options(*words: str) -> dict[str, str]:
        found = json.loads(run(tmp_path, "config", "--json", "--repo", url, *words).stdout)
        listed = dict(found["config"]["provider"]["options"])
        return {name: listed[name] for name in ("image", "cpus")}

    assert options() == {"image": "", "cpus": "2"}
    assert options("--trust") == {"image": "evil", "cpus": "2"}


def test_secrets_that_the_user_names_where_dev_runs_are_given(tmp_path: Path) -> None:
    url = repository(tmp_path, {"config/dev.yml": f"{STATIC}secrets: [ANNS_TOKEN]\n"})
    write(tmp_path / "empty", {"config/dev.yml": f"{STATIC}secrets: [ANNS_TOKEN]\n"})
    assert "asks for" not in run(tmp_path, "deploy", url, "--dry-run", "--skip-push", code=1).stderr


def test_a_secrets_file_of_a_stranger_runs_nothing(tmp_path: Path) -> None:
    files = {".kamal/secrets": f"PASSWORD=$(touch {tmp_path}/ran)\n"}
    compose = "services:\n  app: {image: debian:12, environment: {A: '${PASSWORD-}', B: '${ANNS_TOKEN-}'}}\n"
    url = repository(tmp_path, {**files, ".devcontainer/compose.yaml": compose})
    assert "t0ken" not in rendered(tmp_path, "--repo", url)
    assert not list(tmp_path.rglob("ran*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("deploy", "URL", "--here"), "`--here` needs a clone"),
        (("deploy", "URL", "--worktree", "x"), "`--worktree` needs a clone"),
        (("deploy", "URL@main", "--ref", "v1"), "`main` in the URL and `--ref` are two references"),
        (("logs", "URL", "URL"), "several repositories"),
        (("logs", "--repo", "URL", "URL"), "several repositories"),
        (("init", "--repo", "URL"), "`dev init` is about the current folder"),
        (("doctor", "--repo", "URL"), "`dev doctor` is about the current folder"),
        (("list", "--trust"), "`--trust` is about the repository of a URL"),
        (("pull", "URL"), "a URL has none here"),
        (("plan", "URL@nothing"), "no branch, tag or commit `nothing`"),
    ],
)
def test_what_a_url_cannot_do_is_an_error_with_a_hint(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    url = repository(tmp_path)
    done = run(tmp_path, *(word.replace("URL", url) for word in words), code=2)
    assert message in done.stderr
    assert "hint:" in done.stderr


def test_a_repository_without_a_devcontainer_says_where_there_is_one(tmp_path: Path) -> None:
    url = repository(tmp_path)
    root = tmp_path / "srv/blog"
    git(root, "mv", ".devcontainer", "elsewhere")
    git(root, "commit", "--quiet", "--message", "Move")
    done = run(tmp_path, "plan", url, code=2)
    assert f"{url} has no devcontainer.json" in done.stderr
    assert "`--devcontainer elsewhere/devcontainer.json`" in done.stderr
    git(root, "rm", "--quiet", "-r", "elsewhere")
    write(root, {"a.txt": ""})
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Remove")
    assert "was searched for in .devcontainer/devcontainer.json" in run(tmp_path, "plan", url, code=2).stderr
