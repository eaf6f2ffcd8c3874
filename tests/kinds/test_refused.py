"""What cannot end well is refused at once, where it is written, by its right name; nothing is built for it.

A file that no Compose would read, a configuration that is no file, a mount of this machine's home folder, a host that
is too small, full, or whose port somebody else holds: `dev` says it before a build, with file and line or with the
name of whoever stands in the way. What is refused on one machine alone can be allowed on that machine alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kamal_dev import config
from kamal_dev.commands.facts import Facts, HeldImage, PortConflict
from kamal_dev.compose import Additions
from kamal_dev.errors import ConfigError, HostError, ProviderError
from kamal_dev.model import Host, Release, Version
from kamal_dev.output import Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.hosts.planning import requirements
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan import admission
from kamal_dev.providers import Capacity, machine
from tests import dev as forked
from tests.compose.support import load, overlay_of, render

STATIC = "service: blog\nprovider: {type: static, hosts: [10.0.0.1, 10.0.0.2]}\n"
COMPOSE = "services:\n  app:\n    image: debian:12\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a repository with one service."""
    for path, text in {
        ".devcontainer/devcontainer.json": '{"dockerComposeFile": "compose.yaml", "service": "app"}\n',
        ".devcontainer/compose.yaml": COMPOSE,
        "config/dev.yml": STATIC,
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def opened(root: Path, said: list[str] | None = None) -> Run:
    kept: list[str] = [] if said is None else said
    environment = {"PATH": os.environ["PATH"], "HOME": "/home/ann"}
    return Run.open(root, Output(lambda event: kept.append(sentence(event))), environment=environment)


def dev(root: Path, *words: str) -> forked.Finished:
    return forked.run(words, cwd=root, env=os.environ)


# --- files that are none


def folder(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "what"),
    [(folder, "a folder"), (os.mkfifo, "a named pipe"), (endless, "a device"), (dangling, "a broken link")],
)
@pytest.mark.parametrize("path", ["config/dev.yml", "config/dev.local.yml", ".devcontainer/devcontainer.json"])
def test_a_configuration_that_is_no_file_is_an_error_and_not_taken_for_none(
    root: Path, path: str, make: Callable[[Path], None], what: str
) -> None:
    (root / path).unlink(missing_ok=True)
    make(root / path)
    with pytest.raises(ConfigError) as refused:
        opened(root)
    assert str(refused.value) == f"{path}: is {what}, not a file"


@pytest.mark.parametrize("path", ["config/dev.yml", ".devcontainer/devcontainer.json"])
def test_a_committed_configuration_that_became_a_pipe_is_named_before_git_stops_at_it(root: Path, path: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "--message", "all")):
        subprocess.run(["git", "-C", root, *words], check=True)
    (root / path).unlink()
    os.mkfifo(root / path)
    done = dev(root, "config")
    assert f"error: {path}: is a named pipe, not a file" in done.stderr
    assert done.returncode == 2


def test_secrets_come_through_a_pipe_as_some_password_managers_make_it(root: Path) -> None:
    (root / "config/dev.yml").write_text(f"{STATIC}secrets: [KEY]\n")
    (root / ".kamal").mkdir()
    os.mkfifo(root / ".kamal/secrets")
    threading.Thread(target=lambda: (root / ".kamal/secrets").write_text("KEY=word\n"), daemon=True).start()
    assert opened(root).project.require("KEY").reveal() == "word"


def test_a_secrets_file_that_is_a_folder_is_an_error(root: Path) -> None:
    (root / ".kamal/secrets").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"\.kamal/secrets: is a folder, not a file"):
        opened(root)


# --- what holds on one machine alone


def test_a_local_file_is_laid_over_the_team_s_and_says_where_its_keys_stand(root: Path) -> None:
    (root / "config/dev.local.yml").write_text("provider: {hosts: [10.9.9.9]}\nhost_requirements: warn\nretain: 2\n")
    run = opened(root)
    found = run.project.config
    assert [host["address"] for host in dict(found.provider.options)["hosts"]] == ["10.9.9.9"]
    assert (found.service, found.retain, found.host_requirements) == ("blog", 2, "warn")
    assert str(found.where["retain"]).startswith("config/dev.local.yml:3")
    assert str(found.where["service"]).startswith("config/dev.yml:1")


def test_a_mistake_in_the_local_file_is_told_with_its_own_line(root: Path) -> None:
    (root / "config/dev.local.yml").write_text("retain: 2\nprovidr: {type: docker}\n")
    with pytest.raises(ConfigError) as refused:
        opened(root)
    assert str(refused.value).startswith("config/dev.local.yml:2: providr: unknown key")


def test_the_local_file_is_listed_by_config_and_explained(root: Path) -> None:
    (root / "config/dev.local.yml").write_text("retain: 2\n")
    assert json.loads(dev(root, "config", "--json").stdout)["files"] == ["config/dev.yml", "config/dev.local.yml"]
    assert "config/dev.local.yml:1 " in dev(root, "render", "--explain").stdout


def test_init_keeps_the_local_file_out_of_git_and_says_what_git_ignores(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("config/\n")
    ended = dev(tmp_path, "init")
    assert "git ignores config/dev.yml" in ended.stderr
    assert "`git add --force config/dev.yml`" in ended.stderr
    assert "/config/dev.local.yml" in (tmp_path / ".gitignore").read_text().splitlines()


# --- mounts of this machine's home folder


@pytest.mark.parametrize(
    "source",
    ["${HOME}/.ssh", "~/.aws", "~/.config/gh", "/home/ann/.docker/run/docker.sock", "${SSH_AUTH_SOCK}", "~"],
)
def test_a_path_of_this_machine_is_not_mounted_on_a_host(source: str) -> None:
    around = {"HOME": "/home/ann", "SSH_AUTH_SOCK": "/tmp/ssh-1/agent.1"}
    text = f"{COMPOSE}    volumes: ['{source}:/x', 'data:/data', '/var/run/docker.sock:/s']\nvolumes: {{data: {{}}}}\n"
    project = load(text, environment=around)
    volumes = overlay_of(render(project, main="app"))
    assert "/x" not in volumes
    assert "data:/data" in volumes and "docker.sock:/s" in volumes
    (notice,) = [notice for notice in project.notices if "is not mounted" in notice.message]
    assert notice.where.line == 4 and "home_mounts: host" in notice.message
    kept = load(text, environment=around, home_mounts=True)
    assert "is not mounted" not in str(kept.notices)


@pytest.mark.parametrize("source", ["..", "../src", "../../other"])
def test_the_repository_and_its_neighbours_are_no_such_path(source: str) -> None:
    project = load(f"{COMPOSE}    volumes: ['{source}:/x']\n", environment={"HOME": "/src"})
    assert "is not mounted" not in str(project.notices)


# --- hosts


FINE = Facts(cpus=4, memory=8 << 30, disk=1 << 40, disk_free=1 << 38, home_free=1 << 38, engine="26", daemon=True)
RELEASE = Release("1-2", "blog-1", Version("1"), "d", (), third_party=("debian:12",), ports=("127.0.0.1:8000/tcp",))
HOST = Host("blog-1", "10.0.0.1")


def admitted(root: Path, facts: Facts) -> HostError | None:
    """Return why a host is refused."""
    run = opened(root)
    needs = requirements(run.project, (), warns=False, lock_wait=run.lock_wait)
    return admission.refusal("blog-1", RELEASE, facts, needs)


def changed(**fields: Any) -> Facts:
    from dataclasses import replace

    return replace(FINE, **fields)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (changed(clashes=(PortConflict("127.0.0.1:8000/tcp", "the stack `shop-2`"),)), "held by the stack `shop-2`"),
        (changed(disk_free=0), "no space left on the host: 0 MB free for images"),
        (changed(home_free=0), "no space left on the host: 0 MB free for the home folder"),
        (changed(daemon=False, has_engine=True, privilege="none", trouble="not in the group"), "not in the group"),
        (changed(daemon=False, has_engine=True, privilege="root", trouble="no a", engine_address="unix:///a"), "no a"),
    ],
)
def test_a_host_that_cannot_take_the_release_is_named_and_nothing_is_built_for_it(
    root: Path, facts: Facts, says: str
) -> None:
    refused = admitted(root, facts)
    assert refused
    assert says in refused.message
    assert refused.left_behind == "nothing was changed on the host"


def test_a_host_with_all_that_a_release_needs_takes_it(root: Path) -> None:
    assert admitted(root, FINE) is None


def test_a_full_disk_is_no_reason_where_nothing_is_to_be_pulled(root: Path) -> None:
    from kamal_dev.model import ImageConfig

    held = HeldImage(("docker.io/library/debian:12", "debian:12"), ImageConfig())
    assert admitted(root, changed(disk_free=0, images=(held,))) is None


def test_a_port_has_the_number_of_its_own_stack() -> None:
    text = f"{COMPOSE}    ports: ['80${{NODE_INDEX}}:80', '9000-9001:90-91', '1.2.3.4:53:53/udp', '85', '0:86']\n"
    project = load(text, environment={"NODE_INDEX": "1"})
    own = ("127.0.0.1:801/tcp", "127.0.0.1:9000/tcp", "127.0.0.1:9001/tcp", "1.2.3.4:53/udp")
    assert render(project, main="app").ports == own
    open_to_all = render(project, extra=Additions("shop", "app", expose=True)).ports
    assert open_to_all[0] == "0.0.0.0:801/tcp"


# --- this machine, where hosts are containers on it


def test_a_host_gets_no_more_than_the_machine_has_and_it_is_said() -> None:
    has = Capacity(cpus=2, memory=4 << 30, disk=1 << 40)
    sizes, cut = machine.limited({"cpus": "64", "memory": "8g"}, has)
    assert sizes == {"cpus": "2", "memory": str(4 << 30)}
    assert cut == ("2 of 64 CPUs", "4.0 GB of 8.0 GB memory")
    assert machine.limited({"cpus": "1.5", "memory": "512m"}, has) == ({"cpus": "1.5", "memory": "512m"}, ())


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return what stands for the kernel's limit, of which 100 of 128 are in use."""
    limit = tmp_path / "max_user_instances"
    limit.write_text("128\n")
    monkeypatch.setattr(machine, "INSTANCES", limit)
    monkeypatch.setattr(machine, "_used", lambda: 100)
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    return limit


HERE = machine.Machine("2", Capacity(2, 4 << 30, 1 << 40), Path("/"))


def test_a_limit_of_the_kernel_is_raised_where_one_agrees(kernel: Path) -> None:
    asked: list[str] = []
    machine.make_room(HERE, 1, lambda question: asked.append(question) is None)
    assert asked == []
    machine.make_room(HERE, 3, lambda question: asked.append(question) is None)
    assert kernel.read_text() == "8192\n"
    assert "100 of 128 inotify instances are in use" in asked[0]


@pytest.mark.parametrize(("name", "what"), [("LEAST_MEMORY", "memory"), ("LEAST_DISK", "disk space")])
def test_hosts_for_which_the_machine_is_too_small_are_refused(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    monkeypatch.setattr(machine, name, 1 << 59)
    with pytest.raises(ProviderError, match=rf"GB of {what} left, and 2 hosts need 1073741824\.0 GB") as refused:
        machine.make_room(HERE, 2, lambda question: True)
    assert refused.value.left_behind == "no host was created"
    machine.make_room(HERE, 0, lambda question: True)


def test_instances_that_cannot_be_counted_are_estimated_from_the_hosts(
    kernel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_used", lambda: None)
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    machine.make_room(replace(HERE, hosts=7), 1, lambda question: True)
    with pytest.raises(ProviderError, match=r"about 120 of 128 inotify instances .*, and 1 more host needs about 15"):
        machine.make_room(replace(HERE, hosts=8), 1, lambda question: True)
    assert kernel.read_text() == "128\n"


def test_a_limit_of_the_kernel_is_named_where_one_does_not_agree(kernel: Path) -> None:
    with pytest.raises(ProviderError, match="100 of 128 inotify instances") as refused:
        machine.make_room(HERE, 3, lambda question: False)
    assert "sudo sysctl fs.inotify.max_user_instances=8192" in refused.value.hint
    assert kernel.read_text() == "128\n"


# --- what is written here


def test_render_masks_secrets_and_takes_no_foreign_folder_for_a_release(root: Path, tmp_path: Path) -> None:
    secret = f"{COMPOSE}    secrets: [token]\nsecrets: {{token: {{file: ./token}}}}\n"
    (root / ".devcontainer/compose.yaml").write_text(secret)
    (root / ".devcontainer/token").write_text("hunter2\n")
    out = tmp_path / "out"
    assert dev(root, "render", str(out)).returncode == 0
    assert not [path for path in out.rglob("*") if path.is_file() and "hunter2" in path.read_text()]
    assert dev(root, "render", str(out)).returncode == 0
    foreign = tmp_path / "extension"
    foreign.mkdir()
    (foreign / "manifest.json").write_text('{"name": "an extension"}')
    ended = dev(root, "render", str(foreign))
    assert ended.returncode == 2 and "not a release" in ended.stderr
    assert (foreign / "manifest.json").read_text() == '{"name": "an extension"}'


def test_the_table_is_printed_just_where_there_is_an_error(root: Path) -> None:
    (root / ".devcontainer/compose.yaml").write_text(f"{COMPOSE}    image: again\n")
    ended = dev(root, "render", "--explain")
    assert ended.returncode == 2
    assert "dockerComposeFile" in ended.stdout
    assert ".devcontainer/compose.yaml:4 " in ended.stdout and ".devcontainer/compose.yaml:4:5" in ended.stderr


def test_a_credential_of_a_provider_among_the_secrets_is_warned_of(root: Path) -> None:
    text = f"{STATIC}secrets: [UPCLOUD_USERNAME, UPCLOUD_PASSWORD, DATABASE_PASSWORD]\n"
    found = config.load(text, "config/dev.yml", environment={})
    (notice,) = found.notices
    assert notice.is_warning and notice.where.line == 3
    assert "`UPCLOUD_USERNAME`, `UPCLOUD_PASSWORD`" in notice.message and "DATABASE" not in notice.message


def test_an_image_with_a_tag_is_told_from_the_one_to_build_from() -> None:
    with pytest.raises(ConfigError) as refused:
        config.load(f"{STATIC}image: {{name: ruby:3.2}}\n", "config/dev.yml", environment={})
    assert "config/dev.yml:3: image.name" in str(refused.value)
    assert "the image to build from belongs in devcontainer.json" in str(refused.value)


def test_no_bad_input_is_called_a_defect(root: Path) -> None:
    (root / ".devcontainer/compose.yaml").write_text(f"{COMPOSE}    restrat: always\n")
    ended = dev(root, "deploy")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: .devcontainer/compose.yaml:4:5: services.app.restrat: is not a Compose key")
    assert "did you mean `restart`?" in ended.stderr and "defect" not in ended.stderr


def test_doctor_compares_what_is_asked_for_with_what_the_provider_can_give(root: Path) -> None:
    from kamal_dev.pipeline.doctor import examine

    (root / "config/dev.yml").write_text("service: blog\nprovider: {type: docker}\n")
    (root / ".devcontainer/devcontainer.json").write_text(
        '{"image": "debian:12",\n "hostRequirements": {"cpus": 640}}\n'
    )
    run = opened(root)
    run.__dict__["provider"] = Small()
    (check,) = [check for check in examine(run) if check.name == "requirements"]
    assert check.is_warning and check.is_fine
    assert check.message == "hosts have at most 2 of 640 CPUs (.devcontainer/devcontainer.json:2)"


class Small:
    """A provider of small hosts that has none yet."""

    def machines(self) -> tuple[Host, ...]:
        """Return none: each stack has its own host."""
        return ()

    def capacity(self) -> Capacity:
        return Capacity(2, 4 << 30, 1 << 40)

    def stacks(self) -> tuple[()]:
        return ()
