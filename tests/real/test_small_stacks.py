"""What a deploy does with images, hosts and services of many kinds: small stacks on hosts that are there."""

from __future__ import annotations

import json

from tests.real.lab import COMPOSE, DOCKERFILE, PREFIX, Host, Lab, docker, has_image, is_listening

DATA = COMPOSE + "    volumes: [data:/data]\nvolumes:\n  data:\n"


def test_fewer_static_hosts_than_stacks_is_refused_before_anything_is_built(lab: Lab, host: Host) -> None:
    repository = lab.small("few", [host])
    ended = repository.dev("deploy", "--count", "2", code=1)
    assert "config/dev.yml" in ended.stderr
    assert repository.stack(2) in ended.stderr
    assert not has_image(repository.image())
    assert host.states(repository.stack()) == {}


def test_skip_build_without_a_build_names_the_image(lab: Lab, host: Host) -> None:
    repository = lab.small("unbuilt", [host])
    ended = repository.dev("deploy", "--skip-build", code=1)
    assert f"`{repository.image()}`" in ended.stderr
    assert "dev build" in ended.stderr
    assert host.states(repository.stack()) == {}


def test_push_without_a_build_names_the_image(lab: Lab, host: Host) -> None:
    repository = lab.small("unpushed", [host])
    assert f"`{repository.image()}`" in repository.dev("push", code=1).stderr


def test_what_was_built_and_pushed_is_deployed_with_skip_build(lab: Lab, host: Host) -> None:
    repository = lab.small("built", [host])
    assert repository.dev("build").stdout.strip() == repository.image()
    pushed = repository.dev("push").stdout.strip()
    assert pushed.startswith(f"{repository.image()}@sha256:")
    ended = repository.dev("deploy", "--skip-build", "--verbose")
    assert not [step for step in ended.steps() if "buildx build" in step], str(ended)
    assert host.states(repository.stack()) == {"app": "running"}


def test_a_version_that_only_the_registry_has_is_deployed_with_skip_build(lab: Lab, host: Host) -> None:
    repository = lab.small("elsewhere-built", [host])
    repository.dev("build")
    repository.dev("push")
    docker("image", "rm", repository.image())
    repository.dev("deploy", "--skip-build")
    assert host.states(repository.stack()) == {"app": "running"}


def test_skip_push_needs_no_registry_and_sends_only_what_a_host_lacks(lab: Lab, hosts: tuple[Host, ...]) -> None:
    port = lab.free_port()
    repository = lab.small("unregistered", hosts[:2], registry=f"localhost:{port}")
    placed = [(host, repository.stack(index)) for index, host in enumerate(hosts[:2], 1)]
    repository.dev("deploy", "--skip-push")
    assert not is_listening(port)
    assert [host.states(stack) for host, stack in placed] == [{"app": "running"}] * 2
    before = [host.started(stack) for host, stack in placed]
    again = repository.dev("deploy", "--skip-push", "--verbose")
    assert [again.steps(stack) for _, stack in placed] == [[f"facts {stack}"] for _, stack in placed], str(again)
    assert [host.started(stack) for host, stack in placed] == before
    repository.commit({".devcontainer/message": "changed\n"})
    repository.dev("deploy", "--skip-push")
    made = docker("image", "inspect", "--format", "{{.Id}}", repository.image())
    for host, stack in placed:
        assert host.images(stack)["app"] == repository.image(f"id-{made[7:39]}")


def test_a_host_gets_a_third_party_image_over_ssh_where_it_cannot_pull_it(lab: Lab, host: Host) -> None:
    # Nothing listens on port 1, so the image is on this machine and nowhere else.
    reference = f"localhost:1/{PREFIX}-only-here:1"
    compose = COMPOSE + f"  other:\n    image: {reference}\n    command: sleep infinity\n    stop_signal: SIGKILL\n"
    repository = lab.small("handed", [host], compose=compose)
    docker("image", "tag", "debian:12", reference)
    try:
        repository.dev("deploy")
    finally:
        docker("image", "rm", reference)
    assert host.states(repository.stack()) == {"app": "running", "other": "running"}


def test_a_devcontainer_with_an_image_alone_deploys(lab: Lab, host: Host) -> None:
    devcontainer = '{"image": "debian:12", "containerEnv": {"GREETING": "hello $USER"}}\n'
    repository = lab.small("imageonly", [host], {".devcontainer/devcontainer.json": devcontainer})
    repository.dev("deploy")
    assert list(host.states(repository.stack()).values()) == ["running"]
    container = host.run(f"docker ps --quiet --filter label=com.docker.compose.project={repository.stack()}").strip()
    assert host.run(f"docker exec {container} printenv GREETING") == "hello $USER\n"


def test_a_devcontainer_with_a_dockerfile_alone_deploys(lab: Lab, host: Host) -> None:
    devcontainer = '{"build": {"dockerfile": "Dockerfile"}, "remoteUser": "root"}\n'
    repository = lab.small("dockerfile", [host], {".devcontainer/devcontainer.json": devcontainer})
    repository.dev("deploy")
    assert list(host.states(repository.stack()).values()) == ["running"]
    (image,) = host.images(repository.stack()).values()
    assert image.startswith(repository.image())


def test_a_build_from_a_dockerfile_in_the_compose_file_leaves_nothing_behind(lab: Lab) -> None:
    compose = "services:\n  app:\n    build:\n      dockerfile_inline: |\n        FROM debian:12\n"
    repository = lab.small("inline", ["root@127.0.0.1"], compose=compose)
    # The lab looks after every command for what is left in the folder for temporary files.
    repository.dev("build")
    assert has_image(repository.image())


def test_a_one_shot_that_ends_with_0_is_fine(lab: Lab, host: Host) -> None:
    compose = COMPOSE + '  migrate:\n    image: debian:12\n    command: ["true"]\n'
    repository = lab.small("oneshot", [host], compose=compose)
    report = repository.deploy()
    assert report.stacks[repository.stack()]["state"] == "deployed"
    assert host.states(repository.stack()) == {"app": "running", "migrate": "exited 0"}
    assert repository.deploy().stacks[repository.stack()]["state"] == "unchanged"


def test_files_that_a_service_needs_travel_with_it(lab: Lab, host: Host) -> None:
    compose = COMPOSE + "    env_file: app.env\n    volumes: [./note.txt:/note.txt:ro]\n"
    files = {".devcontainer/app.env": "COLOUR=blue\n", ".devcontainer/note.txt": "first\n"}
    repository = lab.small("files", [host], files, compose=compose)
    repository.dev("deploy")

    def told(command: str) -> str:
        return host.run(f"cd ~/.kamal-dev/{repository.stack()}/current && docker compose exec -T app {command}")

    assert told("printenv COLOUR") == "blue\n"
    assert told("cat /note.txt") == "first\n"
    repository.commit({".devcontainer/note.txt": "second\n"})
    repository.dev("deploy")
    assert told("cat /note.txt") == "second\n"


def test_removing_a_stack_takes_its_data_and_leaves_static_hosts(lab: Lab, host: Host) -> None:
    repository = lab.small("gone", [host], compose=DATA)
    stack = repository.stack()
    repository.dev("deploy")
    repository.dev("remove", code=2)
    assert host.states(stack) == {"app": "running"}, "without --yes and a terminal nothing is removed"
    repository.dev("remove", "--yes")
    assert host.states(stack) == {}
    assert host.run(f"docker volume ls --quiet --filter label=com.docker.compose.project={stack}") == ""
    assert host.run(f"ls -A ~/.kamal-dev/{stack}") == "audit.log\n"
    again = repository.dev("remove", "--yes", "--json")
    assert again.stacks[stack]["state"] == "absent"
    assert "Nothing to remove" in again.stderr


def test_removing_with_keep_volumes_keeps_the_data(lab: Lab, host: Host) -> None:
    repository = lab.small("kept", [host], compose=DATA)
    stack = repository.stack()
    container = f"$(docker ps --quiet --filter label=com.docker.compose.project={stack})"
    repository.dev("deploy")
    host.run(f"docker exec {container} sh -c 'echo kept >/data/note'")
    repository.dev("remove", "--yes", "--keep-volumes")
    assert host.states(stack) == {}
    repository.dev("deploy")
    assert host.run(f"docker exec {container} cat /data/note") == "kept\n"


def test_what_the_image_says_of_itself_holds_for_the_main_container(lab: Lab, host: Host) -> None:
    label = [
        {"id": "tool", "init": True, "capAdd": ["SYS_PTRACE"], "entrypoint": "/bin/touch /entered"},
        {"id": "store", "mounts": [{"type": "volume", "source": "store-${devcontainerId}", "target": "/store"}]},
        {"remoteUser": "nobody", "containerEnv": {"FROM_LABEL": "yes"}},
    ]
    dockerfile = f"{DOCKERFILE}LABEL devcontainer.metadata='{json.dumps(label)}'\n"
    repository = lab.small("labelled", [host], files={".devcontainer/Dockerfile": dockerfile})
    repository.dev("deploy")
    main = f"{repository.stack()}-app-1"
    found = json.loads(host.run(f"docker inspect {main}"))[0]
    assert found["HostConfig"]["Init"]
    assert found["HostConfig"]["CapAdd"][0].endswith("SYS_PTRACE")
    assert "FROM_LABEL=yes" in found["Config"]["Env"]
    assert [mount["Type"] for mount in found["Mounts"] if mount["Destination"] == "/store"] == ["volume"]
    assert host.run(f"docker exec {main} ls /entered").strip() == "/entered"
    assert "sleep infinity" in host.run(f"docker top {main}")
    again = repository.dev("deploy", "--verbose")
    assert "unchanged" in again.stdout, str(again)
