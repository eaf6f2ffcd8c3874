"""A registry that asks for a password, and where that password is seen: nowhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import bcrypt
import pytest

from tests.real import lab as labs
from tests.real.lab import COMPOSE, DOCKERFILE, Ended, Host, Lab, Repository, docker, has_image, run, wait_for
from tests.real.watch import Watch, files_with_any, image_with_any, registry_with_any

# Every address of 127/8 is trusted by Docker without TLS, and this one is not taken for a registry of `dev`'s own.
ADDRESS = "127.0.0.2"
USER, PASSWORD = "robot", "rp-6f1c0a77b2d94e55"
APPLICATION = "ap-9d3e0b41c7a64f20"
ENVIRONMENT = COMPOSE + "    environment: [APP_PASSWORD]\n"
SECRET = "RUN --mount=type=secret,id=BUILD_TOKEN test -s /run/secrets/BUILD_TOKEN\nCMD "

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason=f"{ADDRESS} is an address of this machine on Linux only"
)


@dataclass(frozen=True)
class Private:
    """A registry with a login; `server` is its name here and on hosts."""

    server: str
    container: str


@pytest.fixture(scope="module")
def registry(lab: Lab, hosts: tuple[Host, ...]) -> Private:
    port = lab.free_port()
    name = f"{labs.PREFIX}-private-registry"
    auth = {"AUTH": "htpasswd", "AUTH_HTPASSWD_REALM": "test", "AUTH_HTPASSWD_PATH": "/htpasswd"}
    words = [word for key, value in auth.items() for word in ("--env", f"REGISTRY_{key}={value}")]
    published = f"{ADDRESS}:{port}:5000"
    words += ["--name", name, "--label", f"kamal-dev.test={labs.PREFIX}", "--publish", published]
    docker("create", *words, "registry:2")
    entry = lab.folder / "htpasswd"
    entry.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()}\n")
    docker("cp", str(entry), f"{name}:/htpasswd")
    docker("start", name)
    for host in hosts:
        _let_through(host, name, port)
    return Private(f"{ADDRESS}:{port}", name)


def _let_through(host: Host, registry: str, port: int) -> None:
    """Make the registry answer on the host under the name that it has here, as a real one would."""
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", registry).strip()
    listen = f"--unit=registry-{port} --socket-property=ListenStream={ADDRESS}:{port}"
    host.run(f"systemd-run --quiet {listen} /lib/systemd/systemd-socket-proxyd {address}:5000")
    wait_for("the registry answers on the host", lambda: host.says(f"curl -s -o /dev/null http://{ADDRESS}:{port}/v2/"))


def settings(server: str) -> str:
    return f"server: {server}\n  username_env: REGISTRY_USER\n  password_env: REGISTRY_TOKEN"


def private_repository(lab: Lab, name: str, registry: Private, hosts: list[Host], password: str) -> Repository:
    repository = lab.small(
        name,
        hosts,
        {".devcontainer/Dockerfile": DOCKERFILE.replace("CMD ", SECRET)},
        compose=ENVIRONMENT,
        settings="secrets: [APP_PASSWORD]\nbuild: {secrets: [BUILD_TOKEN]}\n",
        registry=settings(registry.server),
        BUILD_TOKEN=lab.token,
    )
    secrets = repository.root / ".kamal/secrets"
    secrets.parent.mkdir(exist_ok=True)
    secrets.write_text(f"REGISTRY_USER={USER}\nREGISTRY_TOKEN='{password}'\nexport APP_PASSWORD=\"{APPLICATION}\"\n")
    secrets.chmod(0o600)
    return repository


@dataclass(frozen=True)
class Deployed:
    """A deploy through the private registry, watched from its first to its last process."""

    repository: Repository
    ended: Ended
    watch: Watch
    image: str


@pytest.fixture(scope="module")
def deployed(lab: Lab, registry: Private, hosts: tuple[Host, ...]) -> Iterator[Deployed]:
    repository = private_repository(lab, "private", registry, list(hosts[:2]), PASSWORD)
    with Watch() as watch:
        ended = repository.attempt("deploy", "--verbose")
    image = f"{registry.server}/{USER}/{repository.service}-dev:{repository.sha}"
    yield Deployed(repository, ended, watch, image)
    if has_image(image):
        docker("image", "rm", image)


def test_a_private_registry_is_pushed_to_and_pulled_from(deployed: Deployed, hosts: tuple[Host, ...]) -> None:
    assert deployed.ended.code == 0, str(deployed.ended)
    for index, host in enumerate(hosts[:2], 1):
        assert host.states(deployed.repository.stack(index)) == {"app": "running"}
        assert host.images(deployed.repository.stack(index))["app"].startswith(deployed.image)


def test_the_secret_reaches_the_service(deployed: Deployed, host: Host) -> None:
    container = host.containers(deployed.repository.stack())["app"]
    assert f"APP_PASSWORD={APPLICATION}" in container["Config"]["Env"]


def test_no_secret_is_in_an_argument_a_log_a_file_an_image_or_the_registry(
    lab: Lab, deployed: Deployed, registry: Private, hosts: tuple[Host, ...]
) -> None:
    secrets = (PASSWORD, APPLICATION, lab.token)
    assert len(deployed.watch.seen) > 100
    assert deployed.watch.with_any(secrets) == []
    assert not [secret for secret in secrets if secret in deployed.ended.text]
    for host in hosts[:2]:
        # Stacks of other tests have the token as a secret of theirs.
        files = {
            name: mode
            for name, mode in files_with_any(host, secrets).items()
            if "-private-" in name or "/.kamal-dev/" not in name
        }
        stack_files = {name: mode for name, mode in files.items() if "-private-" in name}
        assert set(stack_files.values()) <= {"600"}
        assert {name.rpartition("/")[2] for name in stack_files} == {".env"}
        pulling = files_with_any(host, (PASSWORD, lab.token))
        assert not files.keys() & pulling.keys(), "what a host needs for pulling goes with the pull"
    assert image_with_any(deployed.image, secrets) == []
    assert registry_with_any(registry.container, secrets) == []


def test_the_login_is_not_written_to_the_users_own_docker_configuration(deployed: Deployed, registry: Private) -> None:
    assert run("sh", "-c", f"grep -sl '{registry.server}' ~/.docker/config.json || true") == ""


def test_a_refused_login_says_whose_and_deploys_nothing(lab: Lab, registry: Private, host: Host) -> None:
    repository = private_repository(lab, "refused", registry, [host], "rp-of-yesterday-0815")
    ended = repository.dev("deploy", code=1)
    error = next(line for line in ended.stderr.splitlines() if line.startswith("error: "))
    assert f"`{USER}`" in error
    assert registry.server in error
    assert "401 Unauthorized" in error
    assert "REGISTRY_TOKEN" in ended.stderr
    assert "rp-of-yesterday-0815" not in ended.text
    assert host.states(repository.stack()) == {}


def test_a_missing_password_is_named_with_the_file_it_should_be_in(lab: Lab, registry: Private, host: Host) -> None:
    repository = private_repository(lab, "nopassword", registry, [host], PASSWORD)
    secrets = repository.root / ".kamal/secrets"
    secrets.write_text(secrets.read_text().replace("REGISTRY_TOKEN", "OTHER_TOKEN"))
    ended = repository.dev("deploy", code=2)
    assert re.search(r"error: \.kamal/secrets: `?REGISTRY_TOKEN`? is not set", ended.stderr), str(ended)
    assert not has_image(f"{registry.server}/{USER}/{repository.service}-dev")


def test_a_registry_that_does_not_answer_fails_the_push_and_deploys_nothing(lab: Lab, host: Host) -> None:
    server = f"{ADDRESS}:{lab.free_port()}"
    repository = lab.small("noregistry", [host], registry=settings(server), REGISTRY_USER=USER, REGISTRY_TOKEN=PASSWORD)
    ended = repository.dev("deploy", code=1)
    assert server in ended.stderr
    assert PASSWORD not in ended.text
    assert host.states(repository.stack()) == {}
