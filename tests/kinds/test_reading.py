"""Devcontainers, compose files, secrets and Dockerfiles mean here what they mean to the programs that define them.

Values keep their bytes; decisions are made with values and only output is masked; the main service runs
whatever its profile; what nobody starts is not built; a file that a service needs travels as it is, or its
absence is told. What the reference implementation reads otherwise than people expect is said in a notice.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from kamal_dev.commands import docker as commands
from kamal_dev.errors import ComposeError, ConfigError, UsageError
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.rendering import render_release
from kamal_dev.pipeline.images.building import planned
from kamal_dev.pipeline.run.run import Run
from tests.real.lab import PREFIX
from tests.workspace.lab import git, write

CONFIG = ".devcontainer/devcontainer.json"
COMPOSE = ".devcontainer/compose.yaml"
OURS = '{"dockerComposeFile": "compose.yaml", "service": "app", "workspaceFolder": "/"}'
ALONE = {"image": "debian:12", "workspaceMount": "", "workspaceFolder": "/"}
APP = "services:\n  app:\n    image: debian:12\n    command: sleep infinity\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    git(root, "init", "--quiet")
    write(root, {CONFIG: OURS, COMPOSE: APP, "config/dev.yml": "service: shop\nregistry: {server: localhost:5000}\n"})
    return root


def opened(root: Path, files: Mapping[str, str] | None = None, **environment: str) -> Run:
    write(root, files or {})
    return Run.open(root, Output(lambda event: None), environment={"PATH": os.environ["PATH"], **environment})


def notices(run: Run) -> str:
    return "\n".join(map(str, run.project.notices))


def released(run: Run) -> dict[str, str]:
    """Return the files of the first stack's release, by path."""
    release = render_release(run.project, "shop-1")
    return {file.path: file.content.decode() for file in release.files}


# --- Services


@pytest.mark.parametrize("text", [OURS, OURS.replace('"/"}', '"/", "runServices": ["db"]}')])
def test_the_main_service_is_started_whatever_its_profile(root: Path, text: str) -> None:
    compose = "services:\n  app: {image: debian:12, profiles: [dev]}\n  db: {image: debian:12}\n"
    compose += "  other: {image: debian:12, profiles: [dev]}\n"
    release = render_release(opened(root, {CONFIG: text, COMPOSE: compose}).project, "shop-1")
    assert set(release.services) == {"app", "db"}


def test_what_no_active_profile_starts_is_not_built(root: Path) -> None:
    compose = "services:\n  app: {build: .}\n  gpu: {build: ./missing, profiles: [gpu]}\n"
    compose += "  jobs: {build: ../jobs, profiles: [jobs]}\n"
    files = {
        COMPOSE: compose,
        ".devcontainer/Dockerfile": "FROM debian:12\n",
        "jobs/Dockerfile": "FROM debian:12\nRUN true\n",
    }
    run = opened(root, files)
    run.project.require_deployable()
    assert [build.services for build in planned(run.project)] == [("app",)]
    assert "build: ./missing" in released(run)[COMPOSE]
    both = opened(root, COMPOSE_PROFILES="jobs")
    assert [build.services for build in planned(both.project)] == [("app",), ("jobs",)]
    with pytest.raises(ComposeError, match="does not exist"):
        opened(root, COMPOSE_PROFILES="gpu").project.require_deployable()


def test_what_is_started_because_another_needs_it_is_built(root: Path) -> None:
    compose = "services:\n  app: {build: ., depends_on: [db], profiles: [x]}\n  db: {build: ../db}\n"
    compose += "  base: {build: ../base, image: acme/base:7, profiles: [none]}\n"
    files = {
        COMPOSE: compose,
        ".devcontainer/Dockerfile": "ARG NS=acme\nARG TAG=7\nARG BASE=${NS}/base:${TAG}\nFROM ${BASE}\n",
        "db/Dockerfile": "FROM debian:12\n",
        "base/Dockerfile": "FROM debian:12\nRUN true\n",
    }
    built = [build.services for build in planned(opened(root, files).project)]
    assert sorted(built) == [("app",), ("base",), ("db",)]
    assert built.index(("base",)) < built.index(("app",))


def test_an_image_that_is_a_context_of_a_build_is_built_first(root: Path) -> None:
    compose = "services:\n  app: {build: {context: ., additional_contexts: ['bb=docker-image://acme/base:7']}}\n"
    compose += "  base: {build: ../base, image: 'acme/base:7'}\n"
    files = {".devcontainer/Dockerfile": "FROM bb\n", "base/Dockerfile": "FROM debian:12\n", COMPOSE: compose}
    base, app = planned(opened(root, files).project)
    assert base.services == ("base",)
    assert dict(app.contexts) == {"bb": f"docker-image://{base.image}"}


def test_a_context_of_a_build_that_is_missing_is_told_before_it(root: Path) -> None:
    compose = "services:\n  app:\n    build:\n      context: .\n      additional_contexts: {a: ./none, b: ./is}\n"
    files = {COMPOSE: compose, ".devcontainer/Dockerfile": "FROM debian:12\n", ".devcontainer/is/x": "1"}
    with pytest.raises(ComposeError, match=r"compose.yaml:5.*`.devcontainer/none` does not exist"):
        opened(root, files).project.require_deployable()


def test_a_secret_of_a_build_that_is_missing_is_told_before_it(root: Path) -> None:
    compose = "services:\n  app:\n    build:\n      context: .\n      secrets: [s]\nsecrets: {s: {file: ./none}}\n"
    files = {COMPOSE: compose, ".devcontainer/Dockerfile": "FROM debian:12\n"}
    with pytest.raises(ComposeError, match=r"compose.yaml:5.*`.devcontainer/none` of a secret does not exist"):
        opened(root, files).project.require_deployable()


def test_services_that_differ_in_capital_letters_alone_do_not_share_an_image(root: Path) -> None:
    compose = "services:\n  app: {build: .}\n  web: {build: {context: ., target: a}}\n"
    compose += "  Web: {build: {context: ., target: b}}\n"
    files = {COMPOSE: compose, ".devcontainer/Dockerfile": "FROM debian:12 AS a\nFROM a AS b\n"}
    with pytest.raises(ComposeError, match=r"compose.yaml:4.*`web` and `Web` would both be built as"):
        opened(root, files).project.require_deployable()
    same = compose.replace("target: b", "target: a")
    opened(root, {COMPOSE: same}).project.require_deployable()


def test_builds_that_need_each_other_are_told_by_name(root: Path) -> None:
    compose = "services:\n  app: {build: {dockerfile_inline: FROM a/b}, image: a/a}\n"
    compose += "  b: {build: {dockerfile_inline: FROM a/a}, image: a/b}\n"
    with pytest.raises(ComposeError, match="`app` is built from itself: `app` → `b` → `app`"):
        opened(root, {COMPOSE: compose}).project.compose  # noqa: B018


def test_an_optional_dependency_starts_where_its_profile_lets_it_and_must_exist(root: Path) -> None:
    compose = f"{APP}    depends_on: {{db: {{condition: service_started, required: false}}}}\n"
    there = f"{compose}  db: {{image: debian:12, profiles: [db]}}\n"
    assert opened(root, {COMPOSE: there}).project.compose.started == ("app",)
    assert opened(root, COMPOSE_PROFILES="db").project.compose.started == ("app", "db")
    with pytest.raises(ComposeError, match="depends on the service `db`"):
        opened(root, {COMPOSE: compose}).project.compose  # noqa: B018


# --- Values keep their bytes

ODD = 'QUOTED="with quotes"\nDOLLAR=pa$$word${HOME}\nHASH=a #b\nSINGLE=it\'s\nBACK=a\\nb\nTRAILING=x  \nTAKEN\n'
MEANT = {
    "QUOTED": '"with quotes"',
    "DOLLAR": "pa$$word${HOME}",
    "HASH": "a #b",
    "SINGLE": "it's",
    "BACK": "a\\nb",
    "TRAILING": "x  ",
    "TAKEN": "from here",
}


@pytest.mark.real
@pytest.mark.parametrize("form", ["runArgs", "format", "aside"])
def test_a_raw_file_of_variables_gives_a_container_what_docker_run_gives_it(
    root: Path, tmp_path: Path, form: str
) -> None:
    name = ".env" if form == "aside" else ".devcontainer/run.env"
    compose = f"{APP}    env_file: [{{path: ../{name}, format: raw}}]\n"
    config = json.dumps({**ALONE, "runArgs": ["--env-file", name]}) if form == "runArgs" else OURS
    run = opened(root, {name: ODD, CONFIG: config, COMPOSE: compose}, TAKEN="from here")
    assert "it's" not in notices(run)
    service = run.project.main
    assert _environment(run, tmp_path / "release", service).items() >= MEANT.items()


def _environment(run: Run, folder: Path, service: str) -> dict[str, str]:
    """Return what the release gives a container, as Compose on a host reads it."""
    for path, text in released(run).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    words = [
        "docker",
        "compose",
        "-p",
        f"{PREFIX}-reading",
        "run",
        "--rm",
        "--no-deps",
        "--entrypoint",
        "env",
        service,
        "-0",
    ]
    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    try:
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    finally:
        subprocess.run(
            ["docker", "compose", "-p", f"{PREFIX}-reading", "down", "-v"],
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return dict(entry.partition("=")[::2] for entry in done.stdout.split("\0") if entry)


def test_the_files_of_compose_env_files_stand_in_for_dotenv(root: Path) -> None:
    compose = f"{APP}    environment: {{A: '${{A:-none}}', B: '${{B:-none}}', C: '${{C:-none}}'}}\n"
    files = {COMPOSE: compose, "one.env": "A=1\nB=1\n", "two.env": "B=2${A}\n", ".env": "C=3\n"}
    made = released(opened(root, files, COMPOSE_ENV_FILES="one.env,two.env"))
    assert {"A=1", "B=21"} <= set(made[".env"].splitlines())
    assert "C=3" not in made[".env"]
    with pytest.raises(ComposeError, match=r"COMPOSE_ENV_FILES.*`none.env`: no such file"):
        opened(root, COMPOSE_ENV_FILES="none.env").project.compose  # noqa: B018


def test_an_env_file_in_a_format_that_is_none_is_refused(root: Path) -> None:
    run = opened(root, {"a.env": "A=1\n", COMPOSE: f"{APP}    env_file: [{{path: ../a.env, format: toml}}]\n"})
    with pytest.raises(ComposeError, match=r"compose.yaml:5.*`toml` is not a format"):
        run.project.compose  # noqa: B018


# --- Secrets decide, and are masked in output alone

SETTINGS = "DATA=scratch\nENVIRONMENT=local\nPGVER=12\nSHARED=${DATA}-shared\n"
NAMED = """services:
  app:
    image: debian:${PGVER}
    volumes: ["${DATA}:/data"]
    env_file: "env.${ENVIRONMENT}"
    environment: {URL: "db://${PASSWORD}@db"}
volumes: {scratch: {}}
"""


def test_a_setting_in_the_secrets_file_decides_with_its_value(root: Path) -> None:
    files = {".kamal/secrets": SETTINGS + "PASSWORD=hunter22\n", COMPOSE: NAMED, ".devcontainer/env.local": "A=1\n"}
    run = opened(root, files)
    files = released(run)
    assert ".devcontainer/env.local" in files
    assert "PASSWORD=hunter22" in files[".env"]
    assert "PGVER=12" in files[".env"]
    assert not [path for path, text in files.items() if "hunter22" in text and path != ".env"]
    assert render_release(run.project, "shop-1").third_party == ("debian:12",)


def test_a_value_of_dotenv_that_is_made_of_a_secret_has_it_on_a_host(root: Path) -> None:
    files = {".kamal/secrets": "PASSWORD=hunter22\n", ".devcontainer/.env": "URL=db://me:${PASSWORD}@db\n"}
    made = released(opened(root, {**files, COMPOSE: f"{APP}    environment: {{URL: $URL}}\n"}))
    assert "URL=db://me:hunter22@db\n" in made[".env"]
    assert not [path for path, text in made.items() if "hunter22" in text and path != ".env"]


def test_what_only_a_command_knows_cannot_name_a_volume_and_says_so(root: Path) -> None:
    run = opened(
        root, {".kamal/secrets": "DATA=$(echo scratch)\n", COMPOSE: f'{APP}    volumes: ["${{DATA}}:/data"]\n'}
    )
    with pytest.raises(ComposeError) as caught:
        run.project.compose  # noqa: B018
    assert "cannot come from a command in .kamal/secrets" in caught.value.hint


@pytest.mark.parametrize("args", ["{TOKEN: $TOKEN}", "[TOKEN=$TOKEN]", "[$PAIR]", "[TOKEN]"])
def test_a_secret_never_becomes_a_build_argument(root: Path, args: str) -> None:
    compose = f"services:\n  app: {{build: {{context: ., args: {args}}}}}\n"
    secrets = "TOKEN=hunter22\nPAIR=TOKEN=hunter22\n"
    files = {".kamal/secrets": secrets, COMPOSE: compose, ".devcontainer/Dockerfile": "FROM debian:12\n"}
    (build,) = planned(opened(root, files).project)
    assert dict(build.args) == {"TOKEN": "[redacted]"}


@pytest.mark.parametrize("key", ["dockerfile_inline: 'RUN echo $TOKEN'", "labels: {a: x$TOKEN}", "labels: [a=$TOKEN]"])
def test_a_secret_is_never_written_into_an_image(root: Path, key: str) -> None:
    compose = f"services:\n  app:\n    build:\n      {key}\n"
    files = {".kamal/secrets": "TOKEN=hunter22\n", COMPOSE: compose, ".devcontainer/Dockerfile": "FROM debian:12\n"}
    with pytest.raises(ComposeError, match=r"compose.yaml:4.*the secret `TOKEN` would stay readable in the image"):
        opened(root, files).project.require_deployable()


@pytest.mark.parametrize("key", ["ports: ['$PORT:80']", "mem_limit: $PORT", "stop_grace_period: $PORT"])
def test_a_secret_that_does_not_fit_is_told_before_a_build_and_masked(root: Path, key: str) -> None:
    files = {".kamal/secrets": "PORT=hunter22x\n", COMPOSE: f"{APP}    {key}\n"}
    with pytest.raises(ComposeError, match=r"compose.yaml:5.*`\[redacted\].*` is not valid here"):
        opened(root, files).project.require_deployable()
    unknown = {".kamal/secrets": "PORT=$(echo 80)\n", COMPOSE: f"{APP}    {key}\n"}
    opened(root, unknown).project.require_deployable()


def test_a_required_variable_whose_reason_names_a_secret_masks_it(root: Path) -> None:
    compose = f"{APP}    environment: {{A: '${{NONE:?ask for $TOKEN}}'}}\n"
    with pytest.raises(ComposeError) as caught:
        opened(root, {".kamal/secrets": "TOKEN=hunter22\n", COMPOSE: compose}).project.compose  # noqa: B018
    assert str(caught.value).endswith("the required variable `NONE` has no value: ask for [redacted]")


@pytest.mark.parametrize("secret", ["postgres", "post", "services", "running"])
def test_a_secret_that_is_an_ordinary_word_blanks_out_no_key_and_no_name(root: Path, secret: str) -> None:
    compose = f"{APP}  postgres: {{image: debian:12}}\n"
    run = opened(root, {".kamal/secrets": f"WORD={secret}\n", COMPOSE: compose})
    told = notices(run)
    redaction = run.output.redaction
    run.project.require_all(("WORD",))
    data = {"services": [{"service": "postgres", "state": "running"}], "stacks": {"postgres": f"say {secret}!"}}
    clean = redaction.within(data)
    assert clean["services"] == data["services"]
    assert list(clean["stacks"]) == ["postgres"]
    assert redaction("shop-1  postgres  up") == "shop-1  postgres  up"
    assert ("WORD` has the same value as a name" in told) is (secret == "postgres")
    if secret != "postgres":
        assert redaction(f"x{secret}x") == "x[redacted]x"


# --- Files that services need


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({COMPOSE: f'{APP}    security_opt: ["seccomp:./seccomp.json"]\n', ".devcontainer/seccomp.json": "{}"}, ""),
        (
            {
                CONFIG: OURS.replace("}", ', "securityOpt": ["seccomp=seccomp.json"]}'),
                ".devcontainer/seccomp.json": "{}",
            },
            "",
        ),
        (
            {
                CONFIG: '{"image": "debian:12", "runArgs": ["--security-opt=seccomp=.devcontainer/seccomp.json"]}',
                ".devcontainer/seccomp.json": "{}",
            },
            "./seccomp.json",
        ),
        (
            {
                CONFIG: '{"image": "debian:12", "securityOpt": ["seccomp=.devcontainer/seccomp.json"]}',
                ".devcontainer/seccomp.json": "{}",
            },
            "./seccomp.json",
        ),
    ],
)
def test_a_seccomp_profile_of_the_repository_travels(root: Path, files: dict[str, str], place: str) -> None:
    made = released(opened(root, files))
    assert made[".devcontainer/seccomp.json"] == "{}"
    texts = "".join(text for path, text in made.items() if path.endswith(".yaml"))
    assert place in texts
    assert ".devcontainer/.devcontainer" not in texts


def test_a_seccomp_profile_that_is_missing_is_told_before_a_build(root: Path) -> None:
    run = opened(root, {COMPOSE: f'{APP}    security_opt: ["seccomp=./none.json", "seccomp:unconfined"]\n'})
    with pytest.raises(ComposeError, match=r"compose.yaml:5.*`.devcontainer/none.json` does not exist"):
        run.project.require_deployable()


def test_a_mounted_file_keeps_its_mode(root: Path) -> None:
    run = opened(
        root,
        {
            COMPOSE: f'{APP}    volumes: ["../pgpass:/p", "../run:/r", "../plain:/q"]\n',
            "pgpass": "x",
            "run": "x",
            "plain": "x",
        },
    )
    for name, mode in (("pgpass", 0o600), ("run", 0o755), ("plain", 0o644)):
        (root / name).chmod(mode)
    found = {file.path: file.mode for file in render_release(run.project, "shop-1").files}
    assert (found["pgpass"], found["run"], found["plain"]) == (0o600, 0o755, 0o644)


@pytest.mark.parametrize("driver", ["", "driver: local, "])
@pytest.mark.parametrize("options", ["bind", "rbind", "bind,ro"])
def test_a_volume_that_is_a_folder_of_the_repository_is_that_of_the_workspace(
    root: Path, driver: str, options: str
) -> None:
    opts = f"driver_opts: {{type: none, o: '{options}', device: '${{ROOT}}/data'}}"
    compose = f"{APP}    volumes: ['data:/data']\nvolumes: {{data: {{{driver}{opts}}}}}\n"
    made = released(opened(root, {COMPOSE: compose, "data/x": "1"}, ROOT=str(root)))
    assert "workspace/shop/data" in made["kamal-dev.overlay.yaml"]


def test_a_mounted_folder_that_only_has_ignored_files_is_told(root: Path) -> None:
    compose = f'{APP}    volumes: ["../certs:/certs:ro", "../src:/src", "../made:/made"]\n'
    files = {
        COMPOSE: compose,
        ".gitignore": "certs/\nmade/*.out\n",
        "certs/a.pem": "x",
        "src/a.py": "x",
        "made/a.out": "x",
    }
    told = notices(opened(root, files))
    assert "compose.yaml:5" in told
    assert "`certs` has only files that git ignores" in told
    assert "`made` has only files" in told
    assert "`src`" not in told


# --- devcontainer.json


def test_a_default_that_the_second_colon_cuts_is_told(root: Path) -> None:
    text = OURS.replace("}", ', "containerEnv": {"URL": "${localEnv:URL:http://x:80}"}}')
    assert "devcontainer.json:1" in notices(opened(root, {CONFIG: text}))
    assert "ends at its first colon: `http`" in notices(opened(root))


def test_of_several_devcontainers_the_one_that_needs_no_name_is_taken(root: Path) -> None:
    run = opened(root, {".devcontainer/other/devcontainer.json": '{"image": "alpine"}'})
    assert run.project.devcontainer.path == root / CONFIG
    (root / CONFIG).unlink()
    write(root, {".devcontainer/more/devcontainer.json": '{"image": "alpine"}'})
    with pytest.raises(UsageError, match="several devcontainers"):
        opened(root)


def test_what_initialize_command_writes_is_what_hosts_are_made_of(root: Path) -> None:
    run = opened(root)
    before = run.provider
    settings = "service: shop\nregistry: {server: localhost:5000}\n"
    write(root, {"config/dev.yml": f"{settings}provider: {{type: static, hosts: [root@10.0.0.9]}}\n"})
    run = run.read_again()
    assert run.provider is not before
    assert [host.address for _, host in run.provider.stacks()] == ["10.0.0.9"]


@pytest.mark.parametrize("text", ['x: "\\UFFFFFFFF"\n', f"x: {'[' * 3000}{']' * 3000}\n", "x: \x07\n", "x:\n\t- a\n"])
@pytest.mark.parametrize("name", [COMPOSE, "config/dev.yml"])
def test_text_that_is_no_yaml_is_the_same_error_in_every_file(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        opened(root).project.compose  # noqa: B018
    assert caught.value.problems[0].path == name


# --- The user's own logins


@pytest.fixture
def server() -> Iterator[str]:
    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers.get("Authorization") else 401)
            self.send_header("Www-Authenticate", 'Basic realm="test"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()


@pytest.mark.real
@pytest.mark.parametrize("spelling", ["{}", "https://{}", "https://{}/v2/", "store", "none"])
def test_a_login_leaves_the_users_credential_helpers_alone(
    tmp_path: Path, server: str, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "bin/docker-credential-recorder"
    write(tmp_path, {"bin/docker-credential-recorder": f'#!/bin/sh\necho "$1" >>{tmp_path}/asked\nexit 1\n'})
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    own: dict[str, object] = {"auths": {"other.example.com": {}}}
    if spelling == "store":
        own |= {"credsStore": "recorder", "auths": {server: {}, "other.example.com": {}}}
    elif spelling != "none":
        own["credHelpers"] = {spelling.format(server): "recorder", "other.example.com": "recorder"}
    settings = commands.without_helper(own, server)
    folder = tmp_path / "docker"
    write(folder, {"config.json": json.dumps(settings)})
    words = ["docker", "--config", str(folder), "login", "--username", "me", "--password-stdin", server]
    done = subprocess.run(words, input="secret", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "asked").exists()
    kept = json.loads((folder / "config.json").read_text())
    assert kept["auths"][server]["auth"]
    if spelling not in ("none",):
        assert kept["credHelpers"] == {"other.example.com": "recorder"}


def test_docker_hub_is_one_registry_in_all_its_spellings() -> None:
    own = {
        "credHelpers": {
            "https://index.docker.io/v1/": "a",
            "registry-1.docker.io": "a",
            "docker.io": "a",
            "ghcr.io": "a",
        }
    }
    assert commands.without_helper(own, "docker.io")["credHelpers"] == {"ghcr.io": "a"}


def test_the_name_that_logs_in_is_readable(root: Path) -> None:
    registry = "registry: {server: registry.example.com, username_env: USER_NAME, password_env: TOKEN}\n"
    files = {".kamal/secrets": "USER_NAME=some-body\nTOKEN=hunter22\n", "config/dev.yml": f"service: shop\n{registry}"}
    run = opened(root, files)
    run.project.compose  # noqa: B018
    assert run.output.redaction("some-body, hunter22") == "some-body, [redacted]"


def test_a_secret_in_a_file_keeps_its_mode(root: Path) -> None:
    compose = f"{APP}    secrets: [pin]\n    configs: [conf]\n"
    compose += "secrets: {pin: {file: ../pin}}\nconfigs: {conf: {file: ../conf}}\n"
    run = opened(root, {COMPOSE: compose, "pin": "1234", "conf": "x"})
    (root / "pin").chmod(0o600)
    (root / "conf").chmod(0o644)
    found = {file.path: file.mode for file in render_release(run.project, "shop-1").files}
    assert (found["pin"], found["conf"]) == (0o600, 0o644)
    write(root, {COMPOSE: compose.replace("    secrets", "    user: '1500:1500'\n    secrets", 1)})
    told = notices(opened(root))
    assert told.count("only its owner can read this file") == 1
    assert "compose.yaml:8:" in told
