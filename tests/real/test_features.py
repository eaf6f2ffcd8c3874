"""Features: what the devcontainer CLI installs is in the image, and nothing of it is left in the tree."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.real import lab as labs
from tests.real.lab import Host, Lab, Repository, docker, has_image, run, wait_for
from tests.real.test_interrupts import stop
from tests.real.watch import Watch

BIN = Path(sys.executable).parent
NOWHERE = "root@127.0.0.1:1"
TOOL = {
    "id": "tool",
    "version": "1.0.0",
    "name": "A tool",
    "options": {"greeting": {"type": "string", "default": "hello"}},
    "containerEnv": {"TOOL_HOME": "/opt/tool"},
    "postCreateCommand": "echo made by the tool",
}
INSTALL = """\
#!/bin/sh
set -e
echo "$GREETING, $_REMOTE_USER in $_REMOTE_USER_HOME, container $_CONTAINER_USER" >/tool
"""
FIRST = """\
#!/bin/sh
printf '#!/bin/sh\\ntouch /ran\\nexec "$@"\\n' >/first.sh
chmod 755 /first.sh
"""
BASE = '{"id": "base", "version": "1.0.0", "name": "What the other needs"}\n'
FOLDER = {
    ".devcontainer/features/tool/devcontainer-feature.json": json.dumps(TOOL),
    ".devcontainer/features/tool/install.sh": INSTALL,
}
FEATURES: dict[str, Any] = {"./features/tool": {"greeting": "welcome"}}
DOCKERFILE = """\
FROM debian:12 AS one
ARG NAME
RUN useradd --create-home "$NAME"
RUN --mount=type=secret,id=BUILD_TOKEN,mode=0444 test -s /run/secrets/BUILD_TOKEN
STOPSIGNAL SIGKILL
COPY message /message
CMD ["sleep", "infinity"]
FROM one AS two
RUN touch /never
"""
HOOKS = {"postCreateCommand": "echo mine", "mounts": ["source=data,target=/data,type=volume"]}


@pytest.fixture(scope="module", autouse=True)
def cli() -> Iterator[None]:
    """The CLI that bin/devcontainer-cli brought is the one on PATH."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{BIN}:{before}"
    yield
    os.environ["PATH"] = before


def featured(
    lab: Lab,
    name: str,
    devcontainer: dict[str, Any],
    files: dict[str, str] | None = None,
    hosts: Sequence[Host | str] = (NOWHERE,),
    **options: Any,
) -> Repository:
    said = {"features": FEATURES, **HOOKS, **devcontainer}
    about = {".devcontainer/devcontainer.json": json.dumps(said, indent=2), **FOLDER}
    return lab.small(name, hosts, {**about, **(files or {})}, BUILD_TOKEN=lab.token, **options)


def inside(image: str, *words: str) -> str:
    return docker("run", "--rm", "--entrypoint", words[0], image, *words[1:])


def metadata(image: str) -> list[dict[str, Any]]:
    found = docker("image", "inspect", "--format", '{{index .Config.Labels "devcontainer.metadata"}}', image)
    return list(json.loads(found))


def is_clean(repository: Repository) -> bool:
    return run("git", "status", "--porcelain", "--ignored=no", cwd=repository.root) == ""


def test_an_image_gets_its_features_and_the_stack_runs_what_was_built(lab: Lab) -> None:
    repository = featured(lab, "fimage", {"image": "debian:12"})
    ended = repository.dev("build")
    image = repository.image()
    assert ended.stdout.strip() == image
    assert inside(image, "cat", "/tool") == "welcome, root in /root, container root\n"
    assert inside(image, "printenv", "TOOL_HOME") == "/opt/tool\n"
    rendered = repository.dev("render", "--json").json
    assert rendered["services"] == {"devcontainer": {"image": image, "built": True}}
    assert is_clean(repository)


def test_the_label_of_the_image_has_the_features_and_no_hook_of_the_devcontainer(lab: Lab) -> None:
    repository = featured(lab, "flabel", {"image": "debian:12", "remoteUser": "root"})
    repository.dev("build")
    tool, *rest = metadata(repository.image())
    assert tool == {"id": "./features/tool", "postCreateCommand": "echo made by the tool"}
    assert [entry for entry in rest if set(entry) - {"remoteUser"}] == []


def test_a_dockerfile_is_built_with_its_target_arguments_and_secrets_for_the_remote_user(lab: Lab) -> None:
    build = {"dockerfile": "Dockerfile", "target": "one", "args": {"NAME": "ann"}, "options": ["--label", "own=label"]}
    settings = "build: {secrets: [BUILD_TOKEN]}\n"
    files = {".devcontainer/Dockerfile": DOCKERFILE}
    repository = featured(lab, "fdocker", {"build": build, "remoteUser": "ann"}, files, settings=settings)
    ended = repository.dev("build", "--verbose")
    image = repository.image()
    assert inside(image, "cat", "/tool") == "welcome, ann in /home/ann, container root\n"
    assert inside(image, "ls", "/message") == "/message\n"
    assert inside(image, "find", "/", "-maxdepth", "1", "-name", "never") == ""
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    assert (labels["own"], labels["kamal-dev.service"]) == ("label", repository.service)
    assert lab.token not in ended.text
    assert is_clean(repository)


COMPOSE = """\
services:
  worker: &base
    build: &build
      context: .
      target: one
      args: {NAME: bob}
      secrets: [BUILD_TOKEN]
      additional_contexts: {other: ./features}
    stop_signal: SIGKILL
  app:
    <<: *base
    user: bob
    build:
      <<: *build
      dockerfile_inline: |
        FROM debian:12 AS one
        RUN useradd --create-home bob
        RUN --mount=type=secret,id=BUILD_TOKEN test -s /run/secrets/BUILD_TOKEN
        COPY --from=other tool/install.sh /seen
        COPY message /message
secrets:
  BUILD_TOKEN: {environment: BUILD_TOKEN}
"""


def test_of_a_compose_project_the_main_service_alone_gets_the_features(lab: Lab) -> None:
    said = {"dockerComposeFile": "compose.yaml", "service": "app"}
    files = {".devcontainer/Dockerfile": DOCKERFILE}
    repository = featured(lab, "fcompose", said, files, compose=COMPOSE)
    made = dict.fromkeys(repository.dev("build").stdout.split())
    rendered = repository.dev("render", "--json").json
    app, worker = (rendered["services"][name]["image"] for name in ("app", "worker"))
    assert set(made) == {app, worker}
    assert app != worker
    assert inside(app, "cat", "/tool") == "welcome, bob in /home/bob, container bob\n"
    assert inside(app, "ls", "/seen", "/message") == "/message\n/seen\n"
    assert inside(worker, "find", "/", "-maxdepth", "1", "-name", "tool") == ""
    assert is_clean(repository)


def test_an_image_of_a_compose_project_gets_its_features_and_the_others_keep_theirs(lab: Lab) -> None:
    compose = "services:\n  app: &app\n    image: debian:12\n    command: sleep infinity\n  other:\n    <<: *app\n"
    repository = featured(lab, "fservice", {"dockerComposeFile": "compose.yaml", "service": "app"}, compose=compose)
    assert repository.dev("build").stdout.strip() == repository.image()
    assert inside(repository.image(), "cat", "/tool").startswith("welcome")
    folder = lab.folder / "fservice.rendered"
    repository.dev("render", str(folder))
    (folder / ".env").chmod(0o600)
    services = json.loads(run("docker", "compose", "config", "--format", "json", cwd=folder))["services"]
    assert {name: service["image"] for name, service in services.items()} == {
        "app": repository.image(),
        "other": "debian:12",
    }


LAYERED = """\
services:
  base:
    image: acme/base
    build: {context: ., dockerfile: Base}
  app:
    build: {context: ., dockerfile: Layered}
"""


@pytest.mark.parametrize("own", ["build: {context: ., dockerfile: Layered}", "image: acme/base:latest"])
def test_features_go_on_an_image_that_another_build_makes(lab: Lab, own: str) -> None:
    said = {"dockerComposeFile": "compose.yaml", "service": "app"}
    compose = LAYERED.replace("build: {context: ., dockerfile: Layered}", own)
    files = {
        ".devcontainer/Base": "FROM debian:12\nRUN touch /of-base\n",
        ".devcontainer/Layered": "FROM acme/base AS one\nRUN test -e /of-base\n",
    }
    repository = featured(lab, f"flayer{len(own)}", said, files, compose=compose)
    repository.dev("build")
    assert inside(repository.image(), "ls", "/of-base", "/tool") == "/of-base\n/tool\n"
    assert not has_image("acme/base")


def test_features_of_the_repository_may_stand_above_and_need_each_other(lab: Lab) -> None:
    needy = {**TOOL, "dependsOn": {"../features/base": {}}}
    files = {
        ".devcontainer/sub/devcontainer.json": json.dumps(
            {"image": "debian:12", "features": {"../features/tool": {}, "./sub": {}}}
        ),
        ".devcontainer/sub/sub/devcontainer-feature.json": BASE.replace("base", "sub"),
        ".devcontainer/sub/sub/install.sh": "#!/bin/sh\necho sub >/sub\n",
        ".devcontainer/features/tool/devcontainer-feature.json": json.dumps(needy),
        ".devcontainer/features/tool/install.sh": "#!/bin/sh\ncp /base /tool\n",
        ".devcontainer/features/base/devcontainer-feature.json": BASE,
        ".devcontainer/features/base/install.sh": "#!/bin/sh\necho base >/base\n",
    }
    repository = featured(lab, "fabove", {"image": "debian:12"}, files)
    repository.dev("build", "--devcontainer", ".devcontainer/sub/devcontainer.json")
    assert inside(repository.image(), "cat", "/tool", "/sub") == "base\nsub\n"
    assert is_clean(repository)


def test_a_second_build_makes_the_same_image_until_a_feature_changes(lab: Lab) -> None:
    repository = featured(lab, "fagain", {"image": "debian:12"})
    words, image = ("build", "--version", "same"), repository.image("same")
    repository.dev(*words)
    first = docker("image", "inspect", "--format", "{{.Id}}", image)
    repository.dev(*words)
    assert docker("image", "inspect", "--format", "{{.Id}}", image) == first
    name = ".devcontainer/features/tool/install.sh"
    repository.commit({name: INSTALL.replace("container", "then")})
    repository.dev(*words)
    assert "then root" in inside(image, "cat", "/tool")


def test_a_dry_run_shows_the_command_that_builds_with_features(lab: Lab, host: Host) -> None:
    repository = featured(lab, "fdry", {"image": "debian:12"}, hosts=[host])
    shown = repository.dev("deploy", "--dry-run").stdout
    build = next(line for line in shown.splitlines() if "devcontainer build" in line)
    assert f"--image-name {repository.image()} --no-lockfile" in build
    assert not has_image(repository.image())


def test_what_a_feature_asks_of_the_container_holds_on_a_host(lab: Lab, host: Host) -> None:
    asked = {
        "init": True,
        "capAdd": ["SYS_PTRACE"],
        "entrypoint": "/first.sh",
        "mounts": ["source=a,target=/a,type=volume"],
    }
    said = {"dockerComposeFile": "compose.yaml", "service": "app", "features": {"./features/tool": {}}}
    files = {
        ".devcontainer/devcontainer.json": json.dumps(said),
        ".devcontainer/features/tool/devcontainer-feature.json": json.dumps({**TOOL, **asked}),
        ".devcontainer/features/tool/install.sh": FIRST,
    }
    compose = "services:\n  app:\n    image: debian:12\n    command: sleep infinity\n    stop_signal: SIGKILL\n"
    repository = lab.small("fdeploy", [host], {**FOLDER, **files}, compose=compose)
    repository.dev("deploy")
    container = host.containers(repository.stack())["app"]
    assert container["Config"]["Image"].startswith(f"{repository.image().rpartition(':')[0]}@sha256:")
    assert (container["HostConfig"]["Init"], container["HostConfig"]["CapAdd"]) == (True, ["SYS_PTRACE"])
    assert [mount["Destination"] for mount in container["Mounts"]] == ["/a"]
    told = "test -e /ran && printenv TOOL_HOME"
    assert host.run(f"docker exec {container['Id']} sh -c '{told}'") == "/opt/tool\n"
    assert "is already running" in repository.dev("deploy").stderr


def test_a_feature_that_cannot_be_installed_fails_the_build_with_its_last_lines(lab: Lab) -> None:
    broken = {".devcontainer/features/tool/install.sh": "#!/bin/sh\necho no such tool >&2\nexit 7\n"}
    ended = featured(lab, "fbroken", {"image": "debian:12"}, broken).dev("build", code=1)
    assert "the build of devcontainer failed (.devcontainer/devcontainer.json:" in ended.stderr
    assert "no such tool" in ended.stderr, ended.stderr


def test_an_interrupted_build_ends_what_the_cli_has_started_and_leaves_nothing(lab: Lab) -> None:
    slow = {".devcontainer/features/tool/install.sh": "#!/bin/sh\necho now it sleeps\nsleep 300\n"}
    repository = featured(lab, "fstop", {"image": "debian:12"}, slow)
    stop(repository, signal.SIGINT, lambda text: re.search(r"#\d+ [\d.]+ now it sleeps", text) is not None, "build")
    assert repository.image() not in run("ps", "-eo", "args")


@pytest.mark.parametrize(
    ("name", "said"),
    [("../outside", "is not in .devcontainer/"), ("../" * 30 + "x", "is not in"), ("./gone", "has no devcontainer-f")],
)
def test_a_feature_that_is_no_folder_of_the_devcontainer_is_refused_with_its_place(
    lab: Lab, name: str, said: str
) -> None:
    repository = featured(lab, f"fplace{len(name)}", {"image": "debian:12", "features": {name: {}}})
    ended = repository.dev("build", code=2)
    assert re.search(
        rf"error: \.devcontainer/devcontainer\.json:3:? the Feature `{re.escape(name)}` {said}", ended.stderr
    )


@pytest.fixture
def without_cli(tmp_path: Path) -> dict[str, str]:
    """A machine that has docker and git, and no devcontainer CLI."""
    for name in ("docker", "git", "ssh"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    return {"PATH": str(tmp_path)}


def test_without_the_cli_features_are_named_with_their_place_before_anything_is_built(
    lab: Lab, without_cli: dict[str, str]
) -> None:
    compose = labs.COMPOSE + "  first:\n    build: {context: ., target: one, args: {NAME: eve}}\n"
    said = {"dockerComposeFile": "compose.yaml", "service": "app"}
    repository = featured(lab, "fabsent", said, {".devcontainer/Dockerfile": DOCKERFILE}, compose=compose)
    for words in (("build",), ("deploy",), ("deploy", "--dry-run")):
        ended = repository.dev(*words, code=1, **without_cli)
        error, hint = ended.stderr.strip().splitlines()[-2:]
        assert error.startswith("error: .devcontainer/devcontainer.json:2: ")
        assert "`./features/tool`" in error
        assert "npm install -g @devcontainers/cli" in hint
        assert "--ignore-features" in hint
    assert docker("image", "ls", "--quiet", repository.image().rpartition(":")[0]) == ""
    checks = {check["name"]: check for check in repository.dev("doctor", "--json", code=1, **without_cli).json}
    assert not checks["features"]["is_fine"]
    assert "npm install" in checks["features"]["advice"]


def test_ignored_features_are_told_of_and_left_out(lab: Lab, host: Host, without_cli: dict[str, str]) -> None:
    said = {"build": {"dockerfile": "Dockerfile"}}
    repository = featured(lab, "fignored", said, {".devcontainer/Dockerfile": labs.DOCKERFILE}, [host])
    ended = repository.dev("build", "--ignore-features", **without_cli)
    assert "devcontainer.json:2: `features` is ignored" in ended.stderr
    assert "`./features/tool`" in ended.stderr
    assert inside(repository.image(), "find", "/", "-maxdepth", "1", "-name", "tool") == ""
    told = repository.dev("deploy", "--ignore-features", "--dry-run", **without_cli)
    assert "devcontainer build" not in told.stdout


def test_the_cli_is_found_through_npx_and_npx_without_a_network_is_no_cli(
    lab: Lab, without_cli: dict[str, str], tmp_path: Path
) -> None:
    repository = featured(lab, "fnpx", {"image": "debian:12"})
    npx = tmp_path / "npx"
    npx.write_text(f'#!/bin/sh\nshift 3\nexec "{BIN}/devcontainer" "$@"\n')
    npx.chmod(0o755)
    ended = repository.dev("build", "--verbose", **without_cli)
    assert [step for step in ended.steps() if step.startswith("npx --yes --prefer-offline @devcontainers/cli build")]
    npx.write_text("#!/bin/sh\necho npm error code ENOTFOUND >&2\nexit 1\n")
    assert "devcontainer CLI" in repository.dev("build", code=1, **without_cli).stderr


USER, PASSWORD = "reader", f"rp-{secrets.token_hex(8)}"
ADDRESS = "127.0.0.2"


@dataclass(frozen=True)
class Registry:
    """A registry that asks for a password, and what its own client needs to write to it."""

    server: str
    certificate: Path
    configuration: Path

    @property
    def feature(self) -> str:
        """The Feature without its version."""
        return f"{self.server}/{USER}/features/tool"

    def cli(self, *words: str) -> str:
        """Run the devcontainer CLI as somebody who may write to the registry."""
        environment = (f"DOCKER_CONFIG={self.configuration}", f"NODE_EXTRA_CA_CERTS={self.certificate}")
        return run("env", *environment, str(BIN / "devcontainer"), *words)

    def publish(self, folder: Path, version: str) -> None:
        """Publish the tool under a version."""
        (folder / "tool").mkdir(parents=True)
        (folder / "tool/devcontainer-feature.json").write_text(json.dumps({**TOOL, "version": version}))
        (folder / "tool/install.sh").write_text(f"{INSTALL}echo {version} >>/tool\n")
        self.cli("features", "publish", "--registry", self.server, "--namespace", f"{USER}/features", str(folder))


def certify(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for the address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ADDRESS)])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(ADDRESS))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "features.crt", folder / "features.key"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


@pytest.fixture(scope="module")
def registry(lab: Lab) -> Registry:
    port, name = lab.free_port(), f"{labs.PREFIX}-features-registry"
    certificate, key = certify(lab.folder)
    entry = lab.folder / "features.htpasswd"
    entry.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()}\n")
    settings = {
        "AUTH": "htpasswd",
        "AUTH_HTPASSWD_REALM": "test",
        "AUTH_HTPASSWD_PATH": f"/{entry.name}",
        "HTTP_TLS_CERTIFICATE": f"/{certificate.name}",
        "HTTP_TLS_KEY": f"/{key.name}",
    }
    words = [word for item, value in settings.items() for word in ("--env", f"REGISTRY_{item}={value}")]
    words += ["--name", name, "--label", f"kamal-dev.test={labs.PREFIX}", "--publish", f"{ADDRESS}:{port}:5000"]
    docker("create", *words, "registry:2")
    for path in (certificate, key, entry):
        docker("cp", str(path), f"{name}:/{path.name}")
    docker("start", name)
    wait_for("the registry answers", lambda: answers(port))
    configuration = lab.folder / "features.docker"
    configuration.mkdir()
    known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    server = f"{ADDRESS}:{port}"
    (configuration / "config.json").write_text(json.dumps({"auths": {server: {"auth": known}}}))
    return Registry(server, certificate, configuration)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((ADDRESS, port)) == 0


@pytest.fixture(scope="module")
def published(lab: Lab, registry: Registry) -> Repository:
    """A repository with a Feature that the registry has, and the registry's credential in .kamal/secrets."""
    registry.publish(lab.folder / "first", "1.0.0")
    settings = f"server: {registry.server}\n  username_env: REGISTRY_USER\n  password_env: REGISTRY_TOKEN"
    said = {"image": "debian:12", "features": {f"{registry.feature}:1": {}}}
    environment = {"REGISTRY_USER": USER, "NODE_EXTRA_CA_CERTS": str(registry.certificate)}
    repository = featured(lab, "fregistry", said, registry=settings, **environment)
    private = repository.root / ".kamal/secrets"
    private.parent.mkdir(exist_ok=True)
    private.write_text(f"REGISTRY_TOKEN={PASSWORD}\n")
    private.chmod(0o600)
    return repository


def test_a_feature_comes_from_a_registry_with_the_credential_of_the_configuration(
    registry: Registry, published: Repository
) -> None:
    with Watch() as watch:
        ended = published.dev("build", "--verbose")
    image = ended.stdout.strip()
    assert image == f"{registry.server}/{USER}/{published.service}-dev:{published.sha}"
    assert inside(image, "cat", "/tool") == "hello, root in /root, container root\n1.0.0\n"
    assert PASSWORD not in ended.text
    assert watch.with_any((PASSWORD,)) == []
    assert is_clean(published)


def test_a_lockfile_keeps_the_version_that_it_names_and_stays_as_it_is(
    lab: Lab, registry: Registry, published: Repository
) -> None:
    about = registry.cli("features", "info", "manifest", f"{registry.feature}:1.0.0", "--output-format", "json")
    resolved = json.loads(about)["canonicalId"]
    pin = {"version": "1.0.0", "resolved": resolved, "integrity": resolved.partition("@")[2]}
    registry.publish(lab.folder / "second", "1.0.1")
    lockfile = ".devcontainer/devcontainer-lock.json"
    published.commit({lockfile: json.dumps({"features": {f"{registry.feature}:1": pin}})})
    assert inside(published.dev("build").stdout.strip(), "tail", "-n", "1", "/tool") == "1.0.0\n"
    assert is_clean(published)
    (published.root / lockfile).unlink()
    published.commit()
    assert inside(published.dev("build").stdout.strip(), "tail", "-n", "1", "/tool") == "1.0.1\n"
