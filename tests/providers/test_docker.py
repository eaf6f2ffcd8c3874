from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from kamal_dev import config, providers
from kamal_dev.errors import ConfigError, DevError, EngineError, ProviderError
from kamal_dev.model import Host, Step
from kamal_dev.output import Output
from kamal_dev.output.sentences import sentence
from kamal_dev.providers import docker, host_image
from tests.providers.engine import Banner, Engine, ensured, listed

NAMES = ("guestbook-1", "guestbook-2")
LOOK = (
    "$ docker ps --all --no-trunc --filter label=kamal-dev.project=HASH --filter label=kamal-dev.service=guestbook"
    " --format '{{.ID}}\t{{.Label \"kamal-dev.host\"}}\t{{.State}}\t{{.Ports}}'\n"
)
CREATION = (
    "$ docker run --detach --tty --privileged --tmpfs=/run --tmpfs=/run/lock"
    " --volume=/var/lib/docker --volume=/var/lib/containerd --cgroupns=private --publish=127.0.0.1::22"
    " --label=kamal-dev.host=guestbook-1 --label=kamal-dev.service=guestbook --label=kamal-dev.project=HASH"
    " --name=kamal-dev-guestbook-1-HASH --hostname=guestbook-1 kamal-dev-host:docker-HASH\n"
)


@pytest.fixture
def engine() -> Iterator[Engine]:
    banner = Banner()
    yield Engine(banner.port)
    banner.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "SETTLE", 0.0)


@pytest.fixture
def said() -> list[str]:
    return []


def provider(engine: Engine, folder: Path, said: list[str] | None = None, options: str = "") -> providers.Provider:
    text = f"service: guestbook\nprovider:\n  type: docker\n{options}"
    read = config.load(text, "config/dev.yml", environment={})
    talk = [] if said is None else said
    output = Output(lambda event: talk.append(sentence(event)))
    return providers.make(read, shell=engine, directory=folder / ".kamal/local", output=output)


def refused(made: providers.Provider) -> DevError:
    error = made.ensure(("guestbook-1",))["guestbook-1"]
    assert isinstance(error, ProviderError)
    return error


def test_a_first_host_takes_these_commands(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path).ensure(("guestbook-1",))
    assert engine.transcript == (
        LOOK
        + "$ docker info --format '{{.CgroupVersion}} {{.NCPU}} {{.MemTotal}} {{.DockerRootDir}}'\n"
        + "$ docker image inspect kamal-dev-host:docker-HASH\n"
        + CREATION
        + LOOK
        + "$ docker exec c0ffee0 admit 60\n"
    )


def test_a_host_says_how_it_is_reached(engine: Engine, tmp_path: Path) -> None:
    (host,) = ensured(provider(engine, tmp_path), "guestbook-1")
    assert (host.name, host.address, host.user, host.port) == ("guestbook-1", "127.0.0.1", "root", engine.port)
    assert host.keys == (tmp_path / ".kamal/local/id_ed25519",)
    assert host.host_key == "ssh-ed25519 AAAAhostkey"


def test_running_again_finds_and_makes_nothing(engine: Engine, tmp_path: Path) -> None:
    first = provider(engine, tmp_path).ensure(NAMES)
    engine.steps.clear()
    assert provider(engine, tmp_path).ensure(NAMES) == first
    assert sorted(engine.transcript.splitlines(keepends=True)) == sorted(
        [LOOK, "$ docker exec c0ffee0 admit 60\n", "$ docker exec c0ffee1 admit 60\n"]
    )


def test_hosts_come_in_the_order_asked_for(engine: Engine, tmp_path: Path) -> None:
    hosts = provider(engine, tmp_path).ensure(("guestbook-2", "guestbook-1"))
    assert [(name, host.name) for name, host in hosts.items() if isinstance(host, Host)] == [
        ("guestbook-2", "guestbook-2"),
        ("guestbook-1", "guestbook-1"),
    ]


def test_a_host_met_in_this_run_is_not_asked_twice(engine: Engine, tmp_path: Path) -> None:
    made = provider(engine, tmp_path)
    made.ensure(("guestbook-1",))
    engine.steps.clear()
    listed(made)
    made.ensure(("guestbook-1",))
    assert engine.transcript == LOOK + LOOK


@pytest.mark.parametrize(("state", "verb"), [("exited", "start"), ("created", "start"), ("paused", "unpause")])
def test_a_host_that_does_not_run_is_started_again(
    engine: Engine, tmp_path: Path, said: list[str], state: str, verb: str
) -> None:
    provider(engine, tmp_path).ensure(("guestbook-1",))
    engine.containers["c0ffee0"].state = state
    engine.steps.clear()
    provider(engine, tmp_path, said).ensure(("guestbook-1",))
    assert engine.transcript == LOOK + f"$ docker {verb} c0ffee0\n" + LOOK + "$ docker exec c0ffee0 admit 60\n"
    assert said == ["Starting the stopped host"]


def test_a_host_that_was_taken_off_its_network_is_told_from_one_without_sshd(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path).ensure(("guestbook-1",))
    engine.port = 0
    error = refused(provider(engine, tmp_path))
    assert "has no port on this machine" in error.message
    assert error.hint == "`docker network connect bridge c0ffee0` reconnects it"


def test_another_project_with_the_same_service_has_hosts_of_its_own(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path / "one").ensure(NAMES)
    assert listed(provider(engine, tmp_path / "two")) == ()
    provider(engine, tmp_path / "two").destroy(NAMES)
    assert len(engine.containers) == 2


def test_the_host_image_is_built_where_it_is_not_there(engine: Engine, tmp_path: Path, said: list[str]) -> None:
    engine.has_image = False
    provider(engine, tmp_path, said).ensure(("guestbook-1",))
    build = next(step for step in engine.steps if step.argv[1] == "buildx")
    assert build.argv[:5] == ("docker", "buildx", "build", "--builder", "default")
    assert build.argv[-3:] == ("--file", str(host_image.DOCKERFILE), str(host_image.DOCKERFILE.parent))
    # buildx keeps a copy of what it reads from stdin.
    assert build.stdin is None
    assert said[0].startswith("Building `kamal-dev-host:")


def test_a_host_image_that_cannot_be_built_says_why(engine: Engine, tmp_path: Path) -> None:
    engine.has_image = False
    engine.refuse["buildx"] = "debian:12: not found"
    outcomes = provider(engine, tmp_path).ensure(NAMES)
    assert ["debian:12: not found" in str(outcome) for outcome in outcomes.values()] == [True, True]
    assert "`provider.image`" in refused(provider(engine, tmp_path)).hint
    assert engine.containers == {}


def test_options_reach_the_container(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path, options="  image: own/host:1\n  memory: 2g\n  cpus: 1.5\n").ensure(("guestbook-1",))
    creation = next(step for step in engine.steps if step.argv[1] == "run")
    assert {"--memory=2g", "--cpus=1.5"} <= set(creation.argv)
    assert creation.argv[-1] == "own/host:1"
    assert not [step for step in engine.steps if step.argv[1] in ("image", "buildx")]


def test_systemd_gets_what_it_needs_under_cgroup_v1(engine: Engine, tmp_path: Path) -> None:
    engine.cgroup = "1"
    provider(engine, tmp_path).ensure(("guestbook-1",))
    creation = next(step for step in engine.steps if step.argv[1] == "run")
    assert {"--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup"} <= set(creation.argv)


def test_the_private_key_is_in_no_argv_and_no_stdin(engine: Engine, tmp_path: Path) -> None:
    (host,) = ensured(provider(engine, tmp_path), "guestbook-1")
    body = host.keys[0].read_text().splitlines()[1]
    for step in engine.steps:
        assert body not in " ".join(step.argv)
        assert body.encode() not in (step.stdin or b"")


def test_without_an_engine_the_other_provider_is_offered(engine: Engine, tmp_path: Path) -> None:
    engine.refuse["ps"] = "Cannot connect to the Docker daemon"
    with pytest.raises(EngineError, match="Cannot connect to the Docker daemon") as caught:
        provider(engine, tmp_path).stacks()
    assert "static" in caught.value.hint


def test_a_name_that_no_host_can_have_is_refused_before_anything(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="`guest book` cannot be the name of a host"):
        provider(engine, tmp_path).check(("guestbook-1", "guest book"))
    assert engine.steps == []


def test_one_host_that_fails_stops_no_other(engine: Engine, tmp_path: Path) -> None:
    engine.refuse["run --label=kamal-dev.host=guestbook-2"] = "cannot allocate memory"
    first, second, third = provider(engine, tmp_path).ensure((*NAMES, "guestbook-3")).values()
    assert [host.name for host in (first, third) if isinstance(host, Host)] == ["guestbook-1", "guestbook-3"]
    assert isinstance(second, ProviderError)
    assert second.message == "guestbook-2: the container could not be created: cannot allocate memory"
    assert second.left_behind == ""


def test_where_no_host_can_be_made_those_that_exist_are_started(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path).ensure(("guestbook-1",))
    engine.containers["c0ffee0"].state = "exited"
    engine.has_image = False
    engine.refuse["buildx"] = "debian:12: not found"
    first, second = provider(engine, tmp_path).ensure(NAMES).values()
    assert isinstance(first, Host)
    assert "debian:12: not found" in str(second)


def test_a_run_that_was_slower_takes_the_host_that_the_other_made(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path).ensure(("guestbook-1",))
    hidden = dict(engine.containers)
    engine.containers.clear()

    def the_other_is_faster(step: Step) -> None:
        if step.argv[1] == "run":
            engine.containers.update(hidden)
            engine.refuse["run"] = "the container name is already in use"

    engine.before = the_other_is_faster
    (host,) = ensured(provider(engine, tmp_path), "guestbook-1")
    assert host.name == "guestbook-1"
    assert len(engine.containers) == 1


def test_a_container_without_sshd_is_an_error_that_shows_its_boot(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "BOOT", 0)
    engine.refuse["exec"] = "sshd made no host key"
    engine.refuse["logs"] = "Failed to mount cgroup"
    error = refused(provider(engine, tmp_path))
    assert "sshd made no host key" in error.message
    assert error.hint == "see `docker logs c0ffee0`"
    assert error.left_behind == "host guestbook-1; the next deploy uses it"


def test_a_port_that_answers_without_a_banner_is_no_host() -> None:
    silent = Banner(b"")
    assert not docker._answers(silent.port, 0.3)
    silent.close()


def test_hosts_that_are_off_are_listed_without_an_address(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path).ensure(NAMES)
    engine.containers["c0ffee0"].state = "exited"
    off = engine.containers["c0ffee0"].labels["kamal-dev.host"]
    found = {name: host.address for name, host in provider(engine, tmp_path).stacks()}
    assert list(found) == list(NAMES)
    assert found.pop(off) == ""
    assert list(found.values()) == ["127.0.0.1"]


def test_destroying_takes_exactly_the_named_hosts_with_their_volumes(
    engine: Engine, tmp_path: Path, said: list[str]
) -> None:
    made = provider(engine, tmp_path, said)
    made.ensure((*NAMES, "guestbook-11"))
    engine.steps.clear()
    made.destroy(("guestbook-1", "guestbook-7"))
    assert [host.name for host in listed(made)] == ["guestbook-2", "guestbook-11"]
    assert "$ docker rm --force --volumes c0ffee" in engine.transcript
    assert said[-1] == "Removed host guestbook-1"


def test_a_container_that_cannot_be_removed_is_an_error(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path).ensure(("guestbook-1",))
    engine.refuse["rm"] = "device or resource busy"
    with pytest.raises(ProviderError, match="guestbook-1: the container was not removed: device or resource busy"):
        provider(engine, tmp_path).destroy(("guestbook-1",))


def test_a_look_at_hosts_that_are_not_there_makes_no_key(engine: Engine, tmp_path: Path) -> None:
    assert provider(engine, tmp_path).stacks() == ()
    assert list(tmp_path.iterdir()) == []
    provider(engine, tmp_path).ensure(("guestbook-1",))
    assert (tmp_path / ".kamal/local/id_ed25519").exists()


def test_a_folder_that_is_renamed_keeps_its_hosts(engine: Engine, tmp_path: Path) -> None:
    (made,) = ensured(provider(engine, tmp_path / "before"), "guestbook-1")
    (tmp_path / "before").rename(tmp_path / "after")
    (found,) = listed(provider(engine, tmp_path / "after"))
    assert found.name == made.name
    (tmp_path / "after").rename(tmp_path / "last")
    assert [host.name for host in listed(provider(engine, tmp_path / "last"))] == ["guestbook-1"]


def test_a_copy_of_a_folder_has_hosts_of_its_own(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path / "one").ensure(("guestbook-1",))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert listed(provider(engine, tmp_path / "two")) == ()
    assert len(listed(provider(engine, tmp_path / "one"))) == 1


def test_hosts_of_a_folder_without_an_id_are_those_of_its_path(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path).ensure(("guestbook-1",))
    (tmp_path / ".kamal/local/project.json").unlink()
    assert len(listed(provider(engine, tmp_path))) == 1
    assert (tmp_path / ".kamal/local/project.json").exists()


def test_where_the_engine_cannot_be_installed_in_the_image_hosts_are_bare(
    engine: Engine, tmp_path: Path, said: list[str]
) -> None:
    engine.has_image = False
    provider(engine, tmp_path, said).ensure(("guestbook-1",))
    creation = next(step for step in engine.steps if "--name=kamal-dev-guestbook" in step.text)
    assert creation.argv[-1].startswith("kamal-dev-host:") and "docker-" not in creation.argv[-1]
    assert any("each host installs it" in text for text in said)
    assert any(step.argv[1:3] == ("rm", "--force") for step in engine.steps)


def test_a_host_image_has_the_engine_and_no_identity_of_the_host_it_was_made_on(
    engine: Engine, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.has_image = False
    shown = engine._exec
    monkeypatch.setattr(
        engine, "_exec", lambda words: '{"type":"result","ok":true}\n' if "bootstrap.sh" in words else shown(words)
    )
    provider(engine, tmp_path, said).ensure(("guestbook-1",))
    making = [step for step in engine.steps if f"{host_image.NAME}-making-" in step.text]
    assert [step.argv[1] for step in making] == ["run", "exec", "exec", "exec", "commit", "rm"]
    installed, forgotten = making[2], making[3]
    assert "bootstrap.sh" in installed.argv
    # Two hosts with the same host keys could pass for each other.
    assert "/etc/ssh/ssh_host_*" in forgotten.argv[-1] and "/etc/machine-id" in forgotten.argv[-1]
    creation = next(step for step in engine.steps if "--name=kamal-dev-guestbook" in step.text)
    assert creation.argv[-1] == making[4].argv[-1]
    assert not any("each host installs it" in text for text in said)


@pytest.mark.parametrize("is_finished", [True, False])
def test_the_host_image_that_another_run_is_making_is_waited_for(
    engine: Engine, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, is_finished: bool
) -> None:
    monkeypatch.setattr(host_image.time, "sleep", lambda seconds: None)
    engine.has_image = False
    looks: list[Step] = []

    def the_other_works(step: Step) -> None:
        is_making = f"--name={host_image.NAME}-making-" in step.text
        engine.refuse = {"run": "the container name is already in use"} if is_making else {}
        if step.argv[1:3] == ("container", "inspect"):
            looks.append(step)
            engine.has_image = is_finished and len(looks) == 2
            # One that was killed left its container, and later nothing.
            engine.refuse = {"container": "no such container"} if not is_finished and len(looks) == 2 else {}

    engine.before = the_other_works
    provider(engine, tmp_path, said).ensure(("guestbook-1",))
    creation = next(step for step in engine.steps if "--name=kamal-dev-guestbook" in step.text)
    assert ("docker-" in creation.argv[-1]) == is_finished
    assert any("each host installs it" in text for text in said) != is_finished
    assert len(looks) == 2


def test_a_pattern_that_makes_no_host_s_name_is_refused_where_it_is_written(engine: Engine, tmp_path: Path) -> None:
    made = provider(engine, tmp_path, options="naming: {pattern: '{service}-{index}-'}\n")
    with pytest.raises(ConfigError) as refused:
        made.check(("guestbook-1-",))
    assert str(refused.value).startswith("config/dev.yml:4:")
    assert "naming.pattern: `guestbook-1-` cannot be the name of a host" in str(refused.value)


# --- hosts that stacks share

SHARED = "placement: {per_host: 4}\n"


def test_hosts_that_stacks_share_are_numbered_and_named_unlike_any_stack(engine: Engine, tmp_path: Path) -> None:
    made = provider(engine, tmp_path, options=SHARED)
    assert (made.machines(), made.stacks(), made.inventory()) == ((), (), {})
    new = islice(made.creatable(), 2)
    assert [item.host.name for item in new] == ["host-1.guestbook", "host-2.guestbook"]
    made.ensure(("host-2.guestbook",))
    assert [host.name for host in made.machines()] == ["host-2.guestbook"]
    assert [item.host.name for item in islice(made.creatable(), 2)] == ["host-1.guestbook", "host-3.guestbook"]
    made.destroy(("guestbook-1", "host-2.guestbook"))
    assert (made.machines(), engine.containers) == ((), {})


def test_hosts_that_stacks_share_are_listed_once(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path, options=SHARED).ensure(("host-1.guestbook",))
    engine.steps.clear()
    made = provider(engine, tmp_path, options=SHARED)
    assert made.machines() == made.machines()
    assert engine.transcript == LOOK + "$ docker exec c0ffee0 admit 2\n"


def test_a_host_made_for_one_stack_takes_more_when_they_share(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path).ensure(("guestbook-1",))
    assert [host.name for host in provider(engine, tmp_path, options=SHARED).machines()] == ["guestbook-1"]


def test_a_shared_host_is_not_taken_for_that_of_one_stack(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path, options=SHARED).ensure(("host-1.guestbook",))
    with pytest.raises(ProviderError, match=r"host-1\.guestbook was created for several stacks") as refused:
        provider(engine, tmp_path).stacks()
    assert refused.value.hint.startswith("set it to 2 or more")


def test_nobody_knows_what_is_on_a_shared_host_that_is_off(engine: Engine, tmp_path: Path) -> None:
    provider(engine, tmp_path, options=SHARED).ensure(("host-1.guestbook", "host-2.guestbook"))
    off = engine.containers["c0ffee0"]
    off.state = "exited"
    made = provider(engine, tmp_path, options=SHARED)
    (known,) = made.inventory().values()
    assert (known.host.name, known.host.address, known.is_unknown) == (off.labels["kamal-dev.host"], "", True)
    made.ensure((known.host.name,))
    assert made.inventory() == {}


@pytest.mark.parametrize(
    ("options", "memory", "cpus"), [("", 8 << 30, 4), ("  memory: 2g\n  cpus: 0.5\n", 2 << 30, 0.5)]
)
def test_a_new_host_is_as_large_as_the_provider_lets_it_be(
    engine: Engine, tmp_path: Path, options: str, memory: int, cpus: float
) -> None:
    first = next(iter(provider(engine, tmp_path, options=options + SHARED).creatable()))
    assert (first.memory, first.cpus) == (memory, cpus)


def test_a_service_too_long_for_the_names_of_shared_hosts_is_refused(engine: Engine, tmp_path: Path) -> None:
    long = "service: " + 58 * "g" + "\n" + SHARED
    read = config.load(long, "config/dev.yml", environment={})
    made = providers.make(read, shell=engine, directory=tmp_path / "x", output=Output(lambda event: None))
    with pytest.raises(ProviderError, match="too long for the name of a host"):
        made.check(())
